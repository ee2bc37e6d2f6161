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
#![doc = include_str!("../docs/guide.md")]
#![deny(missing_docs, missing_debug_implementations)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod context;
mod ending;
mod held;
pub mod holder;
mod holders;
mod info;
mod main_loop;
mod parameters;
#[cfg(feature = "signal")]
mod signal;
mod slab;
mod sync;
mod thread;
mod trace;
#[cfg(feature = "qapi")]
mod wire;

#[cfg(feature = "async")]
pub use self::context::{Completion, TaskError};
#[cfg(feature = "signal")]
pub use self::signal::{Signal, SignalWatch};
#[cfg(feature = "qapi")]
pub use self::wire::UnknownKind;
#[cfg(feature = "qapi")]
pub use iothread_qapi as qapi;
pub use self::{
    builder::{
        CreateError, IoThreadBuilder, LoopBuilder, MainLoopBuilder, OfIoThread, OfMainLoop,
        is_identifier,
    },
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
    main_loop::{MainContext, MainLoop},
    parameters::{Parameter, ParameterError, Parameters},
    thread::{
        DeleteError, DeleteThenError, IoThread, Registry, query_internal_iothreads, query_iothreads,
    },
};

/// Has the program of the front page run as those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct FrontPage;
