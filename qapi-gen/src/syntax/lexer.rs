//! Tokens of a schema file.

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
    let end = start + text.len() as u32;
    let end_token = Token {
        kind: TokenKind::End,
        span: Span::new(end, end),
    };
    let Ok(pairs) = Grammar::parse(Rule::tokens, text) else {
        // The grammar takes any text. Should that ever cease to hold, the whole text is stray.
        let whole = Token {
            kind: TokenKind::Stray,
            span: Span::new(start, end),
        };
        return vec![whole, end_token];
    };
    let mut tokens = Vec::with_capacity(text.len() / 16);
    for pair in pairs.flat_map(pest::iterators::Pair::into_inner) {
        let kind = match pair.as_rule() {
            Rule::open_brace => TokenKind::OpenBrace,
            Rule::close_brace => TokenKind::CloseBrace,
            Rule::open_bracket => TokenKind::OpenBracket,
            Rule::close_bracket => TokenKind::CloseBracket,
            Rule::colon => TokenKind::Colon,
            Rule::comma => TokenKind::Comma,
            Rule::keyword_true => TokenKind::True,
            Rule::keyword_false => TokenKind::False,
            Rule::string => TokenKind::String,
            Rule::unterminated => TokenKind::Unterminated,
            Rule::documentation => TokenKind::Documentation,
            Rule::stray => TokenKind::Stray,
            Rule::remark | Rule::EOI => continue,
            Rule::tokens | Rule::token | Rule::blank | Rule::escape => continue,
        };
        let at = pair.as_span();
        let span = Span::new(start + at.start() as u32, start + at.end() as u32);
        if kind == TokenKind::Stray {
            tokens.extend(stray(at.as_str(), span));
        } else {
            tokens.push(Token { kind, span });
        }
    }
    tokens.push(end_token);
    tokens
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
