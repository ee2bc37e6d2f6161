//! What lints find.

use crate::diagnostic::{Code, Definition, Diagnostic, Lint, Report};
use crate::ir;
use crate::source::Span;

/// Where a lint reports.
pub(super) struct Findings<'r> {
    pub(super) lint: Lint,
    pub(super) report: &'r mut Report,
}

impl Findings<'_> {
    /// Reports `message` at `span`, inside of a definition or outside of all.
    pub(super) fn push(
        &mut self,
        message: String,
        span: impl Into<Option<Span>>,
        definition: Option<Definition>,
    ) {
        let diagnostic = Diagnostic::new(Code::Lint(self.lint), message, span);
        let diagnostic = diagnostic.in_definition(definition);
        self.report.lint(self.lint, diagnostic);
    }
}

/// What messages call the definition.
pub(super) fn context(definition: &ir::Definition<'_>) -> Option<Definition> {
    Some(Definition {
        kind: definition.kind().as_str(),
        name: definition.name().to_owned(),
    })
}
