//! What all commands share: reading a schema, printing its diagnostics.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use qapi_gen::check::{Checked, load};
use qapi_gen::diagnostic::{
    Level, Lint, LintLevels, Report, render_human, render_json, render_short,
};
use qapi_gen::loader::FileLoader;
use qapi_gen::source::SourceMap;

/// Levels of lints.
#[derive(Args)]
pub(crate) struct LintArgs {
    /// Do not report this lint.
    #[arg(long, value_name = "LINT")]
    allow: Vec<Lint>,
    /// Report this lint as a warning.
    #[arg(long, value_name = "LINT")]
    warn: Vec<Lint>,
    /// Report this lint as an error.
    #[arg(long, value_name = "LINT")]
    deny: Vec<Lint>,
}

impl LintArgs {
    /// The levels: the strictest option wins where a lint is named more than once.
    pub(crate) fn levels(&self) -> LintLevels {
        let mut levels = LintLevels::default();
        let lists = [
            (&self.allow, Level::Allow),
            (&self.warn, Level::Warn),
            (&self.deny, Level::Deny),
        ];
        for (lints, level) in lists {
            for lint in lints {
                levels.set(*lint, level);
            }
        }
        levels
    }
}

/// Forms of diagnostics.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MessageFormat {
    /// With the source shown, sorted by file and position.
    Human,
    /// One line each and its context, in the order in which they are met.
    Short,
    /// One JSON object a line, sorted by file and position.
    Json,
}

/// Reads and checks the schema at `path`.
pub(crate) fn read(path: &str, lints: &LintArgs) -> Checked {
    load(path, &FileLoader, lints.levels())
}

/// Prints every diagnostic of `report` to standard error.
pub(crate) fn print_report(
    report: &Report,
    sources: &SourceMap,
    format: MessageFormat,
) -> io::Result<()> {
    let mut out = anstream::AutoStream::auto(io::stderr());
    match format {
        MessageFormat::Short => {
            for diagnostic in report.diagnostics() {
                out.write_all(render_short(diagnostic, sources).as_bytes())?;
            }
        }
        MessageFormat::Human => {
            for diagnostic in report.sorted() {
                writeln!(out, "{}", render_human(diagnostic, sources, true))?;
            }
        }
        MessageFormat::Json => {
            for diagnostic in report.sorted() {
                out.write_all(render_json(diagnostic, sources).as_bytes())?;
            }
        }
    }
    if report.n_suppressed() > 0 && format != MessageFormat::Json {
        writeln!(
            out,
            "{} more diagnostics are not shown",
            report.n_suppressed()
        )?;
    }
    Ok(())
}

/// Prints the first error in the reference's form, as the reference would.
pub(crate) fn print_first(report: &Report, sources: &SourceMap) -> io::Result<()> {
    let is_error = |diagnostic: &&qapi_gen::diagnostic::Diagnostic| diagnostic.level == Level::Deny;
    match report.diagnostics().iter().find(is_error) {
        Some(first) => io::stderr().write_all(render_short(first, sources).as_bytes()),
        None => Ok(()),
    }
}

/// Writes `bytes` to standard output.
pub(crate) fn print(bytes: &[u8]) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
