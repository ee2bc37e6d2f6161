//! What all commands share: reading a schema, printing its diagnostics.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use qapi_gen::backend::introspect::OpenCondition;
use qapi_gen::check::Options;
use qapi_gen::diagnostic::{
    Diagnostic, Level, Lint, LintLevels, Report, render_human, render_json, render_short,
};
use qapi_gen::internals::read_text;
use qapi_gen::ir::{Condition, Configuration, Schema};
use qapi_gen::loader::{FileLoader, Loader, RootedLoader};
use qapi_gen::source::SourceMap;
use qapi_gen::{Compiled, Diagnosis, Rejected, compile};

use super::{config, console, server};

/// Which files are read.
#[derive(Args, Default)]
pub(crate) struct LoadArgs {
    /// Only include files from below this folder. What counts for a link is where it leads.
    #[arg(long, value_name = "DIR")]
    include_root: Option<PathBuf>,
    /// Ignore documentation: comments are not parsed, and may be missing. For schemas of QEMU before 9.1, whose
    /// comments follow other rules.
    #[arg(long)]
    no_doc_check: bool,
}

impl LoadArgs {
    fn loader(&self) -> io::Result<Box<dyn Loader>> {
        let Some(root) = &self.include_root else {
            return Ok(Box::new(FileLoader));
        };
        let in_folder = |error| io::Error::other(format!("{}: {error}", root.display()));
        Ok(Box::new(RootedLoader::new(root).map_err(in_folder)?))
    }

    fn options(&self, levels: LintLevels) -> Options {
        let options = Options::new(levels);
        if self.no_doc_check {
            options.no_doc_check()
        } else {
            options
        }
    }
}

/// Levels of lints.
#[derive(Args, Default)]
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
    fn levels(&self, mut levels: LintLevels) -> LintLevels {
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

/// Which conditions hold.
#[derive(Args)]
pub(crate) struct ConfigArgs {
    /// A file that says which conditions hold, in the form of Kconfig: `NAME=y` or `# NAME is not set`.
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// A condition that holds: NAME, or NAME=n for one that does not.
    #[arg(short = 'D', value_name = "NAME[=y|n]", value_parser = parse_define)]
    define: Vec<(String, bool)>,
    /// Whether conditions hold that neither a file nor -D names. Without it they stay open.
    #[arg(long, value_name = "y|n", value_parser = parse_value)]
    define_others: Option<bool>,
}

impl ConfigArgs {
    /// What the options say; `-D` wins over files.
    pub(crate) fn read(&self) -> io::Result<Configuration> {
        let mut configuration = match self.define_others {
            None => Configuration::new(),
            Some(value) => Configuration::with_default(value),
        };
        for path in &self.config {
            let in_file =
                |reason: String| io::Error::other(format!("{}: {reason}", path.display()));
            let text = read_text(path).map_err(|error| in_file(error.to_string()))?;
            configuration
                .read(&text)
                .map_err(|error| in_file(error.to_string()))?;
        }
        for (name, value) in &self.define {
            configuration.set(name, *value);
        }
        Ok(configuration)
    }
}

/// A name of conditions, and whether it is set.
fn parse_define(text: &str) -> Result<(String, bool), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, "y"));
    let value = parse_value(value)
        .map_err(|_| "a condition is set with NAME or NAME=y, and unset with NAME=n".to_owned())?;
    if !Condition::is_name(name) {
        let reason = "has capital letters, digits and '_', and begins with a letter";
        return Err(format!("the name of a condition {reason}"));
    }
    Ok((name.to_owned(), value))
}

