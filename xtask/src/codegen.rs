//! `codegen`: the Rust code of the schema that we ship.

use std::path::Path;

use anyhow::{Context, bail};
use qapi_gen::backend::rust::{Options, RustBackend};
use qapi_gen::backend::{Backend, Emission};
use qapi_gen::diagnostic::{LintLevels, render_short};
use qapi_gen::ir::Configuration;
use qapi_gen::loader::FileLoader;
use qapi_gen::output;

/// The command that the header of every file names.
const COMMAND: &str = "cargo xtask codegen";

/// The schema and where its code goes, from the top of the workspace.
const SCHEMA: &str = "schema/qapi-schema.json";
const FOLDER: &str = "iothread/src/qapi";

/// Arguments of `codegen`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail if a file is not what would be written
    #[arg(long)]
    check: bool,
}

/// Generates the code and writes or compares it.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.check { check() } else { generate() }
}

/// Writes the code.
pub(crate) fn generate() -> anyhow::Result<()> {
    let workspace = crate::workspace();
    let summary = output::write(&emit(&workspace)?, &workspace.join(FOLDER))?;
    let n_changed = summary.changed.len() + summary.stale.len();
    // Standard output belongs to the task that called.
    eprintln!(
        "codegen: {n_changed} files changed, {} unchanged",
        summary.n_unchanged
    );
    Ok(())
}

/// Fails if a file is not what would be written.
pub(crate) fn check() -> anyhow::Result<()> {
    let workspace = crate::workspace();
    let summary = output::check(&emit(&workspace)?, &workspace.join(FOLDER))?;
    for path in summary.changed.iter().chain(&summary.stale) {
        println!("{} is out of date", path.display());
    }
    if !summary.is_current() {
        bail!("run `{COMMAND}`");
    }
    Ok(())
}

fn emit(workspace: &Path) -> anyhow::Result<Emission> {
    let schema = workspace.join(SCHEMA);
    let path = schema
        .to_str()
        .context("the path of the workspace is not UTF-8")?;
    let checked = qapi_gen::check::load(path, &FileLoader, LintLevels::default());
    for diagnostic in checked.report.diagnostics() {
        eprintln!("{}", render_short(diagnostic, &checked.sources));
    }
    let schema = checked.schema.context("the schema has mistakes")?;
    // Our schema has no conditions; one that it gets by mistake must not go unseen.
    let options = Options::new()
        .command(COMMAND)
        .licence("MIT OR Apache-2.0")
        .configuration(Configuration::new());
    match RustBackend::new(options).emit(&schema) {
        Ok(emission) => Ok(emission),
        Err(diagnostics) => {
            for diagnostic in &diagnostics {
                eprintln!("{}", render_short(diagnostic, &checked.sources));
            }
            bail!("the schema cannot be expressed in Rust")
        }
    }
}
