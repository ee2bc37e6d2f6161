//! A clean development build of a generated crate alone, beside the crate that others use for
//! QEMU's protocol.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use qapi_gen::backend::rust::Options;
use qapi_gen::ir::Configuration;
use tests::generated::{Crate, Module};

use super::measure::{Usage, measure, median};
use crate::process::succeed;
use tests::workspace;

/// Arguments of `bench build`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The schema.
    #[arg(
        long,
        value_name = "PATH",
        default_value = "../shared/qemu/10.2.2/qapi/qapi-schema.json"
    )]
    schema: PathBuf,
}

/// The crate beside which ours is measured.
const PEER: (&str, &str) = ("qapi-qmp", "0.15.0");

/// How often each is built, in turns.
const N_RUNS: usize = 3;

/// What part of the peer's time and memory may be used.
const MAX_RATIO: f64 = 0.5;

pub(super) fn run(args: &Args) -> Result<()> {
    let peer = peer()?;
    // Default options leave conditions to features, which are off by default; that leaves things
    // out. With all conditions set everything is in it.
    let defaults = ours(args, "bench-defaults", Options::new())?;
    let options = Options::new().configuration(Configuration::with_default(true));
    let everything = ours(args, "bench-everything", options)?;
    let crates = [
        (PEER.0, &peer),
        ("default options", &defaults),
        ("everything", &everything),
    ];
    for (_, folder) in crates {
        succeed(&mut build(folder))?;
    }
    let mut runs: [Vec<Usage>; 3] = Default::default();
    for _ in 0..N_RUNS {
        for (runs, (_, folder)) in runs.iter_mut().zip(crates) {
            forget(folder)?;
            runs.push(measure(&build(folder))?);
        }
    }
    let cpu = runs
        .each_ref()
        .map(|runs| median(runs.iter().map(|run| run.cpu).collect()));
    let wall = runs
        .each_ref()
        .map(|runs| median(runs.iter().map(|run| run.wall).collect()));
    let peak = runs
        .each_ref()
        .map(|runs| runs.iter().map(|run| run.peak).max().unwrap_or(0));
    let mut is_fine = true;
    for (index, (name, _)) in crates.iter().enumerate() {
        let of_time = cpu[index] / cpu[0];
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let of_memory = peak[index] as f64 / peak[0] as f64;
        println!(
            "{name}: {:.1} s, {:.1} s of processor time ({of_time:.2}), {} MiB ({of_memory:.2})",
            wall[index],
            cpu[index],
            peak[index] / 1024
        );
        is_fine &= index == 0 || (of_time <= MAX_RATIO && of_memory <= MAX_RATIO);
    }
    if !is_fine {
        bail!("more than {MAX_RATIO} of the peer's");
    }
    Ok(())
}

/// `cargo build` as a user types it, on one processor.
fn build(folder: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--jobs", "1"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env_remove("RUSTFLAGS");
    command
}

/// Makes the next build compile the crate as if it had never been.
fn forget(folder: &Path) -> Result<()> {
    let incremental = folder.join("target/debug/incremental");
    if incremental.exists() {
        fs::remove_dir_all(incremental)?;
    }
    let root = folder.join("src/lib.rs");
    let text = fs::read(&root)?;
    fs::write(root, text)?;
    Ok(())
}

fn ours(args: &Args, name: &str, options: Options) -> Result<PathBuf> {
    let module = Module::generate("qapi", &args.schema, options)?;
    let written = Crate {
        name,
        modules: vec![module],
        ..Crate::default()
    };
    Ok(written.write()?.folder().to_owned())
}

/// A copy of the peer's sources: those of the registry are not to be touched.
fn peer() -> Result<PathBuf> {
    let folder = workspace().join("target/generated/bench-peer");
    if folder.join("src/lib.rs").exists() {
        return Ok(folder);
    }
    let (name, version) = PEER;
    let user = tempfile::tempdir()?;
    fs::create_dir(user.path().join("src"))?;
    fs::write(user.path().join("src/lib.rs"), "")?;
    let manifest = format!(
        "[package]\nname = \"user\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n\
         [dependencies]\n{name} = \"={version}\"\n"
    );
    fs::write(user.path().join("Cargo.toml"), manifest)?;
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1"])
        .current_dir(user.path())
        .output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    let package = packages.iter().find(|package| package["name"] == name);
    let path = package.and_then(|package| package["manifest_path"].as_str());
    let source = Path::new(path.context("the peer has no manifest")?)
        .parent()
        .context("a manifest lies in a folder")?;
    copy(source, &folder)?;
    let manifest = folder.join("Cargo.toml");
    let text = fs::read_to_string(&manifest)?;
    fs::write(manifest, format!("{text}\n[workspace]\n"))?;
    Ok(folder)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
