//! Connections on tokio, for servers and clients alike.

use std::io;
#[cfg(feature = "server")]
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;

use crate::descriptor::Descriptors;
pub(crate) use crate::system::Transport;
#[cfg(feature = "server")]
use crate::system::{self, PeerCredentials};
use crate::system::{Descriptor, Local, no_descriptors};

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

    #[cfg(feature = "server")]
    pub(crate) fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// Where the peer is, if it is on TCP and still there.
    #[cfg(feature = "server")]
    pub(crate) fn peer_of_tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Local(_) | Self::Any { .. } => None,
        }
    }

    /// Who the peer is, if it is on a unix socket.
    #[cfg(feature = "server")]
    pub(crate) fn peer_credentials(&self) -> Option<PeerCredentials> {
        match self {
            Self::Local(local) => local.credentials(),
            Self::Tcp(_) | Self::Any { .. } => None,
        }
    }

    pub(crate) fn split(self) -> (Reader, Writer) {
        match self {
            Self::Local(local) => {
                let local = Arc::new(local);
                (Reader::Local(Arc::clone(&local)), Writer::Local(local))
            }
            Self::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                (Reader::Tcp(reader), Writer::any(Box::new(writer)))
            }
            Self::Any { reader, writer } => (Reader::Any(reader), Writer::any(writer)),
        }
    }
}

/// The direction from the peer.
pub(crate) enum Reader {
    Local(Arc<Local>),
    Tcp(OwnedReadHalf),
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
            Self::Local(local) => match descriptors {
                Some(descriptors) => {
                    let mut received = Vec::new();
                    let count = local.read(buffer, Some(&mut received)).await?;
                    descriptors.keep(received, &buffer[..count]);
                    Ok(count)
                }
                None => local.read(buffer, None).await,
            },
            Self::Tcp(reader) => reader.read(buffer).await,
            Self::Any(reader) => reader.read(buffer).await,
        }
    }

    /// Whether both directions are over: the peer has closed its socket, or TCP has given the connection up. Of a peer that
    /// has only ended its own direction, and of streams that are not sockets, it cannot be told.
    #[cfg(feature = "server")]
    pub(crate) fn peer_is_gone(&self) -> bool {
        match self {
            Self::Local(local) => local.is_gone(),
            Self::Tcp(reader) => system::is_gone(reader.as_ref()),
            Self::Any(_) => false,
        }
    }
}

/// The direction to the peer.
pub(crate) enum Writer {
    Local(Arc<Local>),
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
        descriptors: &[Descriptor],
    ) -> io::Result<usize> {
        match self {
            Self::Local(local) => local.write(bytes, descriptors).await,
            Self::Any { .. } if !descriptors.is_empty() => Err(no_descriptors()),
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
            Self::Local(local) => local.close(),
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
        if let Self::Local(local) = self {
            local.give_up();
        }
        // Of TCP, the kernel has ended both directions already. Of others it is for their peer to end the other one.
    }
}
