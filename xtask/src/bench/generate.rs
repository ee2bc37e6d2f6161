//! `qapi-gen generate` beside the reference's generator.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use super::measure::{Usage, measure, median, python};
use crate::process::{cargo, succeed};
use tests::workspace;

/// Arguments of `bench generate`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The reference: `scripts/qapi-gen.py` of QEMU's sources.
    #[arg(long, value_name = "PATH")]
    reference: PathBuf,
    /// The schema that both read; best that of the same sources.
    #[arg(long, value_name = "PATH")]
    schema: PathBuf,
}

/// How often each runs, in turns.
const N_RUNS: usize = 7;

/// How many times less processor time than the reference's is asked for.
const MIN_RATIO: f64 = 12.0;

pub(super) fn run(args: &Args) -> Result<()> {
    let mut build = cargo();
    succeed(build.args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "qapi-gen",
        "--features",
        "cli",
    ]))?;
    let python = python()?;
    let mut runs: [Vec<Usage>; 2] = Default::default();
    for _ in 0..N_RUNS {
        // Everything is written: folders are new.
        let folder = tempfile::tempdir()?;
        let mut theirs = Command::new(&python);
        theirs.arg(&args.reference).arg("-o");
        theirs.arg(folder.path().join("theirs")).arg(&args.schema);
        let mut ours = Command::new(workspace().join("target/release/qapi-gen"));
        ours.arg("generate").arg(&args.schema);
        ours.arg("--out-dir").arg(folder.path().join("ours"));
        for (runs, command) in runs.iter_mut().zip([&theirs, &ours]) {
            runs.push(measure(command)?);
        }
    }
    let cpu = runs
        .each_ref()
        .map(|runs| median(runs.iter().map(|run| run.cpu).collect()));
    for (name, (runs, cpu)) in ["reference", "qapi-gen"].iter().zip(runs.iter().zip(cpu)) {
        let peak = runs.iter().map(|run| run.peak).max().unwrap_or(0) / 1024;
        println!("{name}: {:.0} ms of processor time, {peak} MiB", cpu * 1e3);
    }
    let ratio = cpu[0] / cpu[1];
    println!("{ratio:.1} times less processor time (at least {MIN_RATIO})");
    if ratio < MIN_RATIO {
        bail!("that is too much");
    }
    Ok(())
}