fn parse_value(text: &str) -> Result<bool, String> {
    match text {
        "y" => Ok(true),
        "n" => Ok(false),
        _ => Err("expected y or n".to_owned()),
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

/// The mistakes in the schema at `path`.
pub(crate) fn diagnose(path: &str, files: &LoadArgs, lints: &LintArgs) -> io::Result<Diagnosis> {
    if let Some(told) = server::ask(path)? {
        let options = files.options(lints.levels(LintLevels::default()));
        return Ok(qapi_gen::diagnose(path, &told, options));
    }
    let levels = lints.levels(config::levels_beside(path)?);
    let options = files.options(levels);
    Ok(qapi_gen::diagnose(path, &*files.loader()?, options))
}

/// The schema at `path`, which may be the address of a server.
fn compile_at(
    path: &str,
    files: &LoadArgs,
    levels: LintLevels,
) -> io::Result<Result<Compiled, Rejected>> {
    let options = files.options(levels);
    Ok(match server::ask(path)? {
        Some(told) => compile(path, &told, options),
        None => compile(path, &*files.loader()?, options),
    })
}

/// Reads and checks the schema at `path`.
pub(crate) fn read(
    path: &str,
    files: &LoadArgs,
    lints: &LintArgs,
) -> io::Result<Result<Compiled, Rejected>> {
    let levels = match server::is_address(path) {
        true => LintLevels::default(),
        false => config::levels_beside(path)?,
    };
    compile_at(path, files, lints.levels(levels))
}

/// Reads the schema at `path` to make something of it. Rules of style are for `check`: here they do not hold unless an
/// option asks for them. `None` if it has mistakes, which are printed.
pub(crate) fn read_for_output(
    path: &str,
    files: &LoadArgs,
    lints: &LintArgs,
) -> io::Result<Option<Schema>> {
    let levels = lints.levels(LintLevels::allow_all());
    read_and_print(path, files, levels, MessageFormat::Human)
}

/// Reads the schema at `path` to make a manual of it: what readers of one would see is a warning unless an option says
/// otherwise. `None` if it has mistakes, which are printed.
pub(crate) fn read_for_manual(
    path: &str,
    files: &LoadArgs,
    lints: &LintArgs,
    format: MessageFormat,
) -> io::Result<Option<Schema>> {
    let mut levels = LintLevels::allow_all();
    levels.set(Lint::DocMarkup, Level::Warn);
    levels.set(Lint::DocReference, Level::Warn);
    read_and_print(path, files, lints.levels(levels), format)
}

fn read_and_print(
    path: &str,
    files: &LoadArgs,
    levels: LintLevels,
    format: MessageFormat,
) -> io::Result<Option<Schema>> {
    match compile_at(path, files, levels)? {
        Ok(compiled) => {
            print_report(compiled.report(), compiled.schema().sources(), format)?;
            Ok(Some(compiled.into_schema()))
        }
        Err(rejected) => {
            print_report(rejected.report(), rejected.sources(), format)?;
            Ok(None)
        }
    }
}

/// The part of the schema that `--only` names; the whole without it.
pub(crate) fn take_only(schema: Schema, only: &[String]) -> io::Result<Schema> {
    if only.is_empty() {
        return Ok(schema);
    }
    let part = schema.only(only);
    part.map_err(|error| io::Error::other(format!("--only: {error}")))
}

/// Prints every diagnostic of `report` to standard error.
pub(crate) fn print_report(
    report: &Report,
    sources: &SourceMap,
    format: MessageFormat,
) -> io::Result<()> {
    let mut out = console::stderr();
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
pub(crate) fn print_first(rejected: &Rejected) -> io::Result<()> {
    let is_error = |diagnostic: &&Diagnostic| diagnostic.level == Level::Deny;
    let Some(first) = rejected.report().diagnostics().iter().find(is_error) else {
        return Ok(());
    };
    console::stderr().write_all(render_short(first, rejected.sources()).as_bytes())
}

/// Prints a condition that keeps a command from its work.
pub(crate) fn print_open_condition(
    open: &OpenCondition,
    sources: &SourceMap,
) -> io::Result<ExitCode> {
    match open.span {
        Some(span) => {
            let file = sources.file(sources.file_of(span)).name();
            let line = sources.line(span);
            console::complain(format_args!("{file}:{line}: {open}"))?;
        }
        None => console::complain(format_args!("{open}"))?,
    }
    Ok(ExitCode::FAILURE)
}

/// Prints what keeps a backend from its work.
pub(crate) fn refuse(rejected: &Rejected) -> io::Result<ExitCode> {
    for diagnostic in rejected.report().diagnostics() {
        let text = render_human(diagnostic, rejected.sources(), true);
        console::complain(format_args!("{text}"))?;
    }
    Ok(ExitCode::FAILURE)
}

/// Writes `bytes` to standard output.
pub(crate) fn print(bytes: &[u8]) -> io::Result<ExitCode> {
    console::print(bytes)?;
    Ok(ExitCode::SUCCESS)
}
