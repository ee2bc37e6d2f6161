//! Cargo builds test programs.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::programs::Job;

/// A message of cargo, as far as it is of use here.
#[derive(Deserialize)]
struct Message {
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    src_path: PathBuf,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Runs `build`, which is cargo and builds tests, and gives the programs in an order that does not depend on when each was built.
pub(super) fn build(build: &mut Command) -> Result<Vec<Job>> {
    build.arg("--message-format=json-render-diagnostics");
    build.stdout(Stdio::piped());
    let mut cargo = build.spawn().context("cargo does not start")?;
    let messages = cargo.stdout.take().context("cargo has no output")?;
    let mut programs = Vec::new();
    for line in BufReader::new(messages).lines() {
        let message: Message = serde_json::from_str(&line?).context("a message of cargo")?;
        programs.extend(program(message));
    }
    let status = cargo.wait()?;
    ensure!(status.success(), "cargo test: {status}");
    // What compiles crates of its own takes longest, and the others fill what is left.
    let is_early = |program: &Job| program.title.starts_with("tests/generated/");
    programs.sort_by_key(|program| (!is_early(program), program.title.clone()));
    Ok(programs)
}

fn program(message: Message) -> Option<Job> {
    let (manifest, target) = (message.manifest_path?, message.target?);
    let executable = message.executable?;
    if !message.profile?.test {
        return None;
    }
    let package = manifest.parent()?;
    let source = target.src_path.strip_prefix(package).ok()?.display();
    let unit = if target.kind.iter().any(|kind| kind == "test") {
        ""
    } else {
        "unittests "
    };
    Some(Job {
        title: format!("{unit}{source} ({})", executable.display()),
        command: in_package(&executable, package),
    })
}

/// A program as cargo would run it.
fn in_package(executable: &Path, package: &Path) -> Command {
    let mut command = Command::new(executable);
    command.current_dir(package);
    command.env("CARGO_MANIFEST_DIR", package);
    command
}
