//! The stream of the blocking client: no step of it takes longer than it is allowed to.

use std::io::{self, Read, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::open::{self, Opened, RunningCommand};
use super::options::ConnectOptions;
use super::thread::not_started;
use super::{CONNECT_PAUSE, READ_SIZE};
use crate::descriptor::PeerCredentials;
use crate::lock::lock;
use crate::system::{Descriptor, Line, no_descriptors};

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
    Line(Line),
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

    /// Takes what is open.
    pub(super) fn of_opened(opened: Opened) -> io::Result<Self> {
        let Opened { handle, command } = opened;
        Ok(Self::new(Kind::Line(Line::new(handle)?), command))
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
        Self::of_opened(open::open_within(&options.peer, options.handshake)?)
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

    /// Who is at the other end, where that can be told.
    pub(super) fn credentials(&self) -> Option<PeerCredentials> {
        match &*self.kind {
            Kind::Line(line) => line.credentials(),
            Kind::Any(_) => None,
        }
    }

    /// Reads within a time; `WouldBlock` if nothing comes.
    pub(super) fn read_within(&self, buffer: &mut [u8], left: Duration) -> io::Result<usize> {
        self.read_by(buffer, Some(left))
    }

    /// Reads; for ever, or until the end.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_by(buffer, None)
    }

    fn read_by(&self, buffer: &mut [u8], left: Option<Duration>) -> io::Result<usize> {
        match &*self.kind {
            Kind::Line(line) => line.read(buffer, left),
            Kind::Any(any) => any.read(buffer, left),
        }
    }

    /// Writes all of it.
    pub(super) fn send(
        &self,
        bytes: &[u8],
        descriptors: &[Descriptor],
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
        descriptors: &[Descriptor],
        deadline: Deadline,
    ) -> io::Result<usize> {
        let left = deadline.map(|(deadline, _)| time_to(deadline));
        match &*self.kind {
            Kind::Line(line) => line.write(bytes, descriptors, left),
            Kind::Any(any) if descriptors.is_empty() => any.write(bytes),
            Kind::Any(_) => Err(no_descriptors()),
        }
    }

    /// Ends both directions: a reader is at the end after what has come already.
    pub(super) fn shut_down(&self) {
        match &*self.kind {
            Kind::Line(line) => line.end(),
            Kind::Any(any) => any.end(),
        }
    }
}

pub(super) fn time_to(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
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
            })
            .map_err(not_started)?;
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
