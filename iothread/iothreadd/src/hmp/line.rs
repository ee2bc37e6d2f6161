//! Lines of the human monitor: how they are cut into words, and how those end that it prints.

use qapi_runtime::Error;

use crate::ident;

/// The end of a line, as a terminal wants it.
pub(super) const LINE_END: &str = "\r\n";

/// An error as it is printed.
pub(super) fn describe(error: &Error) -> String {
    let mut text = format!("Error: {}{LINE_END}", error.desc.replace('\n', LINE_END));
    if let Some(hint) = ident::hint(error) {
        text.push_str(hint);
        text.push_str(LINE_END);
    }
    text
}

/// As C's `isspace`.
fn is_space(ch: char) -> bool {
    ch.is_ascii_whitespace() || ch == '\x0b'
}

pub(super) fn skip_space(text: &str) -> &str {
    text.trim_start_matches(is_space)
}

/// Splits off the name of a command, with what stands in front of it, and the bare name. It ends at a blank or a slash.
pub(super) fn split_name(text: &str) -> (&str, &str, &str) {
    let start = text.len() - skip_space(text).len();
    let length = text[start..].find(|ch| is_space(ch) || ch == '/');
    let end = length.map_or(text.len(), |length| start + length);
    (&text[..end], &text[start..end], &text[end..])
}

/// Whether nothing but blanks is left.
pub(super) fn is_blank(text: &str) -> bool {
    skip_space(text).is_empty()
}

/// A word, or a text in double quotes in which backslashes escape; `None` at the end.
pub(super) fn split_word(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(is_space).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut word = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((word, chars.as_str())),
            '\\' => word.push(match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                same @ ('\\' | '\'' | '"') => same,
                _ => return None,
            }),
            ch => word.push(ch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_at_blanks_and_slashes() {
        assert_eq!(split_name("info name"), ("info", "info", " name"));
        assert_eq!(split_name(" \tfoo/x y"), (" \tfoo", "foo", "/x y"));
        assert_eq!(split_name("/x"), ("", "", "/x"));
        assert_eq!(split_name(""), ("", "", ""));
    }

    #[test]
    fn words_may_be_quoted() {
        for (text, word, rest) in [
            ("a b", "a", " b"),
            (r#""a \"b\"\n" c"#, "a \"b\"\n", " c"),
            (r#"a"b""#, r#"a"b""#, ""),
            (r#"""x"#, "", "x"),
        ] {
            assert_eq!(split_word(text), Some((word.to_owned(), rest)));
        }
        for missing in ["", " a", r#""a"#, r#""a\q""#, r#""a\"#] {
            assert_eq!(split_word(missing), None, "{missing}");
        }
    }
}
