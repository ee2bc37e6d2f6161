//! `iothreadd` as a server of tests.

use std::path::{Path, PathBuf};
use std::process::Command;
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

/// The program: what cargo has built for the tests of its package; what the environment variable `IOTHREADD`
/// names; or what stands beside the program that asks, where a build of the workspace leaves it.
///
/// # Panics
///
/// When it is nowhere.
pub fn iothreadd() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let named = ["CARGO_BIN_EXE_iothreadd", "IOTHREADD"];
        if let Some(path) = named.into_iter().find_map(std::env::var_os) {
            return path.into();
        }
        let this = std::env::current_exe().expect("a program knows where it is");
        // Tests are in `deps/`, a folder deeper than programs.
        let found = this
            .ancestors()
            .skip(1)
            .take(2)
            .map(|folder| folder.join("iothreadd"))
            .find(|path| path.is_file());
        found.expect("no iothreadd: `cargo build -p iothreadd` makes it")
    })
}
