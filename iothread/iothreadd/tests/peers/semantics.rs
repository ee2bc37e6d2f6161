//! What QEMU 11.1.3 has answered to sequences of commands, played against the program by the script that comes with the
//! recordings.

use std::path::Path;
use std::process::Command;

use libtest_mimic::Failed;
use tests::{Suite, Tool, iothreadd};

/// Steps that stay different and are not in the list beside the recordings: what the program says there has changed since.
const ALSO_ALLOWED: [(&str, &str); 4] = [
    // The exports on lists of IOThreads are listed, the newest first.
    ("export-iothread-list", "14"),
    // A disk has the properties that are for guests, and no memory of theirs.
    ("dev-blk-plain", "11"),
    // Of a monitor in use the same can be written as in QEMU; what is left is that there is no guest, which does not run.
    ("monitor-object-pretty", "10"),
    // The greeting has the version of the program in a text.
    ("monitor-object-backends", "7"),
];

pub(crate) fn add(suite: Suite) -> Suite {
    suite.with_all(
        "sequences-of-qemu-11.1",
        [Tool::Program("python3"), Tool::Shared],
        |[python, shared]| play(python, shared),
    )
}

fn play(python: &Path, shared: &Path) -> Result<(), Failed> {
    let release = shared.join("qemu/11.1.3");
    let output = Command::new(python)
        .arg(release.join("semantics.py"))
        .arg(iothreadd())
        .arg(release.join("transcripts/semantics.jsonl"))
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let is_allowed = |line: &&str| {
        let is_it = |(name, step): &(&str, &str)| line.starts_with(&format!("{name} step {step} "));
        ALSO_ALLOWED.iter().any(is_it)
    };
    let differs = |line: &&str| !line.starts_with(' ') && line.contains(" step ");
    let (allowed, others): (Vec<&str>, Vec<&str>) =
        text.lines().filter(differs).partition(is_allowed);
    let summary = text.lines().last().unwrap_or_default();
    println!("{summary}");
    if !summary.contains(" sequences, ") {
        return Err(format!("no summary: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    if others.is_empty() && allowed.len() == ALSO_ALLOWED.len() {
        return Ok(());
    }
    Err(format!("{text}\n{allowed:?}").into())
}
