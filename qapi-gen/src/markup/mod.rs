//! The markup of documentation comments: the part of reStructuredText that schemas use, as a tree
//! (QAPI: section 'Documentation markup').
//!
//! [`parse`] takes any text and gives a [`Document`] that has all of it: what is not well-formed
//! stays as plain text, and is listed as a [`Mistake`]. The tree borrows from the text, so that
//! making one costs little. Who renders it escapes it: nothing here is safe for HTML, Markdown or
//! roff.

mod block;
mod directive;
mod inline;
mod line;
mod markdown;
mod mistake;
pub mod qmp;
mod sanitise;
mod table;
mod text;

#[cfg(feature = "doc")]
pub(crate) use markdown::plain_text;
pub(crate) use markdown::{Links, Markdown, escape_markdown, push_code_span};
pub use mistake::{Mistake, MistakeKind};
pub(crate) use sanitise::{is_hostile, push_visible};
pub use text::Text;

use std::borrow::Cow;
use std::ops::Range;

/// A run of blocks, and what is wrong with them.
#[derive(Debug, Default)]
pub struct Document<'t> {
    /// The blocks in order.
    pub blocks: Vec<Block<'t>>,
    /// The mistakes in the order in which they were met.
    pub mistakes: Vec<Mistake>,
}

/// A block.
#[derive(Debug, PartialEq)]
pub enum Block<'t> {
    /// Running text.
    Paragraph(Vec<Inline<'t>>),
    /// A heading; 1 is the largest.
    Heading(u8, Vec<Inline<'t>>),
    /// A list with bullets.
    Bullets(Vec<Vec<Block<'t>>>),
    /// A numbered list and the number of its first item.
    Numbered(u32, Vec<Vec<Block<'t>>>),
    /// Terms, each with what is said about it.
    Definitions(Vec<(Vec<Inline<'t>>, Vec<Block<'t>>)>),
    /// An indented passage.
    Quote(Vec<Block<'t>>),
    /// Text whose lines are kept as they are.
    Code(Code<'t>),
    /// Lines of verse or of an address: inline markup, but no joining.
    Lines(Vec<Vec<Inline<'t>>>),
    /// A passage set apart: note, warning, ...
    Admonition(Admonition<'t>),
    /// An exchange of QMP messages.
    Example(Example<'t>),
    /// A table.
    Table(Table<'t>),
    /// A line between passages.
    Rule,
}

impl<'t> Block<'t> {
    /// The blocks in it.
    pub(crate) fn children(&self) -> Vec<&Block<'t>> {
        match self {
            Self::Bullets(items) | Self::Numbered(_, items) => items.iter().flatten().collect(),
            Self::Definitions(items) => items.iter().flat_map(|(_, body)| body).collect(),
            Self::Quote(blocks) => blocks.iter().collect(),
            Self::Admonition(admonition) => admonition.blocks.iter().collect(),
            Self::Example(example) => example.blocks.iter().collect(),
            Self::Paragraph(_)
            | Self::Heading(..)
            | Self::Code(_)
            | Self::Lines(_)
            | Self::Table(_)
            | Self::Rule => Vec::new(),
        }
    }
}

/// Text whose lines are kept as they are.
#[derive(Debug, PartialEq, Default)]
pub struct Code<'t> {
    /// What it is written in, where the schema says so.
    pub language: Option<&'t str>,
    /// Its lines without common indentation, none blank at either end.
    pub lines: Vec<CodeLine<'t>>,
}

impl Code<'_> {
    /// Whether it shows QMP messages: by its language, or because it starts with their arrows.
    #[must_use]
    pub fn is_qmp(&self) -> bool {
        match self.language {
            Some(language) => language.eq_ignore_ascii_case("qmp"),
            None => self
                .lines
                .first()
                .is_some_and(|line| line.text.starts_with("-> ") || line.text.starts_with("<- ")),
        }
    }
}

/// A line of [`Code`].
#[derive(Debug, PartialEq, Clone, Copy)]
pub struct CodeLine<'t> {
    /// The text.
    pub text: &'t str,
    /// Where it starts in the document's text.
    pub at: usize,
}

/// A passage set apart.
#[derive(Debug, PartialEq)]
pub struct Admonition<'t> {
    /// What it is.
    pub kind: AdmonitionKind,
    /// A title in place of the kind's own.
    pub title: Option<Vec<Inline<'t>>>,
    /// What it says.
    pub blocks: Vec<Block<'t>>,
}

/// The kinds of [`Admonition`], mild ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the directive of its name")]
pub enum AdmonitionKind {
    SeeAlso,
    Note,
    Tip,
    Important,
    Caution,
    Warning,
    Danger,
}

impl AdmonitionKind {
    /// The title where the schema gives none.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::SeeAlso => "See also",
            Self::Note => "Note",
            Self::Tip => "Tip",
            Self::Important => "Important",
            Self::Caution => "Caution",
            Self::Warning => "Warning",
            Self::Danger => "Danger",
        }
    }
}

/// `.. qmp-example::`
#[derive(Debug, PartialEq)]
pub struct Example<'t> {
    /// Its title, where it has one.
    pub title: Option<Vec<Inline<'t>>>,
    /// The messages as one block of code, or with `:annotated:` text with such blocks in it.
    pub blocks: Vec<Block<'t>>,
}

/// A table.
#[derive(Debug, PartialEq, Default)]
pub struct Table<'t> {
    /// Its title, where it has one.
    pub title: Option<Vec<Inline<'t>>>,
    /// The rows of its head.
    pub head: Vec<Vec<Cell<'t>>>,
    /// The other rows.
    pub rows: Vec<Vec<Cell<'t>>>,
}

