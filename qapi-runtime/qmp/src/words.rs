//! A line as words.

/// A word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// Where it begins, in bytes.
    pub(crate) start: usize,
    /// What it says, without quotes.
    pub(crate) text: String,
}

/// The words of a line, with quotes and backslashes as a shell has them; `None` if a quote or a bracket is not closed. Nothing
/// is expanded. JSON needs no quotes: what begins with a bracket, at the start of a word or of its value, is taken as it is up
/// to the bracket that closes it.
pub(crate) fn split(line: &str) -> Option<Vec<String>> {
    let (words, is_complete) = scan(line);
    is_complete.then(|| words.into_iter().map(|word| word.text).collect())
}

/// The words of a line, and whether all quotes and brackets are closed.
pub(crate) fn scan(line: &str) -> (Vec<Word>, bool) {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.char_indices();
    while let Some((at, ch)) = chars.next() {
        let may_be_json = word
            .as_ref()
            .is_none_or(|word: &Word| word.text.ends_with('='));
        let mut extend = |text: &str| {
            let begin = || Word {
                start: at,
                text: String::new(),
            };
            word.get_or_insert_with(begin).text.push_str(text);
        };
        match (ch, quote) {
            (_, Some(open)) if ch == open => quote = None,
            ('\\', None | Some('"')) => match chars.next() {
                // In double quotes a backslash stands for itself unless what follows it has a meaning there.
                Some((_, next)) if quote.is_some() && !matches!(next, '"' | '\\') => {
                    extend("\\");
                    extend(next.encode_utf8(&mut [0; 4]));
                }
                Some((_, next)) => extend(next.encode_utf8(&mut [0; 4])),
                None => {
                    extend("");
                    words.extend(word);
                    return (words, false);
                }
            },
            ('\'' | '"', None) => {
                quote = Some(ch);
                extend("");
            }
            (' ' | '\t' | '\n', None) => words.extend(word.take()),
            ('{' | '[', None) if may_be_json => {
                let length = json_length(&line[at..]);
                let json = &line[at..][..length.unwrap_or(line.len() - at)];
                extend(json);
                if length.is_none() {
                    words.extend(word);
                    return (words, false);
                }
                // The bracket itself has been taken.
                let n_left = json.chars().count() - 1;
                if n_left > 0 {
                    chars.nth(n_left - 1);
                }
            }
            _ => extend(ch.encode_utf8(&mut [0; 4])),
        }
    }
    words.extend(word);
    (words, quote.is_none())
}

/// How long the JSON is at the start of `text`, which begins with a bracket; `None` if that is not closed.
fn json_length(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut is_text = false;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if is_text => {
                bytes.next();
            }
            b'"' => is_text = !is_text,
            b'{' | b'[' if !is_text => depth += 1,
            b'}' | b']' if !is_text => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{scan, split};

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

    #[test]
    fn json_needs_no_quotes() {
        let words = |line: &str| split(line).map(|words| words.join("|"));
        for (line, expected) in [
            (r#"a {"b": "c d"} e"#, Some(r#"a|{"b": "c d"}|e"#)),
            (
                r#"a b:=[1, {"c": "]"}] d={}"#,
                Some(r#"a|b:=[1, {"c": "]"}]|d={}"#),
            ),
            (r#"{"é": "\"}"}"#, Some(r#"{"é": "\"}"}"#)),
            ("[]x", Some("[]x")),
            ("a=b{ c]", Some("a=b{|c]")),
            (r#"a {"b": [}"#, None),
            ("a {", None),
            ("a '{' b", Some("a|{|b")),
        ] {
            assert_eq!(words(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn words_know_where_they_begin() {
        let starts = |line: &str| -> Vec<usize> {
            let (words, _) = scan(line);
            words.iter().map(|word| word.start).collect()
        };
        assert_eq!(starts(" é 'b c' {\"a\": 1} d"), [1, 4, 10, 19]);
        assert_eq!(starts("a '"), [0, 2]);
        assert_eq!(starts("a {"), [0, 2]);
    }
}
