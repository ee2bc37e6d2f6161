//! `cargo xtask bench`: figures, each measured beside its baseline in one run.

use anyhow::Result;
use clap::Subcommand;

use crate::process::{cargo, succeed};

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
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.subject {
        Subject::Iothread { figure } => iothread(figure.as_deref()),
    }
}

fn iothread(figure: Option<&str>) -> Result<()> {
    let mut bench = cargo();
    bench.args(["bench", "--package", "iothread", "--bench", "figures", "--"]);
    succeed(bench.args(figure))
}
