//! Timers: callbacks that run at a time on one of the clocks.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::aio_context::AioContext;
use super::callback::Callback;
use super::clock::{Clock, duration, duration_ns};
use super::contain::CallbackKind;
use super::dispatch::Dispatch;
use super::failure::ContextError;
use super::timers::{Armed, Deadline};
use crate::holders::Registration;
use crate::sync::{Arc, Mutex};

/// A callback that runs on the context's thread when its time has come, once for each time it is armed.
///
/// Dropping the value removes the callback.
#[derive(Debug)]
#[must_use = "dropping the value removes the callback"]
pub struct Timer {
    inner: Arc<TimerInner>,
}

/// What the loop has of a [`Timer`].
#[derive(Debug)]
pub(super) struct TimerInner {
    callback: Callback<dyn FnMut(&mut TimerDispatch<'_>) + Send>,
    clock: Clock,
    /// Whether it is held back by a pause.
    can_pause: bool,
    place: Mutex<Option<Deadline>>,
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

    /// Makes a timer that needs no handle: it removes itself, or ends with its user.
    pub(super) fn register_timer(
        &self,
        clock: Clock,
        can_pause: bool,
        callback: impl FnMut(&mut TimerDispatch<'_>) + Send + 'static,
    ) -> Result<Arc<TimerInner>, ContextError> {
        let inner = Arc::new(TimerInner {
            callback: Callback::new(self, CallbackKind::Timer, Box::new(callback)),
            clock,
            can_pause,
            place: Mutex::new(None),
        });
        inner.callback.register(Arc::<TimerInner>::clone(&inner))?;
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
        let deadline = *self.inner.place.lock();
        deadline.map(|(time_ns, _)| duration(time_ns))
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
        self.inner.callback.end(&*self.inner);
    }
}

/// What the callback of a timer may do beside.
#[derive(Debug)]
pub struct TimerDispatch<'a> {
    dispatch: Dispatch<'a>,
    inner: &'a Arc<TimerInner>,
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
        let now = self.callback.context().core().now_ns(self.clock);
        self.arm_at(now.saturating_add(duration_ns(delay)));
    }

    fn arm_at(self: &Arc<Self>, time_ns: i64) {
        self.callback.gate.forget();
        // An attachment that is released meanwhile disarms, and does so after this or makes the check fail.
        let core = self.callback.context().core();
        if core.timers.arm(Arc::<Self>::clone(self), time_ns) && !core.is_current() {
            core.notify();
        }
        if self.callback.is_removed() {
            self.disarm();
        }
    }

    fn disarm(&self) {
        self.callback.gate.forget();
        self.callback.context().core().timers.disarm(self);
    }
}

impl Armed for TimerInner {
    fn clock(&self) -> Clock {
        self.clock
    }

    fn place(&self) -> &Mutex<Option<Deadline>> {
        &self.place
    }

    fn fire(self: Arc<Self>) {
        if self.callback.gate.pass() {
            self.callback.run(&*self, |callback, dispatch| {
                dispatch.context().core().stats.timers.add(1);
                callback(&mut TimerDispatch {
                    dispatch,
                    inner: &self,
                });
            });
        }
    }
}

impl Registration for TimerInner {
    fn cancel(&self) {
        // Removed before it is disarmed, so that a thread that arms it at this moment sees one or the other.
        self.callback.remove();
        self.disarm();
    }

    fn pause(&self) {
        if self.can_pause {
            self.callback.gate.close();
        }
    }

    fn resume(self: Arc<Self>) {
        if self.callback.gate.open() {
            // Its time has come meanwhile.
            self.arm_after(Duration::ZERO);
        }
    }
}
