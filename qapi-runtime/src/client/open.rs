//! From an address to a connection.

use std::io;
#[cfg(feature = "client-blocking")]
use std::net::{TcpStream, ToSocketAddrs};
#[cfg(all(unix, feature = "client-blocking"))]
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::peer::Peer;
use super::thread::not_started;
use crate::address::Address;
use crate::system::{self, Handle, connect_abstract, connect_pipe, connect_unix, inherit};
#[cfg(feature = "client-blocking")]
use crate::system::{SHORTEST, carried, connect_vsock};

/// A connection that is open, and the command behind it, if there is one.
pub(super) struct Opened {
    pub(super) handle: Handle,
    pub(super) command: Option<RunningCommand>,
}

impl<T: Into<Handle>> From<T> for Opened {
    fn from(handle: T) -> Self {
        Self {
            handle: handle.into(),
            command: None,
        }
    }
}

/// What opening an address takes.
pub(super) enum Opening<'a> {
    /// Nothing: this is it, or the error.
    Done(io::Result<Opened>),
    /// A TCP connection to this host and port.
    Tcp(String),
    /// Some time, in [`connect_vsock`].
    Vsock { cid: u32, port: u32 },
    /// A stream that the caller was to give.
    Stream(&'a str),
}

/// Opens what can be opened without waiting.
pub(super) fn begin(peer: &Peer) -> Opening<'_> {
    let done = |opened: io::Result<Handle>| Opening::Done(opened.map(Opened::from));
    match peer {
        Peer::Stream(name) => Opening::Stream(name),
        Peer::At(Address::Unix(path)) => done(connect_unix(path)),
        Peer::At(Address::Abstract(name)) => done(connect_abstract(name)),
        Peer::At(Address::Pipe(name)) => done(connect_pipe(name)),
        Peer::At(Address::Fd(number)) => done(inherit(*number)),
        Peer::At(Address::Exec(command)) => Opening::Done(execute(command)),
        Peer::At(Address::Tcp(address)) => Opening::Tcp(match address.strip_prefix(':') {
            Some(port) => format!("localhost:{port}"),
            None => address.clone(),
        }),
        Peer::At(Address::Vsock { cid, port }) => Opening::Vsock {
            cid: *cid,
            port: *port,
        },
    }
}

/// Opens whatever it is, within the time where it takes some.
#[cfg(feature = "client-blocking")]
pub(super) fn open_within(peer: &Peer, patience: Duration) -> io::Result<Opened> {
    carried(|| match begin(peer) {
        Opening::Done(opened) => opened,
        Opening::Tcp(address) => Ok(connect_tcp(&address, patience)?.into()),
        Opening::Vsock { cid, port } => Ok(connect_vsock(cid, port, patience)?.into()),
        Opening::Stream(name) => Err(no_stream(name)),
    })
}

/// Opens an address and says nothing there: for those who pass on what others say. Over TCP and vsock it may take so long.
///
/// # Errors
///
/// What the system refuses, as to connect where nobody listens.
#[cfg(feature = "client-blocking")]
#[cfg(unix)]
pub fn open(address: &Address, patience: Duration) -> io::Result<OwnedFd> {
    let opened = open_within(&Peer::At(address.clone()), patience)?;
    opened.handle.into_descriptor()
}

/// What is said to a client that should be given a stream.
pub(super) fn no_stream(name: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("'{name}' is a stream, which 'connect_stream' and 'connect_descriptor' take"),
    )
}

/// Whether the same peer can be had once more.
pub(super) fn is_lasting(peer: &Peer) -> bool {
    match peer {
        Peer::Stream(_) | Peer::At(Address::Fd(_)) => false,
        Peer::At(
            Address::Unix(_)
            | Address::Abstract(_)
            | Address::Tcp(_)
            | Address::Vsock { .. }
            | Address::Pipe(_)
            | Address::Exec(_),
        ) => true,
    }
}

/// Connects to the first address of a host that accepts, each within the time.
#[cfg(feature = "client-blocking")]
fn connect_tcp(address: &str, patience: Duration) -> io::Result<TcpStream> {
    let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in address.to_socket_addrs()? {
        result = TcpStream::connect_timeout(&address, patience.max(SHORTEST));
        if result.is_ok() {
            break;
        }
    }
    let stream = result?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Starts a command whose standard input and output are the session.
fn execute(command: &str) -> io::Result<Opened> {
    let (handle, mut child) = system::execute(command)?;
    let running = RunningCommand::default();
    let end = running.clone();
    // A program that has ended has to be waited for, or stays as a zombie.
    std::thread::Builder::new()
        .name("qmp-command".to_owned())
        .spawn(move || {
            let status = child.wait();
            *end.status.0.lock().unwrap_or_else(PoisonError::into_inner) = status.ok();
            end.status.1.notify_all();
        })
        .map_err(not_started)?;
    Ok(Opened {
        handle,
        command: Some(running),
    })
}

/// How long a command that has closed its output may take to end.
const COMMAND_PATIENCE: Duration = Duration::from_millis(500);

/// A command that is a server.
#[derive(Clone, Default)]
pub(super) struct RunningCommand {
    status: Arc<(Mutex<Option<ExitStatus>>, Condvar)>,
}

impl RunningCommand {
    /// How it has ended, for people; waits for that a little.
    pub(super) fn end(&self) -> Option<String> {
        let (status, ended) = &*self.status;
        let status = status.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = ended.wait_timeout_while(status, COMMAND_PATIENCE, |it| it.is_none());
        let (status, _) = waited.unwrap_or_else(PoisonError::into_inner);
        status.map(|status| format!("the command ended with {status}"))
    }
}
