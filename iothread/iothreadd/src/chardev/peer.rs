//! The other end of a connection, while a device has it.

use std::io;
use std::os::fd::OwnedFd;

use iothread::FdWatch;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::net::stream::Stream;

/// How much of what a peer sends in vain is taken away at a time.
const DISCARD_SIZE: usize = 64 << 10;

/// Who is at the other end, and who has the connection.
#[derive(Default)]
pub(super) enum Peer {
    #[default]
    None,
    /// The connection is not in use; the watch tells whether the peer hangs up.
    Idle { stream: Stream, watch: FdWatch },
    /// The front end has it.
    Lent(Stream),
    /// A front end that is gone has said so, and the peer has not hung up yet.
    Dismissed { stream: Stream, watch: FdWatch },
}

impl Peer {
    pub(super) fn is_there(&self) -> bool {
        self.stream().is_some()
    }

    pub(super) fn stream(&self) -> Option<&Stream> {
        match self {
            Self::None => None,
            Self::Idle { stream, .. } | Self::Lent(stream) | Self::Dismissed { stream, .. } => {
                Some(stream)
            }
        }
    }

    /// Ends the connection.
    pub(super) fn end(self) {
        match self {
            Self::None => {}
            Self::Idle { stream, watch } | Self::Dismissed { stream, watch } => {
                drop(watch);
                stream.close();
            }
            Self::Lent(stream) => stream.close(),
        }
    }
}

/// A descriptor from which there is something to read once the peer of a unix socket has closed it, even if what it has
/// sent before has not been received.
pub(super) fn hang_up_of(socket: &OwnedFd) -> io::Result<OwnedFd> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    // Hang-ups are told to those who wait for nothing.
    epoll::add(&epoll, socket, EventData::new_u64(0), EventFlags::empty())?;
    Ok(epoll)
}

/// Whether the peer has hung up.
///
/// Differs from QEMU: there the peer of a TCP connection that hangs up stays until something is sent to it.
pub(super) fn is_over(socket: &OwnedFd) -> bool {
    let mut byte = [0; 1];
    match recv(socket, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, count)) => count == 0,
        Err(Errno::AGAIN | Errno::INTR) => false,
        Err(_) => true,
    }
}

/// The same, where what the peer has sent will never be read.
pub(super) fn is_over_behind_rest(socket: &OwnedFd) -> bool {
    let mut rest = [0; 4096];
    for _ in 0..DISCARD_SIZE / rest.len() {
        match recv(socket, &mut rest[..], RecvFlags::DONTWAIT) {
            Ok((_, 0)) => return true,
            Ok(_) => {}
            Err(Errno::AGAIN | Errno::INTR) => return false,
            Err(_) => return true,
        }
    }
    false
}
