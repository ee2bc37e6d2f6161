//! The reference's own test suite and schemas, read in place where they are present.
//!
//! `../../shared` holds them; a checkout without that folder skips these tests with one line.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/qemu");
    if !shared.is_dir() {
        println!("skipped: {} is absent", shared.display());
        let trial = Trial::test("suite", || Ok(())).with_ignored_flag(true);
        libtest_mimic::run(&arguments, vec![trial]).exit();
    }
    let mut trials = suite_trials(&shared.join("10.2.2/tests-qapi-schema"));
    trials.extend(schema_trials(&shared));
    trials.push(introspect_trial(&shared.join("10.0.13")));
    libtest_mimic::run(&arguments, trials).exit();
}

fn run(folder: &Path, arguments: &[&str]) -> Result<Output, Failed> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qapi-gen"));
    Ok(command.args(arguments).current_dir(folder).output()?)
}

/// One trial for each case with an expected diagnostic and an expected dump.
fn suite_trials(folder: &Path) -> Vec<Trial> {
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .filter(|path| path.with_extension("err").exists() && path.with_extension("out").exists())
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "no cases in {}", folder.display());
    let trial = |case: PathBuf| {
        let name = case.file_stem().unwrap_or_default().to_string_lossy();
        Trial::test(format!("suite::{name}"), move || check_case(&case))
    };
    cases.into_iter().map(trial).collect()
}

fn check_case(case: &Path) -> Result<(), Failed> {
    let folder = case.parent().ok_or("a case lies in a folder")?;
    let name = case
        .file_name()
        .ok_or("a case has a name")?
        .to_string_lossy();
    let output = run(folder, &["dump", &name])?;
    same(
        &output.stderr,
        &std::fs::read(case.with_extension("err"))?,
        "stderr",
    )?;
    same(
        &output.stdout,
        &std::fs::read(case.with_extension("out"))?,
        "stdout",
    )?;
    let must_succeed = output.stderr.is_empty();
    if output.status.code() != Some(i32::from(!must_succeed)) {
        return Err(format!("exit status is {}", output.status).into());
    }
    Ok(())
}

fn same(actual: &[u8], expected: &[u8], what: &str) -> Result<(), Failed> {
    if actual == expected {
        return Ok(());
    }
    let (actual, expected) = (
        String::from_utf8_lossy(actual),
        String::from_utf8_lossy(expected),
    );
    Err(format!("{what} differs\n--- expected\n{expected}\n--- actual\n{actual}").into())
}

/// Schemas without a mistake. 10.0's comments follow other rules of style.
fn schema_trials(shared: &Path) -> Vec<Trial> {
    let allowed = [
        "--allow",
        "doc-line-length",
        "--allow",
        "doc-sentence-space",
    ];
    let schemas: [(&str, &[&str]); 4] = [
        ("10.2.2/qapi", &[]),
        ("10.2.2/storage-daemon/qapi", &[]),
        ("10.2.2/qga", &[]),
        ("10.0.13/qapi", &allowed),
    ];
    let trial = |(folder, options): (&str, &[&str])| {
        let name = format!("clean::{folder}");
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let folder = shared.join(folder);
        Trial::test(name, move || {
            let mut arguments = vec!["check", "qapi-schema.json"];
            arguments.extend(options.iter().map(String::as_str));
            let output = run(&folder, &arguments)?;
            same(&output.stderr, b"", "stderr")?;
            if output.status.success() {
                Ok(())
            } else {
                Err(format!("exit status is {}", output.status).into())
            }
        })
    };
    schemas.into_iter().map(trial).collect()
}

/// What a running QEMU answered, with the configuration of its build.
fn introspect_trial(release: &Path) -> Trial {
    let release = release.to_owned();
    Trial::test("introspect::10.0.13", move || {
        let arguments = [
            "introspect",
            "qapi/qapi-schema.json",
            "--config",
            "qemu.config",
        ];
        let output = run(&release, &arguments)?;
        same(&output.stderr, b"", "stderr")?;
        let recorded = std::fs::read(release.join("query-qmp-schema.json"))?;
        let recorded: serde_json::Value = serde_json::from_slice(&recorded)?;
        let recorded = recorded.get("return").unwrap_or(&recorded);
        let actual: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let (Some(actual), Some(recorded)) = (actual.as_array(), recorded.as_array()) else {
            return Err("not an array".into());
        };
        if let Some((left, right)) = actual
            .iter()
            .zip(recorded)
            .find(|(left, right)| left != right)
        {
            return Err(format!("first difference:\n{left}\nrecorded:\n{right}").into());
        }
        if actual.len() != recorded.len() {
            return Err(format!("{} entries, {} recorded", actual.len(), recorded.len()).into());
        }
        Ok(())
    })
}
