//! What all unix systems have.

#[cfg(any(feature = "client-async", feature = "server"))]
mod accept;
mod line;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(feature = "client-async", feature = "server"))]
mod local;
mod meeting;
mod open;
#[cfg(not(target_os = "linux"))]
mod other;
mod passing;
mod path;

use std::os::fd::OwnedFd;

#[cfg(any(feature = "client-async", feature = "server"))]
pub(crate) use self::accept::{Adopted, LocalListener, adopt, keep_alive};
pub(crate) use self::kernel::{MAX_PATH, abstract_address, stream_socket};
pub(crate) use self::kernel::{connect_vsock, proc_file};
pub(crate) use self::line::{Line, carried};
#[cfg(target_os = "linux")]
use self::linux as kernel;
#[cfg(any(feature = "client-async", feature = "server"))]
pub(crate) use self::local::Local;
#[cfg(any(feature = "client-async", feature = "server"))]
pub(crate) use self::local::is_gone;
pub(crate) use self::meeting::{Meeting, MockStream};
pub(crate) use self::open::{
    Handle, connect_abstract, connect_pipe, connect_unix, execute, inherit,
};
#[cfg(not(target_os = "linux"))]
use self::other as kernel;
pub use self::passing::{MAX_DESCRIPTORS, Received, inherited, peer_credentials, receive, send};
pub(crate) use self::path::{bind, connect, folder_of};

/// What travels beside the bytes of a unix socket.
pub(crate) type Descriptor = OwnedFd;

/// The error of a socket that is no connection.
fn is_listener() -> std::io::Error {
    let what = "a socket that listens is not a connection";
    std::io::Error::new(std::io::ErrorKind::InvalidInput, what)
}
