//! Timers: callbacks that run at a time on one of the clocks.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::clock::duration_ns;
use super::{AioContext, CallbackKind, Clock, ContextError, Core, Dispatch};
use crate::cell::CallbackCell;
use crate::gate::Gate;
use crate::holders::Registration;
use crate::slab::Key;
use crate::sync::{Arc, Mutex, OnceLock};

type Callback = dyn FnMut(&mut TimerDispatch<'_>) + Send;

/// Orders armed timers: by time, and among equals by when they were armed.
type Deadline = (i64, u64);

/// A callback that runs on the context's thread when its time has come, once for each time it is armed.
///
/// Dropping the value removes the callback.
#[must_use = "dropping the value removes the callback"]
pub struct Timer {
    inner: Arc<TimerInner>,
}

/// What the loop has of a [`Timer`].
pub(super) struct TimerInner {
    context: AioContext,
    clock: Clock,
    callback: CallbackCell<Callback>,
    gate: Gate,
    /// Whether it is held back by a pause.
    can_pause: bool,
    /// Place in the queue; only changed with the queue locked.
    armed: Mutex<Option<Deadline>>,
    key: OnceLock<Key>,
}

impl AioContext {
    /// Makes a timer, which does not fire before it is armed.
    ///
    /// # Errors
    ///
    /// [`ContextError::Released`] once the holder has been released.
    pub fn timer(
        &self,
        clock: Clock,
        callback: impl FnMut(&mut TimerDispatch<'_>) + Send + 'static,
    ) -> Result<Timer, ContextError> {
        let inner = self.register_timer(clock, true, callback)?;
        Ok(Timer { inner })
    }

    /// Makes a timer that nobody need have a handle of: it removes itself, or ends with its user.
    pub(super) fn register_timer(
        &self,
        clock: Clock,
        can_pause: bool,
        callback: impl FnMut(&mut TimerDispatch<'_>) + Send + 'static,
    ) -> Result<Arc<TimerInner>, ContextError> {
        let inner = Arc::new(TimerInner {
            context: self.share(),
            clock,
            callback: CallbackCell::new(Box::new(callback)),
            gate: Gate::new(),
            can_pause,
            armed: Mutex::new(None),
            key: OnceLock::new(),
        });
        let key = self
            .attachment()
            .register(Arc::<TimerInner>::clone(&inner))
            .ok_or_else(|| self.released())?;
        // The cell is fresh.
        let _ = inner.key.set(key);
        Ok(inner)
    }
}

impl Timer {
    /// Lets the timer fire once, when its clock shows `time`; at once if that has passed. Replaces an earlier time.
    pub fn arm_at(&self, time: Duration) {
        self.inner.arm_at(duration_ns(time));
    }

    /// Lets the timer fire once, after `delay` on its clock. Replaces an earlier time.
    pub fn arm_after(&self, delay: Duration) {
        self.inner.arm_after(delay);
    }

    /// Takes the arming back. A callback that is running is not interrupted.
    pub fn disarm(&self) {
        self.inner.disarm();
    }

    /// When the timer will fire, on its clock.
    pub fn deadline(&self) -> Option<Duration> {
        let deadline = (*self.inner.armed.lock())?;
        Some(Duration::from_nanos(u64::try_from(deadline.0).unwrap_or(0)))
    }

    /// Whether the timer will fire.
    pub fn is_armed(&self) -> bool {
        self.deadline().is_some()
    }

    /// The clock that the timer runs on.
    pub fn clock(&self) -> Clock {
        self.inner.clock
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.inner.end();
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("context", &self.inner.context)
            .field("clock", &self.inner.clock)
            .field("deadline", &self.deadline())
            .finish()
    }
}

/// What the callback of a timer may do beside.
pub struct TimerDispatch<'a> {
    dispatch: Dispatch<'a>,
    inner: &'a Arc<TimerInner>,
}

impl fmt::Debug for TimerDispatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerDispatch")
            .field("dispatch", &self.dispatch)
            .finish_non_exhaustive()
    }
}

impl TimerDispatch<'_> {
    /// As [`Timer::arm_at`].
    pub fn arm_at(&self, time: Duration) {
        self.inner.arm_at(duration_ns(time));
    }

    /// As [`Timer::arm_after`].
    pub fn arm_after(&self, delay: Duration) {
        self.inner.arm_after(delay);
    }
}

impl<'a> Deref for TimerDispatch<'a> {
    type Target = Dispatch<'a>;

    fn deref(&self) -> &Dispatch<'a> {
        &self.dispatch
    }
}

impl<'a> DerefMut for TimerDispatch<'a> {
    fn deref_mut(&mut self) -> &mut Dispatch<'a> {
        &mut self.dispatch
    }
}

impl TimerInner {
    pub(super) fn arm_after(self: &Arc<Self>, delay: Duration) {
        let now = self.context.core().now_ns(self.clock);
        self.arm_at(now.saturating_add(duration_ns(delay)));
    }

