//! Whether each package compiles by itself, with any of its features, and as others will get it.
//!
//! A build of the whole workspace has all features that anybody asks for, so it does not show that a package, or a feature,
//! forgot to ask for something. Nor does it show that a file is missing in a package.

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
    /// The registries that it may go to; any if there is no such list.
    publish: Option<Vec<String>>,
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
    let packages = packages()?;
    let mut failed = Vec::new();
    for package in &packages {
        for choice in package.choices() {
            let shown = format!("{} {}", package.name, choice.describe());
            println!("== {shown}");
            if !package.check(&choice).status()?.success() {
                failed.push(shown);
            }
        }
    }
    println!("== as packages");
    if !as_others_get_them(&packages).status()?.success() {
        failed.push("as packages".to_owned());
    }
    ensure!(failed.is_empty(), "alone: {}", failed.join(", "));
    Ok(())
}

/// Packs what others can get, unpacks it elsewhere, and builds it there. (`--workspace` would take our own tools, too, which
/// need packages that are not published.)
fn as_others_get_them(packages: &[Package]) -> Command {
    let mut pack = cargo();
    pack.args(["package", "--quiet", "--locked", "--allow-dirty"]);
    for package in packages.iter().filter(|package| package.is_published()) {
        pack.args(["--package", &package.name]);
    }
    pack.env("CARGO_TARGET_DIR", workspace().join("target/alone"));
    pack
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
    fn is_published(&self) -> bool {
        self.publish.as_ref().is_none_or(|to| !to.is_empty())
    }

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
