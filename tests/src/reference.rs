//! The reference's own test suite: schemas of one construct or mistake each, with its diagnostic and dump.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// The schemas in a folder whose outcome is recorded; others are only there to be included.
///
/// # Errors
///
/// The folder has no such files, or cannot be read.
pub fn cases(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut cases = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_schema = path.extension().is_some_and(|it| it == "json");
        let mut outcome = ["err", "out"].into_iter();
        if is_schema && outcome.all(|it| path.with_extension(it).exists()) {
            cases.push(path);
        }
    }
    ensure!(!cases.is_empty(), "no cases in {}", folder.display());
    cases.sort();
    Ok(cases)
}

/// Dumps a case with `qapi-gen`, and compares what it prints and its exit status.
///
/// # Errors
///
/// The first line that differs; or something cannot be read or started.
pub fn check(qapi_gen: &Path, case: &Path) -> Result<()> {
    let folder = case.parent().context("a case lies in a folder")?;
    let name = case.file_name().context("a case has a name")?;
    // Messages print paths as they are seen from inside the folder.
    let output = Command::new(qapi_gen)
        .arg("dump")
        .arg(name)
        .current_dir(folder)
        .output()
        .context("cannot start qapi-gen")?;
    compare(case, &output.stdout, &output.stderr)?;
    let expected = i32::from(!output.stderr.is_empty());
    let status = output.status;
    ensure!(
        status.code() == Some(expected),
        "{}: {status}, not {expected}",
        case.display()
    );
    Ok(())
}

/// Compares what was printed for a case with what is recorded.
///
/// # Errors
///
/// The first line that differs; or a file cannot be read.
pub fn compare(case: &Path, stdout: &[u8], stderr: &[u8]) -> Result<()> {
    for (made, extension) in [(stderr, "err"), (stdout, "out")] {
        let file = case.with_extension(extension);
        let expected =
            fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        if made != expected {
            bail!(
                "{}: {}",
                file.display(),
                first_difference(
                    &String::from_utf8_lossy(&expected),
                    &String::from_utf8_lossy(made)
                )
            );
        }
    }
    Ok(())
}

/// The first line in which two texts differ.
#[must_use]
pub fn first_difference(expected: &str, made: &str) -> String {
    let mut lines = (expected.split('\n'), made.split('\n'));
    let mut number = 0;
    loop {
        number += 1;
        let (expected, made) = (lines.0.next(), lines.1.next());
        if expected == made && expected.is_some() {
            continue;
        }
        let show = |line: Option<&str>| line.unwrap_or("the end").to_owned();
        return format!(
            "line {number} differs\n  expected {}\n  made     {}",
            show(expected),
            show(made)
        );
    }
}
