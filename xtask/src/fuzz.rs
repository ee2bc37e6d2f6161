//! `cargo xtask fuzz`

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::process::succeed;
use tests::workspace;

/// The targets in `tests/fuzz/targets`.
const TARGETS: [&str; 14] = [
    "schema",
    "wire",
    "session",
    "client",
    "introspection",
    "nbd-handshake",
    "nbd-requests",
    "vhost-user",
    "guest-memory",
    "vfio-user",
    "colo",
    "human-monitor",
    "options",
    "names",
];

/// Arguments of `fuzz`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// One target; all of them, one after the other, unless given.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(TARGETS))]
    target: Option<String>,
    /// How long, in seconds, for each target.
    #[arg(long, default_value_t = 300)]
    seconds: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(is_installed(), MISSING);
    match &args.target {
        Some(target) => fuzz(target, args.seconds),
        None => fuzz_all(args.seconds),
    }
}

/// What is said where fuzzing is not possible.
pub(crate) const MISSING: &str =
    "cargo-fuzz is not here (cargo install cargo-fuzz; rustup toolchain install nightly)";

/// Every target for a while.
pub(crate) fn fuzz_all(seconds: u64) -> Result<()> {
    TARGETS.iter().try_for_each(|target| fuzz(target, seconds))
}

fn cargo_fuzz() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz"]);
    command.current_dir(workspace());
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    command
}

pub(crate) fn is_installed() -> bool {
    let output = cargo_fuzz().arg("--version").output();
    output.is_ok_and(|output| output.status.success())
}

fn fuzz(target: &str, seconds: u64) -> Result<()> {
    println!("== fuzzing: {target}, {seconds} s");
    // What is found is kept from run to run.
    let corpus = workspace().join("target/fuzz/corpus").join(target);
    std::fs::create_dir_all(&corpus)
        .with_context(|| format!("cannot make {}", corpus.display()))?;
    let mut command = cargo_fuzz();
    command.args([
        "run",
        "--fuzz-dir",
        "tests/fuzz",
        "--target-dir",
        "target/fuzz",
    ]);
    command.arg(target).arg(corpus).args(seeds(target));
    command.arg("--").arg(format!("-max_total_time={seconds}"));
    // Larger input is the business of the tests of limits.
    command.args(["-max_len=4096", "-timeout=20", "-rss_limit_mb=4096"]);
    succeed(&mut command)
}

/// Folders with input to start from.
fn seeds(target: &str) -> Vec<PathBuf> {
    let folders: &[&str] = match target {
        "schema" => &[
            "qapi-gen/tests/corpus/good",
            "qapi-gen/tests/corpus/bad",
            "qapi-gen/tests/corpus/recovery",
        ],
        "introspection" => &["tests/fuzz/seeds/introspection"],
        "wire" | "session" | "client" => &["tests/fuzz/seeds/qmp"],
        "nbd-handshake" => &["tests/fuzz/seeds/nbd-handshake"],
        "nbd-requests" => &["tests/fuzz/seeds/nbd-requests"],
        "vhost-user" => &["tests/fuzz/seeds/vhost-user"],
        "vfio-user" => &["tests/fuzz/seeds/vfio-user"],
        "colo" => &["tests/fuzz/seeds/colo"],
        "guest-memory" => &["tests/fuzz/seeds/guest-memory"],
        "human-monitor" | "options" | "names" => &["tests/fuzz/seeds/text"],
        _ => &[],
    };
    folders
        .iter()
        .map(|folder| workspace().join(Path::new(folder)))
        .collect()
}
