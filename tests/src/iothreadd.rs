//! `iothreadd` as a server of tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::Server;

impl Server {
    /// Starts `iothreadd` with these arguments beside its `--qmp` option.
    ///
    /// # Panics
    ///
    /// When it does not start: a test has nothing better to do.
    #[must_use]
    pub fn start_iothreadd(arguments: &[&str]) -> Self {
        let started = Self::start(|socket| {
            let mut command = Command::new(iothreadd());
            command
                .arg("--qmp")
                .arg(format!("unix:{}", socket.display()))
                .args(arguments);
            command
        });
        started.expect("iothreadd starts")
    }
}

/// The program: the one that `cargo xtask test` built, or one that is built now.
///
/// # Panics
///
/// When it does not build.
pub fn iothreadd() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(path) = std::env::var_os("IOTHREADD") {
            return PathBuf::from(path);
        }
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        cargo.args(["build", "--package", "iothreadd"]);
        cargo.args([
            "--bin",
            "iothreadd",
            "--message-format",
            "json-render-diagnostics",
        ]);
        let output = cargo
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo starts");
        assert!(output.status.success(), "iothreadd does not build");
        let stdout = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
        stdout
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
            .expect("cargo names the executable")
    })
}
