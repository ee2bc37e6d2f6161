//! Bottom halves: callbacks that run soon, scheduled from anywhere at the price of an atomic operation.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::core::Job;
use super::{AioContext, CallbackKind, ContextError, Dispatch};
use crate::cell::CallbackCell;
use crate::gate::Gate;
use crate::holders::Registration;
use crate::schedule::{Schedule, Urgency};
use crate::slab::Key;
use crate::sync::{Arc, OnceLock};

type Callback = dyn FnMut(&mut BhDispatch<'_>) + Send;

/// A callback that runs on the context's thread after it has been scheduled, once however often it was.
///
/// It may schedule itself; it then runs in the next iteration, after file descriptors had their turn.
/// Dropping the value removes the callback.
#[must_use = "dropping the value removes the callback"]
pub struct BottomHalf {
    bh: Arc<Bh>,
}

/// What the loop has of a [`BottomHalf`].
pub(super) struct Bh {
    context: AioContext,
    callback: CallbackCell<Callback>,
    schedule: Schedule,
    gate: Gate,
    key: OnceLock<Key>,
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

    /// Makes a bottom half that nobody has a handle of: it removes itself, or ends with its user.
    pub(super) fn register_bottom_half(
        &self,
        callback: impl FnMut(&mut BhDispatch<'_>) + Send + 'static,
    ) -> Result<Arc<Bh>, ContextError> {
        let bh = Arc::new(Bh {
            context: self.share(),
            callback: CallbackCell::new(Box::new(callback)),
            schedule: Schedule::new(),
            gate: Gate::new(),
            key: OnceLock::new(),
        });
        let key = self
            .attachment()
            .register(Arc::<Bh>::clone(&bh))
            .ok_or_else(|| self.released())?;
        // The cell is fresh.
        let _ = bh.key.set(key);
        Ok(bh)
    }
}

impl BottomHalf {
    /// Lets the callback run in the loop's next iteration. While one run is due, another is not added.
    pub fn schedule(&self) {
        self.bh.schedule(Urgency::Soon);
    }

    /// Lets the callback run with the loop's next iteration, or after 10 milliseconds when there is none.
    pub fn schedule_idle(&self) {
        self.bh.schedule(Urgency::Idle);
    }

    /// Takes the scheduling back. A callback that is running is not interrupted.
    pub fn cancel(&self) {
        self.bh.schedule.cancel();
        self.bh.gate.forget();
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
        self.bh.end();
    }
}

impl fmt::Debug for BottomHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BottomHalf")
            .field("context", &self.bh.context)
            .field("scheduled", &self.is_scheduled())
            .finish()
    }
}

/// Schedules a [`BottomHalf`] that somebody else owns; does nothing once that is gone.
#[derive(Clone)]
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

impl fmt::Debug for BhScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BhScheduler")
            .field("context", &self.bh.context)
            .finish_non_exhaustive()
    }
}

/// What the callback of a bottom half may do beside.
pub struct BhDispatch<'a> {
    dispatch: Dispatch<'a>,
    bh: &'a Arc<Bh>,
}

impl fmt::Debug for BhDispatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BhDispatch")
            .field("dispatch", &self.dispatch)
            .finish_non_exhaustive()
    }
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
        if self.context.attachment().is_released() || !self.schedule.schedule(urgency) {
            return;
        }
        // A loop that has ended runs nothing more, and its users' callbacks are gone.
        let _ = self
            .context
            .core()
            .push(Job::BottomHalf(Arc::clone(self), urgency));
    }

    /// Runs the callback if that is still wanted. Only the loop's thread calls this, for each entry once.
    pub(super) fn dispatch(self: &Arc<Self>, urgency: Urgency) {
        if self.schedule.begin(urgency) && self.gate.pass() {
            self.run();
        }
    }

    fn run(self: &Arc<Self>) {
        let core = self.context.core();
        let _running = core.running.enter(self.context.attachment());
        let Some(mut callback) = self.callback.take() else {
            return;
        };
        core.stats.bottom_halves.add(1);
        let mut dispatch = BhDispatch {
            dispatch: Dispatch::new(&self.context),
            bh: self,
        };
        let outcome = core.run(CallbackKind::BottomHalf, self.context.attachment(), || {
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
        let _ = self.context.core().run(
            CallbackKind::BottomHalf,
            self.context.attachment(),
            move || drop(callback),
        );
    }
}

impl Registration for Bh {
    fn cancel(&self) {
        let removed = self.callback.remove();
        self.drop_callback(removed);
    }

    fn pause(&self) {
        self.gate.close();
    }

    fn resume(self: Arc<Self>) {
        if self.gate.open() {
            self.schedule(Urgency::Soon);
        }
    }
}
