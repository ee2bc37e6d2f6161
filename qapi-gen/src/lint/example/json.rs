//! The messages of an example as trees that know where each value stands.

use std::ops::Range;

use super::Problem;
use crate::markup::Code;
use crate::markup::qmp::{Token, TokenKind, tokens};

/// Values nest as deep as this; what is deeper counts as left out.
const MAX_DEPTH: usize = 64;

/// Who sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    Client,
    Server,
}

/// A message.
pub(super) struct Message {
    pub(super) sender: Sender,
    pub(super) value: Value,
}

/// A value and where it stands in the text: for an object or array its first character.
pub(super) struct Value {
    pub(super) data: Data,
    pub(super) at: Range<usize>,
}

/// What a [`Value`] is.
pub(super) enum Data {
    /// Something that is left out.
    Elision,
    Null,
    Bool,
    Number(String),
    String(String),
    Array(Vec<Value>),
    Object(Object),
}

/// The members of an object.
#[derive(Default)]
pub(super) struct Object {
    pub(super) members: Vec<Member>,
    /// Some are left out.
    pub(super) is_partial: bool,
}

/// A member of an [`Object`].
pub(super) struct Member {
    pub(super) name: String,
    /// Where the name stands.
    pub(super) at: Range<usize>,
    pub(super) value: Value,
}

impl Object {
    pub(super) fn get(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }
}

/// The messages of `code` up to one that is not JSON, which is reported.
pub(super) fn messages(code: &Code<'_>, problems: &mut Vec<Problem>) -> Vec<Message> {
    let mut parser = Parser {
        code,
        tokens: tokens(code),
        at: 0,
        depth: 0,
    };
    let mut messages = Vec::new();
    while parser.at < parser.tokens.len() {
        match parser.message() {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => {}
            Err(problem) => {
                problems.push(problem);
                parser.skip_message();
            }
        }
    }
    messages
}

struct Parser<'c, 't> {
    code: &'c Code<'t>,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl<'t> Parser<'_, 't> {
    fn kind(&self) -> Option<TokenKind> {
        self.tokens.get(self.at).map(|token| token.kind)
    }

    /// The text of the current token, and where it stands in the document.
    fn current(&self) -> (&'t str, Range<usize>) {
        let Some(token) = self.tokens.get(self.at) else {
            // After everything: the end of the last line.
            let end = self
                .code
                .lines
                .last()
                .map_or(0, |line| line.at + line.text.len());
            return ("", end.saturating_sub(1)..end);
        };
        let line = &self.code.lines[token.line];
        let place = line.at + token.range.start..line.at + token.range.end;
        (&line.text[token.range.clone()], place)
    }

    fn unexpected(&self, expected: &str) -> Problem {
        let (text, at) = self.current();
        let message = match self.kind() {
            None => format!("example ends where {expected} is expected"),
            Some(TokenKind::OpenString) => "example has a string that is never closed".to_owned(),
            Some(_) => format!("example has '{text}' where {expected} is expected"),
        };
        Problem { message, at }
    }

    fn skip_message(&mut self) {
        let is_arrow = |kind| matches!(kind, TokenKind::FromClient | TokenKind::FromServer);
        while self.kind().is_some_and(|kind| !is_arrow(kind)) {
            self.at += 1;
        }
    }

    /// An arrow and the value after it; nothing if the message is left out.
    fn message(&mut self) -> Result<Option<Message>, Problem> {
        let sender = match self.kind() {
            Some(TokenKind::FromClient) => Sender::Client,
            Some(TokenKind::FromServer) => Sender::Server,
            // Whatever stands between messages.
            Some(TokenKind::Elision) => {
                self.at += 1;
                return Ok(None);
            }
            Some(_) | None => return Err(self.unexpected("'->' or '<-'")),
        };
        self.at += 1;
        if self.kind() == Some(TokenKind::Elision) {
            self.at += 1;
            return Ok(None);
        }
        let value = self.value()?;
        Ok(Some(Message { sender, value }))
    }

    fn value(&mut self) -> Result<Value, Problem> {
        let (text, at) = self.current();
        let data = match self.kind() {
            Some(TokenKind::Punctuation(open @ (b'{' | b'['))) => {
                if self.depth == MAX_DEPTH {
                    let message = format!("example is nested deeper than {MAX_DEPTH} levels");
                    return Err(Problem { message, at });
                }
                self.depth += 1;
                let data = if open == b'{' {
                    self.object()?
                } else {
                    self.array()?
                };
                self.depth -= 1;
                return Ok(Value { data, at });
            }
            Some(TokenKind::Elision) => Data::Elision,
            Some(TokenKind::String) => Data::String(decode(text)),
            Some(TokenKind::Number) => Data::Number(text.to_owned()),
            Some(TokenKind::Word) if text == "null" => Data::Null,
            Some(TokenKind::Word) if matches!(text, "true" | "false") => Data::Bool,
            Some(_) | None => return Err(self.unexpected("a value")),
        };
        self.at += 1;
        Ok(Value { data, at })
    }

    fn take(&mut self, mark: u8) -> bool {
        let is_it = self.kind() == Some(TokenKind::Punctuation(mark));
        self.at += usize::from(is_it);
        is_it
    }

    /// What separates two things in an object or array: a comma, which an elision on either side
    /// makes needless.
    fn separator(&mut self, was_elision: bool, close: u8, expected: &str) -> Result<(), Problem> {
        let is_next = matches!(self.kind(), Some(TokenKind::Elision))
            || self.kind() == Some(TokenKind::Punctuation(close));
        if self.take(b',') {
            if self.kind() == Some(TokenKind::Punctuation(close)) && !was_elision {
                return Err(self.unexpected("another one"));
            }
            return Ok(());
        }
        if was_elision || is_next {
            return Ok(());
        }
        Err(self.unexpected(expected))
    }

    fn object(&mut self) -> Result<Data, Problem> {
        self.at += 1;
        let mut object = Object::default();
        while !self.take(b'}') {
            if self.kind() == Some(TokenKind::Elision) {
                self.at += 1;
                object.is_partial = true;
                self.separator(true, b'}', "',' or '}'")?;
                continue;
            }
            let (text, at) = self.current();
            if self.kind() != Some(TokenKind::String) {
                return Err(self.unexpected("the name of a member"));
            }
            self.at += 1;
            if !self.take(b':') {
                return Err(self.unexpected("':'"));
            }
            let name = decode(text);
            let value = self.value()?;
            object.members.push(Member { name, at, value });
            self.separator(false, b'}', "',' or '}'")?;
        }
        Ok(Data::Object(object))
    }

    fn array(&mut self) -> Result<Data, Problem> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.take(b']') {
            let value = self.value()?;
            let is_elision = matches!(value.data, Data::Elision);
            if !is_elision {
                items.push(value);
            }
            self.separator(is_elision, b']', "',' or ']'")?;
        }
        Ok(Data::Array(items))
    }
}

/// The text of a string token; escapes other than the simple ones stay as they are.
fn decode(token: &str) -> String {
    let inner = token.get(1..token.len().saturating_sub(1)).unwrap_or("");
    if !inner.contains('\\') {
        return inner.to_owned();
    }
    let json = format!("\"{}\"", inner.replace("\\'", "'"));
    serde_json::from_str(&json).unwrap_or_else(|_| inner.to_owned())
}
