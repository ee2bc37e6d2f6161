//! Where things are.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The top folder of the workspace that this program is run for. Cargo says so when it runs something; what was compiled
/// in may be the folder of another checkout with the same target folder.
///
/// # Panics
///
/// When there is no workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let top = package
        .ancestors()
        .find(|folder| folder.join("xtask/Cargo.toml").is_file());
    top.expect("the tests belong to a workspace").to_owned()
}

/// A folder for what a test writes; it is gone when the result is dropped.
///
/// # Errors
///
/// Whatever keeps it from being made.
pub fn temporary() -> io::Result<TempDir> {
    // WASI has no place for such folders that its standard library knows of. Who runs the program names one.
    if cfg!(target_os = "wasi") {
        let place = std::env::var_os("TMPDIR").unwrap_or_else(|| ".".into());
        return tempfile::tempdir_in(place);
    }
    tempfile::tempdir()
}

/// Names what runs programs of the system that tests run for, if it is not this machine's: words with blanks between them.
pub const RUNNER: &str = "QAPI_TEST_RUNNER";

/// Names the other end of tests of two programs, if it is not the same build: words with blanks between them.
pub const PEER: &str = "QAPI_TEST_PEER";

/// A program that cargo has built for the tests, which something may have to stand in for.
pub fn program(path: impl AsRef<Path>) -> Command {
    let runner = std::env::var(RUNNER).unwrap_or_default();
    let mut words = runner.split_whitespace();
    let Some(first) = words.next() else {
        return Command::new(path.as_ref());
    };
    let mut command = Command::new(first);
    command.args(words).arg(path.as_ref());
    command
}
