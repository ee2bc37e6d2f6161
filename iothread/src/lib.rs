//! Event-loop threads that know who holds them.
//!
//! An [`IoThread`] runs an event loop on behalf of devices, block nodes, exports and monitors: its *holders*. Its
//! context is handed out together with the record of who has it, in one step, and that record ends with the value. So
//! [`query_iothreads`] tells at any moment exactly who is on which thread.
//!
//! # A device in ten lines
//!
//! ```
//! use std::time::Duration;
//!
//! use iothread::{IoThread, holder};
//! # use rustix::event::{EventfdFlags, eventfd};
//! # let kick = std::sync::Arc::new(eventfd(0, EventfdFlags::NONBLOCK)?);
//! # let (sender, requests) = std::sync::mpsc::channel();
//! let io0 = IoThread::builder("io0").poll_max(Duration::ZERO).spawn()?;
//! let context = io0.get_aio_context(holder::qom_object("/machine/peripheral/disk0"))?;
//! let queue = context.watch_eventfd(kick.clone(), move |count, _| {
//!     let _ = sender.send(count);
//! })?;
//!
//! assert_eq!(iothread::query_iothreads()[0].holders, [holder::qom_object("/machine/peripheral/disk0")]);
//! # rustix::io::write(&kick, &1_u64.to_ne_bytes())?;
//! # assert_eq!(requests.recv()?, 1);
//! drop(queue);
//! context.release(); // Waits until nothing of the device runs, then the thread is free again.
//! io0.delete()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What there is
//!
//! | on [`AioContext`] | runs on the thread |
//! |---|---|
//! | [`watch`](AioContext::watch), [`add_fd`](AioContext::add_fd) | whenever a file descriptor is ready, level-triggered; a handler with a poll callback also without the kernel |
//! | [`watch_eventfd`](AioContext::watch_eventfd) | whenever an eventfd has counted something, with what it has counted |
//! | [`bottom_half`](AioContext::bottom_half) | soon after it has been scheduled, once however often |
//! | [`timer`](AioContext::timer) | when a [`Clock`] shows a time |
//! | [`post`](AioContext::post), [`post_after`](AioContext::post_after) | once, soon or after a while |
//! | [`call`](AioContext::call) | once, soon, while the caller waits for the result |
//! | [`spawn_blocking`](AioContext::spawn_blocking) | the completion; the work itself runs on a worker thread |
//!
//! With the feature `async` it is also an executor: `spawn_future` runs a future there, and `sleep`, `ready` and `run_blocking` are
//! what it may wait for beside whatever else there is; any thread may wake it.
//!
//! A [`MainLoop`] is the same loop on a thread of the program's own. It is no IOThread, so its [`MainContext`] needs no
//! holder; code that takes `&AioContext` runs on either.
//!
//! # What runs where, and in which order
//!
//! Callbacks of a context run on its thread, one at a time, never inside one another. An iteration of the loop waits;
//! then runs the file descriptors that are ready; then what was posted and which bottom halves were scheduled up to
//! that point, in that order; then the timers that are due. What a callback schedules runs in a later iteration, so
//! nothing starves. All handles and contexts may be used from any thread, inside callbacks too: a callback may remove
//! itself, others, or its whole device.
//!
//! The closure of `spawn_blocking` runs on a worker of the context's own pool. Workers start when there is work, up to
//! thread-pool-max and to what [`set_worker_budget`] leaves for all loops of the process; thread-pool-min of them stay when
//! they are idle, others for 10 seconds. Work that finds no worker waits in order. If the host has no thread for the first
//! worker, the loop does the work itself. A panic hook runs wherever the panic was.
//!
//! # What may block
//!
//! A callback that blocks holds up everybody on its thread; give such work to `spawn_blocking`. These wait:
//!
//! | who | for |
//! |---|---|
//! | [`AioContext::call`], [`AioContext::synchronize`] | the context's thread |
//! | [`HeldAioContext::release`], [`SharedContext::release`] | the context's thread, and the holder's blocking work |
//! | [`IoThread::delete`] | the thread, and all blocking work that holders have left |
//! | dropping the last handle of a thread whose [`Registry`] is gone | the thread, if nobody is on record as a holder |
//! | dropping a [`MainLoop`] | blocking work of the loop, and releases that are to be told to it |
//!
//! Nothing else waits. A loop, whose callbacks may not wait for work, uses the forms that complete instead:
//! [`HeldAioContext::release_then`], [`IoThread::delete_then`] and [`IoThread::try_delete`].
//!
//! None of them waits for itself, neither directly nor in a circle, through however many threads: those that run loops, those
//! that have made a [`MainLoop`] and do not run it at the moment, and workers. Whoever would close a circle does not wait: a
//! call is [refused](CallError::WouldDeadlock), a release and a deletion go on and are complete later, and a [`MainLoop`] that is
//! dropped leaves its rest to a thread of its own. What a program waits for by its own means is not known here.
//!
//! A callback that waits by its own means for work that it gave to `spawn_blocking` keeps the loop from starting workers,
//! and starts them by [`AioContext::start_workers`].
//!
//! # Drop order
//!
//! Any order is safe. Dropping a [`FdWatch`], [`Timer`] or [`BottomHalf`] removes its callback; dropping the
//! [`HeldAioContext`] removes all callbacks registered through it and releases the holder. After either no such callback
//! starts, but one that is running on the thread at that moment runs to its end. Where that matters, because it uses
//! something that is about to change, use [`HeldAioContext::release`], or [`AioContext::synchronize`] after the removal.
//! A callback is dropped by whoever removes it, or by its thread if it is running.
//!
//! Closures that were taken by `post`, and work taken by `spawn_blocking` with its completion, run in any case: also
//! when the holder is released, and when the thread is deleted, which waits for them. Any number is taken; whoever produces
//! them faster than they run bounds them.
//!
//! # Holders
//!
//! A holder is on record as long as anything of it is left: its context, a callback that runs, a posted closure, blocking work
//! and its completion. The record is struck out at the moment when the last of these is over, which is when
//! [`release`](HeldAioContext::release) returns and [`release_then`](HeldAioContext::release_then) calls; a holder of whom nothing is
//! left goes with the drop of its context.
//!
//! Beside the guard there is the plain pair [`IoThread::ref_holder`] and [`IoThread::unref_holder`]. Holders are listed
//! newest first; equal ones may be recorded several times and need as many releases. Recording and releasing take
//! constant time however many there are. A thread whose context somebody has cannot be deleted, and one that is deleted cannot
//! be held. Holders that are released and not gone are waited for by [`delete`](IoThread::delete).
//!
//! # Pauses
//!
//! A [`Pause`] is a section in which no callback of one holder starts, a [`PauseAll`] one for all holders of a thread; what would have
//! run does so afterwards. [`Pause::drain`] waits until nothing is under way: the time for a snapshot.
//!
//! # Panics
//!
//! A panic of a callback does not end the thread. It is counted in [`LoopStats`], kept as [`IoThread::last_panic`], and
//! given to the hook set by [`IoThreadBuilder::on_panic`]; the callback is removed, since what it owns may be half
//! changed. A panic without a hook is counted for the process in [`unreported_panics`], so that a test of a program can fail for it.
//! With `panic = "abort"` it ends the process, as everywhere.
//!
//! # Failure
//!
//! A loop does without `epoll_pwait2` where the kernel is older than 5.11 or a sandbox refuses it: then a timerfd ends its
//! waits. If it is not allowed to wait at all it ends with a [`LoopFailure`]: [`MainLoop::run`] returns it, an IOThread gives it to
//! the hook set by [`IoThreadBuilder::on_failure`]. Its contexts take nothing any more, and what they had accepted runs.
//!
//! # Polling
//!
//! Before it sleeps, a loop looks around by itself for a time that adapts to how far its events are apart, at most
//! poll-max-ns. It does so only while every file descriptor on it has a poll callback or may be a little late ([`Polling`]),
//! since others would have to wait.
//! All [`Parameter`]s may be changed while the thread runs.
#![deny(missing_docs, missing_debug_implementations)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    loom,
    allow(
        dead_code,
        unreachable_pub,
        unused_imports,
        reason = "the models use the parts that synchronise, and nothing else is built then"
    )
)]

