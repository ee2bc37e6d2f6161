//! Expressions: a recursive descent over the tokens of one file.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::Comments;
use super::ast::{Array, Node, Object, Text};
use super::error::SyntaxError;
use super::lexer::{Token, TokenKind, tokenize};
use crate::diagnostic::{Diagnostic, Report};
use crate::limits::MAX_DEPTH;
use crate::source::Span;
use crate::steps::{step, steps};

/// The keys that say what an expression is.
pub(crate) const META_KEYS: [&str; 8] = [
    "include",
    "pragma",
    "enum",
    "struct",
    "union",
    "alternate",
    "command",
    "event",
];

/// A mistake was reported; the expression at hand is lost.
#[derive(Debug)]
pub(super) struct Lost;

/// One file's text, and the tokens of the piece of it that is being parsed.
pub(super) struct Parser<'r> {
    text: Arc<String>,
    /// Offset of the text in the source map.
    start: u32,
    comments: Comments,
    tokens: Vec<Token>,
    at: usize,
    /// Where in the text the next piece starts.
    next_piece: usize,
    /// The current token is not usable, which was reported.
    is_bad: bool,
    pub(super) report: &'r mut Report,
}

/// A file is turned into tokens piece by piece, so that the tokens of a large one need not be in
/// memory at once.
const PIECE: usize = 1 << 20;

impl<'r> Parser<'r> {
    pub(super) fn new(
        text: Arc<String>,
        start: u32,
        comments: Comments,
        report: &'r mut Report,
    ) -> Self {
        let mut parser = Self {
            text,
            start,
            comments,
            tokens: Vec::new(),
            at: 0,
            next_piece: 0,
            is_bad: false,
            report,
        };
        parser.load_piece();
        parser.check_token();
        parser
    }

    /// Makes tokens of the text up to the next line that can start afresh.
    fn load_piece(&mut self) {
        let from = self.next_piece;
        let to = piece_end(&self.text, from);
        self.tokens = tokenize(&self.text[from..to], self.start + from as u32);
        // Such a token holds nothing but comments, however they end.
        if self.comments == Comments::Ignored {
            let is_comment = |token: &Token| token.kind == TokenKind::Documentation;
            self.tokens.retain(|token| !is_comment(token));
        }
        self.at = 0;
        self.next_piece = to;
    }

    /// The current token.
    pub(super) fn token(&self) -> Token {
        self.tokens[self.at]
    }

    /// The text of `span`, which lies in this file.
    pub(super) fn text(&self, span: Span) -> &str {
        step();
        self.text_in(&self.text, span)
    }

    /// The text of the whole file, to be kept while the parser moves on.
    pub(super) fn shared_text(&self) -> Arc<String> {
        Arc::clone(&self.text)
    }

