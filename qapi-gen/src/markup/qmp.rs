//! QMP messages in examples (QAPI: section 'Documentation markup'): JSON with `->` and `<-` for
//! who speaks, and `...` for what is left out.

use std::ops::Range;

use super::Code;

/// A piece of a line of an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// The line, an index into [`Code::lines`].
    pub line: usize,
    /// Where in the line's text.
    pub range: Range<usize>,
}

/// The kinds of [`Token`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// `->` at the start of a line.
    FromClient,
    /// `<-` at the start of a line.
    FromServer,
    /// A string with its quotes.
    String,
    /// A string that is never closed.
    OpenString,
    /// A number.
    Number,
    /// `true`, `false`, `null`, or a word that JSON does not have.
    Word,
    /// One of `{}[],:`
    Punctuation(u8),
    /// `...`, or a text between two of them.
    Elision,
    /// A character that JSON does not have.
    Stray,
}

/// The tokens of `code`, in order. Blanks between them are not tokens.
#[must_use]
pub fn tokens(code: &Code<'_>) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (line, code) in code.lines.iter().enumerate() {
        let text = code.text;
        let mut at = 0;
        while let Some(ch) = text[at..].chars().next() {
            if ch.is_whitespace() {
                at += ch.len_utf8();
                continue;
            }
            let (kind, len) = token(&text[at..], text[..at].trim().is_empty());
            let range = at..at + len;
            at = range.end;
            tokens.push(Token { kind, line, range });
        }
    }
    tokens
}

/// The kind and the length of the token at the start of `text`, which is not empty.
fn token(text: &str, starts_line: bool) -> (TokenKind, usize) {
    let bytes = text.as_bytes();
    let is_arrow = bytes.get(2).is_none_or(|byte| *byte == b' ');
    match bytes[0] {
        b'-' if starts_line && text.starts_with("->") && is_arrow => (TokenKind::FromClient, 2),
        b'<' if starts_line && text.starts_with("<-") && is_arrow => (TokenKind::FromServer, 2),
        mark @ (b'{' | b'}' | b'[' | b']' | b',' | b':') => (TokenKind::Punctuation(mark), 1),
        b'.' if text.starts_with("...") => (TokenKind::Elision, elision_len(text)),
        quote @ (b'"' | b'\'') => string(text, quote),
        b'-' | b'0'..=b'9' => {
            let is_part =
                |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+');
            let len = 1 + bytes[1..].iter().take_while(|byte| is_part(byte)).count();
            (TokenKind::Number, len)
        }
        first if first.is_ascii_alphabetic() || first == b'_' => {
            let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            (TokenKind::Word, bytes.iter().take_while(is_part).count())
        }
        _ => {
            let len = text.chars().next().map_or(1, char::len_utf8);
            (TokenKind::Stray, len)
        }
    }
}

/// The length of `...`, or of `... text ...` if what is between cannot be JSON.
fn elision_len(text: &str) -> usize {
    let dots = text.bytes().take_while(|byte| *byte == b'.').count();
    let rest = &text[dots..];
    let Some(len) = rest.find("...") else {
        return dots;
    };
    let between = &rest[..len];
    if between.contains(['{', '}', '[', ']', '"', ':']) {
        return dots;
    }
    let closing = rest[len..].bytes().take_while(|byte| *byte == b'.').count();
    dots + len + closing
}

fn string(text: &str, quote: u8) -> (TokenKind, usize) {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            _ if byte == quote => return (TokenKind::String, at + 1),
            _ => {}
        }
    }
    (TokenKind::OpenString, text.len())
}
