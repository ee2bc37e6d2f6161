//! What Windows has: TCP, and named pipes on tokio.
//!
//! A named pipe that is read and written at the same time by functions that block comes to a standstill, since the system executes
//! what is asked of one such handle one after the other. So the pipes of all clients are tokio's, and so is the TCP of those that
//! block: a receive time-out of a socket may lose what arrives at that moment.

#[cfg(feature = "server")]
mod accept;
mod line;
mod local;
mod meeting;
mod open;
#[cfg(feature = "server")]
pub(crate) mod socket;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

#[cfg(feature = "server")]
pub(crate) use self::accept::{LocalListener, is_gone, keep_alive};
pub(crate) use self::line::{Line, carried};
pub(crate) use self::local::Local;
pub(crate) use self::meeting::{Meeting, MockStream};
pub(crate) use self::open::{
    Handle, connect_abstract, connect_pipe, connect_unix, connect_vsock, execute, inherit,
};

/// What travels beside bytes: nothing.
#[derive(Debug)]
pub(crate) enum Descriptor {}

/// What there is instead of unix sockets.
const NO_UNIX_SOCKETS: &str = "there are no unix sockets on Windows, but tcp: and pipe:";

/// A file of the kernel that other systems have.
pub(crate) fn proc_file(_name: &str) -> Vec<u8> {
    Vec::new()
}

/// The path of a named pipe. A name that is a path already has the form of one.
fn path_of_pipe(name: &Path) -> io::Result<OsString> {
    let name = name.as_os_str();
    let bytes = name.as_encoded_bytes();
    if !bytes.starts_with(br"\\") {
        let mut path = OsString::from(r"\\.\pipe\");
        path.push(name);
        return Ok(path);
    }
    let mut parts = bytes[2..].splitn(3, |byte| *byte == b'\\');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(host), Some(kind), Some(rest))
            if !host.is_empty() && kind.eq_ignore_ascii_case(b"pipe") && !rest.is_empty() =>
        {
            Ok(OsStr::to_owned(name))
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            r"not a named pipe: \\.\pipe\NAME or NAME is expected",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pipes() {
        let path = |name: &str| path_of_pipe(Path::new(name)).map(|it| it.into_string().unwrap());
        assert_eq!(path("vm1").unwrap(), r"\\.\pipe\vm1");
        assert_eq!(path(r"\\.\pipe\vm1").unwrap(), r"\\.\pipe\vm1");
        assert_eq!(path(r"\\host\PIPE\a b").unwrap(), r"\\host\PIPE\a b");
        for name in [r"\\.\C:", r"\\.\pipe\", r"\\", r"\\\pipe\x", r"\\?\C:\x"] {
            assert_eq!(path(name).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }
}
