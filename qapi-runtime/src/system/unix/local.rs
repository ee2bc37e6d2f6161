//! Connections on tokio that are not TCP.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::{RecvFlags, Shutdown, recv, shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;
use tokio::net::UnixStream;

use super::super::PeerCredentials;
use super::super::Transport;
use super::super::no_descriptors;
use super::kernel::{family_of, listens};
use super::open::Handle;
use super::passing::peer_credentials;
use super::passing::{receive, send};

/// A connection that is not TCP.
pub(crate) enum Local {
    Unix(UnixStream),
    /// A socket of another family, a terminal, pipes.
    Other {
        input: AsyncFd<OwnedFd>,
        /// Where the direction to the peer has a descriptor of its own.
        output: Option<AsyncFd<OwnedFd>>,
    },
}

/// Takes what is open: a socket that is connected, or anything else that is read and written.
impl TryFrom<Handle> for Transport {
    type Error = io::Error;

    fn try_from(handle: Handle) -> io::Result<Self> {
        let Handle { input, output } = handle;
        rustix::io::ioctl_fionbio(&input, true)?;
        Ok(match family_of(&input) {
            Ok(_) if listens(&input).unwrap_or(false) => return Err(super::is_listener()),
            Ok(AddressFamily::UNIX) => {
                Self::Local(Local::Unix(UnixStream::from_std(input.into())?))
            }
            Ok(AddressFamily::INET | AddressFamily::INET6) => {
                Self::Tcp(TcpStream::from_std(input.into())?)
            }
            Ok(_) | Err(Errno::NOTSOCK) => Self::Local(Local::Other {
                input: watch(input)?,
                output: output.map(watch).transpose()?,
            }),
            Err(error) => return Err(error.into()),
        })
    }
}

#[allow(
    deprecated,
    reason = "a descriptor that is owned stays what it is, which the function in its place wants promised by `unsafe`"
)]
fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    rustix::io::ioctl_fionbio(&descriptor, true)?;
    AsyncFd::new(descriptor)
}

impl Local {
    /// Who the peer is, if it is on a unix socket.
    pub(crate) fn credentials(&self) -> Option<PeerCredentials> {
        match self {
            Self::Unix(stream) => peer_credentials(stream).ok(),
            Self::Other { .. } => None,
        }
    }

    /// Reads bytes, and the descriptors that come with them if they are wanted; the kernel closes others. Safe to be cancelled.
    pub(crate) async fn read(
        &self,
        buffer: &mut [u8],
        descriptors: Option<&mut Vec<OwnedFd>>,
    ) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => match descriptors {
                Some(received) => {
                    let read = || Ok(receive(stream, buffer, received)?.n_bytes);
                    stream.async_io(Interest::READABLE, read).await
                }
                None => {
                    let read = || Ok(recv(stream, &mut *buffer, RecvFlags::DONTWAIT)?.0);
                    stream.async_io(Interest::READABLE, read).await
                }
            },
            Self::Other { input, .. } => {
                let read = |descriptor: &OwnedFd| Ok(rustix::io::read(descriptor, &mut *buffer)?);
                input.async_io(Interest::READABLE, read).await
            }
        }
    }

    /// Writes some bytes, and the descriptors with them. Safe to be cancelled.
    pub(crate) async fn write(&self, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => {
                let descriptors: Vec<BorrowedFd<'_>> =
                    descriptors.iter().map(AsFd::as_fd).collect();
                let write = || send(stream, bytes, &descriptors);
                stream.async_io(Interest::WRITABLE, write).await
            }
            Self::Other { .. } if !descriptors.is_empty() => Err(no_descriptors()),
            Self::Other { input, output } => {
                let write = |descriptor: &OwnedFd| Ok(rustix::io::write(descriptor, bytes)?);
                let output = output.as_ref().unwrap_or(input);
                output.async_io(Interest::WRITABLE, write).await
            }
        }
    }

    /// Ends the direction to the peer, which may be gone already.
    pub(crate) fn close(&self) {
        match self {
            Self::Unix(stream) => drop(shutdown(stream, Shutdown::Write)),
            // What is not a socket ends with its last descriptor.
            Self::Other { input, .. } => drop(shutdown(input.get_ref(), Shutdown::Write)),
        }
    }

    /// After a failure to write: makes sure that the reader comes to the end of the connection, after what the peer had sent
    /// before.
    pub(crate) fn give_up(&self) {
        if let Self::Unix(stream) = self {
            // If it is not connected any more, the reader is at that end already.
            let _ = shutdown(stream, Shutdown::Both);
        }
    }

    /// Whether both directions are over: the peer has closed its socket.
    pub(crate) fn is_gone(&self) -> bool {
        match self {
            Self::Unix(stream) => is_hung_up(stream.as_fd()),
            Self::Other { input, .. } => is_hung_up(input.get_ref().as_fd()),
        }
    }
}

/// Whether both directions are over: TCP has given the connection up.
pub(crate) fn is_gone(stream: &TcpStream) -> bool {
    is_hung_up(stream.as_fd())
}

fn is_hung_up(socket: BorrowedFd<'_>) -> bool {
    // These two are told whether they are asked for or not.
    let gone = PollFlags::HUP | PollFlags::ERR;
    let mut polled = [PollFd::from_borrowed_fd(socket, PollFlags::empty())];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // What fails is asked again later.
    poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().intersects(gone)
}
