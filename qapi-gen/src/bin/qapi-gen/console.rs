//! Standard output and standard error, which need not be there nor take anything.
//!
//! The macros that print end in a panic when they cannot; here that is an error like any other.

use std::fmt;
use std::io::{self, Write as _};

/// Writes `bytes` to standard output.
pub(crate) fn print(bytes: &[u8]) -> io::Result<()> {
    let mut out = stdout()?;
    out.write_all(bytes)?;
    out.flush()
}

/// Standard output for data.
///
/// # Errors
///
/// The program was started without one: what it prints would be lost without anybody being told.
pub(crate) fn stdout() -> io::Result<io::StdoutLock<'static>> {
    if is_missing() {
        return Err(io::Error::other("standard output is closed"));
    }
    Ok(io::stdout().lock())
}

/// Standard output for people: colours where they are seen.
pub(crate) fn coloured_stdout() -> io::Result<anstream::AutoStream<io::StdoutLock<'static>>> {
    Ok(anstream::AutoStream::auto(stdout()?))
}

/// Standard error: colours where they are seen.
pub(crate) fn stderr() -> anstream::AutoStream<io::StderrLock<'static>> {
    anstream::AutoStream::auto(io::stderr().lock())
}

/// Writes a line to standard error.
pub(crate) fn complain(line: fmt::Arguments<'_>) -> io::Result<()> {
    writeln!(stderr(), "{line}")
}

/// Whether the program was started without standard output.
///
/// Rust opens the null device, for reading and writing, in the place of each standard stream that is closed when a program
/// starts, before any code of the program runs: that is all there is to see. Who wants to see nothing of an output has the
/// null device opened for writing, as shells and init systems do; a parent that gives it for both looks like one that gives
/// none.
#[cfg(unix)]
fn is_missing() -> bool {
    use std::os::unix::fs::MetadataExt as _;

    use rustix::fs::{OFlags, fcntl_getfl, fstat};

    let out = io::stdout();
    let (Ok(status), Ok(flags)) = (fstat(&out), fcntl_getfl(&out)) else {
        return true;
    };
    let is_null = std::fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == status.st_rdev);
    is_null && flags & OFlags::RWMODE == OFlags::RDWR
}

#[cfg(not(unix))]
fn is_missing() -> bool {
    false
}
