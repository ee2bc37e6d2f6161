//! `cargo xtask load`

use anyhow::Result;

use crate::process::{IOTHREADD, QMP_SAMPLE, cargo, succeed};

/// Arguments of `load`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many clients are connected at once.
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// How many commands they send in all.
    #[arg(long, default_value_t = 1_000_000)]
    commands: u64,
}

/// Loads `iothreadd` and the server on tokio, one after the other; every reply is checked.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut load = cargo();
    load.env("IOTHREADD", IOTHREADD.build_release()?);
    load.env("QMP_SAMPLE", QMP_SAMPLE.build_release()?);
    load.args(["run", "--quiet", "--release", "--package", "tests"]);
    load.args(["--features", "load", "--bin", "qmp-load", "--"]);
    succeed(
        load.arg(args.clients.to_string())
            .arg(args.commands.to_string()),
    )
}
