//! Bottom halves: callbacks that run soon, scheduled from anywhere at the price of an atomic operation.

use std::ops::{Deref, DerefMut};

use super::aio_context::AioContext;
use super::callback::Callback;
use super::contain::CallbackKind;
use super::core::{Job, Scheduled};
use super::dispatch::Dispatch;
use super::failure::ContextError;
use super::schedule::{Schedule, Urgency};
use crate::holders::Registration;
use crate::sync::Arc;

/// A callback that runs on the context's thread after it has been scheduled, once however often it was.
///
/// It may schedule itself; it then runs in the next iteration, after file descriptors had their turn.
/// Dropping the value removes the callback.
#[derive(Debug)]
#[must_use = "dropping the value removes the callback"]
pub struct BottomHalf {
    bh: Arc<Bh>,
}

/// What the loop has of a [`BottomHalf`].
#[derive(Debug)]
pub(super) struct Bh {
    callback: Callback<dyn FnMut(&mut BhDispatch<'_>) + Send>,
    schedule: Schedule,
}

impl AioContext {
    /// Makes a bottom half, which does not run before it is scheduled.
    ///
    /// # Errors
    ///
    /// [`ContextError::Released`] once the holder has been released.
    pub fn bottom_half(
        &self,
        callback: impl FnMut(&mut BhDispatch<'_>) + Send + 'static,
    ) -> Result<BottomHalf, ContextError> {
        let bh = self.register_bottom_half(callback)?;
        Ok(BottomHalf { bh })
    }

    /// Makes a bottom half without a handle: it removes itself, or ends with its user.
    pub(super) fn register_bottom_half(
        &self,
        callback: impl FnMut(&mut BhDispatch<'_>) + Send + 'static,
    ) -> Result<Arc<Bh>, ContextError> {
        let bh = Arc::new(Bh {
            callback: Callback::new(self, CallbackKind::BottomHalf, Box::new(callback)),
            schedule: Schedule::default(),
        });
        bh.callback.register(Arc::<Bh>::clone(&bh))?;
        Ok(bh)
    }
}

impl BottomHalf {
    /// Lets the callback run in the loop's next iteration. While one run is due, another is not added.
    pub fn schedule(&self) {
        self.bh.schedule(Urgency::Soon);
    }

    /// Lets the callback run with the loop's next iteration, or after 10 milliseconds when the loop does not run.
    pub fn schedule_idle(&self) {
        self.bh.schedule(Urgency::Idle);
    }

    /// Takes the scheduling back. A callback that is running is not interrupted.
    pub fn cancel(&self) {
        self.bh.schedule.cancel();
        self.bh.callback.gate.forget();
    }

    /// Whether a run is due.
    pub fn is_scheduled(&self) -> bool {
        self.bh.schedule.is_scheduled()
    }

    /// Something that can schedule the bottom half from elsewhere, but does not keep it.
    pub fn scheduler(&self) -> BhScheduler {
        BhScheduler {
            bh: Arc::clone(&self.bh),
        }
    }
}

impl Drop for BottomHalf {
    fn drop(&mut self) {
        self.bh.callback.end(&*self.bh);
    }
}

/// Schedules a [`BottomHalf`] that somebody else owns; does nothing once that is gone.
#[derive(Debug, Clone)]
pub struct BhScheduler {
    bh: Arc<Bh>,
}

impl BhScheduler {
    /// As [`BottomHalf::schedule`].
    pub fn schedule(&self) {
        self.bh.schedule(Urgency::Soon);
    }

    /// As [`BottomHalf::schedule_idle`].
    pub fn schedule_idle(&self) {
        self.bh.schedule(Urgency::Idle);
    }
}

/// What the callback of a bottom half may do beside.
#[derive(Debug)]
pub struct BhDispatch<'a> {
    dispatch: Dispatch<'a>,
    bh: &'a Arc<Bh>,
}

impl BhDispatch<'_> {
    /// Lets the callback run once more, in the next iteration.
    pub fn schedule(&self) {
        self.bh.schedule(Urgency::Soon);
    }

    /// As [`BottomHalf::schedule_idle`].
    pub fn schedule_idle(&self) {
        self.bh.schedule(Urgency::Idle);
    }
}

impl<'a> Deref for BhDispatch<'a> {
    type Target = Dispatch<'a>;

    fn deref(&self) -> &Dispatch<'a> {
        &self.dispatch
    }
}

impl<'a> DerefMut for BhDispatch<'a> {
    fn deref_mut(&mut self) -> &mut Dispatch<'a> {
        &mut self.dispatch
    }
}

/// Waking what waits for something is to run its bottom half.
#[cfg(feature = "async")]
impl std::task::Wake for Bh {
    fn wake(self: Arc<Self>) {
        self.schedule(Urgency::Soon);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.schedule(Urgency::Soon);
    }
}

#[cfg(feature = "async")]
impl BhDispatch<'_> {
    /// Schedules the bottom half when it is woken, from any thread.
    pub(super) fn waker(&self) -> std::task::Waker {
        Arc::clone(self.bh).into()
    }
}

impl Bh {
    pub(super) fn schedule(self: &Arc<Self>, urgency: Urgency) {
        let context = self.callback.context();
        if context.attachment().is_released() || !self.schedule.schedule(urgency) {
            return;
        }
        // A loop that has ended runs nothing more, and its users' callbacks are gone.
        let _ = context
            .core()
            .push(Job::BottomHalf(Arc::<Self>::clone(self), urgency));
    }
}

impl Scheduled for Bh {
    fn dispatch(self: Arc<Self>, urgency: Urgency) {
        if self.schedule.begin(urgency) && self.callback.gate.pass() {
            self.callback.run(&*self, |callback, dispatch| {
                dispatch.context().core().stats.bottom_halves.add(1);
                callback(&mut BhDispatch {
                    dispatch,
                    bh: &self,
                });
            });
        }
    }
}

impl Registration for Bh {
    fn cancel(&self) {
        self.callback.remove();
    }

    fn pause(&self) {
        self.callback.gate.close();
    }

    fn resume(self: Arc<Self>) {
        if self.callback.gate.open() {
            self.schedule(Urgency::Soon);
        }
    }
}
