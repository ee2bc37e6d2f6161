//! How a line of the human monitor is read: its words and its arguments.

use std::borrow::Cow;

/// What a command takes behind its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arguments {
    /// Nothing.
    None,
    /// This flag, if it is there.
    Flag(&'static str),
    /// One word, or a text in quotes.
    Word,
    /// The same, if it is there.
    OptionalWord,
    /// All the rest of the line, which is not empty.
    Rest,
    /// The same, where a block device has to be named.
    Device,
    /// The same, or nothing.
    OptionalRest,
}

/// Why the arguments do not fit; printed behind the name of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    Missing,
    NoDevice,
    TooMany,
}

impl Mistake {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Missing => "string expected",
            Self::NoDevice => "block device name expected",
            Self::TooMany => "extraneous characters at the end of line",
        }
    }
}

/// As C's `isspace`.
fn is_space(ch: char) -> bool {
    ch.is_ascii_whitespace() || ch == '\x0b'
}

fn skip_space(text: &str) -> &str {
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

/// Splits off the first word of an argument that has several.
pub(super) fn split_first(text: &str) -> (&str, &str) {
    let end = text.find(is_space).unwrap_or(text.len());
    (&text[..end], skip_space(&text[end..]).trim_end())
}

impl Arguments {
    /// The text of the argument; empty if it is left out.
    pub(super) fn parse(self, text: &str) -> Result<Cow<'_, str>, Mistake> {
        let text = skip_space(text);
        let (argument, rest) = match self {
            Self::None => (Cow::Borrowed(""), text),
            Self::Flag(flag) => match text.strip_prefix(flag) {
                Some(rest) if rest.is_empty() || rest.starts_with(is_space) => (flag.into(), rest),
                Some(_) | None => (Cow::Borrowed(""), text),
            },
            Self::OptionalWord if text.is_empty() => (Cow::Borrowed(""), text),
            Self::Word | Self::OptionalWord => split_word(text).ok_or(Mistake::Missing)?,
            Self::Rest if text.is_empty() => return Err(Mistake::Missing),
            Self::Device if text.is_empty() => return Err(Mistake::NoDevice),
            Self::Rest | Self::Device | Self::OptionalRest => (Cow::Borrowed(text), ""),
        };
        if is_blank(rest) {
            Ok(argument)
        } else {
            Err(Mistake::TooMany)
        }
    }
}

/// A word, or a text in double quotes in which backslashes escape; `None` if there is none.
fn split_word(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(is_space).unwrap_or(text.len());
        return (end > 0).then(|| (Cow::Borrowed(&text[..end]), &text[end..]));
    };
    let mut word = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((word.into(), chars.as_str())),
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

    fn parse(arguments: Arguments, text: &str) -> Result<String, Mistake> {
        arguments.parse(text).map(Cow::into_owned)
    }

    #[test]
    fn names_end_at_blanks_and_slashes() {
        assert_eq!(split_name("info name"), ("info", "info", " name"));
        assert_eq!(split_name(" \tfoo/x y"), (" \tfoo", "foo", "/x y"));
        assert_eq!(split_name("/x"), ("", "", "/x"));
        assert_eq!(split_name(""), ("", "", ""));
    }

    #[test]
    fn words_may_be_quoted() {
        let word = |text| parse(Arguments::Word, text);
        assert_eq!(word(" a "), Ok("a".to_owned()));
        assert_eq!(word(r#" "a \"b\"\n" "#), Ok("a \"b\"\n".to_owned()));
        assert_eq!(word(r#"a"b""#), Ok(r#"a"b""#.to_owned()));
        assert_eq!(word(r#""""#), Ok(String::new()));
        for missing in ["", "  ", r#""a"#, r#""a\q""#, r#""a\"#] {
            assert_eq!(word(missing), Err(Mistake::Missing), "{missing}");
        }
        assert_eq!(word("a b"), Err(Mistake::TooMany));
        assert_eq!(word(r#""a"b"#), Err(Mistake::TooMany));
    }

    #[test]
    fn other_arguments() {
        assert_eq!(parse(Arguments::None, "  "), Ok(String::new()));
        assert_eq!(parse(Arguments::None, " x"), Err(Mistake::TooMany));
        assert_eq!(parse(Arguments::Flag("-i"), " -i"), Ok("-i".to_owned()));
        assert_eq!(parse(Arguments::Flag("-i"), ""), Ok(String::new()));
        assert_eq!(parse(Arguments::Flag("-i"), "-ix"), Err(Mistake::TooMany));
        assert_eq!(parse(Arguments::Rest, " a b "), Ok("a b ".to_owned()));
        assert_eq!(parse(Arguments::Rest, " "), Err(Mistake::Missing));
        assert_eq!(parse(Arguments::OptionalRest, " "), Ok(String::new()));
        assert_eq!(parse(Arguments::OptionalWord, " "), Ok(String::new()));
    }
}
