//! Windows, for which Wine stands in.

use std::process::Command;

use anyhow::Result;

use super::super::steps::Steps;
use super::super::{builds, on_workspace, run_jobs};
use super::wine::{COMPILER, Wine};
use super::{System, corpus};

pub(super) const SYSTEM: System = System {
    target: "x86_64-pc-windows-gnu",
    what: &[
        "--package=qapi-gen",
        "--all-features",
        "--lib",
        "--bins",
        "--test=library",
        "--test=cases",
    ],
    linker: Some(COMPILER),
    runner: &["wine"],
    run,
};

fn run(system: &System, steps: &mut Steps, mut cargo: Command) {
    let mut artifacts = Vec::new();
    let is_built = steps.step(&format!("build for {}", system.target), || {
        artifacts = builds::build(cargo.arg("--no-run"))?;
        Ok(())
    });
    let mut wine = None;
    let is_up = is_built
        && steps.step("Wine", || {
            wine = Some(Wine::start()?);
            Ok(())
        });
    if let (true, Some(wine)) = (is_up, wine) {
        let jobs = builds::programs(&artifacts).into_iter();
        let jobs = jobs.map(|job| wine.stand_in(system.stand_in(job)));
        run_jobs(steps, jobs.collect());
        let mut n_compared = 0;
        steps.step("what qapi-gen makes is what it makes here", || {
            n_compared = compare(&wine, &artifacts)?;
            Ok(())
        });
        steps.compared(n_compared);
    }
}

/// Compares what `qapi-gen` makes on both systems. Says how many command lines there were.
fn compare(wine: &Wine, artifacts: &[builds::Artifact]) -> Result<usize> {
    let here = builds::build(on_workspace("build").arg("--bin=qapi-gen"))?;
    let here = builds::program(&here, "qapi-gen")?;
    let there = builds::program(artifacts, "qapi-gen")?;
    let other = corpus::Other {
        program: &|| wine.program(&there),
        separators: &['/', '\\'],
    };
    corpus::compare(&here, &other)
}