    /// The text of `span` in `file`, which is the text of this file.
    pub(super) fn text_in<'t>(&self, file: &'t str, span: Span) -> &'t str {
        &file[(span.start() - self.start) as usize..(span.end() - self.start) as usize]
    }

    /// The span of the whole file's end, where the reference places a mistake at the end: its
    /// last line, after the last character.
    fn end_span(&self) -> Span {
        let trimmed = match self.text.strip_suffix('\n') {
            Some(rest) => rest.strip_suffix('\r').unwrap_or(rest),
            None => self.text.strip_suffix('\r').unwrap_or(&self.text),
        };
        let end = self.start + trimmed.len() as u32;
        Span::new(end, end)
    }

    pub(super) fn error(&mut self, error: &SyntaxError, span: Span) {
        self.report
            .push(Diagnostic::new(error.code(), error.to_string(), span));
    }

    /// An error that the reference places at a line, without a column.
    pub(super) fn error_at_line(&mut self, error: &SyntaxError, span: Span, line: Span) {
        let diagnostic = Diagnostic::new(error.code(), error.to_string(), span);
        self.report.push(diagnostic.at_line(line));
    }

    /// Moves to the next token, and reports text that is not a token.
    pub(super) fn advance(&mut self) {
        if self.token().kind != TokenKind::End {
            self.skip();
        }
        self.check_token();
    }

    /// Moves to the next token without a look at it.
    fn skip(&mut self) {
        step();
        self.at += 1;
        while self.token().kind == TokenKind::End && self.next_piece < self.text.len() {
            self.load_piece();
        }
    }

    fn check_token(&mut self) {
        let Token { kind, span } = self.token();
        let error = match kind {
            TokenKind::Stray => Some((SyntaxError::Stray(self.text(span).to_owned()), span)),
            TokenKind::String | TokenKind::Unterminated => check_string(self.text(span), kind)
                .map(|(error, at)| (error, Span::new(span.start() + at as u32, span.end()))),
            TokenKind::OpenBrace
            | TokenKind::CloseBrace
            | TokenKind::OpenBracket
            | TokenKind::CloseBracket
            | TokenKind::Colon
            | TokenKind::Comma
            | TokenKind::True
            | TokenKind::False
            | TokenKind::Documentation
            | TokenKind::End => None,
        };
        self.is_bad = error.is_some();
        if let Some((error, wrong)) = error {
            // The reference names the start of the token.
            let diagnostic = Diagnostic::new(error.code(), error.to_string(), wrong);
            self.report.push(diagnostic.at_column(span));
        }
    }

    /// Reports that the current token is not what the grammar wants here.
    fn unexpected<T>(&mut self, expected: &'static str) -> Result<T, Lost> {
        if !self.is_bad {
            let span = self.place();
            self.error(&SyntaxError::Expected(expected), span);
        }
        Err(Lost)
    }

    /// Whether the current text is not a token, which was reported.
    pub(super) fn is_bad(&self) -> bool {
        self.is_bad
    }

    /// The place of the current token as the reference sees it.
    pub(super) fn place(&self) -> Span {
        let Token { kind, span } = self.token();
        match kind {
            TokenKind::End => self.end_span(),
            // Only the `##` of a comment in the wrong place.
            TokenKind::Documentation => Span::new(span.start(), span.start() + 2),
            _ => span,
        }
    }

    /// Parses one value.
    pub(super) fn parse_value(&mut self, depth: usize) -> Result<Node, Lost> {
        let Token { kind, span } = self.token();
        if depth > MAX_DEPTH {
            self.error(&SyntaxError::TooDeep(MAX_DEPTH), span);
            return Err(Lost);
        }
        if self.is_bad {
            return Err(Lost);
        }
        match kind {
            TokenKind::OpenBrace => self.parse_object(depth).map(Node::Object),
            TokenKind::OpenBracket => self.parse_array(depth).map(Node::Array),
            TokenKind::String => {
                let text = self.string_token();
                self.advance();
                Ok(Node::String(text))
            }
            TokenKind::True | TokenKind::False => {
                self.advance();
                Ok(Node::Bool {
                    value: kind == TokenKind::True,
                    span,
                })
            }
            TokenKind::CloseBrace
            | TokenKind::CloseBracket
            | TokenKind::Colon
            | TokenKind::Comma
            | TokenKind::Unterminated
            | TokenKind::Documentation
            | TokenKind::Stray
            | TokenKind::End => self.unexpected("'{', '[', string, or boolean"),
        }
    }

    fn string_token(&self) -> Text {
        let span = self.token().span;
        Text {
            span,
            escaped: self.text(span).contains('\\'),
        }
    }

    fn parse_object(&mut self, depth: usize) -> Result<Object, Lost> {
        let open = self.token().span;
        self.advance();
        let mut members: Vec<(Text, Node)> = Vec::with_capacity(4);
        let mut keys = Keys::default();
        if self.token().kind == TokenKind::CloseBrace {
            let span = open.to(self.token().span);
            self.advance();
            let members = members.into();
            return Ok(Object { span, members });
        }
        if self.token().kind != TokenKind::String {
            return self.unexpected("string or '}'");
        }
        loop {
            if self.is_bad {
                return Err(Lost);
            }
            let key = self.string_token();
            self.advance();
            if self.token().kind != TokenKind::Colon {
                return self.unexpected("':'");
            }
            self.advance();
            if let Some(first) = keys.insert(self, &members, key.span) {
                let error = SyntaxError::DuplicateKey(self.text(inner(key.span)).to_owned());
                // The reference notices at the value.
                let at = self.place();
                let diagnostic = Diagnostic::new(error.code(), error.to_string(), key.span);
                self.report.push(diagnostic.at_column(at).with_related(
                    crate::diagnostic::Related {
                        span: first,
                        message: "first one".to_owned(),
                        line: None,
                        definition: None,
                    },
                ));
                self.parse_value(depth + 1)?;
            } else {
                let value = self.parse_value(depth + 1)?;
                members.push((key, value));
            }
            match self.token().kind {
                TokenKind::CloseBrace => {
                    let span = open.to(self.token().span);
                    self.advance();
                    // All of them are kept until the last file is read.
                    let members = members.into();
                    return Ok(Object { span, members });
                }
                TokenKind::Comma => self.advance(),
                _ => return self.unexpected("',' or '}'"),
            }
            if self.token().kind != TokenKind::String {
                return self.unexpected("string");
            }
        }
    }

    fn parse_array(&mut self, depth: usize) -> Result<Array, Lost> {
        let open = self.token().span;
        self.advance();
        let mut values = Vec::new();
        match self.token().kind {
            TokenKind::CloseBracket => {
                let span = open.to(self.token().span);
                self.advance();
                let values = values.into();
                return Ok(Array { span, values });
            }
            TokenKind::OpenBrace
            | TokenKind::OpenBracket
            | TokenKind::String
            | TokenKind::True
            | TokenKind::False => {}
            _ => return self.unexpected("'{', '[', ']', string, or boolean"),
        }
        loop {
            values.push(self.parse_value(depth + 1)?);
            match self.token().kind {
                TokenKind::CloseBracket => {
                    let span = open.to(self.token().span);
                    self.advance();
                    let values = values.into();
                    return Ok(Array { span, values });
                }
                TokenKind::Comma => self.advance(),
                _ => return self.unexpected("',' or ']'"),
            }
        }
    }

    /// Goes to the next place where a top-level expression or its documentation starts, the
    /// current token included unless it is the one at `from`. Gives the names of the definitions
    /// that were passed.
    pub(super) fn recover(&mut self, from: Span) -> Vec<String> {
        let mut names = Vec::new();
        loop {
            let token = self.token();
            if token.kind == TokenKind::End {
                break;
            }
            if token.span != from && self.starts_top_level(token) {
                break;
            }
            if let Some(name) = self.name_behind(token) {
                names.push(name);
            }
            self.skip();
        }
        self.check_token();
        names
    }

    /// Parses over an expression whose start was lost, only for the names it defines.
    pub(super) fn names_between(&self, from: Span) -> Vec<String> {
        let passed = self.tokens[..self.at].iter().rev();
        let lost = passed.take_while(|token| token.span.start() >= from.start());
        lost.filter_map(|token| self.name_behind(*token)).collect()
    }

    /// The name that follows `token` if that is a key such as 'struct'.
    fn name_behind(&self, token: Token) -> Option<String> {
        if token.kind != TokenKind::String {
            return None;
        }
        let key = self.text(inner(token.span));
        if !META_KEYS[2..].contains(&key) {
            return None;
        }
        let index = self
            .tokens
            .partition_point(|other| other.span.start() < token.span.start());
        let [colon, name] = self.tokens.get(index + 1..index + 3)? else {
            return None;
        };
        (colon.kind == TokenKind::Colon && name.kind == TokenKind::String)
            .then(|| self.text(inner(name.span)).to_owned())
    }

    /// Whether `token` looks like the start of a top-level expression: the first on its line, and
    /// at the line's start or followed by a key that only stands there.
    fn starts_top_level(&self, token: Token) -> bool {
        let before = &self.text[..(token.span.start() - self.start) as usize];
        // Only blanks are looked at: a line may be long, and full of brackets.
        let is_line_end = |ch: char| matches!(ch, '\n' | '\r');
        let unindented = before.trim_end_matches(|ch: char| ch.is_whitespace() && !is_line_end(ch));
        let is_first = unindented.is_empty() || unindented.ends_with(is_line_end);
        match token.kind {
            TokenKind::Documentation => is_first,
            TokenKind::OpenBrace if is_first => {
                let next = self.tokens.get(self.at + 1);
                unindented.len() == before.len()
                    || next.is_some_and(|next| {
                        next.kind == TokenKind::String
                            && META_KEYS.contains(&self.text(inner(next.span)))
                    })
            }
            _ => false,
        }
    }
}

