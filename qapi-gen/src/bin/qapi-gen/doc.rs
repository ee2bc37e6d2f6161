//! `qapi-gen doc`

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use qapi_gen::backend::doc::{DocBackend, Format, Options};

use super::emit::{command, emit};
use super::schema::{LintArgs, LoadArgs, MessageFormat, read_for_manual};

/// Arguments of `doc`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The main file of the schema, what query-qmp-schema returned, or the address of a server, such as unix:PATH.
    #[arg(value_name = "SCHEMA")]
    schema: String,
    /// The format of the manual.
    #[arg(long, value_enum)]
    format: FormatArg,
    /// The folder that gets the manual. A file in the place of a generated one that was not generated is an error.
    #[arg(long, value_name = "DIR")]
    out_dir: PathBuf,
    /// The manual's title.
    #[arg(long)]
    title: Option<String>,
    /// The date that man pages state, such as 2026-01-31.
    #[arg(long, value_name = "DATE")]
    date: Option<String>,
    /// Only this definition and the types it uses; may be given more than once.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Write nothing; fail if a file is not what would be written.
    #[arg(long)]
    check: bool,
    /// How diagnostics are printed.
    #[arg(long, value_enum, default_value = "human", value_name = "FORMAT")]
    message_format: MessageFormat,
    #[command(flatten)]
    files: LoadArgs,
    #[command(flatten)]
    lints: LintArgs,
}

/// Forms of a manual.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    /// Pages for a browser; index.html is the first one.
    Html,
    /// Pages for GitHub and mdBook; README.md is the first one.
    Markdown,
    /// Pages of section 7 for man.
    Man,
}

impl Args {
    fn options(&self) -> Options {
        let format = match self.format {
            FormatArg::Html => Format::Html,
            FormatArg::Markdown => Format::Markdown,
            FormatArg::Man => Format::Man,
        };
        let mut options = Options::new(format).command(command("doc", &self.schema));
        if let Some(title) = &self.title {
            options = options.title(title);
        }
        if let Some(date) = &self.date {
            options = options.date(date);
        }
        for name in &self.only {
            options = options.only(name);
        }
        options
    }
}

pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let (files, lints) = (&args.files, &args.lints);
    let schema = read_for_manual(&args.schema, files, lints, args.message_format)?;
    let Some(schema) = schema else {
        return Ok(ExitCode::FAILURE);
    };
    let backend = DocBackend::new(args.options());
    let manual = backend.generate(&schema).map_err(io::Error::other)?;
    emit(&manual, &args.out_dir, args.check)
}
