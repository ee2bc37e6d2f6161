//! What tests drive that cargo does not bring, fetched once and kept under target/.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;
use tests::workspace;

use super::steps::Steps;
use crate::process::{cargo, succeed};

/// The release of qemu.qmp that the tests drive.
const QEMU_QMP: &str = "qemu.qmp==0.0.6";

/// The packages that look at manuals: HTML, Markdown, accessibility.
const NPM: [&str; 3] = [
    "html-validate@10.17.0",
    "markdownlint-cli2@0.22.1",
    "axe-core@4.14.1",
];

/// Makes what can be made here, and names it in the environment of `tests`. Tests that need the rest skip.
pub(super) fn prepare(steps: &mut Steps, tests: &mut Command) {
    for (title, variable, prepare) in [
        (
            "Python's qemu.qmp",
            "QMP_PYTHON",
            python as fn() -> Result<PathBuf>,
        ),
        ("npm's validators", "QAPI_NPM", npm),
    ] {
        steps.attempt(title, || {
            tests.env(variable, prepare()?);
            Ok(())
        });
    }
    if steps.attempt("the crate qapi", || succeed(&mut on_qapi_rs("fetch"))) {
        steps.step("the client of the crate qapi", || {
            tests.env("QAPI_RS_CLIENT", qapi_rs()?);
            Ok(())
        });
    }
}

/// A folder under target/ that has the packages of [`NPM`]; gives its `node_modules`.
fn npm() -> Result<PathBuf> {
    let folder = workspace().join("target/npm");
    let modules = folder.join("node_modules");
    // The last thing that is written says which packages there are.
    let mark = folder.join("installed");
    let wanted = NPM.join("\n");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(modules);
    }
    std::fs::create_dir_all(&folder)?;
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--no-save",
        "--no-audit",
        "--no-fund",
        "--silent",
    ]);
    npm.arg("--prefix").arg(&folder).args(NPM);
    succeed(npm.args(["--fetch-retries", "1", "--fetch-timeout", "20000"]))?;
    std::fs::write(&mark, wanted)?;
    Ok(modules)
}

/// A virtual environment under target/ that has qemu.qmp; gives its interpreter.
fn python() -> Result<PathBuf> {
    let folder = workspace().join("target/python");
    let python = folder.join("bin/python");
    let has_qmp = |python: &Path| {
        let mut probe = Command::new(python);
        probe.args(["-c", "import qemu.qmp"]).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    };
    if !has_qmp(&python) {
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let mut pip = Command::new(&python);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        succeed(pip.args(["--retries", "1", "--timeout", "20", QEMU_QMP]))?;
    }
    Ok(python)
}

/// `cargo` on the client of the crate `qapi`, which is a workspace of its own: nothing else has its dependencies.
fn on_qapi_rs(command: &str) -> Command {
    let mut cargo = cargo();
    cargo.env("CARGO_TARGET_DIR", workspace().join("target/qapi-rs"));
    cargo.env("CARGO_NET_RETRY", "1");
    cargo.args([command, "--quiet", "--locked"]);
    cargo.args([
        "--manifest-path",
        "iothread/iothreadd/tests/clients/qapi-rs/Cargo.toml",
    ]);
    cargo
}

fn qapi_rs() -> Result<PathBuf> {
    succeed(&mut on_qapi_rs("build"))?;
    Ok(workspace().join("target/qapi-rs/debug/qapi-rs-client"))
}
