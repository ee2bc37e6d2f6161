//! What the stages report: one type for every diagnostic, one renderer per output format.
//!
//! Message style: lower case, no full stop; names in single quotes; the same thing has the same
//! name in every message. Where the reference has a message for a mistake, ours is that text.

mod code;
#[cfg(feature = "render")]
mod human;
mod json;
mod short;

pub use code::{Code, Lint, UnknownCode, UnknownLint};
#[cfg(feature = "render")]
pub use human::render_human;
pub use json::render_json;
pub use short::render_short;

use std::collections::HashMap;

use crate::limits::MAX_DIAGNOSTICS;
use crate::source::Span;

/// How serious a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A lint that is not reported.
    Allow,
    /// Reported; the schema is still usable.
    Warn,
    /// The schema is refused.
    Deny,
}

impl Level {
    /// The word that output formats print: `error`, `warning`, or `note` for what is allowed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "note",
            Self::Warn => "warning",
            Self::Deny => "error",
        }
    }
}

/// The definition that was being checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// `struct`, `union`, `enum`, `alternate`, `command` or `event`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

/// A second place that a diagnostic points at.
#[derive(Debug, Clone)]
pub struct Related {
    /// Where.
    pub span: Span,
    /// What stands there, such as `previous definition`.
    pub message: String,
    /// Where the reference says that it is: the line of the start of this span, if not of `span`.
    pub line: Option<Span>,
    /// The definition that the place belongs to.
    pub definition: Option<Definition>,
}

/// Where the reference says that a mistake is.
#[derive(Debug, Clone, Copy)]
pub enum Anchor {
    /// Line and column of the start of the primary span.
    Exact,
    /// Line and column of the start of this span, where the reference noticed.
    Column(Span),
    /// Only the line, of the start of this span.
    Line(Span),
}

/// One mistake.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Names the rule.
    pub code: Code,
    /// How serious it is.
    pub level: Level,
    /// The reference's text where it has one.
    pub message: String,
    /// A second line that belongs to the message, such as the list of valid keys.
    pub note: Option<String>,
    /// The smallest text that is wrong; `None` when it is a file that could not be read.
    pub primary: Option<Span>,
    /// Where the reference would say it is.
    pub anchor: Anchor,
    /// The definition that was being checked.
    pub definition: Option<Definition>,
    /// The first of a pair, for a duplicate; shown by every format.
    pub related: Option<Related>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at `primary`, line and column. It has no place if it is about a file that cannot be read, or about what no
    /// schema says.
    pub(crate) fn new(code: Code, message: String, primary: impl Into<Option<Span>>) -> Self {
        Self {
            code,
            level: Level::Deny,
            message,
            note: None,
            primary: primary.into(),
            anchor: Anchor::Exact,
            definition: None,
            related: None,
            help: None,
        }
    }

    pub(crate) fn at_column(mut self, span: Span) -> Self {
        self.anchor = Anchor::Column(span);
        self
    }

    pub(crate) fn at_line(mut self, span: Span) -> Self {
        self.anchor = Anchor::Line(span);
        self
    }

    pub(crate) fn in_definition(mut self, definition: Option<Definition>) -> Self {
        self.definition = definition;
        self
    }

    pub(crate) fn with_note(mut self, note: Option<String>) -> Self {
        self.note = note;
        self
    }

    pub(crate) fn with_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    pub(crate) fn with_related(mut self, related: Related) -> Self {
        self.related = Some(related);
        self
    }

    /// The span at which the reference places it.
    #[must_use]
    pub fn anchor_span(&self) -> Option<Span> {
        match self.anchor {
            Anchor::Exact => self.primary,
            Anchor::Column(span) | Anchor::Line(span) => Some(span),
        }
    }
}

/// The levels of lints, as a user set them.
#[derive(Debug, Clone, Default)]
pub struct LintLevels {
    set: HashMap<Lint, Level>,
}

impl LintLevels {
    /// No lint is reported until it is set.
    #[must_use]
    pub fn allow_all() -> Self {
        Self {
            set: Lint::ALL.iter().map(|lint| (*lint, Level::Allow)).collect(),
        }
    }

    /// Sets the level of `lint`; a later call wins.
    pub fn set(&mut self, lint: Lint, level: Level) {
        self.set.insert(lint, level);
    }

    /// The level of `lint`: the one that was set, or its default.
    #[must_use]
    pub fn level(&self, lint: Lint) -> Level {
        self.set
            .get(&lint)
            .copied()
            .unwrap_or_else(|| lint.default_level())
    }
}

/// Every diagnostic of every stage, in the order in which the reference would meet them.
#[derive(Debug, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
    levels: LintLevels,
    n_errors: usize,
    n_suppressed: usize,
}

impl Report {
    /// An empty report with the given lint levels.
    #[must_use]
    pub fn new(levels: LintLevels) -> Self {
        Self {
            levels,
            ..Self::default()
        }
    }

    /// Adds a diagnostic.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if diagnostic.level == Level::Deny {
            self.n_errors += 1;
        }
        if self.diagnostics.len() < MAX_DIAGNOSTICS {
            self.diagnostics.push(diagnostic);
        } else {
            self.n_suppressed += 1;
        }
    }

    /// Adds all diagnostics of another report.
    pub(crate) fn append(&mut self, other: Self) {
        let n_errors = self.n_errors + other.n_errors;
        for diagnostic in other.diagnostics {
            self.push(diagnostic);
        }
        self.n_errors = n_errors;
        self.n_suppressed += other.n_suppressed;
    }

    /// Whether further diagnostics are only counted.
    pub(crate) fn is_full(&self) -> bool {
        self.diagnostics.len() >= MAX_DIAGNOSTICS
    }

    /// Adds the diagnostic of a lint, unless the lint is allowed.
    pub(crate) fn lint(&mut self, lint: Lint, diagnostic: Diagnostic) {
        let level = self.levels.level(lint);
        if level > Level::Allow {
            self.push(Diagnostic {
                level,
                ..diagnostic
            });
        }
    }

    /// Whether the diagnostics of `lint` are wanted.
    pub(crate) fn wants(&self, lint: Lint) -> bool {
        self.levels.level(lint) > Level::Allow
    }

    /// Whether the schema must be refused.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.n_errors > 0
    }

    /// The number of errors, those that were not kept included.
    #[must_use]
    pub fn n_errors(&self) -> usize {
        self.n_errors
    }

    /// How many diagnostics were counted but not kept: those past the first thousand.
    #[must_use]
    pub fn n_suppressed(&self) -> usize {
        self.n_suppressed
    }

    /// The diagnostics in the order in which the reference would meet them.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The diagnostics sorted by file and position.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut sorted: Vec<_> = self.diagnostics.iter().collect();
        sorted.sort_by_key(|diagnostic| diagnostic.primary);
        sorted
    }
}
