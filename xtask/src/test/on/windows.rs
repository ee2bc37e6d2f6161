//! Windows, for which Wine stands in.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Error, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tests::{PATIENCE, Tool, comes_true};

use super::super::programs::Job;
use super::super::steps::Steps;
use super::super::{ELSEWHERE, builds, on_workspace, packages, run_jobs};
use super::wine::{COMPILER, Wine};
use super::{Extent, System, corpus, peers};
use crate::process::succeed;
use crate::toolchain::Rustc;

pub(super) const SYSTEM: System = System {
    target: "x86_64-pc-windows-gnu",
    what: ELSEWHERE,
    linker: Some(COMPILER),
    runner: &["wine"],
    run,
};

/// The program of tests that has some in which clients drive a QEMU, and their names.
const RUNTIME: &str = "tests/runtime/";
const OF_QEMU: &str = "systems::live";
const QEMU: Tool = Tool::Program("qemu-system-x86_64");

/// The program of tests that has servers and mocks in processes of their own.
const APART: &str = "tests/apart.rs";

/// Programs that no test here starts. With a test among what is built, they are built of what the tests are built of.
const PROGRAMS: [&str; 2] = ["--bins", "--test=apart"];

/// The tasks of this workspace, which are built of other things.
const TASKS: [&str; 2] = ["--package=xtask", "--example=xtask"];

fn run(system: &System, steps: &mut Steps, mut cargo: Command, extent: Extent) {
    let mut artifacts = Vec::new();
    let is_built = steps.step(&format!("build for {}", system.target), || {
        artifacts = builds::build(cargo.arg("--no-run"))?;
        let mut cargo = system.cargo(&Rustc::ask()?, "build").map_err(Error::msg)?;
        let programs = builds::build(cargo.args(packages(system.what)).args(PROGRAMS))?;
        artifacts.extend(programs.into_iter().filter(|it| !it.is_test()));
        let mut cargo = system.cargo(&Rustc::ask()?, "build").map_err(Error::msg)?;
        artifacts.extend(builds::build(cargo.args(TASKS))?);
        Ok(())
    });
    let mut wine = None;
    let is_up = is_built
        && steps.step("Wine", || {
            wine = Some(Wine::start()?);
            Ok(())
        });
    if let (true, Some(wine)) = (is_up, wine) {
        run_in(&wine, system, steps, &artifacts, extent);
    }
}

fn run_in(
    wine: &Wine,
    system: &System,
    steps: &mut Steps,
    artifacts: &[builds::Artifact],
    extent: Extent,
) {
    let programs = || builds::programs(artifacts).into_iter();
    let own = programs().map(|job| wine.stand_in(system.stand_in(job)));
    let mut jobs: Vec<Job> = own.collect();
    match QEMU.find() {
        Some(qemu) => jobs.extend(
            programs()
                .filter(|job| job.title.starts_with(RUNTIME))
                .map(|job| wine.with_program(&job, &qemu, OF_QEMU)),
        ),
        None => steps.lack("clients of QEMU: qemu-system-x86_64 is not here"),
    }
    steps.step("build clients of this system", || {
        jobs.push(serve_here(wine, artifacts)?);
        Ok(())
    });
    run_jobs(steps, jobs);
    steps.step("an end by Ctrl+C", || interrupt(wine, artifacts));
    steps.step("generated code", || {
        let mut check = wine.program(&builds::program(artifacts, "xtask")?);
        succeed(check.args(["codegen", "--check"]))
    });
    if let Some(qemu) = QEMU.find() {
        let mut n_compared = 0;
        steps.step(
            "what qmp and iothread-top say is what they say here",
            || {
                n_compared = drive(wine, artifacts, &qemu)?;
                Ok(())
            },
        );
        steps.compared(n_compared);
    }
    let mut n_compared = 0;
    steps.step("what qapi-gen makes is what it makes here", || {
        n_compared = compare(wine, artifacts, extent)?;
        Ok(())
    });
    steps.compared(n_compared);
}

