//! `docs`: the reference manual of the schema that we ship.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use qapi_gen::backend::doc::{DocBackend, Format, Options};
use qapi_gen::compile;
use qapi_gen::diagnostic::{Level, Lint, LintLevels, render_short};
use qapi_gen::ir::Schema;
use qapi_gen::loader::FileLoader;

use crate::process::succeed;

/// The command that every file names.
const COMMAND: &str = "cargo xtask docs";

const TITLE: &str = "iothreadd QMP reference";

/// The page that the README links to, from the top of the workspace.
const SAMPLE: &str = "schema/query-iothreads.md";

/// Arguments of `docs`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Show the manual in a browser.
    #[arg(long)]
    open: bool,
}

/// Writes the manual in every format, and the sample.
pub(crate) fn run(args: &Args) -> Result<()> {
    let workspace = tests::workspace();
    let schema = &load(&workspace)?;
    let folder = workspace.join("target/docs");
    for (format, name) in [
        (Format::Html, "html"),
        (Format::Markdown, "markdown"),
        (Format::Man, "man"),
    ] {
        let options = Options::new(format).title(TITLE).command(COMMAND);
        let backend = DocBackend::new(options);
        backend.generate(schema)?.write(&folder.join(name))?;
        println!("{}", folder.join(name).display());
    }
    let options = Options::new(Format::Markdown)
        .command(COMMAND)
        .only("query-iothreads");
    let emission = DocBackend::new(options).generate(schema)?.emission();
    let page = emission
        .get(Path::new("misc.md"))
        .context("query-iothreads is no longer in misc.json")?;
    std::fs::write(workspace.join(SAMPLE), page)?;
    if args.open {
        let page = folder.join("html/index.html");
        succeed(Command::new("xdg-open").arg(page))?;
    }
    Ok(())
}

/// Our schema; what its readers would see is a mistake.
fn load(workspace: &Path) -> Result<Schema> {
    let path = workspace.join("schema/qapi-schema.json");
    let name = path
        .to_str()
        .context("the path of the workspace is not UTF-8")?;
    let mut levels = LintLevels::default();
    for lint in [Lint::DocMarkup, Lint::DocReference, Lint::DocExample] {
        levels.set(lint, Level::Deny);
    }
    let compiled = compile(name, &FileLoader, levels)?;
    for diagnostic in compiled.report().diagnostics() {
        let text = render_short(diagnostic, compiled.schema().sources());
        eprintln!("{text}");
    }
    Ok(compiled.into_schema())
}
