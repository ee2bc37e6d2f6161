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
/// starts, before any code of the program runs. Who wants to see nothing of an output mostly opens it for writing, as
/// shells and init systems do. Some programs open it for both and hand that over; they keep it open meanwhile.
#[cfg(target_os = "linux")]
fn is_missing() -> bool {
    use rustix::fs::{OFlags, fcntl_getfl, fstat};

    let out = io::stdout();
    let (Ok(status), Ok(flags)) = (fstat(&out), fcntl_getfl(&out)) else {
        return true;
    };
    is_null(status.st_rdev)
        && flags & OFlags::RWMODE == OFlags::RDWR
        && !parent_has_null(status.st_rdev)
}

#[cfg(target_os = "linux")]
fn is_null(device: u64) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    std::fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == device)
}

/// Whether the program that started this one has the null device open for reading and writing, beside its own standard
/// streams. Where that cannot be seen, it may.
#[cfg(target_os = "linux")]
fn parent_has_null(device: u64) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let Some(parent) = rustix::process::getppid() else {
        return false;
    };
    let folder = format!("/proc/{}", parent.as_raw_nonzero());
    let Ok(descriptors) = std::fs::read_dir(format!("{folder}/fd")) else {
        return true;
    };
    descriptors.flatten().any(|descriptor| {
        let name = descriptor.file_name();
        let name = name.to_string_lossy();
        let is_own_stream = matches!(&*name, "0" | "1" | "2");
        let leads_there = std::fs::metadata(descriptor.path()).is_ok_and(|it| it.rdev() == device);
        let info = || std::fs::read_to_string(format!("{folder}/fdinfo/{name}"));
        !is_own_stream && leads_there && info().is_ok_and(|info| is_for_both(&info))
    })
}

/// Whether a descriptor's `fdinfo` says that it was opened for reading and writing; the flags are an octal number.
#[cfg(target_os = "linux")]
fn is_for_both(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & 0o3 == 0o2)
}

#[cfg(not(target_os = "linux"))]
fn is_missing() -> bool {
    false
}
