//! What the callbacks of file descriptors, timers and bottom halves have in common.

use std::cell::Cell;

use super::aio_context::AioContext;
use super::cell::CallbackCell;
use super::contain::CallbackKind;
use super::dispatch::Dispatch;
use super::failure::ContextError;
use super::gate::Gate;
use crate::debug::debug_by;
use crate::holders::Registration;
use crate::slab::Key;
use crate::sync::{Arc, OnceLock};

/// A callback that is registered on a context: lent to the loop while it runs, gone with its registration and with its user.
pub(super) struct Callback<F: ?Sized> {
    context: AioContext,
    kind: CallbackKind,
    cell: CallbackCell<F>,
    pub(super) gate: Gate,
    /// Place among the registrations of the attachment.
    key: OnceLock<Key>,
}

impl<F: ?Sized> Callback<F> {
    pub(super) fn new(context: &AioContext, kind: CallbackKind, callback: Box<F>) -> Self {
        Self {
            context: context.share(),
            kind,
            cell: CallbackCell::new(callback),
            gate: Gate::default(),
            key: OnceLock::new(),
        }
    }

    pub(super) fn context(&self) -> &AioContext {
        &self.context
    }

    /// Lets `registration`, whose callback this is, end with the user.
    pub(super) fn register(&self, registration: Arc<dyn Registration>) -> Result<(), ContextError> {
        let key = self.context.attachment().register(registration);
        // The cell is fresh.
        let _ = self.key.set(key.ok_or_else(|| self.context.released())?);
        Ok(())
    }

    /// Runs the callback, and ends `registration` if that panics or asks for it. `None` without an outcome, since it is removed or has
    /// panicked. Only the loop's thread calls this.
    pub(super) fn run<R>(
        &self,
        registration: &impl Registration,
        run: impl FnOnce(&mut F, Dispatch<'_>) -> R,
    ) -> Option<R> {
        let (core, user) = (self.context.core(), self.context.attachment());
        let _running = core.running.enter(user);
        let mut callback = self.cell.take()?;
        let removal = Cell::new(false);
        let dispatch = Dispatch::new(&self.context, &removal);
        let outcome = core.run(self.kind, user, || run(&mut callback, dispatch));
        self.drop_contained(self.cell.put_back(callback));
        if outcome.is_err() || removal.get() {
            self.end(registration);
        }
        outcome.ok()
    }

    /// Ends the registration for good.
    pub(super) fn end(&self, registration: &impl Registration) {
        registration.cancel();
        if let Some(key) = self.key.get() {
            self.context.attachment().unregister(*key);
        }
    }

    /// Removes the callback. The loop's thread drops it if it runs.
    pub(super) fn remove(&self) {
        self.drop_contained(self.cell.remove());
    }

    pub(super) fn is_removed(&self) -> bool {
        self.cell.is_removed()
    }

    /// What the callback owns may panic when it is dropped.
    fn drop_contained(&self, callback: Option<Box<F>>) {
        let (core, user) = (self.context.core(), self.context.attachment());
        let _ = core.run(self.kind, user, move || drop(callback));
    }
}

debug_by!(Callback, [impl<F: ?Sized>] Callback<F>, |it| context = it.context, kind = it.kind);
