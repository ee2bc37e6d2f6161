//! A line of a script as words.

/// The words of a line, with quotes and backslashes as a shell has them; `None` if a quote is not closed. Nothing is expanded.
pub(crate) fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars();
    while let Some(ch) = chars.next() {
        match (ch, quote) {
            (_, Some(open)) if ch == open => quote = None,
            ('\\', None | Some('"')) => match chars.next() {
                // In double quotes a backslash stands for itself but in front of what has a meaning there.
                Some(next) if quote.is_some() && !matches!(next, '"' | '\\') => {
                    word.get_or_insert_default().extend(['\\', next]);
                }
                Some(next) => word.get_or_insert_default().push(next),
                None => return None,
            },
            ('\'' | '"', None) => {
                quote = Some(ch);
                word.get_or_insert_default();
            }
            (' ' | '\t', None) => words.extend(word.take()),
            _ => word.get_or_insert_default().push(ch),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn lines_become_words() {
        let words = |line: &str| split(line).map(|words| words.join("|"));
        assert_eq!(words("a b=1\t c").as_deref(), Some("a|b=1|c"));
        assert_eq!(words("a 'b c'\"d e\" ''").as_deref(), Some("a|b cd e|"));
        assert_eq!(words(r#"a\ b "\"\n" '\'"#).as_deref(), Some(r#"a b|"\n|\"#));
        assert_eq!(words("a 'b"), None);
        assert_eq!(words("a\\"), None);
        assert_eq!(words("  ").as_deref(), Some(""));
    }
}
