//! `cargo xtask test`

mod builds;
mod long;
#[cfg(target_os = "linux")]
mod on;
mod output;
mod programs;
mod steps;
mod tools;

use std::num::NonZero;
use std::process::Command;

use anyhow::{Result, ensure};

use self::output::Totals;
use self::programs::Job;
use self::steps::Steps;
use crate::process::{self, cargo};
use crate::{api, codegen};

/// Arguments of `test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run the tests that need a peer, and nothing else: QEMU and its tools, browsers, npm, Python, clients in other
    /// languages; and those that compile clients of many versions.
    #[arg(long)]
    live: bool,
    /// Run everything, and what takes longer as well: every interleaving of the models, Miri, minutes of stress, a while
    /// of fuzzing, more sets of conditions, builds of QEMU's schemas in every mode, and round trips of each of their
    /// types.
    #[arg(long, conflicts_with = "live")]
    full: bool,
    /// Run the tests for another system, which is emulated here.
    #[cfg(target_os = "linux")]
    #[arg(long, value_name = "TARGET", value_parser = on::targets(), conflicts_with = "live")]
    on: Option<String>,
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
    let mut steps = Steps::new();
    #[cfg(target_os = "linux")]
    match &args.on {
        Some(target) => {
            let extent = match args.full {
                true => on::Extent::All,
                false => on::Extent::Chosen,
            };
            on::run(&mut steps, target, extent)?;
        }
        None => run_here(&mut steps, args),
    }
    #[cfg(not(target_os = "linux"))]
    run_here(&mut steps, args);
    if args.complete {
        steps.refuse_skips();
    }
    ensure!(steps.finish(), "not everything is well");
    Ok(())
}

/// Runs what runs on this machine.
fn run_here(steps: &mut Steps, args: &Args) {
    let choice = match args {
        Args { full: true, .. } => Choice::All,
        Args { live: true, .. } => Choice::Live,
        Args { .. } => Choice::Own,
    };
    if matches!(choice, Choice::Own | Choice::All) {
        steps.step("generated code", codegen::check);
        steps.step("public interfaces", api::check);
    }
    run_tests(steps, choice);
    if args.full {
        long::run(steps);
    }
}

/// `cargo COMMAND` on the whole workspace with all features, so that what everything has in common is compiled once.
fn on_workspace(command: &str) -> Command {
    let mut cargo = cargo();
    cargo.args([command, "--workspace", "--all-features"]);
    cargo
}

/// What is tested where there is no Linux: the packages that are of use there, and those of their tests that do not need it.
const ELSEWHERE: &[&str] = &[
    "--package=qapi-gen",
    "--package=qapi-runtime",
    "--package=qmp",
    "--package=iothread-top",
    "--all-features",
    "--lib",
    "--bins",
    "--test=library",
    "--test=cases",
    "--test=runtime",
    "--test=apart",
];

/// What of such a list says which packages are tested, with which features.
fn packages(what: &'static [&'static str]) -> impl Iterator<Item = &'static str> {
    let starts = ["--package", "--features", "--all-features"];
    let is_package = move |it: &&str| starts.iter().any(|start| it.starts_with(start));
    what.iter().copied().filter(is_package)
}

/// All tests that are programs.
fn programs_of_tests() -> Command {
    if cfg!(target_os = "linux") {
        let mut tests = on_workspace("test");
        tests.arg("--tests");
        return tests;
    }
    let mut tests = cargo();
    tests.arg("test").args(ELSEWHERE);
    tests
}

fn run_tests(steps: &mut Steps, choice: Choice) {
    let mut artifacts = Vec::new();
    let is_built = steps.step("build", || {
        // Benches, and examples that are no tests, are only looked at by `cargo xtask lint`.
        artifacts = builds::build(programs_of_tests().arg("--no-run"))?;
        Ok(())
    });
    if !is_built {
        return;
    }
    // What has features for that in `Cargo.toml` is there on Linux only.
    if cfg!(target_os = "linux") && matches!(choice, Choice::Own | Choice::All) {
        steps.step("one build", || {
            let mut own = cargo();
            let own =
                builds::build(own.args(["build", "--package", "xtask", "--example", "xtask"]))?;
            builds::check_shared(&own, &artifacts)
        });
    }
    let mut programs = builds::programs(&artifacts);
    // What tests find in their environment.
    let mut environment = Command::new("env");
    let arguments: &[&str] = match choice {
        Choice::Own => &["--skip", tests::LIVE],
        Choice::Live => &[tests::LIVE],
        Choice::All => &[],
    };
    if matches!(choice, Choice::Live | Choice::All) {
        tools::prepare(steps, &mut environment);
    }
    if matches!(choice, Choice::All) {
        environment.env("QAPI_FULL", "1");
    }
    for Job { command, .. } in &mut programs {
        command.args(arguments);
    }
    let mut jobs = programs;
    if matches!(choice, Choice::Own | Choice::All) {
        jobs.push(doc_tests());
    }
    for Job { command, .. } in &mut jobs {
        command.envs(
            environment
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    }
    run_jobs(steps, jobs);
}

/// Runs programs of tests side by side.
fn run_jobs(steps: &mut Steps, mut jobs: Vec<Job>) {
    // Most tests wait for processes and time-outs.
    let n_cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let n_threads = (4 * n_cores).to_string();
    for Job { command, .. } in &mut jobs {
        process::without_incremental(command);
        command.env("RUST_TEST_THREADS", &n_threads);
        // The lines of tests that skip would be swallowed.
        command.env("RUST_TEST_NOCAPTURE", "1");
    }
    let mut totals = Totals::default();
    steps.step("tests", || {
        let mut failed = Vec::new();
        programs::run(jobs, programs::lanes(), |done| {
            totals.take(&done);
            println!("== {}\n{}", done.title, done.text);
            if !done.has_succeeded {
                failed.push(done.title);
            }
        })?;
        ensure!(failed.is_empty(), "failed:\n{}", failed.join("\n"));
        ensure!(
            totals.panics().is_empty(),
            "tests passed although something panicked that they did not announce:\n{}",
            totals.panics().join("\n")
        );
        Ok(())
    });
    steps.take(totals);
}

fn doc_tests() -> Job {
    let mut command = on_workspace("test");
    if cfg!(not(target_os = "linux")) {
        command = cargo();
        command.arg("test").args(packages(ELSEWHERE));
    }
    command.args(["--no-fail-fast", "--doc", "--quiet"]);
    Job {
        title: "doc tests".to_owned(),
        command,
    }
}
