//! Closures for the loop's thread: handed over, or waited for.

use std::collections::HashMap;

use thiserror::Error;

use super::contain::contain;
use super::core::{ContextId, Job};
use super::{AioContext, CallbackKind, ContextError, Core, Dispatch};
use crate::sync::{Arc, Condvar, Mutex, OnceLock};

/// Why [`AioContext::call`] has no result.
#[derive(Debug, Error)]
pub enum CallError {
    /// The caller runs on the context itself, or on one that this one is waiting for; it would wait for ever.
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
    /// A closure that has been taken runs, even if the holder is released meanwhile or the thread is told to stop.
    ///
    /// # Errors
    ///
    /// [`ContextError::Ended`], for a main context whose loop is gone; an IOThread that is held does not end.
    /// [`ContextError::Released`] once the holder has been released, in a callback that still runs.
    pub fn post(
        &self,
        task: impl FnOnce(&mut Dispatch<'_>) + Send + 'static,
    ) -> Result<(), ContextError> {
        self.check_held()?;
        self.core().push(Job::Posted(self.share(), Box::new(task)))
    }

    /// Runs a closure on the context's thread and waits for its result.
    ///
    /// # Errors
    ///
    /// [`CallError::WouldDeadlock`] instead of waiting for oneself, directly or through the calls of other contexts' threads.
    /// A closure that panics is reported on the context like any callback, and to the caller.
    pub fn call<R: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Dispatch<'_>) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        self.check_held()?;
        self.call_unchecked(task)
    }

    /// Waits until the callbacks that run now, and everything that has been handed over before, are done.
    ///
    /// After a handler, timer or bottom half has been removed, this makes sure that it is not running any more.
    ///
    /// # Errors
    ///
    /// [`CallError::WouldDeadlock`], as for [`call`](Self::call).
    pub fn synchronize(&self) -> Result<(), CallError> {
        self.call(|_| ())
    }

    /// As [`synchronize`](Self::synchronize), also after the holder has been released.
    pub(crate) fn drain(&self) -> Result<(), CallError> {
        self.call_unchecked(|_| ())
    }

    fn call_unchecked<R: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Dispatch<'_>) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        let Some(_wait) = Wait::begin(self.core()) else {
            return Err(CallError::WouldDeadlock {
                context: self.name().to_owned(),
            });
        };
        let reply = Reply::new();
        // Fulfilled even if the closure is never run.
        let promise = Promise(Arc::clone(&reply));
        self.core().push(Job::Posted(
            self.share(),
            Box::new(move |dispatch| {
                let context = dispatch.context();
                // The reply must be there however the closure ends, so it is contained here already.
                let core = Arc::clone(context.core());
                let attachment = Arc::clone(context.attachment());
                let outcome = core.run(CallbackKind::Posted, &attachment, || task(dispatch));
                promise.0.set(outcome);
            }),
        ))?;
        reply.wait().map_err(|message| CallError::Panicked {
            context: self.name().to_owned(),
            message,
        })
    }

    /// Runs a closure that has been handed over.
    pub(super) fn run_posted(&self, task: super::dispatch::Task) {
        let core = self.core();
        core.stats.posted.add(1);
        // The outcome has been reported; nobody waits for it.
        let _ = core.run(CallbackKind::Posted, self.attachment(), || {
            task(&mut Dispatch::new(self));
        });
    }
}

/// The place where a caller waits for the outcome.
struct Reply<R> {
    outcome: Mutex<Option<Result<R, String>>>,
    arrived: Condvar,
}

impl<R> Reply<R> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            outcome: Mutex::new(None),
            arrived: Condvar::new(),
        })
    }

    /// Sets the outcome unless there is one.
    fn set(&self, outcome: Result<R, String>) {
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

    fn wait(&self) -> Result<R, String> {
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

/// Which loop's thread waits for which loop.
fn waits() -> &'static Mutex<HashMap<ContextId, ContextId>> {
    static WAITS: OnceLock<Mutex<HashMap<ContextId, ContextId>>> = OnceLock::new();
    WAITS.get_or_init(Mutex::default)
}

/// A wait of a loop's thread for another loop; threads without a loop need no entry.
pub(crate) struct Wait(Option<ContextId>);

impl Wait {
    /// Announces that this thread is going to wait for a loop. `None` if that would wait for this thread.
    pub(crate) fn begin(target: &Core) -> Option<Self> {
        let Some(waiting) = ContextId::current() else {
            return Some(Self(None));
        };
        let mut waits = waits().lock();
        let mut next = Some(target.id());
        while let Some(context) = next {
            if context == waiting {
                return None;
            }
            next = waits.get(&context).copied();
        }
        waits.insert(waiting, target.id());
        Some(Self(Some(waiting)))
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(waiting) = self.0 {
            waits().lock().remove(&waiting);
        }
    }
}
