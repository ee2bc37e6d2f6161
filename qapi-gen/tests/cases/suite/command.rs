//! By the command `qapi-gen`.

use std::path::Path;
use std::process::Command;

use libtest_mimic::Failed;
use qapi_gen::diagnostic::{Code, Lint};
use tests::reference;

use super::Printed;

const QAPI_GEN: &str = env!("CARGO_BIN_EXE_qapi-gen");

pub(super) fn check_case(case: &Path) -> Result<(), Failed> {
    Ok(reference::check(Path::new(QAPI_GEN), case)?)
}

/// Checks `qapi-schema.json`.
pub(super) fn check(folder: &Path, allowed: &[Lint]) -> Result<Printed, Failed> {
    let mut command = Command::new(QAPI_GEN);
    command.args(["check", "qapi-schema.json"]);
    for lint in allowed {
        command.args(["--allow", Code::Lint(*lint).as_str()]);
    }
    run(command.current_dir(folder))
}

/// What the configuration of a release leaves of its schema.
pub(super) fn introspect(release: &Path) -> Result<Printed, Failed> {
    let mut command = Command::new(QAPI_GEN);
    command.args(["introspect", "qapi/qapi-schema.json"]);
    command.args(["--config", "qemu.config"]);
    run(command.current_dir(release))
}

/// What is printed in the end, where all is well.
fn run(command: &mut Command) -> Result<Printed, Failed> {
    let output = command.output()?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {stderr}", output.status).into());
    }
    Ok(Printed {
        stdout: output.stdout,
        stderr: output.stderr,
    })
}
