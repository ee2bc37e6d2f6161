//! Connections that pass on what others say.
//!
//! [`listen`] takes clients in, [`side`] is one end of a connection, [`relay`] moves bytes and descriptors between two ends on one
//! thread, and [`framing`] finds the messages in them. What is done with them decides a [`Policy`]: recording, replaying, tormenting.

pub(crate) mod framing;
pub(crate) mod listen;
pub(crate) mod relay;
pub(crate) mod serve;
pub(crate) mod side;

use std::time::Instant;

use rustix::fd::{BorrowedFd, OwnedFd};

use self::relay::Ends;

/// Who has said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Client,
    Server,
}

/// What is done with what a connection says.
pub(crate) trait Policy: Send {
    /// Before anything is said.
    fn begin(&mut self, ends: &mut Ends) {
        let _ = ends;
    }

    /// Somebody has said something.
    fn hear(&mut self, who: Who, bytes: &[u8], descriptors: Vec<OwnedFd>, ends: &mut Ends);

    /// Somebody says nothing more.
    fn end(&mut self, who: Who, ends: &mut Ends);

    /// The time that was asked for has come, or the bell has rung; gives the next time that is wanted.
    fn wake(&mut self, now: Instant, ends: &mut Ends) -> Option<Instant> {
        let _ = (now, ends);
        None
    }

    /// What is readable when there is something to do although nobody has said anything.
    fn bell(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Whether there is more to be said to the client, later.
    fn is_busy(&self) -> bool {
        false
    }

    /// The connection is over.
    fn over(&mut self) {}
}
