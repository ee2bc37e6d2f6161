//! The context of an event loop: what can be done on it from any thread, and the loop itself.
//!
//! - `core`: what a loop and everybody who reaches it share.
//! - `event_loop`: one iteration, on the loop's own thread.
//! - `dispatch`, `on_main`: what a callback is given.
//! - `fd`, `bottom_half`, `timer`, `call`, `pool`: what can be registered or handed over, one file each; `handler` and
//!   `fd_builder` are the callbacks of file descriptors.
//! - `activity`: what was accepted and is not over, and the release of a user.
//! - `wait`: who waits for whom, so that nobody waits for itself.
//! - `poller`, `failure`: how a loop waits, and what becomes of one that cannot.
//! - `clock`, `alarm`, `polling`, `stats`, `contain`: parts of these.

mod activity;
mod alarm;
mod bottom_half;
mod budget;
mod call;
mod clock;
mod contain;
mod core;
mod dispatch;
mod event_loop;
mod eventfd;
mod failure;
mod fd;
mod fd_builder;
#[cfg(feature = "async")]
mod future;
mod handler;
mod hooks;
mod later;
mod on_main;
mod pause;
mod poller;
mod polling;
mod pool;
mod stats;
mod timer;
mod wait;

use std::io;
use std::time::Duration;

use thiserror::Error;

pub use self::bottom_half::{BhDispatch, BhScheduler, BottomHalf};
pub use self::budget::{set_worker_budget, worker_budget};
pub use self::call::CallError;
pub use self::clock::{Clock, VirtualClock};
pub use self::contain::{CallbackKind, PanicReport, unreported_panics};
pub(crate) use self::core::{Core, LoopKind, number_of};
pub use self::dispatch::{Dispatch, FdDispatch};
pub(crate) use self::event_loop::EventLoop;
pub use self::eventfd::duplicate;
pub(crate) use self::failure::FailureHook;
pub use self::failure::LoopFailure;
pub use self::fd::FdWatch;
pub use self::fd_builder::FdWatchBuilder;
#[cfg(feature = "async")]
pub use self::future::{Completion, TaskError};
pub use self::handler::{FdHandler, Interest, Polling, SharedFdHandler};
pub(crate) use self::hooks::{Hooks, IterationHook, StartHook, run_start_hook};
pub use self::hooks::{ThreadRole, ThreadStart};
pub use self::on_main::OnMain;
pub use self::pause::{Pause, PauseAll};
pub use self::pool::WorkPanicked;
pub use self::stats::LoopStats;
pub use self::timer::{Timer, TimerDispatch};
pub(crate) use self::wait::{Target, Wait};
use crate::holder::Holder;
use crate::holders::Attachment;
use crate::slab::Key;
use crate::sync::{Arc, OnceLock};

/// The context of an event loop, as one of its users sees it.
///
/// It is only ever seen through a [`HeldAioContext`](crate::HeldAioContext), which has recorded its holder, through a
/// [`MainContext`](crate::MainContext), through what is made of these ([`SharedContext`](crate::SharedContext),
/// [`WeakContext`](crate::WeakContext)), or inside a callback. Everything may be called from any thread.
pub struct AioContext {
    core: Arc<Core>,
    /// Made when the user first does something with the context: of a million holders, most never do.
    attachment: OnceLock<Arc<Attachment>>,
    /// The record of the holder that the attachment is to be made for; `None` where none is needed.
    record: Option<Key>,
}

/// Why something could not be registered on a context or handed over to it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ContextError {
    /// The loop has ended: a main loop by being dropped, either kind by a [`LoopFailure`].
    #[error("event loop '{context}' has ended")]
    Ended {
        /// Name of the context.
        context: String,
    },
    /// The holder has been released. Only callbacks and closures that run after that can see this.
    #[error("event loop '{context}' is no longer held")]
    Released {
        /// Name of the context.
        context: String,
    },
    /// The handler has been removed, by its own callback or by a panic of that.
    #[error("handler on event loop '{context}' has been removed")]
    Removed {
        /// Name of the context.
        context: String,
    },
    /// The kernel refuses to watch the file descriptor.
    #[error("cannot watch file descriptor: {0}")]
    Watch(#[source] io::Error),
}

impl AioContext {
    /// The view of a user who has just been recorded.
    pub(crate) fn of_record(core: Arc<Core>, record: Key) -> Self {
        Self {
            core,
            attachment: OnceLock::new(),
            record: Some(record),
        }
    }

    pub(crate) fn without_holder(core: Arc<Core>) -> Self {
        Self {
            core,
            attachment: OnceLock::new(),
            record: None,
        }
    }

    /// The same user's view once more; stays inside the crate, since it would outlive the holder.
    pub(crate) fn share(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
            attachment: OnceLock::from(Arc::clone(self.attachment())),
            record: self.record,
        }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn attachment(&self) -> &Arc<Attachment> {
        self.attachment.get_or_init(|| {
            // Shared views have theirs from the start, so the record is still there.
            let holder = self
                .record
                .and_then(|key| self.core.holders().recorded(key));
            let attachment = Arc::new(Attachment::new(holder));
            self.core.users.add(&attachment);
            attachment
        })
    }

    /// The record of the holder; `None` where none is needed.
    pub(crate) fn record(&self) -> Option<Key> {
        self.record
    }

    /// Name of the context: the id of its IOThread.
    pub fn name(&self) -> &str {
        self.core.name()
    }

    /// On whose behalf this user is there; `None` on a main context.
    pub fn holder(&self) -> Option<&Holder> {
        self.attachment().holder()
    }

    /// Whether the calling thread is the one that runs the loop, at this moment.
    pub fn is_current(&self) -> bool {
        self.core.is_current()
    }

    /// Whether this user has been released, and is taken nothing of any more.
    pub fn is_released(&self) -> bool {
        self.used().is_some_and(|it| it.is_released())
    }

    /// The time on one of the context's clocks.
    pub fn now(&self, clock: Clock) -> Duration {
        self.core.now(clock)
    }

    /// The value of aio-max-batch; 0 leaves the size of a batch to the AIO engine. This crate has no such engine, and tunes nothing by
    /// it: it is here for one that a program runs on the context.
    pub fn aio_max_batch(&self) -> u64 {
        self.core.parameters().aio_max_batch()
    }

    /// Why the loop has ended, if its wait for events was refused.
    pub fn failure(&self) -> Option<LoopFailure> {
        self.core.failure().cloned()
    }

    /// What the loop has done so far.
    pub fn stats(&self) -> LoopStats {
        self.core.stats()
    }

    fn ended(&self) -> ContextError {
        ContextError::Ended {
            context: self.name().to_owned(),
        }
    }

    fn released(&self) -> ContextError {
        if self.core.is_over() {
            self.ended()
        } else {
            ContextError::Released {
                context: self.name().to_owned(),
            }
        }
    }
}

impl std::fmt::Debug for AioContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AioContext")
            .field("name", &self.name())
            .field("holder", &self.holder())
            .finish_non_exhaustive()
    }
}
