//! `--on`: tests for a system that this machine is not, which something here stands in for.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Result, anyhow};

use super::programs::Job;
use super::steps::Steps;
use super::{builds, run_jobs};
use crate::toolchain::{Rustc, Toolchain, is_there};

/// A system that something stands in for.
struct System {
    target: &'static str,
    /// What is tested: arguments of cargo.
    what: &'static [&'static str],
    /// What links programs.
    linker: &'static str,
    /// What runs them, with its arguments.
    runner: &'static [&'static str],
}

const SYSTEMS: [System; 3] = [
    System {
        target: "x86_64-pc-windows-gnu",
        what: &["--package=qapi-runtime", "--lib"],
        linker: "x86_64-w64-mingw32-gcc",
        runner: &["wine"],
    },
    System {
        target: "s390x-unknown-linux-gnu",
        what: &["--package=qapi-runtime", "--lib"],
        linker: "s390x-linux-gnu-gcc",
        runner: &["qemu-s390x", "-L", "/usr/s390x-linux-gnu"],
    },
    System {
        target: "aarch64-unknown-linux-gnu",
        what: &["--package=qapi-runtime", "--lib"],
        linker: "aarch64-linux-gnu-gcc",
        runner: &["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"],
    },
];

/// The targets, for a help text.
pub(super) fn targets() -> [&'static str; SYSTEMS.len()] {
    SYSTEMS.each_ref().map(|system| system.target)
}

/// Builds and runs the tests of the system with this target. What is not here for it is told, and skipped.
pub(super) fn run(steps: &mut Steps, target: &str) -> Result<()> {
    let system = SYSTEMS.iter().find(|system| system.target == target);
    let system = system.ok_or_else(|| anyhow!("nothing stands in for {target}"))?;
    match system.cargo(&Rustc::ask()?) {
        Ok(cargo) => system.run(steps, cargo),
        Err(what) => steps.lack(&format!("{target}: {what} is not here")),
    }
    Ok(())
}

impl System {
    /// `cargo test` for it, or what is not here.
    fn cargo(&self, rustc: &Rustc) -> Result<Command, String> {
        let toolchain = Toolchain::find(&rustc.release, &rustc.host)?;
        let mut cargo = toolchain.cargo("test", Some(self.target))?;
        for program in [self.linker, self.runner[0]] {
            if !is_there(program) {
                return Err(program.to_owned());
            }
        }
        let variable = self.target.replace('-', "_").to_uppercase();
        cargo.env(format!("CARGO_TARGET_{variable}_LINKER"), self.linker);
        cargo.args(self.what);
        Ok(cargo)
    }

    fn run(&self, steps: &mut Steps, mut cargo: Command) {
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

    /// The same program, run by what stands in for the system.
    fn stand_in(&self, job: Job) -> Job {
        let mut command = Command::new(self.runner[0]);
        command.args(&self.runner[1..]);
        command.arg(job.command.get_program());
        command.args(["--skip", tests::LIVE]);
        if let Some(folder) = job.command.get_current_dir() {
            command.current_dir(folder);
        }
        let given = job.command.get_envs();
        command.envs(given.filter_map(|(name, value)| Some((name, value?))));
        // For the programs that tests start.
        let runner: Vec<OsString> = self.runner.iter().map(OsString::from).collect();
        command.env(tests::RUNNER, runner.join(" ".as_ref()));
        Job {
            title: job.title,
            command,
        }
    }
}
