//! Named pipes on tokio.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::windows::named_pipe::{NamedPipeClient, NamedPipeServer};

use super::super::PeerCredentials;
use super::Descriptor;

/// What a process at the other end of a pipe that is gone is told by (ERROR_PIPE_NOT_CONNECTED), beside what the standard library
/// knows.
const NOT_CONNECTED: i32 = 233;

/// A connection by named pipes. It ends as a whole: a pipe has no half that could be closed.
pub(crate) struct Local {
    pipes: Pipes,
    /// Whether the other end is gone.
    is_over: AtomicBool,
}

/// The pipes of a connection.
pub(super) enum Pipes {
    Client(NamedPipeClient),
    Server(NamedPipeServer),
    /// Those of a command that was started here.
    Command {
        input: NamedPipeServer,
        output: NamedPipeServer,
    },
}

impl From<Pipes> for Local {
    fn from(pipes: Pipes) -> Self {
        Self {
            pipes,
            is_over: AtomicBool::new(false),
        }
    }
}

impl Local {
    /// Reads bytes. Safe to be cancelled.
    pub(crate) async fn read(
        &self,
        buffer: &mut [u8],
        _descriptors: Option<&mut Vec<Descriptor>>,
    ) -> io::Result<usize> {
        loop {
            let read = match &self.pipes {
                Pipes::Client(pipe) => {
                    pipe.readable().await?;
                    pipe.try_read(buffer)
                }
                Pipes::Server(pipe) | Pipes::Command { output: pipe, .. } => {
                    pipe.readable().await?;
                    pipe.try_read(buffer)
                }
            };
            match read.map_err(named) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The other end is closed.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    self.is_over.store(true, Ordering::Relaxed);
                    return Ok(0);
                }
                read => return read,
            }
        }
    }

    /// Writes some bytes. Safe to be cancelled.
    pub(crate) async fn write(
        &self,
        bytes: &[u8],
        _descriptors: &[Descriptor],
    ) -> io::Result<usize> {
        loop {
            let written = match &self.pipes {
                Pipes::Client(pipe) => {
                    pipe.writable().await?;
                    pipe.try_write(bytes)
                }
                Pipes::Server(pipe) | Pipes::Command { input: pipe, .. } => {
                    pipe.writable().await?;
                    pipe.try_write(bytes)
                }
            };
            match written.map_err(named) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return written,
            }
        }
    }

    /// Nobody is told who has connected.
    pub(crate) fn credentials(&self) -> Option<PeerCredentials> {
        None
    }

    /// What was written reaches the peer after the pipe is closed, which it is with this value.
    pub(crate) fn close(&self) {}

    /// The reader of a pipe whose other end is closed comes to its end by itself.
    pub(crate) fn give_up(&self) {}

    /// Whether the peer has closed its end, and all that came before is read.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// Gives an error the kind that it has on other systems.
fn named(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(NOT_CONNECTED) => io::ErrorKind::BrokenPipe.into(),
        _ => error,
    }
}
