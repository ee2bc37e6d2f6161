//! Documentation comments of a checked schema.

use crate::name::Name;
use crate::source::{SourceMap, Span};
use crate::steps::step;
use crate::text::ByName;

/// A documentation comment.
#[derive(Debug)]
pub struct Doc {
    pub(crate) symbol: Option<Name>,
    pub(crate) span: Span,
    pub(crate) sections: Box<[DocSection]>,
    members_by_name: ByName,
    features_by_name: ByName,
}

impl Doc {
    pub(crate) fn new(symbol: Option<Name>, span: Span, sections: Box<[DocSection]>) -> Self {
        Self {
            symbol,
            span,
            sections,
            members_by_name: ByName::default(),
            features_by_name: ByName::default(),
        }
    }

    /// The name of the definition it documents, `None` when it is free-form.
    #[must_use]
    pub fn symbol(&self) -> Option<&str> {
        self.symbol.as_deref()
    }

    /// The whole comment.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    /// Its sections in source order; the first one is plain, the overview. A member that is not
    /// documented, because the schema excepts it, has an empty section after the others of its
    /// kind.
    #[must_use]
    pub fn sections(&self) -> &[DocSection] {
        &self.sections
    }

    /// The section of the member, branch or value `name`.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&DocSection> {
        self.find(&self.members_by_name, DocSectionKind::Member, name)
    }

    /// The section of the feature `name`.
    #[must_use]
    pub fn feature(&self, name: &str) -> Option<&DocSection> {
        self.find(&self.features_by_name, DocSectionKind::Feature, name)
    }

    fn find(&self, by_name: &ByName, kind: DocSectionKind, name: &str) -> Option<&DocSection> {
        let name_of = |index: usize| {
            let section = &self.sections[index];
            section.name.as_deref().filter(|_| section.kind == kind)
        };
        let index = by_name.find(name, self.sections.len(), name_of)?;
        Some(&self.sections[index])
    }
}

/// The kinds of [`DocSection`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DocSectionKind {
    /// Text without a tag.
    Plain,
    /// `@name:`
    Member,
    /// `@name:` below `Features:`
    Feature,
    /// `Returns:`
    Returns,
    /// `Errors:`
    Errors,
    /// `Since:`
    Since,
    /// `TODO:`, not for readers of the manual.
    Todo,
}

/// A section of a documentation comment.
#[derive(Debug)]
pub struct DocSection {
    pub(crate) kind: DocSectionKind,
    pub(crate) name: Option<Name>,
    pub(crate) span: Option<Span>,
    pub(crate) lines: Box<[Span]>,
    /// It is the overview of a definition, whose name stands in the line above.
    pub(crate) is_below_name: bool,
}

impl DocSection {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> DocSectionKind {
        step();
        self.kind
    }

    /// The member or feature that it describes.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its first line; `None` when the member is not documented.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.span
    }

    /// The text line by line, as places in the source: without the comment's `# `, without
    /// blanks at line ends. An empty span is a blank line.
    #[must_use]
    pub fn lines(&self) -> &[Span] {
        &self.lines
    }

    /// The text, without blank lines at its start and end.
    #[must_use]
    pub fn text(&self, sources: &SourceMap) -> String {
        let is_blank = |line: &Span| line.start() == line.end();
        let Some(first) = self.lines.iter().position(|line| !is_blank(line)) else {
            return String::new();
        };
        let last = self
            .lines
            .iter()
            .rposition(|line| !is_blank(line))
            .unwrap_or(first);
        let mut text = String::new();
        for line in &self.lines[first..=last] {
            if !text.is_empty() {
                text.push('\n');
            }
            if !is_blank(line) {
                text.push_str(sources.text(*line));
            }
        }
        text
    }
}
