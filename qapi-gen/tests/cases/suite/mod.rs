//! The reference's own test suite and schemas, read in place where they are present.
//!
//! `../../shared` holds them; a checkout without that folder skips these tests with one line.

#[cfg_attr(target_family = "wasm", path = "in_process.rs")]
mod command;

use std::path::Path;

use libtest_mimic::Failed;
use qapi_gen::diagnostic::Lint;
use tests::{QEMU_SCHEMAS, Suite, Tool, qemu_schema, reference};

/// What QEMU's schema of a release does not keep: its comments follow other rules of style.
const ALLOWED: [(&str, &[Lint]); 1] = [(
    "10.0.13/qapi",
    &[Lint::DocLineLength, Lint::DocSentenceSpace],
)];

/// What `qapi-gen` prints.
struct Printed {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

pub(crate) fn add(mut suite: Suite) -> Suite {
    let Some(shared) = Tool::Shared.for_test("suite") else {
        return suite;
    };
    let cases = reference::cases(&shared.join("qemu/10.2.2/tests-qapi-schema"));
    for case in cases.unwrap_or_else(|error| panic!("{error:#}")) {
        let name = case.file_stem().unwrap_or_default().to_string_lossy();
        suite = suite.always(&format!("suite::{name}"), move || {
            command::check_case(&case)
        });
    }
    for schema in QEMU_SCHEMAS {
        suite = suite.with(&format!("clean::{schema}"), Tool::Shared, move |shared| {
            is_clean(shared, schema)
        });
    }
    for release in ["11.1.3", "10.0.13"] {
        suite = suite.with(
            &format!("introspect::{release}"),
            Tool::Shared,
            move |shared| introspection(shared, release),
        );
    }
    suite
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

/// A schema without a mistake.
fn is_clean(shared: &Path, schema: &str) -> Result<(), Failed> {
    let path = qemu_schema(shared, schema);
    let folder = path.parent().ok_or("a schema lies in a folder")?;
    let allowed = ALLOWED.iter().find(|(name, _)| *name == schema);
    let allowed = allowed.map_or(&[][..], |(_, lints)| lints);
    let Printed { stderr, .. } = command::check(folder, allowed)?;
    same(&stderr, b"", "stderr")
}

/// What a running QEMU answered, with the configuration of its build.
fn introspection(shared: &Path, release: &str) -> Result<(), Failed> {
    let release = shared.join("qemu").join(release);
    let output = command::introspect(&release)?;
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
}
