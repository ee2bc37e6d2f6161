//! From bytes to a syntax tree: tokens, expressions, directives, documentation comments.
//!
//! Every stage reports into the [`Report`](crate::diagnostic::Report) and goes on: a mistake costs
//! the definition it is in, not the file.

pub(crate) mod ast;
mod directive;
mod doc;
mod error;
mod lexer;
mod parser;
mod reader;

pub(crate) use reader::read_schema;

/// What documentation comments are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Comments {
    /// Documentation, which has rules.
    #[default]
    Documentation,
    /// Comments like all others.
    Ignored,
}

/// Values nest at most this deep. The language itself needs six levels and conditions a few more;
/// the limit bounds the parser's stack.
pub const MAX_DEPTH: usize = 200;

/// Include files nest at most this deep, which bounds the reader's stack.
pub const MAX_INCLUDE_DEPTH: usize = 100;

/// A line has at most this many bytes, which bounds the memory of the lexer.
pub const MAX_LINE: usize = 1 << 20;
