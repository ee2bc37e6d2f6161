//! `cargo xtask load`

use anyhow::Result;

use crate::process::{build_release, cargo, succeed};

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
    load.env(
        "IOTHREADD",
        build_release("iothread", "iothreadd", "iothreadd")?,
    );
    load.env("QMP_SAMPLE", build_release("tests", "", "qmp-sample")?);
    load.args(["run", "--quiet", "--release", "--package", "tests"]);
    load.args(["--bin", "qmp-load", "--"]);
    succeed(
        load.arg(args.clients.to_string())
            .arg(args.commands.to_string()),
    )
}