/// Clients of this system, whose servers and mocks are of Windows.
fn serve_here(wine: &Wine, artifacts: &[builds::Artifact]) -> Result<Job> {
    let mut build = on_workspace("test");
    let here = builds::build(build.args(["--no-run", "--test=apart"]))?;
    let find = |artifacts| {
        let mut programs = builds::programs(artifacts).into_iter();
        let program = programs.find(|job| job.title.starts_with(APART));
        program.with_context(|| format!("cargo made no {APART}"))
    };
    let mut job = find(&here)?;
    wine.be_peer(&mut job, Path::new(find(artifacts)?.command.get_program()));
    Ok(job)
}

/// Compares what `qmp` and `iothread-top` do with a QEMU on both systems. Says how many outcomes there were.
fn drive(wine: &Wine, artifacts: &[builds::Artifact], qemu: &Path) -> Result<usize> {
    let names = ["qmp", "iothread-top"];
    let here =
        builds::build(on_workspace("build").args(names.map(|name| format!("--bin={name}"))))?;
    let pair = |name| {
        let there = builds::program(artifacts, name)?;
        Ok::<_, Error>(peers::Pair {
            here: builds::program(&here, name)?,
            there: Box::new(move || wine.program(&there)),
        })
    };
    peers::compare(qemu, &pair(names[0])?, &pair(names[1])?)
}

/// Compares what `qapi-gen` makes on both systems. Says how many command lines there were.
fn compare(wine: &Wine, artifacts: &[builds::Artifact], extent: Extent) -> Result<usize> {
    let here = builds::build(on_workspace("build").arg("--bin=qapi-gen"))?;
    let here = builds::program(&here, "qapi-gen")?;
    let there = builds::program(artifacts, "qapi-gen")?;
    let other = corpus::Other {
        program: &|| wine.program(&there),
        separators: &['/', '\\'],
    };
    corpus::compare(&here, &other, extent)
}

/// Ctrl+C while files are written leaves none that is not complete. Wine makes one of the signal that a terminal sends.
fn interrupt(wine: &Wine, artifacts: &[builds::Artifact]) -> Result<()> {
    /// How often it is tried to meet a run while it writes.
    const N_TRIES: usize = 10;
    const N_MODULES: usize = 1000;

    let qapi_gen = builds::program(artifacts, "qapi-gen")?;
    let folder = tempfile::tempdir()?;
    let mut main = String::new();
    for n in 0..N_MODULES {
        main.push_str(&format!("{{ 'include': 'm{n}.json' }}\n"));
        let text = format!("{{ 'command': 'm{n}', 'data': {{ 'a': 'int' }} }}\n");
        fs::write(folder.path().join(format!("m{n}.json")), text)?;
    }
    fs::write(folder.path().join("schema.json"), main)?;
    for n in 0..N_TRIES {
        let out = folder.path().join(format!("out{n}"));
        let is_unfinished = |path: &Path| path.extension().is_some_and(|it| it == "tmp");
        let unfinished = || {
            let entries = fs::read_dir(out.join("commands")).into_iter().flatten();
            let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
            paths.filter(|path| is_unfinished(path)).count()
        };
        let mut command = wine.program(&qapi_gen);
        command
            .args(["generate", "schema.json", "--out-dir"])
            .arg(&out);
        let mut run = command.current_dir(folder.path()).spawn()?;
        let begun = comes_true(PATIENCE, || unfinished() > 0 || out.join("mod.rs").exists());
        kill_process(Pid::from_child(&run), Signal::INT)?;
        let status = run.wait()?;
        ensure!(begun, "no file was written");
        ensure!(unfinished() == 0, "{} files are left", unfinished());
        if !status.success() {
            // It was met in the middle: no file has got to its place.
            ensure!(
                !out.join("mod.rs").exists(),
                "{status}, but files are in place"
            );
            return Ok(());
        }
    }
    bail!("no run was met while it was writing")
}
