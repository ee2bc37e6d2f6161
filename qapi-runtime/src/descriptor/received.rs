//! What a peer has sent and nobody has taken.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The descriptors that came with the last message that had any. Clones are handles on the same.
///
/// A later message with descriptors closes those of an earlier one that nobody took, as in QEMU,
/// so a peer cannot pile them up.
#[derive(Clone, Debug, Default)]
pub struct Descriptors {
    received: Arc<Mutex<Vec<OwnedFd>>>,
}

impl Descriptors {
    fn lock(&self) -> MutexGuard<'_, Vec<OwnedFd>> {
        // What is locked here is never left half done.
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next descriptor: the one for `getfd` or `add-fd`.
    pub fn take(&self) -> Option<OwnedFd> {
        let mut received = self.lock();
        if received.is_empty() {
            None
        } else {
            Some(received.remove(0))
        }
    }

    /// Keeps what came with a message; nothing changes if it had none.
    pub fn receive(&self, descriptors: Vec<OwnedFd>) {
        if !descriptors.is_empty() {
            *self.lock() = descriptors;
        }
    }
}
