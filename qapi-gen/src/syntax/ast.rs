//! The syntax tree: expressions and documentation comments as they stand in the source.
//!
//! The tree holds spans, no text: [`SourceMap::text`] gives what stands there.

use std::borrow::Cow;
use std::ops::Range;

use crate::ir::Pragmas;
use crate::name::Name;
use crate::source::{FileId, SourceMap, Span};

/// A value of the schema language's JSON dialect.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Object(Object),
    Array(Array),
    String(Text),
    Bool { value: bool, span: Span },
}

impl Node {
    pub(crate) fn span(&self) -> Span {
        match self {
            Self::Object(object) => object.span,
            Self::Array(array) => array.span,
            Self::String(text) => text.span,
            Self::Bool { span, .. } => *span,
        }
    }

    pub(crate) fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            Self::Array(_) | Self::String(_) | Self::Bool { .. } => None,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&Text> {
        match self {
            Self::String(text) => Some(text),
            Self::Object(_) | Self::Array(_) | Self::Bool { .. } => None,
        }
    }
}

/// `{ 'key': value, ... }`; no key stands twice.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) span: Span,
    pub(crate) members: Box<[(Text, Node)]>,
}

impl Object {
    /// The member `key`.
    pub(crate) fn get<'a>(&'a self, sources: &SourceMap, key: &str) -> Option<&'a Node> {
        // All keys stand in the object's own text.
        let (text, start) = (sources.text(self.span), self.span.start());
        let is_key = |name: &Text| {
            let inner = name.inner();
            let raw = &text[(inner.start() - start) as usize..(inner.end() - start) as usize];
            raw == key || (name.escaped && name.value(sources) == key)
        };
        let found = self.members.iter().find(|(name, _)| is_key(name));
        found.map(|(_, value)| value)
    }
}

/// `[ value, ... ]`
#[derive(Debug, Clone)]
pub(crate) struct Array {
    pub(crate) span: Span,
    pub(crate) values: Box<[Node]>,
}

/// A string; the span includes its quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    pub(crate) span: Span,
    pub(crate) escaped: bool,
}

impl Text {
    /// What stands between the quotes.
    fn inner(&self) -> Span {
        Span::new(self.span.start() + 1, self.span.end() - 1)
    }

    /// What the string stands for.
    pub(crate) fn value<'s>(&self, sources: &'s SourceMap) -> Cow<'s, str> {
        let raw = sources.text(self.inner());
        // The only escape is `\\`.
        if self.escaped {
            Cow::Owned(raw.replace("\\\\", "\\"))
        } else {
            Cow::Borrowed(raw)
        }
    }

    /// The same as a name.
    pub(crate) fn name(&self, sources: &SourceMap) -> Name {
        if self.escaped {
            return self.value(sources).into_owned().into();
        }
        sources.name(self.inner())
    }
}

/// What stands at the top level of a file, in the order in which the reference meets it: the
/// items of an included file come right after its `include`.
#[derive(Debug)]
pub(crate) enum Item {
    Include(Box<Include>),
    Definition(Definition),
    FreeForm(Box<Doc>),
}

/// An `include` directive, the first one of its file or a later one.
#[derive(Debug)]
pub(crate) struct Include {
    pub(crate) span: Span,
    /// The path as messages and modules name it.
    pub(crate) path: String,
}

/// A top-level expression that is not a directive.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) object: Object,
    pub(crate) doc: Option<Box<Doc>>,
}

/// A documentation comment.
#[derive(Debug)]
pub(crate) struct Doc {
    pub(crate) span: Span,
    /// The name after `@` in the first line, `None` for free-form documentation.
    pub(crate) symbol: Option<Span>,
    /// Sections in source order; the first one is plain.
    pub(crate) sections: Vec<Section>,
    /// The lines of all sections, without the comment's `# ` and without trailing blanks. An empty
    /// span is a blank line.
    pub(crate) lines: Vec<Span>,
    /// A mistake inside was reported: what is missing here is not another mistake.
    pub(crate) is_broken: bool,
}

/// One section of a documentation comment.
#[derive(Debug)]
pub(crate) struct Section {
    /// The line that starts it.
    pub(crate) span: Span,
    pub(crate) kind: SectionKind,
    /// Which of the comment's lines are its text.
    pub(crate) lines: Range<usize>,
}

impl Doc {
    /// The text of `section`, line by line.
    pub(crate) fn lines(&self, section: &Section) -> &[Span] {
        &self.lines[section.lines.clone()]
    }

    pub(crate) fn is_blank(&self, section: &Section) -> bool {
        let is_empty = |line: &Span| line.start() == line.end();
        self.lines(section).iter().all(is_empty)
    }
}

/// The kinds of [`Section`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SectionKind {
    Plain,
    /// `@name:`; the span is the name's.
    Member(Span),
    /// `@name:` below `Features:`.
    Feature(Span),
    Returns,
    Errors,
    Since,
    Todo,
}

/// All files of a schema, parsed.
#[derive(Debug, Default)]
pub(crate) struct Ast {
    pub(crate) items: Vec<Item>,
    pub(crate) pragmas: Pragmas,
    /// Names of definitions that could not be parsed: using them is not a mistake.
    pub(crate) lost_names: Vec<String>,
    /// A file could not be read, so any name may be missing through no fault of its user.
    pub(crate) is_incomplete: bool,
    /// The file that the user named.
    pub(crate) root: Option<FileId>,
}
