//! Pragmas (QAPI: section 'Pragma directives').

use hashbrown::HashSet;

use crate::source::Span;

/// The pragmas of a schema; their scope is the whole schema.
#[derive(Debug, Clone, Default)]
pub struct Pragmas {
    pub(crate) doc_required: bool,
    /// Those of each kind, and the kinds in the order in which they were set.
    exceptions: [Vec<Exception>; ExceptionKind::ALL.len()],
    order: Vec<ExceptionKind>,
    /// The names for which a rule of each kind does not hold.
    names: [HashSet<String>; ExceptionKind::ALL.len()],
}

impl Pragmas {
    /// Whether every definition must be documented.
    #[must_use]
    pub fn requires_docs(&self) -> bool {
        self.doc_required
    }

    /// Every exception, in source order.
    pub fn exceptions(&self) -> impl Iterator<Item = &Exception> {
        let kinds = self.order.iter();
        kinds.flat_map(|kind| &self.exceptions[*kind as usize])
    }

    /// Whether there is an exception of this kind for `name`.
    pub(crate) fn excepts(&self, kind: ExceptionKind, name: &str) -> bool {
        self.names[kind as usize].contains(name)
    }

    /// Forgets what is about documentation, for a schema without documentation.
    pub(crate) fn forget_documentation(&mut self) {
        let kind = ExceptionKind::Documentation;
        self.doc_required = false;
        self.order.retain(|known| *known != kind);
        self.exceptions[kind as usize].clear();
        self.names[kind as usize].clear();
    }

    /// Makes `exceptions` the ones of `kind`: a pragma that is set again loses its old value.
    pub(crate) fn set(&mut self, kind: ExceptionKind, exceptions: Vec<Exception>) {
        let names = exceptions.iter().map(|exception| exception.name.clone());
        self.names[kind as usize] = names.collect();
        self.exceptions[kind as usize] = exceptions;
        self.order.retain(|known| *known != kind);
        self.order.push(kind);
    }
}

/// A definition for which a rule does not hold.
#[derive(Debug, Clone)]
pub struct Exception {
    pub(crate) kind: ExceptionKind,
    pub(crate) name: String,
    pub(crate) span: Span,
}

impl Exception {
    /// The rule that does not hold.
    #[must_use]
    pub fn kind(&self) -> ExceptionKind {
        self.kind
    }

    /// The name of the definition.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the name stands.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }
}

/// The rules that have exceptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExceptionKind {
    /// A command's name has hyphens.
    CommandName,
    /// A command returns an object or an array of objects.
    CommandReturns,
    /// Members are documented.
    Documentation,
    /// Names of members have small letters and hyphens.
    MemberName,
}

impl ExceptionKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [
        Self::CommandName,
        Self::CommandReturns,
        Self::Documentation,
        Self::MemberName,
    ];

    /// The pragma that lists the exceptions.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CommandName => "command-name-exceptions",
            Self::CommandReturns => "command-returns-exceptions",
            Self::Documentation => "documentation-exceptions",
            Self::MemberName => "member-name-exceptions",
        }
    }
}
