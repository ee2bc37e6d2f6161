//! Whether each package compiles by itself, with whichever of its features.
//!
//! A build of the whole workspace has all features that anybody asks for, so it does not show that a package, or a feature,
//! forgot to ask for something.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tests::workspace;

use crate::process::cargo;

/// What `cargo metadata` tells of the workspace.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    features: BTreeMap<String, Vec<String>>,
}

/// Which features, and of which targets.
enum Choice<'p> {
    /// All features, and tests, benches and examples with them.
    All,
    /// No features, and tests, benches and examples without them.
    None,
    /// One feature, of the library and the programs: tests ask for further ones.
    One(&'p str),
}

/// Checks every package.
pub(crate) fn check() -> Result<()> {
    let mut failed = Vec::new();
    for package in packages()? {
        for choice in package.choices() {
            let shown = format!("{} {}", package.name, choice.describe());
            println!("== {shown}");
            if !package.check(&choice).status()?.success() {
                failed.push(shown);
            }
        }
    }
    ensure!(failed.is_empty(), "alone: {}", failed.join(", "));
    Ok(())
}

fn packages() -> Result<Vec<Package>> {
    let mut metadata = cargo();
    metadata.args(["metadata", "--format-version=1", "--no-deps", "--locked"]);
    let output = metadata.output().context("cargo does not start")?;
    ensure!(output.status.success(), "cargo metadata: {}", output.status);
    let Metadata { packages } =
        serde_json::from_slice(&output.stdout).context("what cargo tells of the workspace")?;
    Ok(packages)
}

impl Package {
    fn choices(&self) -> Vec<Choice<'_>> {
        let features = self.features.keys().filter(|name| *name != "default");
        let mut choices: Vec<Choice<'_>> = features.map(|name| Choice::One(name)).collect();
        if !choices.is_empty() {
            choices.push(Choice::None);
        }
        choices.push(Choice::All);
        choices
    }

    fn check(&self, choice: &Choice<'_>) -> Command {
        let mut check = cargo();
        check.args(["check", "--quiet", "--locked", "--package", &self.name]);
        check.args(choice.arguments());
        check
            .env("CARGO_TARGET_DIR", workspace().join("target/alone"))
            .env("RUSTFLAGS", "--deny warnings");
        check
    }
}

impl Choice<'_> {
    fn arguments(&self) -> Vec<&str> {
        match self {
            Self::All => vec!["--all-targets", "--all-features"],
            Self::None => vec!["--all-targets", "--no-default-features"],
            Self::One(name) => vec!["--no-default-features", "--features", name],
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::All => "with all features".to_owned(),
            Self::None => "without features".to_owned(),
            Self::One(name) => format!("with '{name}'"),
        }
    }
}
