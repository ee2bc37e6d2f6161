//! Connections on tokio, for servers and clients alike.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::{TcpStream, UnixStream};

use crate::descriptor::{Descriptors, receive, send};

/// The two directions of a connection.
pub(crate) enum Transport {
    Unix(UnixStream),
    Tcp(TcpStream),
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

    pub(crate) fn split(self) -> (Reader, Writer) {
        match self {
            Self::Unix(stream) => {
                let stream = Arc::new(stream);
                (Reader::Unix(Arc::clone(&stream)), Writer::Unix(stream))
            }
            Self::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                (Reader::Any(Box::new(reader)), Writer::any(Box::new(writer)))
            }
            Self::Any { reader, writer } => (Reader::Any(reader), Writer::any(writer)),
        }
    }
}

/// The direction from the peer.
pub(crate) enum Reader {
    Unix(Arc<UnixStream>),
    Any(Box<dyn AsyncRead + Send + Unpin>),
}

impl Reader {
    /// Reads bytes, and the descriptors that come with them. Safe to be cancelled.
    pub(crate) async fn read(
        &mut self,
        buffer: &mut [u8],
        descriptors: &Descriptors,
    ) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => {
                let mut received = Vec::new();
                let count = stream
                    .async_io(Interest::READABLE, || {
                        receive(&**stream, buffer, &mut received)
                    })
                    .await?;
                descriptors.receive(received);
                Ok(count)
            }
            Self::Any(reader) => reader.read(buffer).await,
        }
    }
}

/// The direction to the peer.
pub(crate) enum Writer {
    Unix(Arc<UnixStream>),
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
            Self::Any { .. } if !descriptors.is_empty() => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "descriptors travel over unix sockets only",
            )),
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

    /// Ends the connection in an orderly way; the peer may be gone already.
    pub(crate) async fn close(&mut self) {
        match self {
            Self::Unix(stream) => {
                let _ = rustix::net::shutdown(&**stream, rustix::net::Shutdown::Write);
            }
            Self::Any { writer, .. } => {
                // Standard output does not do it by itself.
                let _ = writer.flush().await;
                let _ = writer.shutdown().await;
            }
        }
    }

    /// After a failure to write: makes sure that the reader comes to the end of the connection,
    /// behind what the peer had sent before.
    pub(crate) fn give_up(&self) {
        if let Self::Unix(stream) = self {
            let _ = rustix::net::shutdown(&**stream, rustix::net::Shutdown::Both);
        }
        // Of TCP, the kernel has ended both directions already.
    }
}