/// A cell of a [`Table`].
pub type Cell<'t> = Vec<Inline<'t>>;

/// A part of running text. A line end and the indentation after it stand for one blank.
#[derive(Debug, PartialEq, Clone)]
pub enum Inline<'t> {
    /// Plain text.
    Text(&'t str),
    /// `*emphasis*`
    Emphasis(Cow<'t, str>),
    /// `**strong emphasis**`
    Strong(Cow<'t, str>),
    /// ` ``literal`` `
    Literal(&'t str),
    /// The address of a page elsewhere, and the text to show for it.
    Link(Cow<'t, str>, Cow<'t, str>),
    /// The name of something.
    Reference(Reference<'t>),
}

/// The name of something in the schema, or beside it.
#[derive(Debug, PartialEq, Clone)]
pub struct Reference<'t> {
    /// What kind of thing it must name.
    pub kind: ReferenceKind,
    /// The name.
    pub name: &'t str,
    /// The text to show in place of the name.
    pub label: Option<Cow<'t, str>>,
    /// Where it stands in the document's text, markup included.
    pub at: Range<usize>,
}

/// The kinds of [`Reference`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceKind {
    /// `@name`: a member, or a definition.
    Member,
    /// `` `name` `` or the schema's roles: a definition.
    Definition,
    /// A page or a label of the manual that the schema is a part of.
    Outside,
}

/// Where a text comes from, which decides what it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A free-form comment: headings are allowed.
    FreeForm,
    /// A section of a definition's documentation.
    Definition,
}

/// Parses `text`.
#[must_use]
pub fn parse(text: &str, place: Place) -> Document<'_> {
    block::parse(text, place)
}

/// Calls `visit` for every inline of `blocks`, in order.
pub fn for_each_inline<'d, 't>(blocks: &'d [Block<'t>], visit: &mut dyn FnMut(&'d Inline<'t>)) {
    for block in blocks {
        match block {
            Block::Paragraph(inlines) | Block::Heading(_, inlines) => {
                inlines.iter().for_each(&mut *visit);
            }
            Block::Bullets(items) | Block::Numbered(_, items) => {
                for item in items {
                    for_each_inline(item, visit);
                }
            }
            Block::Definitions(items) => {
                for (term, body) in items {
                    term.iter().for_each(&mut *visit);
                    for_each_inline(body, visit);
                }
            }
            Block::Quote(blocks) => for_each_inline(blocks, visit),
            Block::Lines(lines) => lines.iter().flatten().for_each(&mut *visit),
            Block::Admonition(admonition) => {
                admonition.title.iter().flatten().for_each(&mut *visit);
                for_each_inline(&admonition.blocks, visit);
            }
            Block::Example(example) => {
                example.title.iter().flatten().for_each(&mut *visit);
                for_each_inline(&example.blocks, visit);
            }
            Block::Table(table) => {
                table.title.iter().flatten().for_each(&mut *visit);
                let cells = table.head.iter().chain(&table.rows).flatten();
                cells.flatten().for_each(&mut *visit);
            }
            Block::Code(_) | Block::Rule => {}
        }
    }
}