#[cfg(not(loom))]
mod builder;
mod cell;
#[cfg(not(loom))]
mod context;
mod ending;
mod event;
mod gate;
#[cfg(not(loom))]
mod held;
pub mod holder;
mod holders;
mod inbox;
#[cfg(not(loom))]
mod info;
#[cfg(not(loom))]
mod main_loop;
#[cfg(all(test, loom))]
mod models;
#[cfg(not(loom))]
mod parameters;
#[cfg(feature = "qapi")]
pub mod qapi;
#[cfg(not(loom))]
mod registry;
mod schedule;
#[cfg(all(feature = "signal", not(loom)))]
mod signal;
mod slab;
mod sync;
#[cfg(all(feature = "testing", not(loom)))]
pub mod testing;
#[cfg(not(loom))]
mod thread;
#[cfg(not(loom))]
mod trace;
#[cfg(all(feature = "qapi", not(loom)))]
mod wire;

#[cfg(all(feature = "async", not(loom)))]
pub use self::context::{Completion, TaskError};
#[cfg(all(feature = "signal", not(loom)))]
pub use self::signal::{Signal, SignalWatch};
#[cfg(all(feature = "qapi", not(loom)))]
pub use self::wire::UnknownKind;
#[cfg(not(loom))]
pub use self::{
    builder::{CreateError, IoThreadBuilder},
    context::{
        AioContext, BhDispatch, BhScheduler, BottomHalf, CallError, CallbackKind, Clock,
        ContextError, Dispatch, FdDispatch, FdHandler, FdWatch, FdWatchBuilder, Interest,
        LoopFailure, LoopStats, OnMain, PanicReport, Pause, PauseAll, Polling, SharedFdHandler,
        ThreadRole, ThreadStart, Timer, TimerDispatch, VirtualClock, WorkPanicked, duplicate,
        set_worker_budget, unreported_panics, worker_budget,
    },
    held::{HeldAioContext, SharedContext, WeakContext},
    holder::{Holder, HolderCounts, HolderKind},
    holders::{HoldError, UnrefError},
    info::IoThreadInfo,
    main_loop::{MainContext, MainLoop, MainLoopBuilder},
    parameters::{Parameter, ParameterError, Parameters},
    registry::{Registry, query_internal_iothreads, query_iothreads},
    thread::{DeleteError, DeleteThenError, IoThread},
};

/// Has the program of the front page run as those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct FrontPage;
