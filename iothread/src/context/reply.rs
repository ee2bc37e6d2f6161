//! The place where a caller waits for an outcome.

use super::contain::contain;
use crate::sync::{Arc, Condvar, Mutex};

/// An outcome that comes from another thread, or the message of a panic.
pub(super) struct Reply<R> {
    outcome: Mutex<Option<Result<R, String>>>,
    arrived: Condvar,
}

impl<R> Reply<R> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            outcome: Mutex::new(None),
            arrived: Condvar::new(),
        })
    }

    /// Sets the outcome unless there is one.
    pub(super) fn set(&self, outcome: Result<R, String>) {
        let mut slot = self.outcome.lock();
        if slot.is_none() {
            *slot = Some(outcome);
            self.arrived.notify_one();
        } else {
            drop(slot);
            // A value that is not wanted may panic when it is dropped.
            let _ = contain(move || drop(outcome));
        }
    }

    pub(super) fn wait(&self) -> Result<R, String> {
        let mut slot = self.outcome.lock();
        loop {
            match slot.take() {
                Some(outcome) => return outcome,
                None => slot = self.arrived.wait(slot),
            }
        }
    }
}
