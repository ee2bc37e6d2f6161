//! Worker threads for work that blocks.
//!
//! A pool grows while work waits that no idle worker can take, up to thread-pool-max, and keeps thread-pool-min.
//! Workers are started by the loop's thread, so they inherit its scheduling and affinity. Who keeps that thread from it by
//! waiting for work starts them in its place.

use std::collections::VecDeque;
use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use thiserror::Error;

use super::core::Job;
use super::{AioContext, CallbackKind, ContextError, Core, Dispatch};
use crate::holders::Attachment;
use crate::parameters::Parameter;
use crate::sync::{Arc, AtomicBool, Condvar, Mutex, Ordering};

/// How long a worker beyond thread-pool-min waits for work before it ends.
const IDLE_TIME: Duration = Duration::from_secs(10);

/// Blocking work that panicked instead of returning its result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("blocking work panicked: {message}")]
pub struct WorkPanicked {
    /// The panic's message.
    pub message: String,
}

/// Blocking work together with its completion.
type Work = Box<dyn FnOnce() + Send>;

/// The workers of one context.
pub(super) struct Pool {
    state: Mutex<PoolState>,
    /// Work has come, or the limits have changed.
    changed: Condvar,
    /// The loop has been asked to start workers and has not begun to.
    start_requested: AtomicBool,
}

#[derive(Default)]
struct PoolState {
    queue: VecDeque<Work>,
    n_workers: usize,
    n_idle: usize,
    ended: bool,
    min: usize,
    max: usize,
    handles: Vec<JoinHandle<()>>,
}

impl AioContext {
    /// Runs `work` on a worker thread and then `completion`, with its result, on the context's thread.
    ///
    /// Work that has been taken runs, and its completion too, even if the holder is released meanwhile.
    ///
    /// # Errors
    ///
    /// [`ContextError::Ended`], as for [`post`](Self::post).
    pub fn spawn_blocking<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
        completion: impl FnOnce(&mut Dispatch<'_>, Result<R, WorkPanicked>) + Send + 'static,
    ) -> Result<(), ContextError> {
        self.check_held()?;
        let core = self.core();
        core.inbox.expect_delivery().map_err(|_| self.ended())?;
        let context = self.share();
        core.submit(Box::new(move || {
            let core = Arc::clone(context.core());
            let attachment: Arc<Attachment> = Arc::clone(context.attachment());
            let result = core
                .run(CallbackKind::Worker, &attachment, work)
                .map_err(|message| WorkPanicked { message });
            core.deliver(Job::Posted(
                context,
                Box::new(move |dispatch| completion(dispatch, result)),
            ));
        }));
        Ok(())
    }

    /// Starts the workers that the work needs which has been taken so far.
    ///
    /// Starting them is up to the loop, so whoever waits for such work calls this first where the loop's own thread would
    /// wait, or does not run the loop at the moment. If the host has no thread left for the first worker, the work is done
    /// before this returns.
    pub fn start_workers(&self) {
        self.core().start_workers();
    }
}

impl Core {
    /// Takes over the limits of the parameters.
    pub(crate) fn apply_pool_limits(self: &Arc<Self>) {
        let limit =
            |parameter| usize::try_from(self.parameters.get(parameter)).unwrap_or(usize::MAX);
        let request = {
            let mut state = self.pool.state.lock();
            state.min = limit(Parameter::ThreadPoolMin);
            state.max = limit(Parameter::ThreadPoolMax).max(1);
            state.n_missing() > 0
        };
        self.pool.changed.notify_all();
        self.request_workers(request);
    }

    fn submit(&self, work: Work) {
        let request = {
            let mut state = self.pool.state.lock();
            state.queue.push_back(work);
            state.n_missing() > 0
        };
        self.pool.changed.notify_one();
        self.request_workers(request);
    }

    fn request_workers(&self, wanted: bool) {
        if wanted && !self.pool.start_requested.swap(true, Ordering::AcqRel) {
            self.notify();
        }
    }

    /// Starts the workers that are missing.
    pub(super) fn start_workers(self: &Arc<Self>) {
        if !self.pool.start_requested.load(Ordering::Relaxed) {
            return;
        }
        // Taken back before looking, so that who adds work afterwards asks again.
        self.pool.start_requested.swap(false, Ordering::AcqRel);
        let mut state = self.pool.state.lock();
        while state.n_missing() > 0 {
            match self.start_worker() {
                Ok(handle) => {
                    state.n_workers += 1;
                    // It begins idle, and the next turn of this loop counts on it.
                    state.n_idle += 1;
                    state.handles.retain(|handle| !handle.is_finished());
                    state.handles.push(handle);
                }
                // The host has no thread left. Other workers get to the work later; without any, the loop does it.
                Err(_) if state.n_workers > 0 => return,
                Err(_) => {
                    let stranded = std::mem::take(&mut state.queue);
                    drop(state);
                    for work in stranded {
                        work();
                    }
                    return;
                }
            }
        }
    }

    fn start_worker(self: &Arc<Self>) -> io::Result<JoinHandle<()>> {
        let core = Arc::clone(self);
        thread::Builder::new()
            .name("worker".to_owned())
            .spawn(move || core.run_worker())
    }

    fn run_worker(&self) {
        let mut state = self.pool.state.lock();
        loop {
            // Counted as idle here. One worker is always left, since the largest number is not 0.
            if state.n_workers > state.max {
                break;
            }
            if let Some(work) = state.queue.pop_front() {
                state.n_idle -= 1;
                drop(state);
                work();
                state = self.pool.state.lock();
                state.n_idle += 1;
                continue;
            }
            if state.ended {
                break;
            }
            let (guard, timed_out) = self.pool.changed.wait_timeout(state, IDLE_TIME);
            state = guard;
            if timed_out && state.queue.is_empty() && state.n_workers > state.min {
                break;
            }
        }
        state.n_idle -= 1;
        state.n_workers -= 1;
        if !state.queue.is_empty() {
            // Whoever woke this worker meant another one, then.
            self.pool.changed.notify_one();
        }
    }

    /// Ends all workers; there is no work left.
    pub(super) fn end_workers(&self) {
        let handles = {
            let mut state = self.pool.state.lock();
            state.ended = true;
            std::mem::take(&mut state.handles)
        };
        self.pool.changed.notify_all();
        for handle in handles {
            // Work is contained, so a worker does not panic.
            let _ = handle.join();
        }
    }
}

impl Pool {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(PoolState::default()),
            changed: Condvar::new(),
            start_requested: AtomicBool::new(false),
        }
    }

    pub(super) fn n_workers(&self) -> usize {
        self.state.lock().n_workers
    }
}

impl PoolState {
    /// How many workers are to be started now.
    fn n_missing(&self) -> usize {
        if self.ended {
            return 0;
        }
        let for_queue = self.n_workers + self.queue.len().saturating_sub(self.n_idle);
        let wanted = for_queue.max(self.min).min(self.max);
        wanted.saturating_sub(self.n_workers)
    }
}
