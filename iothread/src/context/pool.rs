//! Worker threads for work that blocks.
//!
//! A pool grows while work waits that no idle worker can take, up to thread-pool-max and the [budget](set_worker_budget)
//! of the process; nothing starts before there is work. Of the workers that have been started thread-pool-min stay.
//! Workers are started by the loop's thread, so they inherit its scheduling and affinity. Who keeps that thread from it by
//! waiting for work starts them in its place.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle, ThreadId};
use std::time::Duration;

use thiserror::Error;

use super::budget::{self, Slot};
use super::core::Job;
use super::hooks::run_start_hook;
use super::wait::await_this_thread;
use super::{AioContext, CallbackKind, ContextError, Core, Dispatch, ThreadRole};
use crate::holders::Attachment;
use crate::parameters::Parameter;
use crate::slab::{Key, Slab};
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
struct Work {
    /// The id of the user's attachment.
    attachment: usize,
    run: Box<dyn FnOnce() + Send>,
}

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
    /// Which threads do work, and the ids of the attachments that it is for.
    running: Slab<(ThreadId, usize)>,
    n_workers: usize,
    n_idle: usize,
    ended: bool,
    /// How many workers stay although there is no work.
    min: usize,
    max: usize,
    handles: Vec<JoinHandle<()>>,
}

/// Who has to go on before work is over.
pub(super) struct Outlook {
    /// Those who do it; all of them.
    pub(super) running: Vec<ThreadId>,
    /// Those of whom one has to take what is queued; `None` if nothing is, or another worker can.
    pub(super) queued_for: Option<Vec<ThreadId>>,
}

impl AioContext {
    /// Runs `work` on a worker thread and then `completion`, with its result, on the context's thread.
    ///
    /// Work that has been taken runs, and its completion too, even if the holder is released meanwhile; the holder is on
    /// record until both are over. A completion that runs after the release must expect that what it is about is gone.
    ///
    /// Any amount of work is taken: whoever produces it without waiting for completions bounds it. It is begun in the order
    /// of the calls.
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
        core.inbox.expect_delivery().map_err(|_| self.ended())?;
        let run = move || {
            let core = Arc::clone(activity.context().core());
            let attachment: Arc<Attachment> = Arc::clone(activity.context().attachment());
            let result = core
                .run(CallbackKind::Worker, &attachment, work)
                .map_err(|message| WorkPanicked { message });
            core.deliver(Job::Run(Box::new(move || {
                // The outcome has been reported; nobody waits for it.
                let _ = activity.run(|dispatch| completion(dispatch, result));
            })));
        };
        core.submit(Work {
            attachment: self.attachment().id(),
            run: Box::new(run),
        });
        Ok(())
    }

    /// Starts the workers that the work needs which has been taken so far.
    ///
    /// Starting them is up to the loop, so whoever waits for such work calls this first where the loop's own thread would
    /// wait, or does not run the loop at the moment. If the host has no thread left for the first worker of the context, the
    /// work is done before this returns, on the calling thread: that, too, is how a loop does it for want of workers.
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
            let Some(slot) = Slot::take(state.n_workers) else {
                // Those that are there get to the work.
                return;
            };
            match self.start_worker(slot) {
                Ok(handle) => {
                    state.n_workers += 1;
                    // It begins idle, and the next turn of this loop counts on it.
                    state.n_idle += 1;
                    state.handles.retain(|handle| !handle.is_finished());
                    state.handles.push(handle);
                }
                // The host has no thread left. Other workers get to the work later; without any, the loop does it.
                Err(error) if state.n_workers > 0 => {
                    crate::trace::no_worker(self.name(), &error);
                    return;
                }
                Err(error) => {
                    crate::trace::no_worker(self.name(), &error);
                    let stranded = std::mem::take(&mut state.queue);
                    drop(state);
                    let this = await_this_thread();
                    for work in stranded {
                        let begun = self.pool.state.lock().begin(this, &work);
                        (work.run)();
                        self.pool.state.lock().running.remove(begun);
                    }
                    return;
                }
            }
        }
    }

    fn start_worker(self: &Arc<Self>, slot: Slot) -> io::Result<JoinHandle<()>> {
        let core = Arc::clone(self);
        let mut builder = thread::Builder::new().name("worker".to_owned());
        if let Some(size) = self.worker_stack_size {
            builder = builder.stack_size(size);
        }
        let (begun, begins) = mpsc::channel();
        let handle = builder.spawn(move || {
            let outcome = run_start_hook(core.start_hook(), core.name(), ThreadRole::Worker);
            let is_fit = outcome.is_ok();
            // Nobody listens where there is no hook.
            let _ = begun.send(outcome);
            if is_fit {
                core.run_worker();
            }
            drop(slot);
        })?;
        if self.start_hook().is_some() {
            // One that the hook refuses is one that the host does not have.
            begins.recv().map_err(io::Error::other)??;
        }
        Ok(handle)
    }

    fn run_worker(&self) {
        let this = await_this_thread();
        let mut state = self.pool.state.lock();
        loop {
            // Counted as idle here. One worker is always left, since the largest number is not 0.
            if state.n_workers > state.max {
                break;
            }
            if let Some(work) = state.queue.pop_front() {
                state.n_idle -= 1;
                let begun = state.begin(this, &work);
                // One that the host or the budget refused may be had now.
                let request = state.n_missing() > 0 && budget::has_room(state.n_workers);
                drop(state);
                self.request_workers(request);
                (work.run)();
                state = self.pool.state.lock();
                state.running.remove(begun);
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

    /// How much work was taken and is not over.
    pub(super) fn n_work(&self) -> usize {
        let state = self.state.lock();
        state.queue.len() + state.running.len()
    }

    /// Who has to go on before the work of one user, or of all, is over.
    pub(super) fn outlook(&self, attachment: Option<usize>) -> Outlook {
        let state = self.state.lock();
        let is_meant = |of: usize| attachment.is_none_or(|attachment| attachment == of);
        let running = |is_meant: &dyn Fn(usize) -> bool| -> Vec<ThreadId> {
            let meant = state.running.iter().filter(|(_, of)| is_meant(*of));
            meant.map(|(thread, _)| *thread).collect()
        };
        let is_queued = state.queue.iter().any(|work| is_meant(work.attachment));
        let can_grow = state.n_workers < state.max && budget::has_room(state.n_workers);
        Outlook {
            running: running(&is_meant),
            queued_for: (is_queued && !can_grow && state.n_idle == 0).then(|| running(&|_| true)),
        }
    }
}

impl PoolState {
    /// Notes that a thread does work.
    fn begin(&mut self, thread: ThreadId, work: &Work) -> Key {
        self.running.insert((thread, work.attachment))
    }

    /// How many workers are to be started now.
    fn n_missing(&self) -> usize {
        if self.ended {
            return 0;
        }
        let for_queue = self.n_workers + self.queue.len().saturating_sub(self.n_idle);
        for_queue.min(self.max).saturating_sub(self.n_workers)
    }
}
