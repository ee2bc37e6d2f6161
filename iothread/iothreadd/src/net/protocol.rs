//! What is spoken on a connection, without I/O: bytes in, bytes out, and between them what somebody has to do.
//!
//! A [`Protocol`] has no socket, no thread and no clock, so that tests and fuzzers drive the same one that a
//! [`Connection`](super::connection::Connection) does.

use std::io;

use super::stream::{Passed, Stream};

/// One side of a conversation.
pub(crate) trait Protocol {
    /// What its owner has to do for it.
    type Event;

    /// What it has to send.
    type Output: Outgoing;

    /// Whether descriptors may come beside the bytes; otherwise the kernel closes them.
    const TAKES_DESCRIPTORS: bool = false;

    /// Where the next bytes go, and how many of them there may be at most. Asked for only when it wants to read; empty if
    /// there is no place, and then it is not read for.
    fn space(&mut self) -> &mut [u8];

    /// So many bytes have come there, at least one. Descriptors came with the first.
    fn received(&mut self, count: usize, passed: Passed);

    /// No more will come.
    fn end_of_input(&mut self);

    /// No more will come, and the peer is gone in a hard way.
    fn break_off(&mut self) {
        self.end_of_input();
    }

    /// Goes on with what is there. After [`Step::Event`] it is called again, after the others when something has changed.
    fn advance(&mut self) -> Step<Self::Event>;

    /// What it has to send.
    fn output(&mut self) -> &mut Self::Output;
}

/// How far a protocol has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<E> {
    /// There is something to do.
    Event(E),
    /// It needs more input. Not after the end of it.
    Read,
    /// It waits for its owner, and takes no input meanwhile.
    Wait,
    /// It is over when all its output is sent.
    Close,
    /// It is over.
    Abort,
}

/// Bytes on their way out.
pub(crate) trait Outgoing {
    /// How many bytes wait.
    fn len(&self) -> usize;

    /// Sends once, at least some of them. Called only if there are any.
    ///
    /// # Errors
    ///
    /// What the stream says, also that it takes nothing now.
    fn send_some(&mut self, stream: &Stream) -> io::Result<Sent>;
}

/// What came of sending once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// All that was tried.
    All,
    /// The stream takes no more now.
    Some,
}

impl Sent {
    /// `count` bytes of `wanted` were taken.
    ///
    /// # Errors
    ///
    /// None of them were.
    pub(crate) fn of(count: usize, wanted: usize) -> io::Result<Self> {
        match count {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count if count < wanted => Ok(Self::Some),
            _ => Ok(Self::All),
        }
    }
}
