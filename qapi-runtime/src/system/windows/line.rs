//! Connections of clients that block, which a thread carries.

use std::io;
use std::net::Shutdown;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle as Carrier};
use tokio::sync::watch;

use super::super::PeerCredentials;
use super::Descriptor;
use super::local::Local;
use super::open::Handle;
use crate::lock::lock;
use crate::parking::run_until;

/// Does what opens a connection where the thread that carries it is found.
pub(crate) fn carried<T>(open: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let carrier = carrier()?;
    let _context = carrier.enter();
    open()
}

/// The thread that waits for the connections of all clients that block. It is started for the first one, and costs no time while
/// nothing happens.
fn carrier() -> io::Result<Carrier> {
    static CARRIER: Mutex<Option<Carrier>> = Mutex::new(None);
    let mut carrier = lock(&CARRIER);
    if let Some(carrier) = &*carrier {
        return Ok(carrier.clone());
    }
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("qmp-carrier".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(carrier.insert(handle).clone())
}

/// A connection that blocks, with limits on time.
pub(crate) struct Line {
    wire: Wire,
    /// Whether it is to end.
    is_ended: watch::Sender<bool>,
}

enum Wire {
    Tcp(TcpStream),
    Local(Local),
}

impl Line {
    pub(crate) fn new(handle: Handle) -> io::Result<Self> {
        let wire = match handle {
            Handle::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                Wire::Tcp(carried(|| TcpStream::from_std(stream))?)
            }
            Handle::Local(local) => Wire::Local(local),
        };
        Ok(Self {
            wire,
            is_ended: watch::Sender::new(false),
        })
    }

    /// Nobody is told who is at the other end.
    pub(crate) fn credentials(&self) -> Option<PeerCredentials> {
        None
    }

    /// Reads, within the time if there is one; `WouldBlock` if nothing comes.
    pub(crate) fn read(&self, buffer: &mut [u8], left: Option<Duration>) -> io::Result<usize> {
        let read = async {
            match &self.wire {
                Wire::Tcp(stream) => loop {
                    stream.readable().await?;
                    match stream.try_read(buffer) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        read => return read,
                    }
                },
                Wire::Local(local) => local.read(buffer, None).await,
            }
        };
        self.unless_ended(read, left).unwrap_or(Ok(0))
    }

    /// Writes some bytes.
    pub(crate) fn write(
        &self,
        bytes: &[u8],
        descriptors: &[Descriptor],
        left: Option<Duration>,
    ) -> io::Result<usize> {
        let write = async {
            match &self.wire {
                Wire::Tcp(stream) => loop {
                    stream.writable().await?;
                    match stream.try_write(bytes) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        written => return written,
                    }
                },
                Wire::Local(local) => local.write(bytes, descriptors).await,
            }
        };
        let ended = || Err(io::ErrorKind::NotConnected.into());
        // The lock is not held while it writes.
        let is_over = *self.is_ended.borrow();
        match is_over {
            true => ended(),
            false => self.unless_ended(write, left).unwrap_or_else(ended),
        }
    }

    /// Waits for something within the time if there is one; `None` if this is to end before.
    fn unless_ended(
        &self,
        done: impl Future<Output = io::Result<usize>>,
        left: Option<Duration>,
    ) -> Option<io::Result<usize>> {
        let mut is_ended = self.is_ended.subscribe();
        let waiting = async {
            tokio::select! {
                biased;
                done = done => Some(done),
                _ = is_ended.wait_for(|is_ended| *is_ended) => None,
            }
        };
        let deadline = left.map(|left| Instant::now() + left);
        let late = || Some(Err(io::ErrorKind::WouldBlock.into()));
        run_until(waiting, deadline).unwrap_or_else(late)
    }

    /// Ends both directions: a reader is at the end after what has come already. A pipe is closed with this value.
    pub(crate) fn end(&self) {
        if let Wire::Tcp(stream) = &self.wire {
            // The other direction would lose what has come. The peer may be gone already, which is what this is for.
            let _ = SockRef::from(stream).shutdown(Shutdown::Write);
        }
        self.is_ended.send_replace(true);
    }
}
