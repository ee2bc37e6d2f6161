//! Connections on tokio, for servers and clients alike.

use std::io;
#[cfg(feature = "server")]
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

#[cfg(feature = "server")]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
#[cfg(feature = "client-async")]
use rustix::io::Errno;
#[cfg(feature = "client-async")]
use rustix::net::{AddressFamily, sockopt};
use rustix::net::{RecvFlags, Shutdown, recv, shutdown};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpStream, UnixStream};

use crate::descriptor::{Descriptors, receive, send};
#[cfg(feature = "server")]
use crate::descriptor::{PeerCredentials, peer_credentials};

/// The two directions of a connection.
pub(crate) enum Transport {
    Unix(UnixStream),
    Tcp(TcpStream),
    /// A socket of another family, a terminal, a pipe.
    #[cfg_attr(
        not(feature = "client-async"),
        allow(dead_code, reason = "only clients take any descriptor")
    )]
    Descriptor(AsyncFd<OwnedFd>),
    Any {
        reader: Box<dyn AsyncRead + Send + Unpin>,
        writer: Box<dyn AsyncWrite + Send + Unpin>,
    },
}

impl Transport {
    pub(crate) fn any(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self::Any {
            reader: Box::new(reader),
            writer: Box::new(writer),
        }
    }

    /// Takes a descriptor: a socket that is connected, or anything else that is read and written.
    #[cfg(feature = "client-async")]
    pub(crate) fn of_descriptor(descriptor: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        Ok(match sockopt::socket_domain(&descriptor) {
            Ok(_) if sockopt::socket_acceptconn(&descriptor).unwrap_or(false) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "a socket that listens is not a connection",
                ));
            }
            Ok(AddressFamily::UNIX) => Self::Unix(UnixStream::from_std(descriptor.into())?),
            Ok(AddressFamily::INET | AddressFamily::INET6) => {
                Self::Tcp(TcpStream::from_std(descriptor.into())?)
            }
            Ok(_) | Err(Errno::NOTSOCK) => Self::Descriptor(watch(descriptor)?),
            Err(error) => return Err(error.into()),
        })
    }

    #[cfg(feature = "server")]
    pub(crate) fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// Where the peer is, if it is on TCP and still there.
    #[cfg(feature = "server")]
    pub(crate) fn peer_of_tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Unix(_) | Self::Descriptor(_) | Self::Any { .. } => None,
        }
    }

    /// Who the peer is, if it is on a unix socket.
    #[cfg(feature = "server")]
    pub(crate) fn peer_credentials(&self) -> Option<PeerCredentials> {
        match self {
            Self::Unix(stream) => peer_credentials(stream).ok(),
            Self::Tcp(_) | Self::Descriptor(_) | Self::Any { .. } => None,
        }
    }

    pub(crate) fn split(self) -> (Reader, Writer) {
        match self {
            Self::Unix(stream) => {
                let stream = Arc::new(stream);
                (Reader::Unix(Arc::clone(&stream)), Writer::Unix(stream))
            }
            Self::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                (Reader::Tcp(reader), Writer::any(Box::new(writer)))
            }
            Self::Descriptor(descriptor) => {
                let descriptor = Arc::new(descriptor);
                let reader = Reader::Descriptor(Arc::clone(&descriptor));
                (reader, Writer::Descriptor(descriptor))
            }
            Self::Any { reader, writer } => (Reader::Any(reader), Writer::any(writer)),
        }
    }
}

#[cfg(feature = "client-async")]
#[allow(
    deprecated,
    reason = "a descriptor that is owned stays what it is, which the function in its place wants promised by `unsafe`"
)]
fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(descriptor)
}

/// The direction from the peer.
pub(crate) enum Reader {
    Unix(Arc<UnixStream>),
    Tcp(OwnedReadHalf),
    Descriptor(Arc<AsyncFd<OwnedFd>>),
    Any(Box<dyn AsyncRead + Send + Unpin>),
}

