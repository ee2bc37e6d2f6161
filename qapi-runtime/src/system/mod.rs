//! What systems have of their own, each behind the same names.
//!
//! | name | what it is | unix | Windows |
//! |---|---|---|---|
//! | [`Descriptor`] | what travels beside bytes | a descriptor | nothing |
//! | `Handle` | a connection that is open, for either client | one or two descriptors | TCP, a named pipe, a command |
//! | `Line` | one that blocks, with limits on time | sockets, terminals, FIFOs | anything, carried by a thread |
//! | `Local` | one on tokio that is not TCP | a unix socket, a terminal, FIFOs | a named pipe |
//! | `LocalListener` | a listener that is not TCP | a unix socket | a named pipe |
//! | `Meeting` | where a mock and its clients meet | a unix socket | TCP on this machine |
//!
//! What one system lacks fails there by name ([`unsupported`]), or its type has no values. Nobody else in this crate asks which system
//! it is compiled for, but where a function of the interface exists on some only.

#![cfg_attr(
    not(all(feature = "client", feature = "server")),
    allow(dead_code, unused_imports, reason = "each feature uses a part of it")
)]

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(any(feature = "client-async", feature = "server"))]
use tokio::io::{AsyncRead, AsyncWrite};
#[cfg(any(feature = "client-async", feature = "server"))]
use tokio::net::TcpStream;

#[cfg(unix)]
pub(crate) use self::unix::*;
#[cfg(unix)]
pub use self::unix::{MAX_DESCRIPTORS, Received, inherited, peer_credentials, receive, send};
#[cfg(windows)]
pub(crate) use self::windows::*;

/// Who made a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerCredentials {
    /// The process, by the number that it has here; `None` if it is not to be seen from here, as from another container, and
    /// where the system does not tell it.
    pub process: Option<u32>,
    /// The user.
    pub user: u32,
    /// The group.
    pub group: u32,
}

/// The two directions of a connection on tokio.
#[cfg(any(feature = "client-async", feature = "server"))]
pub(crate) enum Transport {
    Local(Local),
    Tcp(TcpStream),
    Any {
        reader: Box<dyn AsyncRead + Send + Unpin>,
        writer: Box<dyn AsyncWrite + Send + Unpin>,
    },
}

/// The shortest time-out that a socket takes.
pub(crate) const SHORTEST: std::time::Duration = std::time::Duration::from_millis(1);

/// What only Linux has.
#[cfg(not(target_os = "linux"))]
const NO_ABSTRACT_NAMES: &str = "abstract names of unix sockets exist on Linux only";
#[cfg(not(target_os = "linux"))]
const NO_VSOCK: &str = "vsock exists on Linux only";

/// The error of something that this system does not have.
pub(crate) fn unsupported(what: &'static str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::Unsupported, what)
}

/// The error of descriptors for what is not a unix socket.
pub(crate) fn no_descriptors() -> std::io::Error {
    unsupported("descriptors travel over unix sockets only")
}
