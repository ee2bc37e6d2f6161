//! `targets`: whether what is to be portable compiles for other systems, and all with the oldest compiler, and each package by
//! itself and as others get it.
//!
//! Uses toolchains under target/rustup/toolchains/, which `.ci/run` prepares. Those of the machine stay as they are.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use tests::workspace;

use crate::alone;
use crate::process::succeed;

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

/// What Linux has: all programs and all features. With 32 bits the daemon only says what it needs.
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

/// What other systems have: the same, and what is empty there, or says that it needs Linux.
const PORTABLE: &[&str] = &[
    "--package=qapi-gen",
    "--features=qapi-gen/cli",
    "--package=qapi-runtime",
    "--package=iothread",
    "--features=iothread/async,iothread/tracing",
    "--package=iothread-qapi",
    "--features=iothread-qapi/iothread",
    "--package=iothread-testing",
    "--package=iothreadd",
];

/// Targets, beside the machine's own.
const TARGETS: [(&str, &[&str]); 6] = [
    ("x86_64-pc-windows-gnu", PORTABLE),
    ("aarch64-apple-darwin", PORTABLE),
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
        let name = format!("{}-{host}", self.rust);
        let toolchain = workspace().join("target/rustup/toolchains").join(name);
        let (bin, rustlib) = (toolchain.join("bin"), toolchain.join("lib/rustlib"));
        if !bin.join("cargo").exists() {
            return Err(format!("Rust {}", self.rust));
        }
        let mut command = Command::new(bin.join("cargo"));
        command.current_dir(workspace());
        command.args(["check", "--quiet", "--locked"]);
        command.args(self.what);
        command
            .env("CARGO_TARGET_DIR", workspace().join("target/targets"))
            .env("RUSTC", bin.join("rustc"))
            // The libraries of the compiler that runs otherwise, whose standard library this one would take.
            .env_remove("LD_LIBRARY_PATH")
            .env("RUSTFLAGS", "--deny warnings");
        if let Some(target) = self.target {
            command.args(["--target", target]);
            if !rustlib.join(target).exists() {
                if !rustlib.join("src/rust/library").exists() {
                    return Err("its standard library".to_owned());
                }
                // Programs for WebAssembly do not unwind.
                command.arg("-Zbuild-std=std,panic_abort");
                command.env("RUSTC_BOOTSTRAP", "1");
            }
            if target.starts_with("aarch64") {
                // For assembler files of dependencies, which the machine's own compiler does not know.
                if !is_there("clang") {
                    return Err("clang".to_owned());
                }
                command.env(format!("CC_{}", target.replace('-', "_")), "clang");
            }
            // Says which libraries of Windows have which functions.
            let dlltool = "x86_64-w64-mingw32-dlltool";
            if target.ends_with("windows-gnu") && !is_there(dlltool) {
                return Err(dlltool.to_owned());
            }
        }
        Ok(command)
    }
}

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The compiler that runs otherwise.
struct Rustc {
    release: String,
    host: String,
}

impl Rustc {
    fn ask() -> Result<Self> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(rustc).arg("-vV").output();
        let output = output.context("cannot start rustc")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::to_owned)
                .with_context(|| format!("rustc tells no '{name}'"))
        };
        Ok(Self {
            release: field("release: ")?,
            host: field("host: ")?,
        })
    }
}
