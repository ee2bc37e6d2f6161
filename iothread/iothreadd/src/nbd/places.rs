//! How many clients there are, and how many there may be.

use std::sync::Weak;

use crate::sync::{Level, Mutex};

/// The right to be a client, given back when it is dropped.
pub(super) struct Ticket(Weak<dyn Doorkeeper>);

/// Who has the places, and the door.
pub(super) trait Doorkeeper: Send + Sync {
    /// A client has left.
    fn give_back(&self);
}

impl Ticket {
    /// For a place that has been taken.
    pub(super) fn new(doorkeeper: Weak<dyn Doorkeeper>) -> Self {
        Self(doorkeeper)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(doorkeeper) = self.0.upgrade() {
            doorkeeper.give_back();
        }
    }
}

/// The places of clients. The door is told, when it changes, whether there is room.
pub(super) struct Places {
    /// The most clients at a time; 0 for any number.
    max: u32,
    taken: Mutex<u32>,
}

impl Places {
    pub(super) fn new(max: u32) -> Self {
        Self {
            max,
            taken: Mutex::at(Level::Places, 0),
        }
    }

    /// Takes a place, if there is one. `open` is told if it was the last; under the lock, because one that leaves on another thread must
    /// not open the door just before one that comes closes it.
    pub(super) fn take(&self, open: impl FnOnce(bool)) -> bool {
        let mut taken = self.taken.lock();
        if self.is_full(*taken) {
            return false;
        }
        *taken += 1;
        if self.is_full(*taken) {
            open(false);
        }
        true
    }

    /// Gives a place back. `open` is told if no place was left before.
    pub(super) fn give_back(&self, open: impl FnOnce(bool)) {
        let mut taken = self.taken.lock();
        let was_full = self.is_full(*taken);
        *taken -= 1;
        if was_full {
            open(true);
        }
    }

    fn is_full(&self, taken: u32) -> bool {
        self.max > 0 && taken >= self.max
    }
}
