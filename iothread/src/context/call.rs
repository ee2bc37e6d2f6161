//! Closures for the loop's thread: handed over, or waited for.

use thiserror::Error;

use super::contain::contain;
use super::core::Job;
use super::wait::{Target, Wait};
use super::{AioContext, ContextError, Dispatch};
use crate::sync::{Arc, Condvar, Mutex};

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
    /// taken: whoever posts faster than the thread runs bounds it.
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
        self.core().push(Job::Run(Box::new(move || {
            // The outcome has been reported; nobody waits for it.
            let _ = activity.run(task);
        })))
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
        let Some(_wait) = Wait::begin(|| Target::Loop(Arc::clone(self.core()))) else {
            return Err(CallError::WouldDeadlock {
                context: self.name().to_owned(),
            });
        };
        let reply = Reply::new();
        // Fulfilled even if the closure is never run.
        let promise = Promise(Arc::clone(&reply));
        self.core().push(Job::Run(Box::new(move || {
            // The closure is over, also for the account of the holder, when the caller hears of it.
            let outcome = activity.run(task);
            promise.0.set(outcome);
        })))?;
        reply.wait().map_err(|message| CallError::Panicked {
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
}

/// The place where a caller waits for the outcome.
pub(crate) struct Reply<R> {
    outcome: Mutex<Option<Result<R, String>>>,
    arrived: Condvar,
}

impl<R> Reply<R> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            outcome: Mutex::new(None),
            arrived: Condvar::new(),
        })
    }

    /// Sets the outcome unless there is one.
    pub(crate) fn set(&self, outcome: Result<R, String>) {
        let mut slot = self.outcome.lock();
        if slot.is_none() {
            *slot = Some(outcome);
            self.arrived.notify_one();
        } else {
            drop(slot);
            // A value that is not wanted may panic when it is dropped.
            let _ = contain(move || drop(outcome));
        }
    }

    pub(crate) fn wait(&self) -> Result<R, String> {
        let mut slot = self.outcome.lock();
        loop {
            match slot.take() {
                Some(outcome) => return outcome,
                None => slot = self.arrived.wait(slot),
            }
        }
    }
}

/// Tells the caller when the closure is dropped without having run.
struct Promise<R>(Arc<Reply<R>>);

impl<R> Drop for Promise<R> {
    fn drop(&mut self) {
        self.0
            .set(Err("it was dropped before it could run".to_owned()));
    }
}
