//! The stream of the blocking client: no step of it takes longer than it is allowed to.

use std::io::{self, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, RecvFlags, Shutdown};

use super::open::{self, Opened, RunningCommand};
use super::options::ConnectOptions;
use super::{CONNECT_PAUSE, READ_SIZE};
use crate::descriptor;
use crate::lock::lock;

/// A connection. Clones are handles on the same one.
#[derive(Clone)]
pub(super) struct Stream {
    kind: Arc<Kind>,
    /// What is at the other end, if it is a command.
    pub(super) command: Option<RunningCommand>,
    /// The part of the handshake's time that it has waited for room in the queue of those who are to be accepted.
    pub(super) waited: Duration,
}

enum Kind {
    Socket {
        socket: OwnedFd,
        is_unix: bool,
    },
    /// A terminal, a pipe: what has no time-outs of its own.
    Other(Other),
    Any(Any),
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
    fn new(kind: Kind, command: Option<RunningCommand>) -> Self {
        Self {
            kind: Arc::new(kind),
            command,
            waited: Duration::ZERO,
        }
    }

    /// Whether both are the same connection.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.kind, &other.kind)
    }

    /// Takes a descriptor: a socket that is connected, or anything else that is read and written.
    pub(super) fn of_descriptor(opened: Opened) -> io::Result<Self> {
        let Opened {
            descriptor,
            command,
        } = opened;
        let kind = match sockopt::socket_domain(&descriptor) {
            Ok(domain) => {
                if sockopt::socket_acceptconn(&descriptor).unwrap_or(false) {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidInput,
                        "a socket that listens is not a connection",
                    ));
                }
                rustix::io::ioctl_fionbio(&descriptor, false)?;
                Kind::Socket {
                    socket: descriptor,
                    is_unix: domain == AddressFamily::UNIX,
                }
            }
            Err(Errno::NOTSOCK) => Kind::Other(Other::new(descriptor)?),
            Err(error) => return Err(error.into()),
        };
        Ok(Self::new(kind, command))
    }

    /// Takes any two directions.
    pub(super) fn of_any(
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
    ) -> io::Result<Self> {
        Ok(Self::new(
            Kind::Any(Any::new(Box::new(reader), Box::new(writer))?),
            None,
        ))
    }

    /// Connects without waiting for room in the queue of those who wait to be accepted.
    fn open(options: &ConnectOptions) -> io::Result<Self> {
        Self::of_descriptor(open::open_within(&options.peer, options.handshake)?)
    }

    /// Tries until the server is there, or has room for one more.
    pub(super) fn open_by(options: &ConnectOptions, wait: Duration) -> io::Result<Self> {
        let start = Instant::now();
        let mut waited = Duration::ZERO;
        loop {
            let error = match Self::open(options) {
                Ok(stream) => return Ok(Self { waited, ..stream }),
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
            if error.kind() == io::ErrorKind::WouldBlock {
                waited = start.elapsed().saturating_sub(wait);
            }
        }
    }

    /// The socket, if it is one.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        match &*self.kind {
            Kind::Socket { socket, .. } => Some(std::os::fd::AsFd::as_fd(socket)),
            Kind::Other(_) | Kind::Any(_) => None,
        }
    }

    /// Reads within a time; `WouldBlock` if nothing comes.
    pub(super) fn read_within(&self, buffer: &mut [u8], left: Duration) -> io::Result<usize> {
        match &*self.kind {
            Kind::Socket { socket, .. } => {
                // Zero would be no time-out at all.
                sockopt::set_socket_timeout(socket, Timeout::Recv, Some(left.max(SHORTEST)))?;
                let result = receive(socket, buffer);
                sockopt::set_socket_timeout(socket, Timeout::Recv, None)?;
                result
            }
            Kind::Other(other) => other.read(buffer, Some(left)),
            Kind::Any(any) => any.read(buffer, Some(left)),
        }
    }

    /// Reads; for ever, or until the end.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &*self.kind {
            Kind::Socket { socket, .. } => receive(socket, buffer),
            Kind::Other(other) => other.read(buffer, None),
            Kind::Any(any) => any.read(buffer, None),
        }
    }

    /// Writes all of it.
    pub(super) fn send(
        &self,
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
        &self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
        deadline: Deadline,
    ) -> io::Result<usize> {
        let left = deadline.map(|(deadline, _)| time_to(deadline));
        match &*self.kind {
            Kind::Socket { socket, is_unix } if *is_unix || descriptors.is_empty() => {
                let left = left.map(|left| left.max(SHORTEST));
                sockopt::set_socket_timeout(socket, Timeout::Send, left)?;
                descriptor::send(socket, bytes, descriptors)
            }
            Kind::Other(other) if descriptors.is_empty() => other.write(bytes, left),
            Kind::Any(any) if descriptors.is_empty() => any.write(bytes),
            Kind::Socket { .. } | Kind::Other(_) | Kind::Any(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "descriptors travel over unix sockets only",
            )),
        }
    }

    /// Ends both directions: a reader is at the end after what has come already.
    pub(super) fn shut_down(&self) {
        match &*self.kind {
            // The peer may be gone already, which is what this is for.
            Kind::Socket { socket, .. } => drop(rustix::net::shutdown(socket, Shutdown::Both)),
            Kind::Other(other) => other.end(),
            Kind::Any(any) => any.end(),
        }
    }
}

