//! The context of an event loop: what can be done on it from any thread, and the loop itself.
//!
//! - `aio_context`: the view that a user has of one. `call`, `fd`, `timer`, `bottom_half`, `workers`, `pause`, `future` and others add
//!   what can be done there, one file each.
//! - `core`: what a loop and everybody who reaches it share; it knows callbacks only as `callback` lends them to it, in the lists of
//!   `fd_table`, `timers`, `users` and `pool`.
//! - `event_loop`: one iteration, on the loop's own thread. `poller`, `polling` and `alarm` are how it waits; `phase` is what its time
//!   goes to, and `stats` what it has done.
//! - `dispatch`, `on_main`: what a callback is given.
//! - `activity`: what was accepted and is not over, and the release of a user.
//! - `wait`: who waits for whom, so that no thread waits for itself.
//! - `cell`, `gate`, `inbox`, `pool`, `schedule`: what synchronises and stands alone; `tests/models` tries it in every interleaving.

mod activity;
mod aio_context;
mod alarm;
mod bottom_half;
mod budget;
mod call;
mod callback;
mod cell;
mod clock;
mod contain;
mod core;
mod dispatch;
mod event;
mod event_loop;
mod eventfd;
mod failure;
mod fd;
mod fd_builder;
mod fd_table;
#[cfg(feature = "async")]
mod future;
mod gate;
mod handler;
mod inbox;
mod interest;
mod later;
mod on_main;
mod pause;
mod phase;
mod poller;
mod polling;
mod pool;
mod schedule;
mod setup;
mod stats;
mod timer;
mod timers;
mod users;
mod wait;
mod workers;

#[cfg(feature = "async")]
pub use self::future::{Completion, TaskError};
pub use self::{
    aio_context::AioContext,
    bottom_half::{BhDispatch, BhScheduler, BottomHalf},
    budget::{set_worker_budget, worker_budget},
    call::CallError,
    clock::{Clock, VirtualClock},
    contain::{CallbackKind, PanicReport, unreported_panics},
    dispatch::Dispatch,
    eventfd::duplicate,
    failure::{ContextError, LoopFailure},
    fd::FdWatch,
    fd_builder::FdWatchBuilder,
    handler::{FdDispatch, FdHandler, SharedFdHandler},
    interest::{Interest, Polling},
    on_main::OnMain,
    pause::{Pause, PauseAll},
    setup::{ThreadRole, ThreadStart},
    stats::LoopStats,
    timer::{Timer, TimerDispatch},
    workers::WorkPanicked,
};
pub(crate) use self::{
    core::{Core, number_of},
    event_loop::EventLoop,
    setup::{LoopKind, Setup},
    wait::{Target, Wait},
};
