//! A client of a running server, made of what it tells of itself, beside the one from its source.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use tests::{Server, Tool};

use super::measure::{Usage, measure, median};
use crate::process::QAPI_GEN_LIVE;

/// Arguments of `bench told`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The schema of the server; QEMU_TEN names the program, best of the same version.
    #[arg(
        long,
        value_name = "PATH",
        default_value = "../shared/qemu/10.0.13/qapi/qapi-schema.json"
    )]
    schema: PathBuf,
}

/// How often each runs, in turns.
const N_RUNS: usize = 9;

/// How many times the time from source it may take.
const MAX_RATIO: f64 = 1.5;

pub(super) fn run(args: &Args) -> Result<()> {
    let program = QAPI_GEN_LIVE.build_release()?;
    let qemu = Tool::QemuTen.find().context("QEMU_TEN is not set")?;
    let server = Server::start_qemu(&qemu, &["-machine", "none"])?;
    let address = format!("unix:{}", server.socket().display());
    let source = args.schema.to_str().context("the path is not UTF-8")?;
    let mut runs: [Vec<Usage>; 2] = Default::default();
    for _ in 0..N_RUNS {
        // Everything is written: folders are new.
        let folder = tempfile::tempdir()?;
        for (runs, (name, schema)) in runs
            .iter_mut()
            .zip([("source", source), ("told", &*address)])
        {
            let mut command = Command::new(&program);
            command.args(["generate", "--omit", "server,introspection", schema]);
            command.arg("--out-dir").arg(folder.path().join(name));
            runs.push(measure(&command)?);
        }
    }
    let wall = runs
        .each_ref()
        .map(|runs| median(runs.iter().map(|run| run.wall).collect()));
    for (name, (runs, wall)) in ["source", "server"].iter().zip(runs.iter().zip(wall)) {
        let cpu = median(runs.iter().map(|run| run.cpu).collect());
        let (wall, cpu) = (wall * 1e3, cpu * 1e3);
        println!("from {name}: {wall:.0} ms, {cpu:.0} ms of processor time");
    }
    let ratio = wall[1] / wall[0];
    println!("{ratio:.2} times the time from source (at most {MAX_RATIO})");
    if ratio > MAX_RATIO {
        bail!("that is too much");
    }
    Ok(())
}
