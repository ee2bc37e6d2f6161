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
    /// Text that is no token.
    Stray,
    End,
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy)]
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
                grammar_tokens(&text[at..comment.start], start + at as u32, &mut tokens);
                at = comment.end;
                let span = Span::new(start + comment.start as u32, start + at as u32);
                tokens.push(Token {
                    kind: TokenKind::Documentation,
                    span,
                });
            }
            grammar_tokens(&text[at..], start + at as u32, &mut tokens);
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
/// a `##` stands behind something else: whether that is code or a string, the grammar knows.
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

fn grammar_tokens(text: &str, start: u32, tokens: &mut Vec<Token>) {
    if blanks(text.as_bytes()) == text.len() {
        return;
    }
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

/// A string without escapes, and the punctuation behind it.
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
        let kind = match byte {
            b',' => TokenKind::Comma,
            b':' => TokenKind::Colon,
            b'{' => TokenKind::OpenBrace,
            b'}' => TokenKind::CloseBrace,
            b'[' => TokenKind::OpenBracket,
            b']' => TokenKind::CloseBracket,
            // A blank.
            _ => continue,
        };
        let span = Span::new(at, at + 1);
        tokens.push(Token { kind, span });
    }
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