    fn arm_at(self: &Arc<Self>, time_ns: i64) {
        self.gate.forget();
        // An attachment that is released meanwhile disarms, and does so after this or makes the check fail.
        let core = self.context.core();
        if core.timers.arm(self, time_ns) && !core.is_current() {
            core.notify();
        }
        if self.callback.is_removed() {
            self.disarm();
        }
    }

    fn disarm(&self) {
        self.gate.forget();
        self.context.core().timers.disarm(self);
    }

    fn run(self: &Arc<Self>) {
        if !self.gate.pass() {
            return;
        }
        let core = self.context.core();
        let _running = core.running.enter(self.context.attachment());
        let Some(mut callback) = self.callback.take() else {
            return;
        };
        core.stats.timers.add(1);
        let mut dispatch = TimerDispatch {
            dispatch: Dispatch::new(&self.context),
            inner: self,
        };
        let outcome = core.run(CallbackKind::Timer, self.context.attachment(), || {
            callback(&mut dispatch);
        });
        let keep = outcome.is_ok() && !dispatch.wants_removal();
        let rejected = self.callback.put_back(callback);
        self.drop_callback(rejected);
        if !keep {
            self.end();
        }
    }

    /// Removes the callback for good.
    fn end(&self) {
        self.cancel();
        if let Some(key) = self.key.get() {
            self.context.attachment().unregister(*key);
        }
    }

    fn drop_callback(&self, callback: Option<Box<Callback>>) {
        // What the callback owns may panic when it is dropped.
        let _ =
            self.context
                .core()
                .run(CallbackKind::Timer, self.context.attachment(), move || {
                    drop(callback)
                });
    }
}

impl Registration for TimerInner {
    fn cancel(&self) {
        let removed = self.callback.remove();
        self.disarm();
        self.drop_callback(removed);
    }

    fn pause(&self) {
        if self.can_pause {
            self.gate.close();
        }
    }

    fn resume(self: Arc<Self>) {
        if self.gate.open() {
            // Its time has come meanwhile.
            self.arm_after(Duration::ZERO);
        }
    }
}

/// The armed timers of a context.
#[derive(Default)]
pub(super) struct Timers {
    state: Mutex<TimersState>,
}

#[derive(Default)]
struct TimersState {
    queues: [BTreeMap<Deadline, Arc<TimerInner>>; Clock::ALL.len()],
    n_armed: u64,
}

impl Timers {
    /// Puts a timer at its place. Returns whether it is the first of its clock now.
    fn arm(&self, timer: &Arc<TimerInner>, time_ns: i64) -> bool {
        let mut state = self.state.lock();
        state.n_armed += 1;
        let deadline = (time_ns, state.n_armed);
        let queue = &mut state.queues[timer.clock as usize];
        if let Some(earlier) = timer.armed.lock().replace(deadline) {
            queue.remove(&earlier);
        }
        queue.insert(deadline, Arc::clone(timer));
        queue.first_key_value().map(|(first, _)| *first) == Some(deadline)
    }

    fn disarm(&self, timer: &TimerInner) {
        let mut state = self.state.lock();
        let removed = timer
            .armed
            .lock()
            .take()
            .and_then(|deadline| state.queues[timer.clock as usize].remove(&deadline));
        drop(state);
        drop(removed);
    }

    /// Nanoseconds until the next timer is due; 0 if one is, `None` if none is armed on a clock that runs.
    pub(super) fn timeout_ns(&self, core: &Core) -> Option<i64> {
        let state = self.state.lock();
        Clock::ALL
            .into_iter()
            .filter_map(|clock| {
                let (deadline, _) = state.queues[clock as usize].first_key_value()?;
                core.is_running(clock)
                    .then(|| deadline.0.saturating_sub(core.now_ns(clock)).max(0))
            })
            .min()
    }

    /// Whether any timer is armed on the clock that can jump.
    pub(super) fn any_real(&self) -> bool {
        !self.state.lock().queues[Clock::Real as usize].is_empty()
    }

    /// Runs the timers that are due. Returns whether there were any.
    pub(super) fn run_due(&self, core: &Core) -> bool {
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
            if !core.is_running(clock) {
                continue;
            }
            let now_ns = core.now_ns(clock);
            while let Some(timer) = self.take_due(clock, now_ns, last) {
                timer.run();
                any = true;
            }
        }
        any
    }

    fn take_due(&self, clock: Clock, now_ns: i64, last: u64) -> Option<Arc<TimerInner>> {
        let mut state = self.state.lock();
        let queue = &mut state.queues[clock as usize];
        let deadline = *queue
            .range(..=(now_ns, u64::MAX))
            .map(|(deadline, _)| deadline)
            .find(|deadline| deadline.1 <= last)?;
        let timer = queue.remove(&deadline)?;
        *timer.armed.lock() = None;
        Some(timer)
    }
}