/// The shortest time-out that a socket takes.
const SHORTEST: Duration = Duration::from_millis(1);

pub(super) fn time_to(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
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

/// A descriptor that is not a socket.
struct Other {
    descriptor: OwnedFd,
    /// Readable when waiting is to end.
    ended: OwnedFd,
}

impl Other {
    fn new(descriptor: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        let ended = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { descriptor, ended })
    }

    fn end(&self) {
        // It stays readable, since it is not read.
        let _ = rustix::io::write(&self.ended, &1_u64.to_ne_bytes());
    }

    /// Waits until the descriptor is ready; false if waiting is to end.
    fn wait(&self, flags: PollFlags, left: Option<Duration>) -> io::Result<bool> {
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let mut polled = [
            PollFd::new(&self.descriptor, flags),
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
        loop {
            match rustix::io::read(&self.descriptor, &mut *buffer) {
                Ok(count) => return Ok(count),
                Err(Errno::AGAIN) => {
                    if !self.wait(PollFlags::IN, left)? {
                        return Ok(0);
                    }
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn write(&self, bytes: &[u8], left: Option<Duration>) -> io::Result<usize> {
        loop {
            match rustix::io::write(&self.descriptor, bytes) {
                Ok(count) => return Ok(count),
                Err(Errno::AGAIN) => {
                    if !self.wait(PollFlags::OUT, left)? {
                        return Err(io::ErrorKind::NotConnected.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Some bytes, none at the end, or why there are no more.
type Piece = io::Result<Vec<u8>>;

/// Pieces that are read before somebody takes them.
const PIECES_AHEAD: usize = 2;

/// Two directions of which nothing is known. A thread reads, since a read cannot be interrupted; it ends with the stream.
struct Any {
    pieces: Mutex<Pieces>,
    /// For the end.
    ender: SyncSender<Piece>,
    writer: Mutex<Option<Box<dyn Write + Send>>>,
}

struct Pieces {
    receiver: Receiver<Piece>,
    /// What of the last one is not taken yet.
    rest: Vec<u8>,
    is_over: bool,
}

impl Any {
    fn new(mut reader: Box<dyn Read + Send>, writer: Box<dyn Write + Send>) -> io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(PIECES_AHEAD);
        let ender = sender.clone();
        std::thread::Builder::new()
            .name("qmp-stream".to_owned())
            .spawn(move || {
                let mut buffer = vec![0; READ_SIZE];
                loop {
                    let piece = match reader.read(&mut buffer) {
                        Ok(count) => Ok(buffer[..count].to_vec()),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(error) => Err(error),
                    };
                    let is_last = piece.as_ref().map_or(true, Vec::is_empty);
                    // There may be no reader to take it.
                    if sender.send(piece).is_err() || is_last {
                        return;
                    }
                }
            })?;
        Ok(Self {
            pieces: Mutex::new(Pieces {
                receiver,
                rest: Vec::new(),
                is_over: false,
            }),
            ender,
            writer: Mutex::new(Some(writer)),
        })
    }

    fn end(&self) {
        // Where there is no room, it is not waited for.
        let _ = self.ender.try_send(Ok(Vec::new()));
        // A writer keeps it until it has written.
        if let Ok(mut writer) = self.writer.try_lock() {
            writer.take();
        }
    }

    fn read(&self, buffer: &mut [u8], left: Option<Duration>) -> io::Result<usize> {
        let mut pieces = lock(&self.pieces);
        if pieces.rest.is_empty() && !pieces.is_over {
            let piece = match left {
                None => pieces.receiver.recv().unwrap_or(Ok(Vec::new())),
                Some(left) => match pieces.receiver.recv_timeout(left) {
                    Ok(piece) => piece,
                    Err(RecvTimeoutError::Timeout) => return Err(io::ErrorKind::WouldBlock.into()),
                    Err(RecvTimeoutError::Disconnected) => Ok(Vec::new()),
                },
            };
            pieces.is_over = piece.as_ref().map_or(true, Vec::is_empty);
            pieces.rest = piece?;
        }
        let count = pieces.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&pieces.rest[..count]);
        pieces.rest.drain(..count);
        Ok(count)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *lock(&self.writer) {
            Some(writer) => {
                writer.write_all(bytes)?;
                writer.flush()?;
                Ok(bytes.len())
            }
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}
