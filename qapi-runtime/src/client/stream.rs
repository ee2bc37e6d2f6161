//! The socket of the blocking client: no step of it takes longer than it is allowed to.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::net::SocketAddrUnix;

use super::options::{Address, ConnectOptions};
use super::{CONNECT_PAUSE, connect_unix};
use crate::descriptor;

/// A connected socket.
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// Why a request was not written as a whole.
pub(super) struct NotSent {
    pub(super) error: io::Error,
    /// Whether a part of it was.
    pub(super) is_partial: bool,
}

/// Until when something may take, and the time-out that this comes from.
pub(super) type Deadline = Option<(Instant, Duration)>;

impl Stream {
    /// Connects without waiting for room in the queue of those who wait to be accepted.
    fn open(address: &Address, patience: Duration) -> io::Result<Self> {
        Ok(match address {
            Address::Unix(path) => Self::local(&SocketAddrUnix::new(path)?)?,
            Address::Abstract(name) => Self::local(&SocketAddrUnix::new_abstract_name(name)?)?,
            Address::Tcp(address) => {
                let stream = connect_tcp(address, patience)?;
                stream.set_nodelay(true)?;
                Self::Tcp(stream)
            }
        })
    }

    fn local(address: &SocketAddrUnix) -> io::Result<Self> {
        let stream = connect_unix(address)?;
        stream.set_nonblocking(false)?;
        Ok(Self::Unix(stream))
    }

    /// Tries until the server is there, or has room for one more.
    pub(super) fn open_by(options: &ConnectOptions, wait: Duration) -> io::Result<Self> {
        let start = Instant::now();
        loop {
            let error = match Self::open(&options.address, options.handshake) {
                Ok(stream) => return Ok(stream),
                Err(error) => error,
            };
            let patience = match error.kind() {
                io::ErrorKind::WouldBlock => wait.max(options.handshake),
                _ => wait,
            };
            if start.elapsed() >= patience {
                return Err(error);
            }
            std::thread::sleep(CONNECT_PAUSE);
        }
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
        })
    }

    pub(super) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_read_timeout(timeout),
            Self::Tcp(stream) => stream.set_read_timeout(timeout),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = match self {
                Self::Unix(stream) => stream.read(buffer),
                Self::Tcp(stream) => stream.read(buffer),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Writes all of it.
    pub(super) fn send(
        &mut self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
        deadline: Deadline,
    ) -> Result<(), NotSent> {
        let mut written = 0;
        while written < bytes.len() {
            let attached = if written == 0 { descriptors } else { &[] };
            match self.write(&bytes[written..], attached, deadline) {
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let is_partial = written > 0;
                    return Err(NotSent { error, is_partial });
                }
            }
        }
        Ok(())
    }

    fn write(
        &mut self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
        deadline: Deadline,
    ) -> io::Result<usize> {
        // Zero would be no time-out at all.
        let left = deadline.map(|(deadline, _)| time_to(deadline).max(SHORTEST));
        match self {
            Self::Unix(stream) => {
                stream.set_write_timeout(left)?;
                descriptor::send(&*stream, bytes, descriptors)
            }
            Self::Tcp(_) if !descriptors.is_empty() => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "descriptors travel over unix sockets only",
            )),
            Self::Tcp(stream) => {
                stream.set_write_timeout(left)?;
                stream.write(bytes)
            }
        }
    }

    pub(super) fn shut_down(&self) {
        // The peer may be gone already, which is what this is for: whoever reads is at the end then.
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(std::net::Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(std::net::Shutdown::Both),
        };
    }
}

/// The shortest time-out that a socket takes.
const SHORTEST: Duration = Duration::from_millis(1);

pub(super) fn time_to(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn connect_tcp(address: &str, patience: Duration) -> io::Result<TcpStream> {
    let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in address.to_socket_addrs()? {
        result = TcpStream::connect_timeout(&address, patience.max(SHORTEST));
        if result.is_ok() {
            break;
        }
    }
    result
}
