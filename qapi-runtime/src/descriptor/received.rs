//! What a peer has sent and no command has taken.

#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::lock::lock;
use crate::system::Descriptor;

/// The descriptors that came with the last message that had any. Clones are handles on the same.
///
/// They are for the commands in the bytes that they came with; white space alone is the beginning of the command that
/// follows, which is how some clients send them. A later message with descriptors closes those of an earlier one that
/// were not taken, as in QEMU, so a peer cannot pile them up; and what reads the messages closes them
/// ([`close_consumed`](Self::close_consumed)) once these bytes are consumed, and after a time in any case
/// ([`close_unclaimed`](Self::close_unclaimed)). A peer may pass its own socket, which then never ends while it is kept here.
#[derive(Clone, Debug, Default)]
pub struct Descriptors {
    received: Arc<Mutex<Unclaimed>>,
}

#[derive(Debug, Default)]
struct Unclaimed {
    descriptors: Vec<Descriptor>,
    /// Whether the command that they are for has not begun.
    is_ahead: bool,
}

impl Descriptors {
    fn lock(&self) -> MutexGuard<'_, Unclaimed> {
        lock(&self.received)
    }

    /// Takes the first descriptor: the one for `getfd` or `add-fd`. Others that came with it are closed, as in QEMU.
    #[cfg(unix)]
    pub fn take(&self) -> Option<OwnedFd> {
        std::mem::take(&mut *self.lock())
            .descriptors
            .into_iter()
            .next()
    }

    /// Closes what was not taken, since the bytes that it came with are consumed.
    pub fn close_consumed(&self) {
        let mut received = self.lock();
        if !received.is_ahead {
            received.descriptors.clear();
        }
    }

    /// Closes what was not taken.
    pub fn close_unclaimed(&self) {
        self.lock().descriptors.clear();
    }

    /// Whether there is something to be taken.
    pub fn is_empty(&self) -> bool {
        self.lock().descriptors.is_empty()
    }

    /// Keeps what came with the bytes of a message, if anything did.
    #[cfg(unix)]
    pub fn receive(&self, descriptors: Vec<OwnedFd>, bytes: &[u8]) {
        self.keep(descriptors, bytes);
    }

    /// The same, also where nothing ever comes.
    #[cfg(any(unix, feature = "client-async", feature = "server"))]
    pub(crate) fn keep(&self, descriptors: Vec<Descriptor>, bytes: &[u8]) {
        let is_blank = bytes.iter().all(u8::is_ascii_whitespace);
        let mut received = self.lock();
        if !descriptors.is_empty() {
            *received = Unclaimed {
                descriptors,
                is_ahead: is_blank,
            };
        } else if !is_blank {
            received.is_ahead = false;
        }
    }
}
