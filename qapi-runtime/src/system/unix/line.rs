//! Connections that block.

use std::io::{self, PipeReader, PipeWriter, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, Shutdown};

use super::super::{PeerCredentials, SHORTEST, no_descriptors};
use super::Handle;
use super::is_listener;
use super::kernel::{family_of, listens};
use super::passing::{peer_credentials, send};

/// Does what opens a connection, which needs nothing else here.
pub(crate) fn carried<T>(open: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    open()
}

/// A connection that blocks, with limits on time.
pub(crate) enum Line {
    Socket {
        socket: OwnedFd,
        is_unix: bool,
    },
    /// A terminal, a pipe: what has no time-outs of its own.
    Other(Other),
}

impl Line {
    /// Takes a descriptor: a socket that is connected, or anything else that is read and written.
    pub(crate) fn new(handle: Handle) -> io::Result<Self> {
        match family_of(&handle.input) {
            Ok(family) => {
                let socket = handle.input;
                if listens(&socket).unwrap_or(false) {
                    return Err(is_listener());
                }
                rustix::io::ioctl_fionbio(&socket, false)?;
                Ok(Self::Socket {
                    socket,
                    is_unix: family == AddressFamily::UNIX,
                })
            }
            Err(Errno::NOTSOCK) => Ok(Self::Other(Other::new(handle)?)),
            Err(error) => Err(error.into()),
        }
    }

    /// Who is at the other end, where that can be told.
    pub(crate) fn credentials(&self) -> Option<PeerCredentials> {
        match self {
            Self::Socket { socket, .. } => peer_credentials(socket).ok(),
            Self::Other(_) => None,
        }
    }

    /// Reads, within the time if there is one; `WouldBlock` if nothing comes.
    pub(crate) fn read(&self, buffer: &mut [u8], left: Option<Duration>) -> io::Result<usize> {
        match self {
            Self::Socket { socket, .. } => match left {
                None => receive(socket, buffer),
                Some(left) => {
                    // Zero would be no time-out at all.
                    set_socket_timeout(socket, Timeout::Recv, Some(left.max(SHORTEST)))?;
                    let result = receive(socket, buffer);
                    set_socket_timeout(socket, Timeout::Recv, None)?;
                    result
                }
            },
            Self::Other(other) => other.read(buffer, left),
        }
    }

    /// Writes some bytes, and the descriptors with the first of them.
    pub(crate) fn write(
        &self,
        bytes: &[u8],
        descriptors: &[OwnedFd],
        left: Option<Duration>,
    ) -> io::Result<usize> {
        match self {
            Self::Socket { socket, is_unix } if *is_unix || descriptors.is_empty() => {
                let left = left.map(|left| left.max(SHORTEST));
                set_socket_timeout(socket, Timeout::Send, left)?;
                let descriptors: Vec<BorrowedFd<'_>> =
                    descriptors.iter().map(AsFd::as_fd).collect();
                send(socket, bytes, &descriptors)
            }
            Self::Other(other) if descriptors.is_empty() => other.write(bytes, left),
            Self::Socket { .. } | Self::Other(_) => Err(no_descriptors()),
        }
    }

    /// Ends both directions: a reader is at the end after what has come already.
    pub(crate) fn end(&self) {
        match self {
            // The peer may be gone already, which is what this is for.
            Self::Socket { socket, .. } => drop(rustix::net::shutdown(socket, Shutdown::Both)),
            Self::Other(other) => other.end(),
        }
    }
}

fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((_, count)) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Descriptors that are not sockets.
pub(crate) struct Other {
    handle: Handle,
    /// Readable when waiting is to end.
    ended: PipeReader,
    end: PipeWriter,
}

impl Other {
    fn new(handle: Handle) -> io::Result<Self> {
        for descriptor in std::iter::once(&handle.input).chain(&handle.output) {
            rustix::io::ioctl_fionbio(descriptor, true)?;
        }
        let (ended, end) = io::pipe()?;
        Ok(Self { handle, ended, end })
    }

    fn end(&self) {
        // It stays readable, since it is not read, and is ended once or twice.
        let _ = (&self.end).write(&[0]);
    }

    /// Waits until a descriptor is ready; false if waiting is to end.
    fn wait(
        &self,
        descriptor: &OwnedFd,
        flags: PollFlags,
        left: Option<Duration>,
    ) -> io::Result<bool> {
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let mut polled = [
            PollFd::new(descriptor, flags),
            PollFd::new(&self.ended, PollFlags::IN),
        ];
        match poll(&mut polled, timeout.as_ref()) {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            Ok(_) => Ok(polled[1].revents().is_empty()),
            Err(Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    fn read(&self, buffer: &mut [u8], left: Option<Duration>) -> io::Result<usize> {
        let input = &self.handle.input;
        loop {
            match rustix::io::read(input, &mut *buffer) {
                Ok(count) => return Ok(count),
                Err(Errno::AGAIN) => {
                    if !self.wait(input, PollFlags::IN, left)? {
                        return Ok(0);
                    }
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn write(&self, bytes: &[u8], left: Option<Duration>) -> io::Result<usize> {
        let output = self.handle.output.as_ref().unwrap_or(&self.handle.input);
        loop {
            match rustix::io::write(output, bytes) {
                Ok(count) => return Ok(count),
                Err(Errno::AGAIN) => {
                    if !self.wait(output, PollFlags::OUT, left)? {
                        return Err(io::ErrorKind::NotConnected.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
