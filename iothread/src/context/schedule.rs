//! Whether a bottom half is to run, and whether the loop knows: a few bits that any thread may change.

use crate::sync::{AtomicU8, Ordering};

/// The callback is to run.
const SCHEDULED: u8 = 1;
/// The loop has an entry for it, or is about to get one.
const QUEUED: u8 = 2;
/// The callback is to run when there is an occasion.
const IDLE: u8 = 4;
/// As `QUEUED`, among the idle ones.
const IDLE_QUEUED: u8 = 8;

/// The state of one bottom half. Each kind of entry exists at most once.
#[derive(Debug, Default)]
pub(crate) struct Schedule(AtomicU8);

/// The two queues of a loop that a bottom half can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Runs in the next iteration.
    Soon,
    /// Runs when there is an occasion.
    Idle,
}

impl Urgency {
    fn bits(self) -> (u8, u8) {
        match self {
            Self::Soon => (SCHEDULED, QUEUED),
            Self::Idle => (IDLE, IDLE_QUEUED),
        }
    }
}

impl Schedule {
    /// Asks for a run. Returns whether the caller must queue an entry for it.
    #[must_use]
    pub(crate) fn schedule(&self, urgency: Urgency) -> bool {
        let (wanted, queued) = urgency.bits();
        self.0.fetch_or(wanted | queued, Ordering::AcqRel) & queued == 0
    }

    /// Takes an entry out of its queue. Returns whether the callback is to run.
    pub(crate) fn begin(&self, urgency: Urgency) -> bool {
        let (wanted, queued) = urgency.bits();
        self.0.fetch_and(!(wanted | queued), Ordering::AcqRel) & wanted != 0
    }

    /// Takes back what was asked for; the entries stay until the loop takes them.
    pub(crate) fn cancel(&self) {
        self.0.fetch_and(!(SCHEDULED | IDLE), Ordering::AcqRel);
    }

    pub(crate) fn is_scheduled(&self) -> bool {
        self.0.load(Ordering::Acquire) & (SCHEDULED | IDLE) != 0
    }
}
