//! Clients of QMP servers and of the guest agent.
//!
//! - [`blocking::Client`] for programs with threads; [`Client`] (feature `tokio`) for
//!   asynchronous ones. Both can be shared, have any number of commands in flight, match replies
//!   by `id`, and survive servers that are older or newer than the schema that they were
//!   generated from.
//! - [`ClientCore`] is the protocol without I/O, for everything else.
//! - [`mock`] is a server for tests of code that uses a client.
//!
//! Commands are typed ([`Request`](crate::dispatch::Request), generated from a schema) or raw.
//! A result is read leniently: what the schema does not know is ignored or kept as unknown.

pub mod blocking;
mod core;
mod error;
mod event;
mod hub;
pub mod mock;
mod options;
mod stream;
mod transcript;

#[cfg(feature = "tokio")]
mod asynchronous;

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

#[cfg(feature = "tokio")]
pub use self::asynchronous::{Client, Events};
pub use self::core::{Answer, ClientCore, Dialect, Encoded, Greeting, Incoming};
pub use self::error::{ClientError, ClientErrorKind};
pub use self::event::{EventFilter, RawEvent};
pub use self::options::{Address, CallOptions, ConnectOptions};
pub use self::transcript::{Recorded, Transcript};

/// Events that wait for a listener before it misses some.
const EVENT_BACKLOG: usize = 1024;

/// Bytes read at a time.
const READ_SIZE: usize = 64 << 10;

/// How often a socket that is not there yet is tried.
const CONNECT_PAUSE: Duration = Duration::from_millis(20);

/// Connects to a local socket without waiting for room in the queue of those who are to be
/// accepted. The stream does not block.
fn connect_unix(address: &SocketAddrUnix) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, address)?;
    Ok(UnixStream::from(socket))
}
