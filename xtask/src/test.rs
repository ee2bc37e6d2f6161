//! `cargo xtask test`

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::codegen;
use crate::fuzz;
use crate::process::{build_tests, cargo, run_looking, succeed};
use crate::stress;
use tests::workspace;

/// Arguments of `test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Do what takes longer as well: every interleaving of the models, Miri, minutes of stress, a while of fuzzing, more
    /// sets of conditions, builds of QEMU's schemas in every mode, and round trips of each of their types.
    #[arg(long)]
    full: bool,
}

/// The release of qemu.qmp that the tests drive.
const QEMU_QMP: &str = "qemu.qmp==0.0.6";

/// How long each fuzz target runs in the full check.
const FUZZ_SECONDS: u64 = 20;

/// The packages that look at manuals: HTML, Markdown, accessibility.
const NPM: [&str; 3] = [
    "html-validate@10.17.0",
    "markdownlint-cli2@0.22.1",
    "axe-core@4.14.1",
];

/// What the test programs counted.
#[derive(Default)]
struct Totals {
    passed: usize,
    failed: usize,
    /// Tests that the test program did not run.
    ignored: usize,
    /// Lines of tests that lack a tool: each is of one that was ignored, or of one that ended at once and counts as
    /// passed, as there is no other way to end in Rust's own harness.
    skipped: usize,
}

impl Totals {
    /// Takes what a line of a test program says.
    fn look(&mut self, line: &str) {
        if line.starts_with("skipped: ") {
            self.skipped += 1;
        }
        let Some(counts) = line.strip_prefix("test result: ") else {
            return;
        };
        let words: Vec<&str> = counts
            .split([' ', ';'])
            .filter(|word| !word.is_empty())
            .collect();
        for pair in words.windows(2) {
            let Ok(count) = pair[0].parse::<usize>() else {
                continue;
            };
            match pair[1] {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }

    /// Notes a check that lacks a tool.
    fn skip(&mut self, tool: &str) {
        println!("skipped: {tool}");
        self.skipped += 1;
        self.ignored += 1;
    }

    /// The tests that passed without those that only said what they lack.
    fn passed_for_real(&self) -> usize {
        self.passed - self.skipped.saturating_sub(self.ignored).min(self.passed)
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let start = Instant::now();
    let mut problems = Vec::new();
    let mut step = |title: &str, result: Result<()>| {
        if let Err(error) = result {
            eprintln!("xtask: {title}: {error:#}");
            problems.push(title.to_owned());
        }
    };

    println!("== formatting");
    step(
        "formatting",
        succeed(cargo().args(["fmt", "--all", "--check"])),
    );

    println!("== generated code");
    step("generated code", codegen::check());

    println!("== lints");
    let mut clippy = cargo();
    clippy.args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--all-features",
    ]);
    step("lints", succeed(clippy.args(["--", "--deny", "warnings"])));

    println!("== build");
    let iothreadd = build_tests("iothreadd")?;

    println!("== tests");
    let mut totals = Totals::default();
    let mut tests = cargo();
    tests.args(["test", "--workspace", "--all-features", "--no-fail-fast"]);
    tests.env("IOTHREADD", iothreadd);
    // The lines of tests that skip would be swallowed.
    tests.env("RUST_TEST_NOCAPTURE", "1");
    if args.full {
        tests.env("QAPI_FULL", "1");
    }
    match prepare_python() {
        Ok(python) => {
            tests.env("QMP_PYTHON", python);
        }
        Err(error) => println!("the tests that need qemu.qmp will skip: {error:#}"),
    }
    match fetch_qapi_rs() {
        Ok(()) => match build_qapi_rs() {
            Ok(client) => {
                tests.env("QAPI_RS_CLIENT", client);
            }
            Err(error) => step("the client of the crate qapi", Err(error)),
        },
        Err(error) => println!("the test that needs the crate qapi will skip: {error:#}"),
    }
    match prepare_npm() {
        Ok(modules) => {
            tests.env("QAPI_NPM", modules);
        }
        Err(error) => println!("the tests that need npm's validators will skip: {error:#}"),
    }
    let passed = run_looking(&mut tests, |line| totals.look(line))?;
    step(
        "tests",
        passed.then_some(()).context("some have not passed"),
    );

    if args.full {
        for LongCheck { title, tool, run } in LONG_CHECKS {
            match tool {
                Some(tool) if !(tool.is_here)() => totals.skip(tool.name),
                _ => step(title, run()),
            }
        }
    }

    println!("== done in {} s", start.elapsed().as_secs());
    if !problems.is_empty() {
        println!("failed: {}", problems.join(", "));
    }
    let Totals {
        failed, skipped, ..
    } = totals;
    let passed = totals.passed_for_real();
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if !problems.is_empty() || passed == 0 {
        bail!("not everything is well");
    }
    Ok(())
}

/// A folder under target/ that has the packages of [`NPM`]; gives its `node_modules`.
fn prepare_npm() -> Result<std::path::PathBuf> {
    let folder = workspace().join("target/npm");
    let modules = folder.join("node_modules");
    // The last thing that is written says which packages there are.
    let mark = folder.join("installed");
    let wanted = NPM.join("\n");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(modules);
    }
    std::fs::create_dir_all(&folder)?;
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--no-save",
        "--no-audit",
        "--no-fund",
        "--silent",
    ]);
    npm.arg("--prefix").arg(&folder).args(NPM);
    succeed(npm.args(["--fetch-retries", "1", "--fetch-timeout", "20000"]))?;
    std::fs::write(&mark, wanted)?;
    Ok(modules)
}

