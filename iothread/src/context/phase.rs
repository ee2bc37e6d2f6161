//! What the time of a loop goes to.

use std::array;

use super::clock::monotonic_ns;
use crate::sync::{AtomicU64, Ordering};

/// What a loop does at a moment while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Callbacks, and the loop's own work for them.
    Dispatching,
    /// Looks for events without sleeping.
    Polling,
    Asleep,
}

impl Phase {
    const ALL: [Self; 3] = [Self::Dispatching, Self::Polling, Self::Asleep];
}

/// Nanoseconds in each phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) dispatching: u64,
    pub(super) polling: u64,
    pub(super) asleep: u64,
}

/// The time in each phase. The loop's thread alone enters phases; what others read has the phase that goes on in it, so that a loop
/// that sleeps for an hour, or a callback that never returns, is seen while it does.
#[derive(Debug, Default)]
pub(super) struct Phases {
    /// Nanoseconds in phases that are over.
    over: [AtomicU64; 3],
    /// The phase that goes on and its begin, or that the numbers change.
    current: AtomicU64,
    /// The most that anybody was told: a reader may look at the clock after a phase has ended and before that is written down.
    told: [AtomicU64; 3],
}

/// No phase: the loop does not run.
const STOPPED: u64 = 0;
/// One is over, and the next has not begun.
const CHANGING: u64 = u64::MAX;
/// Of the number of the phase; the rest is time, enough for a century.
const BITS: u32 = 2;

fn encoded(phase: Phase, since_ns: i64) -> u64 {
    (since_ns.unsigned_abs() << BITS) | (phase as u64 + 1)
}

fn decoded(current: u64) -> Option<(Phase, u64)> {
    let number = current & ((1 << BITS) - 1);
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    Some((*Phase::ALL.get(index)?, current >> BITS))
}

impl Phases {
    /// Ends the phase that goes on, and begins another one unless the loop stops.
    pub(super) fn enter(&self, next: Option<Phase>, now_ns: i64) {
        let current = self.current.load(Ordering::Relaxed);
        if let Some((phase, since_ns)) = decoded(current) {
            self.current.store(CHANGING, Ordering::Relaxed);
            let over = &self.over[phase as usize];
            let elapsed_ns = now_ns.unsigned_abs().saturating_sub(since_ns);
            let sum = over.load(Ordering::Relaxed).wrapping_add(elapsed_ns);
            // Who reads this sees that the phase has ended.
            over.store(sum, Ordering::Release);
        }
        let next = next.map_or(STOPPED, |phase| encoded(phase, now_ns));
        self.current.store(next, Ordering::Release);
    }

    /// The times until now; none is ever less than it was before.
    pub(super) fn load(&self) -> Times {
        let (current, mut times) = self.consistent();
        if let Some((phase, since_ns)) = decoded(current) {
            let elapsed_ns = monotonic_ns().unsigned_abs().saturating_sub(since_ns);
            times[phase as usize] += elapsed_ns;
        }
        let [dispatching, polling, asleep] = array::from_fn(|index| {
            let before = self.told[index].fetch_max(times[index], Ordering::Relaxed);
            before.max(times[index])
        });
        Times {
            dispatching,
            polling,
            asleep,
        }
    }

    /// Nanoseconds of waits that are over.
    pub(super) fn waited_ns(&self) -> u64 {
        let of = |phase: Phase| self.over[phase as usize].load(Ordering::Relaxed);
        of(Phase::Polling) + of(Phase::Asleep)
    }

    /// What goes on, and the sums that belong to it.
    fn consistent(&self) -> (u64, [u64; 3]) {
        loop {
            let before = self.current.load(Ordering::Acquire);
            let times = array::from_fn(|index| self.over[index].load(Ordering::Acquire));
            if before != CHANGING && self.current.load(Ordering::Relaxed) == before {
                return (before, times);
            }
            // The loop's thread may have lost the processor in between.
            std::thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn phases_that_are_over_and_the_one_that_goes_on_are_told() {
        let phases = Phases::default();
        assert_eq!(phases.load().asleep, 0);
        // Long ago, so that the clock's next tick does not matter.
        phases.enter(Some(Phase::Polling), 1_000);
        phases.enter(Some(Phase::Dispatching), 1_300);
        phases.enter(Some(Phase::Asleep), 1_700);
        let now = monotonic_ns();
        let times = phases.load();
        assert_eq!((times.polling, times.dispatching), (300, 400));
        assert!(times.asleep >= now.unsigned_abs() - 1_700);
        phases.enter(None, monotonic_ns());
        let stopped = phases.load();
        assert_eq!(phases.load(), stopped);
        assert!(stopped.asleep >= times.asleep);
        assert_eq!(phases.waited_ns(), 300 + stopped.asleep);
    }

    #[test]
    fn no_time_is_ever_less_than_before() {
        let phases = Phases::default();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut last = phases.load();
                while !is_over.load(Ordering::Acquire) {
                    let times = phases.load();
                    assert!(times.dispatching >= last.dispatching);
                    assert!(times.polling >= last.polling);
                    assert!(times.asleep >= last.asleep);
                    last = times;
                }
            });
            for _ in 0..if cfg!(miri) { 100 } else { 100_000 } {
                for phase in Phase::ALL {
                    phases.enter(Some(phase), monotonic_ns());
                }
            }
            is_over.store(true, Ordering::Release);
        });
    }
}
