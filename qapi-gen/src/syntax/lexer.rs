//! Tokens of a schema file.

use std::ops::Range;

use memchr::{memchr2, memmem, memrchr, memrchr2};
use pest::Parser as _;
use pest_derive::Parser;

use crate::source::Span;

/// The one place that knows pest's rules.
#[derive(Parser)]
#[grammar = "syntax/grammar.pest"]
struct Grammar;

/// The kinds of [`Token`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    Colon,
    Comma,
    True,
    False,
    String,
    /// A string that its line does not close.
    Unterminated,
    /// A documentation comment, from its first `##` to its last.
    Documentation,
    /// Text that is not a token.
    Stray,
    End,
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
}

/// The tokens of `text`, whose first byte has offset `start`; the last one is [`TokenKind::End`].
pub(super) fn tokenize(text: &str, start: u32) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len() / 24);
    // Documentation comments are most of the text and take no grammar to find.
    match documentation(text) {
        Some(comments) => {
            let mut at = 0;
            for comment in comments {
                code_tokens(&text[at..comment.start], start + at as u32, &mut tokens);
                at = comment.end;
                let span = Span::new(start + comment.start as u32, start + at as u32);
                tokens.push(Token {
                    kind: TokenKind::Documentation,
                    span,
                });
            }
            code_tokens(&text[at..], start + at as u32, &mut tokens);
        }
        None => grammar_tokens(text, start, &mut tokens),
    }
    let end = start + text.len() as u32;
    tokens.push(Token {
        kind: TokenKind::End,
        span: Span::new(end, end),
    });
    tokens
}

/// Where the documentation comments of `text` are, if each of them starts its line. `None` where
/// a `##` stands after something else: whether that is code or a string, the grammar knows.
fn documentation(text: &str) -> Option<Vec<Range<usize>>> {
    let bytes = text.as_bytes();
    let marks = memmem::Finder::new("##");
    let mut comments = Vec::new();
    let mut at = 0;
    while let Some(found) = marks.find(&bytes[at..]) {
        let mark = at + found;
        let line = memrchr2(b'\n', b'\r', &bytes[..mark]).map_or(0, |newline| newline + 1);
        let first = line + blanks(&bytes[line..mark]);
        if first == mark {
            at = documentation_end(bytes, mark);
            comments.push(mark..at);
        } else if bytes[first] == b'#' {
            at = line_end(bytes, mark);
        } else {
            return None;
        }
    }
    Some(comments)
}

/// The end of the documentation comment that starts at `at`: that of its closing `##` line, or of
/// its last line if nothing closes it.
fn documentation_end(bytes: &[u8], at: usize) -> usize {
    let mut end = line_end(bytes, at);
    loop {
        let next = end + blanks(&bytes[end..]);
        if bytes.get(next) != Some(&b'#') {
            return end;
        }
        end = line_end(bytes, next);
        if bytes.get(next + 1) == Some(&b'#') {
            return end;
        }
    }
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    memchr2(b'\n', b'\r', &bytes[at..]).map_or(bytes.len(), |len| at + len)
}

/// How many of the grammar's blanks `bytes` starts with.
fn blanks(bytes: &[u8]) -> usize {
    let is_blank = |byte: &u8| matches!(byte, b'\t'..=b'\r' | b' ');
    bytes.iter().take_while(|byte| is_blank(byte)).count()
}

/// The tokens of text without documentation comments. Nearly all of it are strings without escapes,
/// punctuation and blanks, which take no grammar either; from anything else on, the rest of its line
/// goes through the grammar. No token but a documentation comment goes beyond a line.
fn code_tokens(text: &str, start: u32, tokens: &mut Vec<Token>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let kind = match byte {
            b'\t'..=b'\r' | b' ' => {
                at += 1;
                continue;
            }
            b'#' => {
                at = line_end(bytes, at);
                continue;
            }
            b'\'' => plain_string(&bytes[at..]).map(|len| (TokenKind::String, len)),
            _ => punctuation(byte).map(|kind| (kind, 1)),
        };
        let token_start = start + at as u32;
        match kind {
            Some((kind, len)) => {
                let span = Span::new(token_start, token_start + len as u32);
                tokens.push(Token { kind, span });
                at += len;
            }
            None => {
                let end = line_end(bytes, at);
                grammar_tokens(&text[at..end], token_start, tokens);
                at = end;
            }
        }
    }
}

