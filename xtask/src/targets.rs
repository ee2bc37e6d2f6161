//! `targets`: whether what is to be portable compiles for other systems, and all with the oldest compiler, and each package by
//! itself and as others get it.

use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::alone;
use crate::process::succeed;
use crate::toolchain::{Rustc, Toolchain};

/// Arguments of `targets`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fail if a compiler, or the standard library of a target, is not here.
    #[arg(long)]
    complete: bool,
    /// Check for other systems only: not with the oldest compiler, not feature by feature, and no packages.
    #[arg(long)]
    other_systems: bool,
}

/// All programs and all features. Where there is no Linux, some are empty, or say that they need it; so does the daemon with 32
/// bits.
const EVERYTHING: &[&str] = &[
    "--all-features",
    "--package=qapi-gen",
    "--package=qapi-runtime",
    "--package=iothread",
    "--package=iothread-qapi",
    "--package=iothread-testing",
    "--package=iothreadd",
    "--package=iothread-top",
    "--package=iothread-metrics",
    "--package=qmp",
];

/// What has to compile anywhere: the compiler with its command line, and the runtime without I/O.
const BARE: &[&str] = &[
    "--package=qapi-gen",
    "--features=qapi-gen/cli",
    "--package=qapi-runtime",
];

/// The tasks of this workspace.
const TASKS: &[&str] = &["--package=xtask", "--example=xtask"];

/// Targets, beside the machine's own.
const TARGETS: [(&str, &[&str]); 8] = [
    ("x86_64-pc-windows-gnu", EVERYTHING),
    ("x86_64-pc-windows-gnu", TASKS),
    ("aarch64-apple-darwin", EVERYTHING),
    ("aarch64-apple-darwin", TASKS),
    ("wasm32-wasip1", BARE),
    ("aarch64-unknown-linux-gnu", EVERYTHING),
    ("s390x-unknown-linux-gnu", EVERYTHING),
    ("armv7-unknown-linux-gnueabihf", EVERYTHING),
];

/// One run of `cargo check`.
struct Check {
    /// The version of the compiler.
    rust: String,
    /// Unless it is the machine's own.
    target: Option<&'static str>,
    what: &'static [&'static str],
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let oldest = format!("{}.0", env!("CARGO_PKG_RUST_VERSION"));
    let rustc = Rustc::ask()?;
    let mut checks = Vec::new();
    if !args.other_systems {
        checks.push(Check {
            rust: oldest,
            target: None,
            what: EVERYTHING,
        });
    }
    checks.extend(TARGETS.map(|(target, what)| Check {
        rust: rustc.release.clone(),
        target: Some(target),
        what,
    }));
    let mut n_lacking = 0_usize;
    for check in &checks {
        let target = check.target.unwrap_or("this machine");
        println!("== Rust {} for {target}", check.rust);
        match check.command(&rustc.host) {
            Ok(mut command) => {
                let start = Instant::now();
                succeed(&mut command)?;
                println!("{:.0} s", start.elapsed().as_secs_f64());
            }
            Err(what) => {
                println!("skipped: {target}: {what} is not here");
                n_lacking += 1;
            }
        }
    }
    ensure!(
        !args.complete || n_lacking == 0,
        "{n_lacking} could not be checked"
    );
    match args.other_systems {
        true => Ok(()),
        false => alone::check(),
    }
}

impl Check {
    /// The command, or what it lacks.
    fn command(&self, host: &str) -> Result<Command, String> {
        let mut command = Toolchain::find(&self.rust, host)?.cargo("check", self.target)?;
        command.arg("--quiet").args(self.what);
        Ok(command)
    }
}
