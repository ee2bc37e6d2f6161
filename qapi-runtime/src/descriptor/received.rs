//! What a peer has sent and nobody has taken.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The descriptors that came with the last message that had any. Clones are handles on the same.
///
/// They are for the commands in the bytes that they came with. A later message with descriptors
/// closes those of an earlier one that nobody took, as in QEMU, so a peer cannot pile them up; and
/// whoever reads the messages closes them ([`close_unclaimed`](Self::close_unclaimed)) once these
/// bytes are consumed. A peer may pass its own socket, which then never ends while it is kept here.
#[derive(Clone, Debug, Default)]
pub struct Descriptors {
    received: Arc<Mutex<Vec<OwnedFd>>>,
}

impl Descriptors {
    fn lock(&self) -> MutexGuard<'_, Vec<OwnedFd>> {
        // What is locked here is never left half done.
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the first descriptor: the one for `getfd` or `add-fd`. Others that came with it are closed, as in QEMU.
    pub fn take(&self) -> Option<OwnedFd> {
        std::mem::take(&mut *self.lock()).into_iter().next()
    }

    /// Closes what nobody has taken.
    pub fn close_unclaimed(&self) {
        self.lock().clear();
    }

    /// Whether there is something to be taken.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Keeps what came with a message; nothing changes if it had none.
    pub fn receive(&self, descriptors: Vec<OwnedFd>) {
        if !descriptors.is_empty() {
            *self.lock() = descriptors;
        }
    }
}