impl Reader {
    /// Reads bytes, and the descriptors that come with them; the kernel closes those that are not wanted. Safe to be cancelled.
    pub(crate) async fn read(
        &mut self,
        buffer: &mut [u8],
        descriptors: Option<&Descriptors>,
    ) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => {
                let mut received = Vec::new();
                let count = stream
                    .async_io(Interest::READABLE, || match descriptors {
                        Some(_) => Ok(receive(&**stream, buffer, &mut received)?.n_bytes),
                        None => Ok(recv(&**stream, &mut *buffer, RecvFlags::DONTWAIT)?.0),
                    })
                    .await?;
                if let Some(descriptors) = descriptors {
                    descriptors.receive(received, &buffer[..count]);
                }
                Ok(count)
            }
            Self::Tcp(reader) => reader.read(buffer).await,
            Self::Descriptor(descriptor) => {
                let read = |descriptor: &OwnedFd| Ok(rustix::io::read(descriptor, &mut *buffer)?);
                descriptor.async_io(Interest::READABLE, read).await
            }
            Self::Any(reader) => reader.read(buffer).await,
        }
    }

    /// Whether both directions are over: the peer has closed its socket, or TCP has given the connection up. Of a peer that
    /// has only ended its own direction, and of streams that are not sockets, it cannot be told.
    #[cfg(feature = "server")]
    pub(crate) fn peer_is_gone(&self) -> bool {
        let socket = match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(reader) => AsRef::<TcpStream>::as_ref(reader).as_fd(),
            Self::Descriptor(descriptor) => descriptor.get_ref().as_fd(),
            Self::Any(_) => return false,
        };
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
}

/// The direction to the peer.
pub(crate) enum Writer {
    Unix(Arc<UnixStream>),
    Descriptor(Arc<AsyncFd<OwnedFd>>),
    Any {
        writer: Box<dyn AsyncWrite + Send + Unpin>,
        /// Whether the writer may keep back something that was written.
        is_dirty: bool,
    },
}

impl Writer {
    fn any(writer: Box<dyn AsyncWrite + Send + Unpin>) -> Self {
        Self::Any {
            writer,
            is_dirty: false,
        }
    }

    /// Whether there is something to hand on although nothing is to be written.
    pub(crate) fn needs_flush(&self) -> bool {
        matches!(self, Self::Any { is_dirty: true, .. })
    }

    /// Writes some bytes, and the descriptors with them; without bytes, hands on what was kept
    /// back. Safe to be cancelled: what is reported as written is all that was.
    pub(crate) async fn write(
        &mut self,
        bytes: &[u8],
        descriptors: &[OwnedFd],
    ) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => {
                let descriptors: Vec<BorrowedFd<'_>> =
                    descriptors.iter().map(AsFd::as_fd).collect();
                stream
                    .async_io(Interest::WRITABLE, || send(&**stream, bytes, &descriptors))
                    .await
            }
            Self::Descriptor(_) | Self::Any { .. } if !descriptors.is_empty() => {
                Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "descriptors travel over unix sockets only",
                ))
            }
            Self::Descriptor(descriptor) => {
                let write = |descriptor: &OwnedFd| Ok(rustix::io::write(descriptor, bytes)?);
                descriptor.async_io(Interest::WRITABLE, write).await
            }
            Self::Any { writer, is_dirty } if bytes.is_empty() => {
                writer.flush().await?;
                *is_dirty = false;
                Ok(0)
            }
            Self::Any { writer, is_dirty } => {
                let count = writer.write(bytes).await?;
                *is_dirty = true;
                Ok(count)
            }
        }
    }

    /// Ends the connection in an orderly way. The peer may be gone already, and the caller has sent all that was to
    /// be sent: there is no one to be told that the end did not work, and the descriptor is closed in any case.
    pub(crate) async fn close(&mut self) {
        match self {
            Self::Unix(stream) => {
                let _ = shutdown(&**stream, Shutdown::Write);
            }
            Self::Descriptor(descriptor) => {
                // What is not a socket ends with its last descriptor.
                let _ = shutdown(descriptor.get_ref(), Shutdown::Write);
            }
            Self::Any { writer, .. } => {
                // Standard output does not hand on by itself what it has kept.
                let _ = writer.flush().await;
                let _ = writer.shutdown().await;
            }
        }
    }

    /// After a failure to write: makes sure that the reader comes to the end of the connection,
    /// after what the peer had sent before.
    #[cfg(feature = "client-async")]
    pub(crate) fn give_up(&self) {
        if let Self::Unix(stream) = self {
            // If it is not connected any more, the reader is at that end already.
            let _ = shutdown(&**stream, Shutdown::Both);
        }
        // Of TCP, the kernel has ended both directions already. Of others it is for their peer to end the other one.
    }
}
