//! Worker threads for work that blocks.
//!
//! They are started by the loop's thread, so they inherit its scheduling and affinity. Who keeps that thread from it by waiting for
//! work starts them in its place.

use std::io;
use std::sync::mpsc;
use std::thread;

use thiserror::Error;

use super::aio_context::AioContext;
use super::budget::Slot;
use super::contain::CallbackKind;
use super::core::Core;
use super::dispatch::Dispatch;
use super::failure::ContextError;
use super::pool::Work;
use super::setup::ThreadRole;
use super::wait::await_this_thread;
use crate::parameters::Parameter;
use crate::sync::Arc;

/// Blocking work that panicked instead of returning its result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("blocking work panicked: {message}")]
pub struct WorkPanicked {
    /// The panic's message.
    pub message: String,
}

impl AioContext {
    /// Runs `work` on a worker thread and then `completion`, with its result, on the context's thread.
    ///
    /// Work that has been taken runs, and its completion too, even if the holder is released meanwhile; the holder is on
    /// record until both are over. A completion that runs after the release must expect that what it is about is gone.
    ///
    /// Any amount of work is taken: who does not wait for completions has to bound it. It is begun in the order of the calls.
    ///
    /// # Errors
    ///
    /// [`ContextError::Ended`] and [`ContextError::Released`], as for [`post`](Self::post).
    pub fn spawn_blocking<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
        completion: impl FnOnce(&mut Dispatch<'_>, Result<R, WorkPanicked>) + Send + 'static,
    ) -> Result<(), ContextError> {
        let activity = self.begin()?;
        let core = self.core();
        core.expect_delivery()?;
        let run = move || {
            let core = Arc::clone(activity.context().core());
            let user = Arc::clone(activity.context().attachment());
            let result = core.run(CallbackKind::Worker, &user, work);
            let result = result.map_err(|message| WorkPanicked { message });
            core.deliver(activity.into_job(move |dispatch| completion(dispatch, result)));
        };
        let is_asked_for = core.pool.submit(Work {
            attachment: self.attachment().id(),
            run: Box::new(run),
        });
        if is_asked_for {
            core.notify();
        }
        Ok(())
    }

    /// Starts the workers that the work needs which has been taken so far.
    ///
    /// Starting them is up to the loop, so a thread that waits for such work calls this first where the loop's own thread would
    /// wait, or does not run the loop at the moment. If the host has no thread left for the first worker of the context, the
    /// work is done before this returns, on the calling thread: that, too, is how a loop does it for want of workers.
    pub fn start_workers(&self) {
        self.core().start_workers();
    }
}

impl Core {
    /// Takes over the limits of the parameters.
    pub(crate) fn apply_pool_limits(&self) {
        let limit = |it| usize::try_from(self.parameters.get(it)).unwrap_or(usize::MAX);
        let (min, max) = (Parameter::ThreadPoolMin, Parameter::ThreadPoolMax);
        if self.pool.set_limits(limit(min), limit(max)) {
            self.notify();
        }
    }

    /// Starts the workers that are missing.
    pub(super) fn start_workers(self: &Arc<Self>) {
        let started = self.pool.start_missing(|slot| {
            self.start_worker(slot)
                .inspect_err(|error| crate::trace::no_worker(self.name(), error))
        });
        if let Err(stranded) = started {
            self.pool.do_stranded(stranded, await_this_thread());
        }
    }

    fn start_worker(self: &Arc<Self>, slot: Slot) -> io::Result<()> {
        let core = Arc::clone(self);
        let mut builder = thread::Builder::new().name("worker".to_owned());
        if let Some(size) = self.hooks.worker_stack_size {
            builder = builder.stack_size(size);
        }
        let (begun, begins) = mpsc::channel();
        let handle = builder.spawn(move || {
            let outcome = core.hooks.start_thread(core.name(), ThreadRole::Worker);
            let is_fit = outcome.is_ok();
            // It matters only where there is a hook.
            let _ = begun.send(outcome);
            if is_fit {
                core.pool.work(await_this_thread(), || core.notify());
            }
            drop(slot);
        })?;
        if self.hooks.start.is_some() {
            // One that the hook refuses is one that the host does not have.
            begins.recv().map_err(io::Error::other)??;
        }
        let mut workers = self.workers.lock();
        workers.retain(|worker| !worker.is_finished());
        workers.push(handle);
        Ok(())
    }

    /// Ends all workers; there is no work left.
    pub(super) fn end_workers(&self) {
        self.pool.end();
        let workers = std::mem::take(&mut *self.workers.lock());
        for worker in workers {
            // Work is contained, so a worker does not panic.
            let _ = worker.join();
        }
    }
}
