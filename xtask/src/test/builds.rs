//! What cargo has built: programs of tests, and what they are made of.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::programs::Job;

/// What came of one run of the compiler.
#[derive(Deserialize)]
pub(super) struct Artifact {
    package_id: String,
    manifest_path: PathBuf,
    target: Target,
    profile: Profile,
    filenames: Vec<PathBuf>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    name: String,
    src_path: PathBuf,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Runs `build`, which is cargo, and gives all that is built then, now or before.
pub(super) fn build(build: &mut Command) -> Result<Vec<Artifact>> {
    build.args(["--quiet", "--message-format=json-render-diagnostics"]);
    build.stdout(Stdio::piped());
    let mut cargo = build.spawn().context("cargo does not start")?;
    let messages = cargo.stdout.take().context("cargo has no output")?;
    let mut artifacts = Vec::new();
    for line in BufReader::new(messages).lines() {
        let message: serde_json::Value =
            serde_json::from_str(&line?).context("a message of cargo")?;
        if message["reason"] == "compiler-artifact" {
            artifacts.push(serde_json::from_value(message).context("an artifact")?);
        }
    }
    let status = cargo.wait()?;
    ensure!(status.success(), "cargo: {status}");
    Ok(artifacts)
}

/// The programs of tests, in an order that does not depend on when each was built.
pub(super) fn programs(artifacts: &[Artifact]) -> Vec<Job> {
    let mut programs: Vec<Job> = artifacts.iter().filter_map(Artifact::program).collect();
    // One compiles crates of its own, the other mostly waits: the others fill what they leave.
    let early = ["tests/generated/", "tests/daemon/"];
    let is_early = |program: &Job| early.iter().any(|it| program.title.starts_with(it));
    programs.sort_by_key(|program| (!is_early(program), program.title.clone()));
    programs
}

/// The program of this name, which is no test.
pub(super) fn program(artifacts: &[Artifact], name: &str) -> Result<PathBuf> {
    let is_wanted = |it: &&Artifact| it.target.name == name && !it.profile.test;
    let mut programs = artifacts.iter().filter(is_wanted);
    let program = programs.find_map(|artifact| artifact.executable.clone());
    program.with_context(|| format!("cargo made no {name}"))
}

/// The programs that tests start, where tests look for them.
pub(super) fn started(artifacts: &[Artifact]) -> impl Iterator<Item = &Path> {
    let is_started =
        |it: &&Artifact| !it.profile.test && it.target.kind.iter().any(|kind| kind == "bin");
    let started = artifacts.iter().filter(is_started);
    started.filter_map(|artifact| artifact.executable.as_deref())
}

/// Fails if something is compiled twice: among `all`, or for `own`, which is this program, and for them. One and the same crate is
/// compiled again for who wants other features of it, or of a crate that it uses.
pub(super) fn check_shared(own: &[Artifact], all: &[Artifact]) -> Result<()> {
    let mut seen = HashMap::new();
    for artifact in all {
        *seen.entry(artifact.what()).or_insert(0) += 1;
    }
    let libraries: HashSet<&Path> = all.iter().filter_map(Artifact::library).collect();
    let is_twice = |artifact: &&Artifact| {
        seen.get(&artifact.what()).is_some_and(|n| *n > 1)
            || artifact
                .library()
                .is_some_and(|library| !libraries.contains(library))
    };
    let twice = all.iter().chain(own).filter(is_twice);
    let mut twice: Vec<&str> = twice.map(|artifact| &*artifact.package_id).collect();
    twice.sort_unstable();
    twice.dedup();
    ensure!(
        twice.is_empty(),
        "compiled twice, add the features that all have together to xtask/Cargo.toml: {twice:#?}"
    );
    Ok(())
}

impl Artifact {
    pub(super) fn is_test(&self) -> bool {
        self.profile.test
    }

    fn program(&self) -> Option<Job> {
        let executable = self.executable.as_ref()?;
        if !self.profile.test {
            return None;
        }
        let package = self.manifest_path.parent()?;
        let source = self.target.src_path.strip_prefix(package).ok()?.display();
        let unit = if self.target.kind.iter().any(|kind| kind == "test") {
            ""
        } else {
            "unittests "
        };
        Some(Job {
            title: format!("{unit}{source} ({})", executable.display()),
            command: in_package(executable, package),
        })
    }

    /// What it is made of, without the way.
    fn what(&self) -> (&str, &str, &[String], bool) {
        let Target { kind, name, .. } = &self.target;
        (&self.package_id, name, kind, self.profile.test)
    }

    /// The file that crates are compiled with which use this one. Its name tells all features.
    fn library(&self) -> Option<&Path> {
        let is_library =
            |it: &&PathBuf| it.extension().is_some_and(|it| it == "rmeta" || it == "so");
        self.filenames.iter().find(is_library).map(PathBuf::as_path)
    }
}

/// A program as cargo would run it.
fn in_package(executable: &Path, package: &Path) -> Command {
    let mut command = Command::new(executable);
    command.current_dir(package);
    command.env("CARGO_MANIFEST_DIR", package);
    command
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Artifact, check_shared};

    fn artifact(package: &str, kind: &str, is_test: bool, file: &str) -> Artifact {
        let value = json!({
            "package_id": package,
            "manifest_path": "/c/Cargo.toml",
            "target": {"kind": [kind], "name": package, "src_path": "/c/src/lib.rs"},
            "profile": {"test": is_test},
            "filenames": [file],
            "executable": null,
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_compiled_twice_is_found() {
        let library = |package, file| artifact(package, "lib", false, file);
        let all = || {
            vec![
                library("a", "deps/liba-1.rmeta"),
                artifact("a", "lib", true, "deps/a-2"),
                artifact("b", "proc-macro", false, "deps/libb-1.so"),
            ]
        };
        let own = [
            library("a", "deps/liba-1.rmeta"),
            artifact("x", "bin", false, "x"),
        ];
        check_shared(&own, &all()).unwrap();
        let others = [library("a", "deps/liba-3.rmeta")];
        let told = check_shared(&others, &all()).unwrap_err().to_string();
        assert!(told.contains("\"a\"") && !told.contains("\"b\""), "{told}");
        let mut twice = all();
        twice.push(artifact("b", "proc-macro", false, "deps/libb-4.so"));
        let told = check_shared(&own, &twice).unwrap_err().to_string();
        assert!(told.contains("\"b\"") && !told.contains("\"a\""), "{told}");
    }
}
