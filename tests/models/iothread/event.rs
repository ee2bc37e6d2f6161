//! Loom's stand-in for the eventfd that a sleeping loop is woken with.

use std::io;

use crate::sync::{Condvar, Mutex};

/// Counts the signals that no wait has seen.
#[derive(Debug)]
pub(crate) struct Event {
    signals: Mutex<u64>,
    changed: Condvar,
}

impl Event {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            signals: Mutex::new(0),
            changed: Condvar::new(),
        })
    }

    pub(crate) fn signal(&self) {
        *self.signals.lock() += 1;
        self.changed.notify_one();
    }

    /// Waits for an edge; more than one counts once.
    pub(crate) fn wait(&self) {
        let mut signals = self.signals.lock();
        while *signals == 0 {
            signals = self.changed.wait(signals);
        }
        *signals = 0;
    }
}
