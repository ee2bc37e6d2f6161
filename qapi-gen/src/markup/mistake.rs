//! What can be wrong with markup.

use std::ops::Range;

/// A place where a text is not well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong.
    pub kind: MistakeKind,
    /// Where, as bytes of the text.
    pub at: Range<usize>,
}

/// The kinds of [`Mistake`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MistakeKind {
    /// Inline markup that never ends.
    #[error("inline markup '{0}' has no end")]
    Unclosed(&'static str),
    /// A directive that we do not know.
    #[error("unknown directive '{0}'")]
    UnknownDirective(String),
    /// An option that the directive does not have.
    #[error("directive '{0}' has no option '{1}'")]
    UnknownOption(String, String),
    /// A role that we do not know.
    #[error("unknown role '{0}'")]
    UnknownRole(String),
    /// A directive without the text that it is there for.
    #[error("directive '{0}' has no content")]
    EmptyDirective(String),
    /// A line under or over a heading that is shorter than it.
    #[error("the line that marks a heading is shorter than the heading")]
    ShortRule,
    /// A heading where there may be none.
    #[error("a heading is allowed in free-form documentation only")]
    HeadingInDefinition,
    /// `::` that no indented block follows.
    #[error("'::' announces a literal block, but none follows")]
    NoLiteralBlock,
    /// A line that does not line up with the one above.
    #[error("unexpected indentation")]
    Indentation,
    /// A list that begins in the middle of a paragraph.
    #[error("a list needs a blank line before it")]
    ListWithoutBlank,
    /// Text that follows a list at once.
    #[error("a list needs a blank line after it")]
    ListEndsWithoutBlank,
    /// A table whose lines do not fit each other.
    #[error("malformed table")]
    Table,
    /// Blocks in blocks without end.
    #[error("markup is nested deeper than {0} levels")]
    TooDeep(usize),
}
