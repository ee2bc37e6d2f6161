//! What comes of a schema: it may be used, or not.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::diagnostic::{Code, Diagnostic, LintLevels, Report, render_short};
use crate::ir::Schema;
use crate::source::SourceMap;

/// A schema that may be used, and what was noticed about it.
#[derive(Debug)]
pub struct Compiled {
    pub(crate) schema: Schema,
    pub(crate) report: Report,
}

impl Compiled {
    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The schema alone; it has its sources.
    #[must_use]
    pub fn into_schema(self) -> Schema {
        self.schema
    }

    /// The schema and the warnings.
    #[must_use]
    pub fn into_parts(self) -> (Schema, Report) {
        (self.schema, self.report)
    }

    /// Warnings.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }
}

/// What keeps a schema from being used. Its text is every diagnostic in the reference's form,
/// [`render_short`]; other forms are made of its parts.
#[derive(Debug)]
pub struct Rejected {
    report: Report,
    sources: Arc<SourceMap>,
}

impl Rejected {
    pub(crate) fn new(report: Report, sources: Arc<SourceMap>) -> Self {
        Self { report, sources }
    }

    /// Of a good schema, which has what an output cannot express.
    pub(crate) fn by_output(schema: &Schema, diagnostics: Vec<Diagnostic>) -> Self {
        let mut report = Report::new(LintLevels::default());
        for diagnostic in diagnostics {
            report.push(diagnostic);
        }
        Self::new(report, Arc::clone(schema.sources()))
    }

    /// The diagnostics and what their places are in.
    #[must_use]
    pub fn into_parts(self) -> (Report, Arc<SourceMap>) {
        (self.report, self.sources)
    }

    /// Errors, and warnings beside them.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Every file that was read: what places in diagnostics are in.
    #[must_use]
    pub fn sources(&self) -> &SourceMap {
        &self.sources
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in self.report.diagnostics() {
            f.write_str(&render_short(diagnostic, &self.sources))?;
            // What this code alone finds has no text of the reference, which names one place.
            let is_own = diagnostic.code == Code::RustNameCollision;
            for related in diagnostic.related.iter().filter(|_| is_own) {
                let file = self.sources.file(self.sources.file_of(related.span));
                let place = self.sources.position(related.span);
                let (line, column) = (place.line, place.column);
                writeln!(f, "{}:{line}:{column}: {}", file.name(), related.message)?;
            }
        }
        match self.report.n_suppressed() {
            0 => Ok(()),
            n => writeln!(f, "{n} more diagnostics are not shown"),
        }
    }
}

impl std::error::Error for Rejected {}

/// The diagnostics of a schema.
///
/// It also holds what they were found in, which takes a while to be taken apart if it is large:
/// a process that prints them and ends may leave that to the system, with [`std::mem::forget`].
#[derive(Debug)]
pub struct Diagnosis {
    /// Every file that was read.
    pub sources: Arc<SourceMap>,
    /// Every diagnostic.
    pub report: Report,
    /// What nobody looks at any more.
    pub(crate) _rest: Box<dyn Any + Send>,
}

impl Diagnosis {
    /// What was said of a schema when it was compiled.
    pub(crate) fn of(compiled: Result<Compiled, Rejected>) -> Self {
        match compiled {
            Ok(Compiled { schema, report }) => Self {
                sources: Arc::clone(schema.sources()),
                report,
                _rest: Box::new(schema),
            },
            Err(Rejected { report, sources }) => Self {
                sources,
                report,
                _rest: Box::new(()),
            },
        }
    }
}
