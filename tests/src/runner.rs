//! Programs of a processor that this machine does not have, which an emulator has to run.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::RUNNER;

/// What [`RUNNER`] names: an emulator of QEMU's, with its options.
fn emulator() -> Option<String> {
    std::env::var(RUNNER).ok().filter(|words| !words.is_empty())
}

/// Whether programs are emulated, which takes longer, and does not have all that a kernel has.
#[must_use]
pub fn is_emulated() -> bool {
    emulator().is_some()
}

/// Whether programs are emulated. Then it says in a line that `test` is skipped, and `why` it cannot be so.
#[must_use]
pub fn skips_emulated(test: &str, why: &str) -> bool {
    let is_emulated = is_emulated();
    if is_emulated {
        println!("skipped: {test}: {why}");
    }
    is_emulated
}

/// Has `path` start `program` under the name that `path` is called by: as a link, or as a script if it has to be emulated.
///
/// # Errors
///
/// The file cannot be made.
pub fn link(program: &Path, path: &Path) -> io::Result<()> {
    match emulator() {
        None => std::os::unix::fs::symlink(program, path),
        Some(emulator) => stand_in(&emulator, program, path),
    }
}

/// Puts a script to `path` that has `emulator` run `program`, unless [`RUNNER`] names another one then.
///
/// # Errors
///
/// The file cannot be made.
pub fn stand_in(emulator: &str, program: &Path, path: &Path) -> io::Result<()> {
    let script = format!(
        "#!/bin/sh\nexec ${{{RUNNER}:-{emulator}}} -0 \"$0\" '{}' \"$@\"\n",
        program.display()
    );
    std::fs::write(path, script)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
}
