//! Event-loop threads that know who holds them.
#![deny(missing_docs)]

#[cfg(not(loom))]
mod context;
mod event;
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
pub mod qapi;
#[cfg(not(loom))]
mod registry;
#[cfg(all(feature = "signal", not(loom)))]
mod signal;
mod slab;
mod sync;
#[cfg(not(loom))]
mod thread;

#[cfg(all(feature = "signal", not(loom)))]
pub use self::signal::{Signal, SignalWatch};
#[cfg(not(loom))]
pub use self::{
    context::{
        AioContext, BhDispatch, BhScheduler, BottomHalf, CallError, CallbackKind, Clock,
        ContextError, Dispatch, FdDispatch, FdHandler, FdWatch, FdWatchBuilder, Interest,
        LoopStats, PanicReport, Timer, TimerDispatch, VirtualClock, WorkPanicked,
    },
    holders::{HoldError, HolderCounts, HolderKind, UnrefError},
    main_loop::{MainContext, MainLoop, MainLoopBuilder},
    parameters::{Parameter, ParameterError, Parameters},
    registry::{Registry, info_iothreads, query_internal_iothreads, query_iothreads},
    thread::{CreateError, DeleteError, HeldAioContext, IoThread, IoThreadBuilder},
};
