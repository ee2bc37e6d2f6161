//! What schemas of every shape cost each command of `qapi-gen`, at n, 2n and 4n.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use shapes::{Files, MAIN, Shape};

use super::measure::{Usage, measure_any};
use crate::process::QAPI_GEN;

/// Arguments of `bench shapes`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only the shapes whose name contains this.
    shape: Option<String>,
    /// Only this command, such as `check` or `doc-html`.
    #[arg(long)]
    command: Option<String>,
    /// How many times as large as in the test.
    #[arg(long, default_value_t = 20)]
    times: usize,
    /// Fail if 4n takes more than this many times the processor time of n, less that of the
    /// smallest schema.
    #[arg(long, default_value_t = 6.0)]
    max_growth: f64,
}

/// Growth of less than this is noise.
const MIN_SECONDS: f64 = 0.05;

/// The commands, and their arguments; `{}` is the folder that gets the output.
const COMMANDS: [(&str, &[&str]); 9] = [
    ("check", &["check", "--message-format", "short"]),
    ("dump", &["dump"]),
    ("introspect", &["introspect", "-DCONFIG_A"]),
    ("diff", &["diff", "SCHEMA"]),
    ("validate", &["validate", "-DCONFIG_A"]),
    ("generate", &["generate", "--out-dir", "{}"]),
    ("doc-html", &["doc", "--format", "html", "--out-dir", "{}"]),
    (
        "doc-markdown",
        &["doc", "--format", "markdown", "--out-dir", "{}"],
    ),
    ("doc-man", &["doc", "--format", "man", "--out-dir", "{}"]),
];

pub(super) fn run(args: &Args) -> Result<()> {
    let program = QAPI_GEN.build_release()?;
    let mut steep = Vec::new();
    println!(
        "{:28} {:12} {:>7} KiB {:>24} ms {:>20} MiB",
        "shape", "command", "4n:", "processor at n, 2n, 4n:", "peak:"
    );
    let wanted = |shape: &Shape| args.shape.as_ref().is_none_or(|it| shape.name.contains(it));
    for shape in shapes::all().filter(wanted) {
        for (name, arguments) in COMMANDS {
            if args.command.as_ref().is_some_and(|it| it != name) {
                continue;
            }
            let smallest = one(&program, arguments, &shape.files(1))?;
            let n = shape.n * args.times;
            let files = [1, 2, 4].map(|factor| shape.files(factor * n));
            let mut used = Vec::new();
            for files in &files {
                used.push(one(&program, arguments, files)?);
            }
            let row = |part: fn(&Usage) -> f64| {
                let figures: Vec<String> =
                    used.iter().map(|it| format!("{:.0}", part(it))).collect();
                figures.join(" ")
            };
            println!(
                "{:28} {name:12} {:>11} {:>27} {:>24}",
                shape.name,
                files[2].size() / 1024,
                row(|used| used.cpu * 1e3),
                row(|used| used.peak as f64 / 1024.0),
            );
            let [first, _, last] = used[..] else { continue };
            let (first, last) = (first.cpu - smallest.cpu, last.cpu - smallest.cpu);
            if last > MIN_SECONDS && last > args.max_growth * first.max(MIN_SECONDS / 4.0) {
                steep.push(format!("{} {name}", shape.name));
            }
        }
    }
    if steep.is_empty() {
        return Ok(());
    }
    bail!("more than linear: {}", steep.join(", "))
}

/// What one command uses for one schema.
fn one(program: &Path, arguments: &[&str], files: &Files) -> Result<Usage> {
    let folder = tempfile::tempdir()?;
    for (name, text) in &files.0 {
        std::fs::write(folder.path().join(name), text)?;
    }
    let commands = folder.path().join("commands");
    std::fs::write(&commands, "{\"execute\": \"go\"}\n")?;
    let schema = folder.path().join(MAIN);
    let mut command = Command::new(program);
    for argument in arguments {
        match *argument {
            "{}" => command.arg(folder.path().join("out")),
            "SCHEMA" => command.arg(&schema),
            other => command.arg(other),
        };
    }
    command.arg(&schema);
    if arguments.first() == Some(&"validate") {
        command.arg(&commands);
    }
    // Schemas with mistakes are refused, which is not a failure of the bench.
    let (used, status) = measure_any(&command)?;
    match status.code() {
        Some(0 | 1) => Ok(used),
        Some(_) | None => bail!("{command:?}: {status}"),
    }
}
