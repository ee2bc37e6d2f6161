//! Closures for the loop's thread: handed over, or waited for.

use std::sync::mpsc;

use thiserror::Error;

use super::activity::Delivery;
use super::aio_context::AioContext;
use super::core::{Core, Job};
use super::dispatch::Dispatch;
use super::failure::ContextError;
use super::wait::{Target, Wait};
use crate::sync::Arc;

/// Why [`AioContext::call`] has no result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// The context's thread is the caller's own, or waits for it; the call would wait for ever. The caller's own is also the
    /// thread that made the [`MainLoop`](crate::MainLoop) of the context, whether or not that runs.
    #[error("call into event loop '{context}' would wait for itself")]
    WouldDeadlock {
        /// Name of the context.
        context: String,
    },
    /// The closure panicked.
    #[error("call into event loop '{context}' panicked: {message}")]
    Panicked {
        /// Name of the context.
        context: String,
        /// The panic's message.
        message: String,
    },
    /// The closure was not taken.
    #[error(transparent)]
    Context(#[from] ContextError),
}

impl AioContext {
    /// Hands a closure over to the context's thread. It runs after the file descriptors that are ready, in the order of the calls.
    ///
    /// A closure that has been taken runs, even if the holder is released meanwhile or the thread is told to stop. Any number is
    /// taken: who posts faster than the thread runs has to bound it.
    ///
    /// # Errors
    ///
    /// [`ContextError::Ended`], for a main context whose loop is gone; an IOThread that is held does not end, unless its loop
    /// [fails](crate::LoopFailure). [`ContextError::Released`] once the holder has been released, in a callback that still runs.
    pub fn post(
        &self,
        task: impl FnOnce(&mut Dispatch<'_>) + Send + 'static,
    ) -> Result<(), ContextError> {
        let activity = self.begin()?;
        self.core().push(activity.into_job(task))
    }

    /// Runs a closure on the context's thread and waits for its result.
    ///
    /// # Errors
    ///
    /// [`CallError::WouldDeadlock`] instead of waiting for oneself, directly or through what other threads wait for.
    /// A closure that panics is reported on the context like any callback, and to the caller.
    pub fn call<R: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Dispatch<'_>) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        let activity = self.begin()?;
        let Some(_wait) = Wait::begin(|| Target::Loop(Arc::<Core>::clone(self.core()))) else {
            return Err(CallError::WouldDeadlock {
                context: self.name().to_owned(),
            });
        };
        let (told, outcome) = mpsc::sync_channel(1);
        self.core().push(Job::Run(Box::new(move || {
            // The closure is over, also for the account of the holder, when the caller hears of it.
            let outcome = activity.run(task);
            // The caller waits for it.
            let _ = told.send(outcome);
        })))?;
        // A closure that is dropped instead is dropped with its loop.
        let outcome = outcome.recv().map_err(|_| self.core().has_ended())?;
        outcome.map_err(|message| CallError::Panicked {
            context: self.name().to_owned(),
            message,
        })
    }

    /// Waits until the callbacks that run now, and the closures that have been posted before, are done. Blocking work is
    /// not waited for; that is up to [`HeldAioContext::release`](crate::HeldAioContext::release), or to its completion.
    ///
    /// After a handler, timer or bottom half has been removed, this makes sure that it is not running any more.
    ///
    /// # Errors
    ///
    /// [`CallError::WouldDeadlock`], as for [`call`](Self::call).
    pub fn synchronize(&self) -> Result<(), CallError> {
        self.call(|_| ())
    }

    /// As [`synchronize`](Self::synchronize) without waiting: `callback` runs on `context` when what is waited for is done.
    ///
    /// # Errors
    ///
    /// [`ContextError::Ended`] or [`ContextError::Released`] if one of the two takes nothing any more. The callback is dropped.
    pub fn synchronize_then(
        &self,
        context: &Self,
        callback: impl FnOnce(&mut Dispatch<'_>) + Send + 'static,
    ) -> Result<(), ContextError> {
        let activity = self.begin()?;
        let from = || Target::Loop(Arc::<Core>::clone(self.core()));
        let telling = Telling(Some(context.expect(from, callback)?));
        // A loop that has failed runs nothing any more, so it is told at once.
        let _ = self.core().push(Job::Run(Box::new(move || {
            // Over, also for the account of the holder, when the other one hears of it.
            let _ = activity.run(|_| ());
            drop(telling);
        })));
        Ok(())
    }
}

/// Delivers a closure when it is dropped.
struct Telling(Option<Delivery>);

impl Drop for Telling {
    fn drop(&mut self) {
        if let Some(delivery) = self.0.take() {
            delivery.deliver();
        }
    }
}
