#![doc = include_str!("../README.md")]
#![doc = include_str!("../docs/guide.md")]
#![cfg(target_os = "linux")]
#![deny(missing_docs, missing_debug_implementations)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod builder;
mod context;
mod debug;
mod ending;
mod held;
pub mod holder;
mod holders;
mod info;
mod main_loop;
mod parameters;
mod slab;
mod sync;
mod thread;
mod trace;

#[cfg(feature = "async")]
pub use self::context::{Completion, TaskError};
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
    holder::{Holder, HolderChange, HolderChangeKind, HolderCounts, HolderKind},
    holders::{HoldError, UnrefError},
    info::IoThreadInfo,
    main_loop::{MainContext, MainLoop},
    parameters::{Parameter, ParameterError, Parameters},
    thread::{
        DeleteError, DeleteThenError, IoThread, Registry, query_internal_iothreads, query_iothreads,
    },
};