/// A virtual environment under target/ that has qemu.qmp; gives its interpreter.
fn prepare_python() -> Result<std::path::PathBuf> {
    let folder = workspace().join("target/python");
    let python = folder.join("bin/python");
    let has_qmp = |python: &std::path::Path| {
        let mut probe = Command::new(python);
        probe
            .args(["-c", "import qemu.qmp"])
            .stderr(std::process::Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    };
    if !has_qmp(&python) {
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut pip = Command::new(&python);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        succeed(pip.args(["--retries", "1", "--timeout", "20", QEMU_QMP]))?;
    }
    Ok(python)
}

/// `cargo` on the client of the crate `qapi`, which is a workspace of its own: its dependencies are nobody else's.
fn on_qapi_rs(command: &str) -> Command {
    let mut cargo = cargo();
    cargo.env("CARGO_TARGET_DIR", workspace().join("target/qapi-rs"));
    cargo.env("CARGO_NET_RETRY", "1");
    cargo.args([command, "--quiet", "--locked"]);
    cargo.args([
        "--manifest-path",
        "iothread/iothreadd/tests/clients/qapi-rs/Cargo.toml",
    ]);
    cargo
}

/// Fails where there is no network, and they were not fetched before.
fn fetch_qapi_rs() -> Result<()> {
    succeed(&mut on_qapi_rs("fetch"))
}

fn build_qapi_rs() -> Result<std::path::PathBuf> {
    succeed(&mut on_qapi_rs("build"))?;
    Ok(workspace().join("target/qapi-rs/debug/qapi-rs-client"))
}

/// What takes minutes. Each check prints what it looks at.
struct LongCheck {
    title: &'static str,
    /// What it needs and may not find.
    tool: Option<Tool>,
    run: fn() -> Result<()>,
}

struct Tool {
    name: &'static str,
    is_here: fn() -> bool,
}

const LONG_CHECKS: [LongCheck; 4] = [
    LongCheck {
        title: "models",
        tool: None,
        run: models,
    },
    LongCheck {
        title: "stress",
        tool: None,
        run: stress,
    },
    LongCheck {
        title: "Miri",
        tool: Some(Tool {
            name: "Miri is not here (rustup +nightly component add miri rust-src)",
            is_here: has_miri,
        }),
        run: miri,
    },
    LongCheck {
        title: "fuzzing",
        tool: Some(Tool {
            name: fuzz::MISSING,
            is_here: fuzz::is_installed,
        }),
        run: || fuzz::fuzz_all(FUZZ_SECONDS),
    },
];

/// Every interleaving of the models.
fn models() -> Result<()> {
    println!("== models");
    let mut models = cargo();
    models
        .env("RUSTFLAGS", "--cfg loom")
        .env("CARGO_TARGET_DIR", workspace().join("target/loom"));
    models.args(["test", "--package", "iothread", "--lib", "--release"]);
    succeed(models.arg("models"))
}

/// Devices plugged and unplugged by many threads.
fn stress() -> Result<()> {
    println!("== stress");
    stress::run(&stress::Args { seconds: 120 })
}

/// `cargo miri`, which only a nightly toolchain has.
fn cargo_miri() -> Command {
    let mut rustup = Command::new("rustup");
    rustup.args(["run", "nightly", "cargo", "miri"]);
    rustup.current_dir(workspace());
    rustup.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    rustup
}

fn has_miri() -> bool {
    let version = cargo_miri().arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

/// Miri over the code without system calls.
fn miri() -> Result<()> {
    println!("== Miri");
    let mut miri = cargo_miri();
    miri.args(["test", "--package", "iothread", "--lib"]);
    succeed(miri.env("MIRIFLAGS", "-Zmiri-disable-isolation"))
}
