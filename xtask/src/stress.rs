//! `cargo xtask stress`

use anyhow::Result;

use crate::process::{cargo, succeed};

/// Arguments of `stress`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long, in seconds.
    #[arg(long, default_value_t = 120)]
    pub(crate) seconds: u64,
}

/// Plugs and unplugs devices from many threads, which create and delete IOThreads meanwhile, and compares the holders
/// with what is alive.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut stress = cargo();
    stress.env("IOTHREAD_STRESS_SECONDS", args.seconds.to_string());
    stress.args([
        "test",
        "--package",
        "iothread",
        "--release",
        "--test",
        "stress",
    ]);
    succeed(&mut stress)
}
