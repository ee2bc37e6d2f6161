//! Running other programs.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use tests::workspace;

/// The `cargo` that runs this task, in the workspace's folder.
pub(crate) fn cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace());
    without_incremental(&mut command);
    command
}

/// Has `command`, which is cargo or starts it, compile without incremental state, as the alias of this program does: from an
/// empty folder this takes nearly a third less time. All have to agree, or everything is compiled twice.
pub(crate) fn without_incremental(command: &mut Command) {
    if std::env::var_os("CARGO_INCREMENTAL").is_none() {
        command.env("CARGO_INCREMENTAL", "0");
    }
}

/// Runs `command` and fails unless it succeeds.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command
        .status()
        .with_context(|| format!("cannot start {shown}"))?;
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}

/// A program of the workspace.
pub(crate) struct Program {
    package: &'static str,
    features: &'static str,
    name: &'static str,
}

pub(crate) const IOTHREADD: Program = Program {
    package: "iothreadd",
    features: "",
    name: "iothreadd",
};

pub(crate) const IOTHREAD_TOP: Program = Program {
    package: "iothread-top",
    features: "",
    name: "iothread-top",
};

pub(crate) const QAPI_GEN: Program = Program {
    package: "qapi-gen",
    features: "cli",
    name: "qapi-gen",
};

/// The same with servers in the place of schemas.
pub(crate) const QAPI_GEN_LIVE: Program = Program {
    package: "qapi-gen",
    features: "cli,live",
    name: "qapi-gen",
};

pub(crate) const QMP: Program = Program {
    package: "qmp",
    features: "",
    name: "qmp",
};

/// A server made with the tokio server of `qapi-runtime`.
pub(crate) const QMP_SAMPLE: Program = Program {
    package: "tests",
    features: "load",
    name: "qmp-sample",
};

impl Program {
    /// Builds it and gives its path.
    pub(crate) fn build(&self) -> Result<PathBuf> {
        self.build_as(&["build"])
    }

    /// The same, optimized.
    pub(crate) fn build_release(&self) -> Result<PathBuf> {
        self.build_as(&["build", "--release"])
    }

    fn build_as(&self, how: &[&str]) -> Result<PathBuf> {
        let Self {
            package,
            features,
            name,
        } = self;
        let what = ["--package", package, "--features", features, "--bin", name];
        build(how, &what, name)
    }
}

fn build(how: &[&str], what: &[&str], name: &str) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(how);
    command.args(["--quiet", "--message-format", "json-render-diagnostics"]);
    command.args(what);
    let shown = show(&command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        bail!("{shown}: {}", output.status);
    }
    let stdout = String::from_utf8(output.stdout).context("cargo printed no UTF-8")?;
    let executable = stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name && message["profile"]["test"] == false)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    executable.with_context(|| format!("{shown} made no executable"))
}

/// The command as one would type it.
fn show(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let name = program.rsplit('/').next().unwrap_or(&program);
    let arguments = command
        .get_args()
        .map(|argument| argument.to_string_lossy());
    std::iter::once(name.into())
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}
