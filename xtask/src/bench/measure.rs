//! What a program used.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};

/// What a program and its children used.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
pub(super) struct Usage {
    /// Seconds from start to end.
    pub(super) wall: f64,
    /// Seconds on a processor.
    pub(super) cpu: f64,
    /// The most memory that one process had, in KiB.
    pub(super) peak: u64,
}

/// The system tells a parent what its children used; Rust's library does not ask.
const SCRIPT: &str = "
import json, resource, subprocess, sys, time
def used():
    return resource.getrusage(resource.RUSAGE_CHILDREN)
def cpu():
    return used().ru_utime + used().ru_stime
# A script that has become this interpreter may have had children.
before = cpu()
start = time.monotonic()
code = subprocess.call(sys.argv[2:])
wall = time.monotonic() - start
with open(sys.argv[1], 'w') as out:
    json.dump({'wall': wall, 'cpu': cpu() - before, 'peak': used().ru_maxrss}, out)
sys.exit(code)
";

/// Runs `command` to its end, which must be a good one.
pub(super) fn measure(command: &Command) -> Result<Usage> {
    let (used, status) = run(command, Stdio::inherit())?;
    if !status.success() {
        bail!("{:?}: {status}", command.get_program());
    }
    Ok(used)
}

/// Runs `command` to whatever end, and prints nothing of what it says.
pub(super) fn measure_any(command: &Command) -> Result<(Usage, ExitStatus)> {
    run(command, Stdio::null())
}

fn run(command: &Command, errors: Stdio) -> Result<(Usage, ExitStatus)> {
    let report = tempfile::NamedTempFile::new()?;
    let mut python = Command::new("python3");
    python.args(["-c", SCRIPT]).arg(report.path());
    python.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        python.current_dir(folder);
    }
    let status = python
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .status()
        .context("cannot start python3, which measures")?;
    let text = fs::read_to_string(report.path())?;
    Ok((serde_json::from_str(&text)?, status))
}

/// The interpreter itself: `python3` may be a script that looks for it.
pub(super) fn python() -> Result<PathBuf> {
    let mut python = Command::new("python3");
    python.args(["-c", "import sys; print(sys.executable)"]);
    let output = python.output().context("cannot start python3")?;
    Ok(String::from_utf8(output.stdout)?.trim_end().into())
}

/// The median of an odd number of figures.
pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}
