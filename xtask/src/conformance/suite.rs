//! The reference's schemas of one construct or mistake each, with its diagnostic and dump.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::Count;
use crate::process::QAPI_GEN;

pub(super) fn run(folder: &Path, count: &mut Count) -> Result<()> {
    let qapi_gen = QAPI_GEN.build()?;
    let cases = cases(folder)?;
    if cases.is_empty() {
        bail!("no cases in {}", folder.display());
    }
    for case in cases {
        count.take(check(&qapi_gen, folder, &case)?);
    }
    Ok(())
}

/// The schemas whose outcome is recorded; the others are only there to be included.
fn cases(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut cases = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_schema = path
            .extension()
            .is_some_and(|extension| extension == "json");
        let has_outcome = ["err", "out"]
            .iter()
            .all(|it| path.with_extension(it).exists());
        if is_schema && has_outcome {
            cases.push(path);
        }
    }
    cases.sort();
    Ok(cases)
}

/// How one case differs.
fn check(qapi_gen: &Path, folder: &Path, case: &Path) -> Result<Option<String>> {
    let name = case.file_name().context("a case has a name")?;
    // Messages print paths as they are seen from inside the folder.
    let output = Command::new(qapi_gen)
        .arg("dump")
        .arg(name)
        .current_dir(folder)
        .output()
        .context("cannot start qapi-gen")?;
    for (made, extension) in [(&output.stderr, "err"), (&output.stdout, "out")] {
        let file = case.with_extension(extension);
        let expected =
            fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        if *made == expected {
            continue;
        }
        let made = String::from_utf8_lossy(made);
        let expected = String::from_utf8_lossy(&expected);
        let (mut made, mut expected) = (made.lines(), expected.lines());
        loop {
            let pair = (expected.next(), made.next());
            if let (Some(expected), Some(made)) = pair
                && expected == made
            {
                continue;
            }
            let show = |line: Option<&str>| line.unwrap_or("no more lines").to_owned();
            return Ok(Some(format!(
                "{}:\n  expected {}\n  received {}",
                file.display(),
                show(pair.0),
                show(pair.1)
            )));
        }
    }
    Ok(None)
}
