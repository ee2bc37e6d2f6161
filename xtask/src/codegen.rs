//! `codegen`: the Rust code of our schemas, for each package that has some.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use qapi_gen::backend::rust::{OptionError, Options, Part, RustBackend};
use qapi_gen::compile;
use qapi_gen::diagnostic::{LintLevels, render_short};
use qapi_gen::ir::Configuration;
use qapi_gen::loader::FileLoader;
use qapi_gen::output::Emission;

/// The command that the header of every file names.
const COMMAND: &str = "cargo xtask codegen";

/// A package that has code generated from a schema.
struct Output {
    /// The schema, from the top of the workspace.
    schema: &'static str,
    /// Where the code goes, from the top of the workspace.
    folder: &'static str,
    /// What of the schema is taken; all of it if this names nothing.
    only: &'static [&'static str],
    options: fn() -> Result<Options, OptionError>,
}

const OUTPUTS: [Output; 3] = [
    Output {
        schema: OWN_SCHEMA,
        folder: "iothread/iothread-qapi/src/qapi",
        only: &["query-iothreads", "x-query-internal-iothreads"],
        options: of_queries,
    },
    Output {
        schema: OWN_SCHEMA,
        folder: "iothread/iothreadd/src/qapi",
        only: &[],
        options: of_daemon,
    },
    Output {
        schema: "tests/schemas/agent.json",
        folder: "tests/src/agent",
        only: &[],
        options: of_example,
    },
];

/// The schema that we ship.
const OWN_SCHEMA: &str = "schema/qapi-schema.json";

/// Requests and answers: no server, and no events.
fn of_queries() -> Result<Options, OptionError> {
    let omitted = [Part::Events, Part::Server, Part::Introspection];
    Ok(omitted.into_iter().fold(options(), Options::omit))
}

/// What the program on the front page of `qapi-runtime` needs.
fn of_example() -> Result<Options, OptionError> {
    Ok(options())
}

/// The daemon's replies hold the library's types.
fn of_daemon() -> Result<Options, OptionError> {
    let replaced = [
        ("IOThreadInfo", "iothread_qapi::IoThreadInfo"),
        ("IoThreadHolder", "iothread_qapi::IoThreadHolder"),
        ("IoThreadHolderKind", "iothread_qapi::IoThreadHolderKind"),
        (
            "IoThreadHolderQomObject",
            "iothread_qapi::IoThreadHolderQomObject",
        ),
        (
            "IoThreadHolderBlockNode",
            "iothread_qapi::IoThreadHolderBlockNode",
        ),
        (
            "IoThreadHolderBlockExport",
            "iothread_qapi::IoThreadHolderBlockExport",
        ),
        (
            "IoThreadHolderMonitor",
            "iothread_qapi::IoThreadHolderMonitor",
        ),
    ];
    let replace = |options: Options, (name, path)| options.replace(name, path);
    replaced.into_iter().try_fold(options(), replace)
}

fn options() -> Options {
    // Our schema has no conditions; one that it gets by mistake must not go unseen.
    Options::new()
        .command(COMMAND)
        .licence("MIT OR Apache-2.0")
        .configuration(Configuration::new())
}

/// Arguments of `codegen`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail if a file is not what would be written
    #[arg(long)]
    check: bool,
}

/// Generates the code and writes or compares it.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.check { check() } else { generate() }
}

/// Writes the code.
pub(crate) fn generate() -> Result<()> {
    let workspace = tests::workspace();
    for output in &OUTPUTS {
        let emission = output.emit(&workspace)?;
        let summary = emission.write(&workspace.join(output.folder))?;
        let n_changed = summary.changed.len() + summary.stale.len();
        // Standard output belongs to the task that called.
        eprintln!(
            "codegen: {}: {n_changed} files changed, {} unchanged",
            output.folder, summary.n_unchanged
        );
    }
    Ok(())
}

/// Fails if a file is not what would be written.
pub(crate) fn check() -> Result<()> {
    let workspace = tests::workspace();
    let mut is_current = true;
    for output in &OUTPUTS {
        let emission = output.emit(&workspace)?;
        let summary = emission.check(&workspace.join(output.folder))?;
        for complaint in summary.complaints() {
            println!("{complaint}");
        }
        is_current &= summary.is_current();
    }
    if !is_current {
        bail!("run `{COMMAND}`");
    }
    Ok(())
}

impl Output {
    fn emit(&self, workspace: &Path) -> Result<Emission> {
        let schema = workspace.join(self.schema);
        let path = schema
            .to_str()
            .context("the path of the workspace is not UTF-8")?;
        let compiled = compile(path, &FileLoader, LintLevels::default())?;
        for diagnostic in compiled.report().diagnostics() {
            let text = render_short(diagnostic, compiled.schema().sources());
            eprintln!("{text}");
        }
        let mut schema = compiled.into_schema();
        if !self.only.is_empty() {
            schema = schema.only(self.only)?;
        }
        let backend = RustBackend::new((self.options)()?);
        let generated = backend.generate(&schema)?;
        Ok(generated.files().emission())
    }
}
