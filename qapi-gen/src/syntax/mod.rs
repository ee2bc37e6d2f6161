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
