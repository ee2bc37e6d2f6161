//! `cargo xtask bench`: figures, each measured beside its baseline in one run.

mod build;
mod command;
mod compat;
mod generate;
mod measure;
mod metrics;
mod nbd;
mod shapes;
mod told;
mod top;

use anyhow::Result;
use clap::Subcommand;

use crate::process::{IOTHREADD, QMP, QMP_SAMPLE, cargo, succeed};

/// Arguments of `bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    subject: Subject,
}

/// What can be measured.
#[derive(Subcommand)]
enum Subject {
    /// Holders, wake-ups and dispatch of IOThreads; fails if a figure misses its limit.
    Iothread {
        /// Only the figures whose name contains this.
        figure: Option<String>,
    },
    /// Round trips, pipelining and introspection over a unix socket, beside a bare echo server and QEMU, and calls through the
    /// clients beside serde_json by hand, and what `qmp record` adds beside a bare splice; fails if a figure misses its limit.
    Qmp,
    /// `qmp` as scripts and people meet it: from its start to an answer of QEMU, beside socat, and from Tab to what it completes,
    /// beside qmp-shell; fails if it takes 15 ms beside QEMU's own time, or 20 ms.
    Command(command::Args),
    /// Requests a second over NBD, beside qemu-storage-daemon; fails if a figure is below its.
    Nbd {
        /// How many runs of each make a figure.
        #[arg(long, default_value_t = 9)]
        rounds: usize,
    },
    /// `qapi-gen generate` beside the reference's generator.
    Generate(generate::Args),
    /// A client generated from a running QEMU beside the one from its source; fails if it takes 1.5 times as long.
    Told(told::Args),
    /// Schemas of every shape at n, 2n and 4n: processor time and memory of each command of `qapi-gen`; fails if one grows
    /// faster than its schema.
    Shapes(shapes::Args),
    /// Processor time of a request to `iothreadd` with and without metrics that are scraped each second; fails if they cost more
    /// than noise and 3 %.
    Metrics {
        /// How many runs of each make a figure.
        #[arg(long, default_value_t = 9)]
        rounds: usize,
    },
    /// Processor time of `iothread-top` and its exporter while they watch many guests, and how long another client waits
    /// for its turn at a monitor that both watch; fails if it is 5 % or more, or a second.
    Top(top::Args),
    /// `qapi-gen compat` of a log of 10 MiB over four versions, beside a program that only reads its JSON; fails if it takes more than a
    /// second of processor time.
    Compat(compat::Args),
    /// A clean build of the code generated from QEMU's schema, beside the crate qapi-qmp.
    Build(build::Args),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.subject {
        Subject::Iothread { figure } => iothread(figure.as_deref()),
        Subject::Qmp => qmp(),
        Subject::Command(args) => command::run(args),
        Subject::Nbd { rounds } => nbd::run(*rounds),
        Subject::Metrics { rounds } => metrics::run(*rounds),
        Subject::Generate(args) => generate::run(args),
        Subject::Build(args) => build::run(args),
        Subject::Compat(args) => compat::run(args),
        Subject::Shapes(args) => shapes::run(args),
        Subject::Told(args) => told::run(args),
        Subject::Top(args) => top::run(args),
    }
}

fn iothread(figure: Option<&str>) -> Result<()> {
    let mut bench = cargo();
    bench.args(["bench", "--package", "iothread", "--bench", "figures", "--"]);
    succeed(bench.args(figure))
}

fn qmp() -> Result<()> {
    let mut bench = cargo();
    bench.env("IOTHREADD", IOTHREADD.build_release()?);
    bench.env("QMP", QMP.build_release()?);
    bench.env("QMP_SAMPLE", QMP_SAMPLE.build_release()?);
    succeed(bench.args([
        "bench",
        "--package",
        "tests",
        "--features",
        "load",
        "--bench",
        "qmp",
    ]))
}
