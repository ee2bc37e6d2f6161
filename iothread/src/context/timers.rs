//! The armed timers of a context, by when they are due.

use std::collections::BTreeMap;

use super::clock::Clock;
use crate::sync::{Arc, Mutex};

/// Orders armed timers: by time, and among equals by when they were armed.
pub(super) type Deadline = (i64, u64);

/// A timer as its queue has it.
pub(super) trait Armed: Send + Sync {
    fn clock(&self) -> Clock;

    /// Its place in the queue; only changed with the queue locked.
    fn place(&self) -> &Mutex<Option<Deadline>>;

    /// Runs the callback. Only the loop's thread calls this.
    fn fire(self: Arc<Self>);
}

/// A queue for each clock.
#[derive(Default)]
pub(super) struct Timers {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queues: [BTreeMap<Deadline, Arc<dyn Armed>>; Clock::ALL.len()],
    n_armed: u64,
}

impl Timers {
    /// Puts a timer at its place. Returns whether it is the first of its clock now.
    pub(super) fn arm(&self, timer: Arc<dyn Armed>, time_ns: i64) -> bool {
        let mut state = self.state.lock();
        state.n_armed += 1;
        let deadline = (time_ns, state.n_armed);
        let queue = &mut state.queues[timer.clock() as usize];
        if let Some(earlier) = timer.place().lock().replace(deadline) {
            queue.remove(&earlier);
        }
        queue.insert(deadline, timer);
        queue.first_key_value().map(|(first, _)| *first) == Some(deadline)
    }

    pub(super) fn disarm(&self, timer: &impl Armed) {
        let mut state = self.state.lock();
        let deadline = timer.place().lock().take();
        let queue = &mut state.queues[timer.clock() as usize];
        let removed = deadline.and_then(|deadline| queue.remove(&deadline));
        drop(state);
        drop(removed);
    }

    /// Nanoseconds until the next timer is due; 0 if one is, `None` if none is armed on a clock that runs. `now` says the time of those.
    pub(super) fn timeout_ns(&self, now: impl Fn(Clock) -> Option<i64>) -> Option<i64> {
        let state = self.state.lock();
        let timeouts = Clock::ALL.into_iter().filter_map(|clock| {
            let (deadline, _) = state.queues[clock as usize].first_key_value()?;
            Some(deadline.0.saturating_sub(now(clock)?).max(0))
        });
        timeouts.min()
    }

    /// Whether any timer is armed on the clock that can jump.
    pub(super) fn any_real(&self) -> bool {
        !self.state.lock().queues[Clock::Real as usize].is_empty()
    }

    /// Runs the timers that are due. Returns whether there were any.
    pub(super) fn run_due(&self, now: impl Fn(Clock) -> Option<i64>) -> bool {
        // What a callback arms now waits for the next iteration, however early it is due.
        let last = {
            let state = self.state.lock();
            if state.queues.iter().all(BTreeMap::is_empty) {
                return false;
            }
            state.n_armed
        };
        let mut any = false;
        for clock in Clock::ALL {
            let Some(now_ns) = now(clock) else {
                continue;
            };
            while let Some(timer) = self.take_due(clock, now_ns, last) {
                timer.fire();
                any = true;
            }
        }
        any
    }

    fn take_due(&self, clock: Clock, now_ns: i64, last: u64) -> Option<Arc<dyn Armed>> {
        let mut state = self.state.lock();
        let queue = &mut state.queues[clock as usize];
        let mut due = queue
            .range(..=(now_ns, u64::MAX))
            .map(|(deadline, _)| *deadline);
        let deadline = due.find(|deadline| deadline.1 <= last)?;
        let timer = queue.remove(&deadline)?;
        *timer.place().lock() = None;
        Some(timer)
    }
}
