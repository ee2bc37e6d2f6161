//! By the library, where there are no processes.

use std::path::Path;

use libtest_mimic::Failed;
use qapi_gen::backend::dump::dump;
use qapi_gen::backend::introspect::{self, Options};
use qapi_gen::compile;
use qapi_gen::diagnostic::{Level, Lint, LintLevels, render_short};
use qapi_gen::ir::{Configuration, Schema};
use tests::reference;

use super::Printed;
use crate::corpus::Folder;

pub(super) fn check_case(case: &Path) -> Result<(), Failed> {
    let folder = case.parent().ok_or("a case lies in a folder")?;
    let name = case.file_name().ok_or("a case has a name")?;
    let name = name.to_str().ok_or("a name that is not UTF-8")?;
    let made = print(folder, name, LintLevels::default(), |schema| {
        Ok(dump(schema))
    })?;
    Ok(reference::compare(case, &made.stdout, &made.stderr)?)
}

/// Checks `qapi-schema.json`.
pub(super) fn check(folder: &Path, allowed: &[Lint]) -> Result<Printed, Failed> {
    let mut levels = LintLevels::default();
    for lint in allowed {
        levels.set(*lint, Level::Allow);
    }
    print(folder, "qapi-schema.json", levels, |_| Ok(String::new()))
}

/// What the configuration of a release leaves of its schema.
pub(super) fn introspect(release: &Path) -> Result<Printed, Failed> {
    let mut configuration = Configuration::new();
    configuration.read(&std::fs::read_to_string(release.join("qemu.config"))?)?;
    let levels = LintLevels::allow_all();
    print(release, "qapi/qapi-schema.json", levels, |schema| {
        let array = introspect::introspect(schema, &configuration, Options::default());
        array.map_err(|open| format!("{open:?}").into())
    })
}

/// What is printed of the schema, or of what is wrong with it.
fn print(
    folder: &Path,
    name: &str,
    levels: LintLevels,
    make: impl FnOnce(&Schema) -> Result<String, Failed>,
) -> Result<Printed, Failed> {
    let (stdout, stderr) = match compile(name, &Folder(folder.to_owned()), levels) {
        Ok(compiled) => {
            let report = compiled.report().diagnostics().iter();
            let sources = compiled.schema().sources();
            let told = report.map(|it| render_short(it, sources)).collect();
            (make(compiled.schema())?, told)
        }
        Err(rejected) => {
            // The reference stops there.
            let mut errors = rejected.report().diagnostics().iter();
            let first = errors.find(|it| it.level == Level::Deny);
            let told = first.map(|it| render_short(it, rejected.sources()));
            (String::new(), told.unwrap_or_default())
        }
    };
    Ok(Printed {
        stdout: stdout.into_bytes(),
        stderr: stderr.into_bytes(),
    })
}
