//! Whether the callback of a registration may run, and whether it was held back: two bits that any thread may change.

use crate::sync::{AtomicU8, Ordering};

/// The callback must not begin.
const CLOSED: u8 = 1;
/// It would have run, and is to run when that is allowed again.
const HELD_BACK: u8 = 2;

/// What lets the callback of one registration begin, unless its user is paused.
#[derive(Debug, Default)]
pub(crate) struct Gate(AtomicU8);

impl Gate {
    pub(crate) fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSED == 0
    }

    /// Whether the callback may begin. If not, it is noted that it was to.
    pub(crate) fn pass(&self) -> bool {
        // One that is open costs a look.
        if self.is_open() {
            return true;
        }
        let hold_back = |state: u8| (state & CLOSED != 0).then_some(state | HELD_BACK);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, hold_back)
            .is_err()
    }

    pub(crate) fn close(&self) {
        self.0.fetch_or(CLOSED, Ordering::AcqRel);
    }

    /// Lets the callback run again. Returns whether it was held back.
    #[must_use]
    pub(crate) fn open(&self) -> bool {
        self.0.swap(0, Ordering::AcqRel) & HELD_BACK != 0
    }

    /// It is not wanted any more that the callback runs.
    pub(crate) fn forget(&self) {
        // Most are not held back.
        if self.0.load(Ordering::Acquire) & HELD_BACK != 0 {
            self.0.fetch_and(!HELD_BACK, Ordering::AcqRel);
        }
    }
}
