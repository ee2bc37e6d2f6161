//! What a loop has done so far.

use std::time::Duration;

use super::phase::Phases;
use crate::sync::{AtomicU64, Ordering};

/// Counters of one event loop, since it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LoopStats {
    /// Iterations of the loop.
    pub iterations: u64,
    /// Iterations that went to sleep until something happened.
    pub sleeps: u64,
    /// Iterations that polled before they would have slept.
    pub polls: u64,
    /// Polls that found something, which saved the sleep.
    pub successful_polls: u64,
    /// Wake-ups from other threads that needed a signal, since the loop slept.
    pub wakeups: u64,
    /// Callbacks of file descriptors.
    pub fd_events: u64,
    /// Bottom halves.
    pub bottom_halves: u64,
    /// Closures handed over by `post`, `call` or as the completion of blocking work.
    pub posted: u64,
    /// Timers that fired.
    pub timers: u64,
    /// Callbacks that panicked.
    pub panics: u64,
    /// Time spent waiting, asleep or polling, up to now.
    pub waited: Duration,
    /// The part of it that was spent looking for events without sleeping.
    pub polled: Duration,
    /// The part of it that was spent asleep.
    pub slept: Duration,
    /// Time spent in callbacks and the loop itself, up to now.
    pub busy: Duration,
    /// Present polling time; between 0 and poll-max-ns.
    pub poll_time: Duration,
    /// File descriptors that are watched.
    pub fds: u64,
    /// Worker threads that exist for blocking work.
    pub workers: u64,
    /// Blocking work that was taken and is not over.
    pub work: u64,
}

impl LoopStats {
    /// The part of the time that the loop was busy between `earlier` and now: 0 is idle, 1 is fully loaded. Polling is not being busy.
    pub fn load_since(&self, earlier: &Self) -> f64 {
        let busy = self.busy.saturating_sub(earlier.busy);
        let waited = self.waited.saturating_sub(earlier.waited);
        let whole = busy + waited;
        if whole.is_zero() {
            0.0
        } else {
            busy.as_secs_f64() / whole.as_secs_f64()
        }
    }
}

/// A counter with one writer.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Only the loop's thread may call this; others use [`add_shared`](Self::add_shared) on counters of their own.
    pub(super) fn add(&self, amount: u64) {
        // One writer needs no read-modify-write instruction.
        let value = self.0.load(Ordering::Relaxed).wrapping_add(amount);
        self.0.store(value, Ordering::Relaxed);
    }

    /// As [`add`](Self::add), from any thread.
    pub(super) fn add_shared(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters behind [`LoopStats`].
#[derive(Debug, Default)]
pub(super) struct StatCells {
    pub(super) iterations: Counter,
    pub(super) sleeps: Counter,
    pub(super) successful_polls: Counter,
    pub(super) failed_polls: Counter,
    pub(super) wakeups: Counter,
    pub(super) fd_events: Counter,
    pub(super) bottom_halves: Counter,
    pub(super) posted: Counter,
    pub(super) timers: Counter,
    pub(super) panics: Counter,
    pub(super) poll_ns: Counter,
    pub(super) phases: Phases,
}

impl StatCells {
    pub(super) fn load(&self) -> LoopStats {
        let times = self.phases.load();
        let successful_polls = self.successful_polls.get();
        let (polled, slept) = (
            Duration::from_nanos(times.polling),
            Duration::from_nanos(times.asleep),
        );
        LoopStats {
            iterations: self.iterations.get(),
            sleeps: self.sleeps.get(),
            polls: successful_polls + self.failed_polls.get(),
            successful_polls,
            wakeups: self.wakeups.get(),
            fd_events: self.fd_events.get(),
            bottom_halves: self.bottom_halves.get(),
            posted: self.posted.get(),
            timers: self.timers.get(),
            panics: self.panics.get(),
            waited: polled + slept,
            polled,
            slept,
            busy: Duration::from_nanos(times.dispatching),
            poll_time: Duration::from_nanos(self.poll_ns.get()),
            fds: 0,
            workers: 0,
            work: 0,
        }
    }
}