/// The keys of an object that is being parsed: a scan while they are few, then a table.
#[derive(Default)]
struct Keys {
    table: HashTable<Span>,
    hasher: DefaultHashBuilder,
}

impl Keys {
    /// Notes `key`, or gives the span of the equal one among `members`.
    fn insert(&mut self, parser: &Parser<'_>, members: &[(Text, Node)], key: Span) -> Option<Span> {
        const FEW: usize = 16;
        let name = parser.text(key);
        if members.len() < FEW {
            let mut keys = members.iter().map(|(key, _)| key.span);
            return keys.find(|key| parser.text(*key) == name);
        }
        let Self { table, hasher } = self;
        let hash = |key: &Span| hasher.hash_one(parser.text(*key));
        if table.is_empty() {
            for (key, _) in members {
                table.insert_unique(hash(&key.span), key.span, hash);
            }
        }
        match table.entry(hash(&key), |other| parser.text(*other) == name, hash) {
            Entry::Occupied(first) => Some(*first.get()),
            Entry::Vacant(free) => {
                free.insert(key);
                None
            }
        }
    }
}

/// A string's span without its quotes.
fn inner(span: Span) -> Span {
    Span::new(span.start() + 1, span.end() - 1)
}

/// The first mistake in a string token and its offset; 0 stands for the token as a whole.
fn check_string(text: &str, kind: TokenKind) -> Option<(SyntaxError, usize)> {
    let is_plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'\\';
    if kind == TokenKind::String && text.bytes().all(is_plain) {
        return None;
    }
    let closed = kind == TokenKind::String;
    let end = if closed { text.len() - 1 } else { text.len() };
    let mut chars = text[1..end].char_indices();
    while let Some((at, ch)) = chars.next() {
        if ch == '\\' {
            match chars.next() {
                Some((_, '\\')) => {}
                Some((_, other)) => return Some((SyntaxError::UnknownEscape(other), at + 1)),
                None => break,
            }
        } else if !(' '..='~').contains(&ch) {
            return Some((SyntaxError::FunnyCharacter, at + 1));
        }
    }
    (!closed).then_some((SyntaxError::UnterminatedString, 0))
}

/// Where the piece of `text` that starts at `from` ends: at a line that starts no comment, so
/// that no documentation comment is cut.
fn piece_end(text: &str, from: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = from + PIECE;
    while at < bytes.len() {
        let Some(line_end) = bytes[at..]
            .iter()
            .position(|&byte| byte == b'\n' || byte == b'\r')
        else {
            break;
        };
        let line = at + line_end + 1;
        // Blank lines are passed together, so that each is looked at once.
        let rest = &bytes[line..];
        let first = rest.iter().position(|byte| !byte.is_ascii_whitespace());
        steps(first.unwrap_or(rest.len()) / 64);
        match first {
            Some(first) if rest[first] != b'#' => return line,
            Some(first) => at = line + first,
            None => break,
        }
    }
    bytes.len()
}
