//! The work of a context that blocks, and the account of its workers.
//!
//! A pool grows while work waits that no idle worker can take, up to thread-pool-max and the [budget](super::set_worker_budget)
//! of the process; nothing starts before there is work. Of the workers that have been started thread-pool-min stay.
//! Threads are started elsewhere: who makes a worker necessary is told to ask the loop for it.

use std::collections::VecDeque;
use std::io;
use std::thread::ThreadId;
use std::time::Duration;

use super::budget::{self, Slot};
use crate::slab::{Key, Slab};
use crate::sync::{AtomicBool, Condvar, Mutex, Ordering};

/// How long a worker beyond thread-pool-min waits for work before it ends.
const IDLE_TIME: Duration = Duration::from_secs(10);

/// Blocking work together with its completion.
pub(crate) struct Work {
    /// The id of the user's attachment.
    pub(crate) attachment: usize,
    pub(crate) run: Box<dyn FnOnce() + Send>,
}

/// The workers of one context.
#[derive(Default)]
pub(crate) struct Pool {
    state: Mutex<State>,
    /// Work has come, or the limits have changed.
    changed: Condvar,
    /// The loop has been asked to start workers and has not begun to.
    start_requested: AtomicBool,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Work>,
    /// Which threads do work, and the ids of the attachments that it is for.
    running: Slab<(ThreadId, usize)>,
    n_workers: usize,
    n_idle: usize,
    ended: bool,
    /// How many workers stay although there is no work.
    min: usize,
    max: usize,
}

/// Who has to go on before work is over.
pub(crate) struct Outlook {
    /// Those who do it; all of them.
    pub(crate) running: Vec<ThreadId>,
    /// Those of whom one has to take what is queued; `None` if nothing is, or another worker can.
    pub(crate) queued_for: Option<Vec<ThreadId>>,
}

/// Work that no worker will do, as the host has no thread for any.
#[must_use]
pub(crate) struct Stranded(VecDeque<Work>);

impl Pool {
    /// Takes over other limits. Returns whether the loop is to be asked for workers.
    #[must_use]
    pub(crate) fn set_limits(&self, min: usize, max: usize) -> bool {
        let missing = {
            let mut state = self.state.lock();
            state.min = min;
            state.max = max.max(1);
            state.n_missing() > 0
        };
        self.changed.notify_all();
        missing && self.request()
    }

    /// Takes work. Returns whether the loop is to be asked for workers.
    #[must_use]
    pub(crate) fn submit(&self, work: Work) -> bool {
        let missing = {
            let mut state = self.state.lock();
            state.queue.push_back(work);
            state.n_missing() > 0
        };
        self.changed.notify_one();
        missing && self.request()
    }

    /// Whether this is the first who asks.
    fn request(&self) -> bool {
        !self.start_requested.swap(true, Ordering::AcqRel)
    }

    /// Starts the workers that are missing, if that has been asked for: each by `start`, on a thread that then calls [`work`](Self::work).
    pub(crate) fn start_missing(
        &self,
        mut start: impl FnMut(Slot) -> io::Result<()>,
    ) -> Result<(), Stranded> {
        if !self.start_requested.load(Ordering::Relaxed) {
            return Ok(());
        }
        // Taken back before looking, so that who adds work afterwards asks again.
        self.start_requested.swap(false, Ordering::AcqRel);
        let mut state = self.state.lock();
        while state.n_missing() > 0 {
            let Some(slot) = Slot::take(state.n_workers) else {
                // Those that are there get to the work.
                return Ok(());
            };
            if start(slot).is_err() {
                // The host has no thread left. Other workers get to the work later; without any, the loop does it.
                if state.n_workers > 0 {
                    return Ok(());
                }
                return Err(Stranded(std::mem::take(&mut state.queue)));
            }
            state.n_workers += 1;
            // It begins idle, and the next turn of this loop counts on it.
            state.n_idle += 1;
        }
        Ok(())
    }

    /// Does work that is stranded, on the calling thread.
    pub(crate) fn do_stranded(&self, Stranded(queue): Stranded, this: ThreadId) {
        for work in queue {
            let begun = self.state.lock().begin(this, &work);
            (work.run)();
            self.state.lock().running.remove(begun);
        }
    }

    /// What a worker does until it is not needed any more. `ask` asks the loop for workers.
    pub(crate) fn work(&self, this: ThreadId, ask: impl Fn()) {
        let mut state = self.state.lock();
        loop {
            // Counted as idle here. One worker is always left, since the largest number is not 0.
            if state.n_workers > state.max {
                break;
            }
            if let Some(work) = state.queue.pop_front() {
                state.n_idle -= 1;
                let begun = state.begin(this, &work);
                // One that the host or the budget refused may be had now.
                let missing = state.n_missing() > 0 && budget::has_room(state.n_workers);
                drop(state);
                if missing && self.request() {
                    ask();
                }
                (work.run)();
                state = self.state.lock();
                state.running.remove(begun);
                state.n_idle += 1;
                continue;
            }
            if state.ended {
                break;
            }
            let (guard, timed_out) = self.changed.wait_timeout(state, IDLE_TIME);
            state = guard;
            if timed_out && state.queue.is_empty() && state.n_workers > state.min {
                break;
            }
        }
        state.n_idle -= 1;
        state.n_workers -= 1;
        if !state.queue.is_empty() {
            // It was another worker that was to be woken, then.
            self.changed.notify_one();
        }
    }

    /// Lets all workers end; there is no work left.
    pub(crate) fn end(&self) {
        self.state.lock().ended = true;
        self.changed.notify_all();
    }

    pub(crate) fn n_workers(&self) -> usize {
        self.state.lock().n_workers
    }

    /// How much work was taken and is not over.
    pub(crate) fn n_work(&self) -> usize {
        let state = self.state.lock();
        state.queue.len() + state.running.len()
    }

    /// Who has to go on before the work of one user, or of all, is over.
    pub(crate) fn outlook(&self, attachment: Option<usize>) -> Outlook {
        let state = self.state.lock();
        let is_meant = |of: usize| attachment.is_none_or(|attachment| attachment == of);
        let running = |is_meant: &dyn Fn(usize) -> bool| -> Vec<ThreadId> {
            let meant = state.running.iter().filter(|(_, (_, of))| is_meant(*of));
            meant.map(|(_, (thread, _))| *thread).collect()
        };
        let is_queued = state.queue.iter().any(|work| is_meant(work.attachment));
        let can_grow = state.n_workers < state.max && budget::has_room(state.n_workers);
        Outlook {
            running: running(&is_meant),
            queued_for: (is_queued && !can_grow && state.n_idle == 0).then(|| running(&|_| true)),
        }
    }
}

impl State {
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
