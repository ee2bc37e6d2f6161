//! `--on`: tests for a system that this machine is not, which something here stands in for.

mod corpus;
mod linux;
mod malformed;
mod peers;
mod windows;
mod wine;

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Result, anyhow};
use tests::workspace;

use super::programs::Job;
use super::steps::Steps;
use super::{builds, run_jobs};
use crate::toolchain::{Rustc, Toolchain, is_there};

/// A system that something stands in for.
struct System {
    target: &'static str,
    /// What is tested: arguments of cargo.
    what: &'static [&'static str],
    /// What links programs, unless it comes with the compiler.
    linker: Option<&'static str>,
    /// What runs them, with its arguments. Files of ours are named from the top of the workspace.
    runner: &'static [&'static str],
    /// Builds for it with this command of cargo, and runs what is built.
    run: fn(&Self, &mut Steps, Command, Extent),
}

/// How much is tested.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// What takes minutes.
    Chosen,
    /// All that there is, with newer emulators too.
    All,
}

/// What runs without threads, processes and sockets.
const ALONE: &[&str] = &[
    "--package=qapi-gen",
    "--features=qapi-gen/cli",
    "--package=qapi-runtime",
    "--lib",
    "--test=library",
    "--test=cases",
    "--test=runtime",
];

const SYSTEMS: [System; 4] = [
    windows::SYSTEM,
    linux::S390X,
    linux::AARCH64,
    System {
        target: "wasm32-wasip1",
        what: ALONE,
        linker: None,
        runner: &["node", "--no-warnings", "xtask/src/test/wasi.mjs"],
        run: System::run_tests,
    },
];

/// The targets, for a help text.
pub(super) fn targets() -> [&'static str; SYSTEMS.len()] {
    SYSTEMS.each_ref().map(|system| system.target)
}

/// Builds and runs the tests of the system with this target. What is not here for it is told, and skipped.
pub(super) fn run(steps: &mut Steps, target: &str, extent: Extent) -> Result<()> {
    let system = SYSTEMS.iter().find(|system| system.target == target);
    let system = system.ok_or_else(|| anyhow!("nothing stands in for {target}"))?;
    match system.cargo(&Rustc::ask()?, "test") {
        Ok(mut cargo) => {
            cargo.args(system.what);
            (system.run)(system, steps, cargo, extent);
        }
        Err(what) => steps.lack_all(&format!("{target}: {what} is not here")),
    }
    Ok(())
}

impl System {
    /// `cargo COMMAND` for it, or what is not here.
    fn cargo(&self, rustc: &Rustc, command: &str) -> Result<Command, String> {
        let toolchain = Toolchain::find(&rustc.release, &rustc.host)?;
        let mut cargo = toolchain.cargo(command, Some(self.target))?;
        for program in self.linker.iter().chain(self.runner.first()) {
            if !is_there(program) {
                return Err((*program).to_owned());
            }
        }
        match self.linker {
            Some(linker) => {
                let variable = self.target.replace('-', "_").to_uppercase();
                cargo.env(format!("CARGO_TARGET_{variable}_LINKER"), linker);
            }
            None => toolchain.check_linker(&rustc.host, self.target)?,
        }
        Ok(cargo)
    }

    fn run_tests(&self, steps: &mut Steps, mut cargo: Command, _: Extent) {
        let mut artifacts = Vec::new();
        let is_built = steps.step(&format!("build for {}", self.target), || {
            artifacts = builds::build(cargo.arg("--no-run"))?;
            Ok(())
        });
        if is_built {
            let jobs = builds::programs(&artifacts);
            let jobs = jobs.into_iter().map(|job| self.stand_in(job)).collect();
            run_jobs(steps, jobs);
        }
    }

    /// Whether this package is tested there.
    fn has(&self, package: &str) -> bool {
        let mut packages = self.what.iter().map(|it| it.strip_prefix("--package="));
        packages.any(|it| it == Some(package))
    }

    /// What runs programs, wherever it is started.
    fn words(&self) -> Vec<OsString> {
        let top = workspace();
        let words = self.runner.iter().map(|word| {
            let file = top.join(word);
            match file.is_file() {
                true => file.into(),
                false => word.into(),
            }
        });
        words.collect()
    }

    /// The same program, run by what stands in for the system.
    fn stand_in(&self, job: Job) -> Job {
        let mut job = run_by(&self.words(), job);
        job.command.args(WITHOUT_PEERS);
        job
    }
}

/// Peers are programs of this machine, so tests with one are chosen by name, if at all.
const WITHOUT_PEERS: [&str; 2] = ["--skip", tests::LIVE];

/// The same program, run by `runner`.
fn run_by(runner: &[OsString], job: Job) -> Job {
    let mut command = Command::new(&runner[0]);
    command.args(&runner[1..]);
    command.arg(job.command.get_program());
    if let Some(folder) = job.command.get_current_dir() {
        command.current_dir(folder);
    }
    let given = job.command.get_envs();
    command.envs(given.filter_map(|(name, value)| Some((name, value?))));
    // For the programs that tests start.
    command.env(tests::RUNNER, runner.join(" ".as_ref()));
    Job {
        title: job.title,
        command,
    }
}