/// The length of the string that `bytes` starts with, if its line closes it and it has no escapes.
fn plain_string(bytes: &[u8]) -> Option<usize> {
    let ends = |byte: &u8| matches!(byte, b'\'' | b'\\' | b'\n' | b'\r');
    let len = bytes[1..].iter().position(ends)? + 1;
    (bytes[len] == b'\'').then_some(len + 1)
}

fn grammar_tokens(text: &str, start: u32, tokens: &mut Vec<Token>) {
    let Ok(pairs) = Grammar::parse(Rule::tokens, text) else {
        // The grammar takes any text. Should that ever cease to hold, the whole text is stray.
        let span = Span::new(start, start + text.len() as u32);
        return tokens.push(Token {
            kind: TokenKind::Stray,
            span,
        });
    };
    for pair in pairs.flat_map(pest::iterators::Pair::into_inner) {
        let at = pair.as_span();
        let (text, start) = (at.as_str(), start + at.start() as u32);
        let span = Span::new(start, start + text.len() as u32);
        let kind = match pair.as_rule() {
            Rule::string => {
                push_string(text, start, tokens);
                continue;
            }
            Rule::separators => {
                push_punctuation(text, start, tokens);
                continue;
            }
            Rule::stray => {
                tokens.extend(stray(text, span));
                continue;
            }
            Rule::keyword if text == "true" => TokenKind::True,
            Rule::keyword => TokenKind::False,
            Rule::escaped_string => TokenKind::String,
            Rule::unterminated => TokenKind::Unterminated,
            Rule::documentation => TokenKind::Documentation,
            Rule::remark | Rule::EOI => continue,
            Rule::tokens | Rule::separator | Rule::blank | Rule::escape => continue,
        };
        tokens.push(Token { kind, span });
    }
}

/// A string without escapes, and the punctuation after it.
fn push_string(text: &str, start: u32, tokens: &mut Vec<Token>) {
    let end = memrchr(b'\'', text.as_bytes()).map_or(text.len(), |quote| quote + 1);
    let span = Span::new(start, start + end as u32);
    let kind = TokenKind::String;
    tokens.push(Token { kind, span });
    push_punctuation(&text[end..], span.end(), tokens);
}

/// The punctuation in a run of separators.
fn push_punctuation(text: &str, start: u32, tokens: &mut Vec<Token>) {
    for (at, byte) in (start..).zip(text.bytes()) {
        // The rest are blanks.
        if let Some(kind) = punctuation(byte) {
            let span = Span::new(at, at + 1);
            tokens.push(Token { kind, span });
        }
    }
}

fn punctuation(byte: u8) -> Option<TokenKind> {
    Some(match byte {
        b',' => TokenKind::Comma,
        b':' => TokenKind::Colon,
        b'{' => TokenKind::OpenBrace,
        b'}' => TokenKind::CloseBrace,
        b'[' => TokenKind::OpenBracket,
        b']' => TokenKind::CloseBracket,
        _ => return None,
    })
}

/// The stray tokens in `text`: the grammar knows only ASCII blanks, the reference skips every
/// character that Unicode calls a space.
fn stray(text: &str, span: Span) -> impl Iterator<Item = Token> {
    text.split(is_space)
        .filter(|part| !part.is_empty())
        .map(move |part| {
            let offset = part.as_ptr() as usize - text.as_ptr() as usize;
            let start = span.start() + offset as u32;
            Token {
                kind: TokenKind::Stray,
                span: Span::new(start, start + part.len() as u32),
            }
        })
}

/// Unicode spaces, and the separators U+001C to U+001F that the reference counts among them.
fn is_space(ch: char) -> bool {
    ch.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&ch)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is found without the grammar is what the grammar finds.
        #[test]
        fn the_short_way_leads_to_the_same_tokens(
            parts in proptest::collection::vec(
                prop_oneof![
                    Just("'a'"), Just("'"), Just("\\"), Just("'\\\\'"), Just("{"), Just("]"), Just(":"), Just(","),
                    Just(" "), Just("\n"), Just("\r"), Just("\t"), Just("\u{b}"), Just("# x"), Just("true"),
                    Just("false"), Just("x"), Just("\u{e9}"), Just("\u{a0}"), Just("\u{1c}"), Just("\0"),
                ],
                0..40,
            )
        ) {
            let text = parts.concat();
            let (mut short, mut long) = (Vec::new(), Vec::new());
            code_tokens(&text, 7, &mut short);
            grammar_tokens(&text, 7, &mut long);
            prop_assert_eq!(short, long);
        }
    }
}
