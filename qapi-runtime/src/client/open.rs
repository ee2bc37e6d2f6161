//! From an address to a descriptor.

use std::io;
#[cfg(feature = "client-blocking")]
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use super::peer::Peer;
use crate::address::Address;
use crate::descriptor;
use crate::socket::connect_path;

/// A connection that is open, and the command behind it, if there is one.
pub(super) struct Opened {
    pub(super) descriptor: OwnedFd,
    pub(super) command: Option<RunningCommand>,
}

impl From<OwnedFd> for Opened {
    fn from(descriptor: OwnedFd) -> Self {
        Self {
            descriptor,
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
    match peer {
        Peer::Stream(name) => Opening::Stream(name),
        Peer::At(Address::Unix(path)) => Opening::Done(local(|socket| connect_path(socket, path))),
        Peer::At(Address::Abstract(name)) => Opening::Done(local(|socket| {
            let name = SocketAddrUnix::new_abstract_name(name)?;
            Ok(rustix::net::connect(socket, &name)?)
        })),
        Peer::At(Address::Fd(number)) => {
            Opening::Done(descriptor::inherited(*number).map(Opened::from))
        }
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
    Ok(match begin(peer) {
        Opening::Done(opened) => opened?,
        Opening::Tcp(address) => connect_tcp(&address, patience)?.into(),
        Opening::Vsock { cid, port } => connect_vsock(cid, port, patience)?.into(),
        Opening::Stream(name) => return Err(no_stream(name)),
    })
}

/// Opens an address and says nothing there: for those who pass on what others say. Over TCP and vsock it may take so long.
///
/// # Errors
///
/// What the system refuses, as to connect where nobody listens.
#[cfg(feature = "client-blocking")]
pub fn open(address: &Address, patience: Duration) -> io::Result<OwnedFd> {
    Ok(open_within(&Peer::At(address.clone()), patience)?.descriptor)
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
            | Address::Exec(_),
        ) => true,
    }
}

/// Connects to a socket of this machine without waiting for room in the queue of those who are to be accepted.
fn local(connect: impl FnOnce(&OwnedFd) -> io::Result<()>) -> io::Result<Opened> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket)?;
    Ok(socket.into())
}

/// The shortest time-out that a socket takes.
#[cfg(feature = "client-blocking")]
const SHORTEST: Duration = Duration::from_millis(1);

/// Connects to the first address of a host that accepts, each within the time.
#[cfg(feature = "client-blocking")]
pub(super) fn connect_tcp(address: &str, patience: Duration) -> io::Result<OwnedFd> {
    let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in address.to_socket_addrs()? {
        result = TcpStream::connect_timeout(&address, patience.max(SHORTEST));
        if result.is_ok() {
            break;
        }
    }
    let stream = result?;
    stream.set_nodelay(true)?;
    Ok(stream.into())
}

/// Connects to a port of a machine.
pub(super) fn connect_vsock(cid: u32, port: u32, patience: Duration) -> io::Result<OwnedFd> {
    use nix::sys::socket::{self as vsock, SockFlag, SockType, VsockAddr};

    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = vsock::socket(vsock::AddressFamily::Vsock, SockType::Stream, flags, None)?;
    let address = VsockAddr::new(cid, port);
    match vsock::connect(std::os::fd::AsRawFd::as_raw_fd(&socket), &address) {
        Ok(()) => return Ok(socket),
        Err(nix::errno::Errno::EINPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let mut polled = [PollFd::new(&socket, PollFlags::OUT)];
    let timeout = Timespec::try_from(patience).ok();
    if poll(&mut polled, timeout.as_ref())? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    sockopt::socket_error(&socket)??;
    Ok(socket)
}

/// Starts a command whose standard streams are one socket.
fn execute(command: &str) -> io::Result<Opened> {
    let (ours, theirs) = UnixStream::pair()?;
    let (input, output) = (OwnedFd::from(theirs.try_clone()?), OwnedFd::from(theirs));
    let mut child = Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(output))
        .spawn()?;
    let running = RunningCommand::default();
    let end = running.clone();
    // A program that has ended has to be waited for, or stays as a zombie.
    std::thread::Builder::new()
        .name("qmp-command".to_owned())
        .spawn(move || {
            let status = child.wait();
            *end.status.0.lock().unwrap_or_else(PoisonError::into_inner) = status.ok();
            end.status.1.notify_all();
        })?;
    Ok(Opened {
        descriptor: ours.into(),
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
