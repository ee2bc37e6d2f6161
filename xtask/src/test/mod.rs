//! `cargo xtask test`

mod long;
mod output;
mod steps;
mod tools;

use std::num::NonZero;
use std::process::Command;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use self::output::Totals;
use self::steps::Steps;
use crate::process::{cargo, run_looking, succeed};
use crate::{api, codegen};

/// Arguments of `test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run the tests that need a peer, and nothing else: QEMU and its tools, browsers, npm, Python, clients in other
    /// languages.
    #[arg(long)]
    live: bool,
    /// Run everything, and what takes longer as well: every interleaving of the models, Miri, minutes of stress, a while
    /// of fuzzing, more sets of conditions, builds of QEMU's schemas in every mode, and round trips of each of their
    /// types.
    #[arg(long, conflicts_with = "live")]
    full: bool,
    /// Fail if anything skips.
    #[arg(long)]
    complete: bool,
}

/// Which tests.
#[derive(Clone, Copy)]
enum Choice {
    /// Those that need nothing but cargo.
    Own,
    /// Those that need a peer.
    Live,
    All,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let choice = match args {
        Args { full: true, .. } => Choice::All,
        Args { live: true, .. } => Choice::Live,
        Args { .. } => Choice::Own,
    };
    let mut steps = Steps::new();
    if matches!(choice, Choice::Own | Choice::All) {
        steps.step("formatting", || {
            succeed(cargo().args(["fmt", "--all", "--check"]))
        });
        steps.step("generated code", codegen::check);
        steps.step("public interfaces", api::check);
        steps.step("one build", is_one_build);
    }
    let is_built = steps.step("build", || {
        // Benches and examples are only looked at by the lints.
        succeed(tests_of_workspace().args(["--no-run", "--quiet"]))
    });
    thread::scope(|scope| {
        // Most tests wait, so the lints are no time on top of them. They begin when cargo has built the tests and lets go
        // of the folder.
        let mut linting = None;
        let lint = || {
            let start = Instant::now();
            (lints(), start.elapsed())
        };
        let wants_lints = matches!(choice, Choice::Own | Choice::All);
        if is_built {
            run_tests(&mut steps, choice, || {
                if wants_lints && linting.is_none() {
                    linting = Some(scope.spawn(lint));
                }
            });
        }
        if wants_lints {
            let linting = linting.unwrap_or_else(|| scope.spawn(lint));
            let (result, duration) = linting.join().expect("it does not panic");
            steps.record("lints", result, duration);
        }
    });
    if args.full {
        long::run(&mut steps);
    }
    if args.complete {
        steps.refuse_skips();
    }
    ensure!(steps.finish(), "not everything is well");
    Ok(())
}

/// All tests with all features, so that what they have in common is compiled once.
fn tests_of_workspace() -> Command {
    let mut tests = cargo();
    tests.args(["test", "--workspace", "--all-features", "--no-fail-fast"]);
    tests
}

/// Calls `begun` for each program that begins.
fn run_tests(steps: &mut Steps, choice: Choice, mut begun: impl FnMut()) {
    let mut tests = tests_of_workspace();
    // The lines of tests that skip would be swallowed.
    tests.env("RUST_TEST_NOCAPTURE", "1");
    // Most tests wait for processes and time-outs.
    let n_cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    tests.env("RUST_TEST_THREADS", (4 * n_cores).to_string());
    match choice {
        Choice::Own => {
            tests.args(["--", "--skip", tests::LIVE]);
        }
        Choice::Live => {
            tools::prepare(steps, &mut tests);
            // Documentation has no live examples.
            tests.args(["--tests", "--", tests::LIVE]);
        }
        Choice::All => {
            tools::prepare(steps, &mut tests);
            tests.env("QAPI_FULL", "1");
        }
    }
    let mut totals = Totals::default();
    steps.step("tests", || {
        let has_passed = run_looking(&mut tests, |line| {
            if line.trim_start().starts_with("Running ") {
                begun();
            }
            totals.look(line);
        })?;
        if has_passed && !totals.panics().is_empty() {
            bail!(
                "tests passed although something panicked that they did not announce:\n{}",
                totals.panics().join("\n")
            );
        }
        has_passed.then_some(()).context("some have not passed")
    });
    steps.take(totals);
}

fn lints() -> Result<()> {
    let mut clippy = cargo();
    clippy.args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--all-features",
    ]);
    clippy.args(["--", "--deny", "warnings"]);
    // Its lines would be among those of the tests.
    let output = clippy.output().context("cargo does not start")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}\n{text}", output.status);
    Ok(())
}

/// Whether this program is built of what the tests are built of, with the same features: what is not is compiled twice.
fn is_one_build() -> Result<()> {
    let packages = |what: &[&str]| -> Result<Vec<String>> {
        let mut tree = cargo();
        tree.args(["tree", "--prefix", "none", "--no-dedupe"]);
        tree.args(["--format", "{p} {f}"]).args(what);
        let output = tree.output().context("cargo does not start")?;
        ensure!(output.status.success(), "cargo tree: {}", output.status);
        let text = String::from_utf8(output.stdout).context("cargo printed no UTF-8")?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    let own = packages(&["--package", "xtask", "--edges", "normal,build"])?;
    let all = packages(&["--workspace", "--all-features", "--edges", "all"])?;
    let mut twice: Vec<String> = own.into_iter().filter(|it| !all.contains(it)).collect();
    twice.sort_unstable();
    twice.dedup();
    ensure!(
        twice.is_empty(),
        "compiled twice, add the features that the tests have to xtask/Cargo.toml: {}",
        twice.join(", ")
    );
    Ok(())
}
