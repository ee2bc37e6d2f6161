//! How many worker threads all loops of the process have together.

use crate::sync::{AtomicUsize, Ordering};

/// The budget unless it is set: sixteen loops with as many workers as thread-pool-max is by default.
const DEFAULT: usize = 1024;

static BUDGET: AtomicUsize = AtomicUsize::new(DEFAULT);
/// Workers that count against the budget.
static USED: AtomicUsize = AtomicUsize::new(0);

/// Sets how many worker threads all loops of the process may have together, beside one for each loop that has work; 1,024
/// unless it is set. Work that finds no worker waits until one of its loop is free.
///
/// thread-pool-max may allow a loop more than a host has threads for, as in QEMU; this is the limit that keeps them from being
/// started. A lower budget ends no worker that exists.
pub fn set_worker_budget(n_workers: usize) {
    BUDGET.store(n_workers, Ordering::Release);
}

/// What [`set_worker_budget`] has set.
pub fn worker_budget() -> usize {
    BUDGET.load(Ordering::Acquire)
}

/// Whether a loop that has `n_workers` may start one more.
pub(super) fn has_room(n_workers: usize) -> bool {
    n_workers == 0 || USED.load(Ordering::Acquire) < worker_budget()
}

/// The right to one worker thread, given back when it is dropped.
pub(super) struct Slot {
    is_counted: bool,
}

impl Slot {
    /// For a loop that has `n_workers`: its first one is free, so that no loop waits for others. `None` if the budget is used up.
    pub(super) fn take(n_workers: usize) -> Option<Self> {
        let is_counted = n_workers > 0;
        if is_counted {
            let budget = worker_budget();
            USED.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                (used < budget).then_some(used + 1)
            })
            .ok()?;
        }
        Some(Self { is_counted })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.is_counted {
            USED.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
