//! The clocks that timers run on.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::debug::debug_by;
use crate::sync::{Arc, Mutex, Weak};

/// A clock of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Clock {
    /// Time since some point in the past; never stops, never jumps.
    Monotonic,
    /// Time of day, since 1970 in UTC; jumps when the host's clock is set.
    Real,
    /// Time that only passes while the [`VirtualClock`] of the context runs.
    Virtual,
}

impl Clock {
    pub(super) const ALL: [Self; 3] = [Self::Monotonic, Self::Real, Self::Virtual];
}

/// Nanoseconds of a monotonic clock.
pub(super) fn monotonic_ns() -> i64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// Nanoseconds of the time of day.
pub(super) fn real_ns() -> i64 {
    nanoseconds(clock_gettime(ClockId::Realtime))
}

/// Saturates in the year 2262.
fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec)
}

/// A duration as a distance between two points of a clock.
pub(super) fn duration_ns(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// A point of a clock as what it has counted.
pub(super) fn duration(ns: i64) -> Duration {
    Duration::from_nanos(u64::try_from(ns).unwrap_or(0))
}

/// What has timers on a clock that can be stopped.
pub(super) trait Clocked: Send + Sync {
    /// Makes it look at them, since time passes again.
    fn look_at_timers(&self);
}

/// A clock that can be stopped, like that of a guest. Clones are the same clock.
#[derive(Clone)]
pub struct VirtualClock {
    state: Arc<Mutex<VirtualState>>,
}

struct VirtualState {
    /// Virtual time when the clock was last started or stopped.
    base_ns: i64,
    /// Monotonic time when the clock was last started; `None` while it stands.
    started_ns: Option<i64>,
    /// The contexts that must look at their timers when the clock starts.
    contexts: Vec<Weak<dyn Clocked>>,
}

debug_by!(VirtualClock, [impl] VirtualClock, |it| now = it.now());

impl Default for VirtualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl VirtualClock {
    /// A clock that runs, from 0.
    pub fn new() -> Self {
        Self {
            state: Arc::new(Mutex::new(VirtualState {
                base_ns: 0,
                started_ns: Some(monotonic_ns()),
                contexts: Vec::new(),
            })),
        }
    }

    /// The time that has passed on this clock.
    pub fn now(&self) -> Duration {
        duration(self.now_ns())
    }

    pub(super) fn now_ns(&self) -> i64 {
        self.state.lock().now_ns()
    }

    /// Whether time passes.
    pub fn is_running(&self) -> bool {
        self.state.lock().started_ns.is_some()
    }

    /// Lets time pass; timers that are due fire.
    pub fn start(&self) {
        let contexts = {
            let mut state = self.state.lock();
            if state.started_ns.is_some() {
                return;
            }
            state.started_ns = Some(monotonic_ns());
            state.contexts.retain(|context| context.strong_count() > 0);
            state.contexts.clone()
        };
        for context in contexts.iter().filter_map(Weak::upgrade) {
            context.look_at_timers();
        }
    }

    /// Stops time; no timer of this clock fires until it is started again.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.base_ns = state.now_ns();
        state.started_ns = None;
    }

    pub(super) fn add_context(&self, context: &Arc<dyn Clocked>) {
        let mut state = self.state.lock();
        state.contexts.retain(|context| context.strong_count() > 0);
        state.contexts.push(Arc::downgrade(context));
    }
}

impl VirtualState {
    fn now_ns(&self) -> i64 {
        match self.started_ns {
            Some(started_ns) => self.base_ns + (monotonic_ns() - started_ns),
            None => self.base_ns,
        }
    }
}
