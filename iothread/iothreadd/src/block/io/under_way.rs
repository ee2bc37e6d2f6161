//! How many requests of a user are under way, and what waits for the last of them.

use crate::finally::Finally;
use crate::sync::{AtomicUsize, Mutex, Ordering};

/// A number of requests. Each that [begins](Self::begin) owes one [`end`](Self::end).
#[derive(Default)]
pub(super) struct UnderWay {
    count: AtomicUsize,
    /// What is to be done when there are none.
    idle: Mutex<Vec<Finally>>,
}

impl UnderWay {
    pub(super) fn begin(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn end(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            let kept = std::mem::take(&mut *self.idle.lock());
            drop(kept);
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Keeps `idle` until there are none.
    pub(super) fn keep_until_idle(&self, idle: &Finally) {
        let mut kept = self.idle.lock();
        // The last one that ends takes this lock afterwards.
        if !self.is_idle() {
            kept.push(idle.clone());
        }
    }
}
