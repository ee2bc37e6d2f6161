//! Mistakes in JSON, and where they are.

use std::fmt;

/// The reference's message for input that is not a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    message: String,
}

impl ParseError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }

    pub(super) fn syntax(place: Place, message: &str) -> Self {
        let Place { line, column } = place;
        Self::new(format!("{line}:{column}: JSON parse error, {message}"))
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ParseError {}

impl From<ParseError> for crate::Error {
    fn from(error: ParseError) -> Self {
        Self::generic(error.message)
    }
}

/// A place in the stream: line and column from 1, the column in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    line: u64,
    column: u64,
}

impl Default for Place {
    fn default() -> Self {
        Self { line: 1, column: 1 }
    }
}

impl Place {
    /// The place after these bytes.
    #[inline]
    pub(super) fn after(self, bytes: &[u8]) -> Self {
        match memchr::memrchr(b'\n', bytes) {
            None => Self {
                line: self.line,
                column: self.column + bytes.len() as u64,
            },
            Some(last) => Self {
                line: self.line + memchr::memchr_iter(b'\n', bytes).count() as u64,
                column: (bytes.len() - last) as u64,
            },
        }
    }

    /// The next column, if asked for.
    pub(super) fn shifted(self, by_one: bool) -> Self {
        Self {
            line: self.line,
            column: self.column + u64::from(by_one),
        }
    }
}
