//! `iothreadd` as a server of tests.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::{Server, is_emulated, program};

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

/// The name under which the suite of another package is the server: cargo builds no program of another package for it.
pub const IOTHREADD: &str = "iothreadd";

/// Whether this process was started by [`iothreadd_of_this`]. Then its `main` has to be that of `iothreadd`.
#[must_use]
pub fn is_iothreadd() -> bool {
    let name = std::env::args_os().next();
    name.is_some_and(|name| Path::new(&name).file_name() == Some(IOTHREADD.as_ref()))
}

/// A command that starts this program as `iothreadd`.
///
/// # Panics
///
/// When the program does not know where it is.
#[must_use]
pub fn iothreadd_of_this() -> Command {
    let this = std::env::current_exe().expect("a program knows where it is");
    if is_emulated() {
        // The emulator has a name of its own.
        let mut command = program("-0");
        command.arg(IOTHREADD).arg(this);
        return command;
    }
    let mut command = Command::new(this);
    command.arg0(IOTHREADD);
    command
}
