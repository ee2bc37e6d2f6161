//! Panics of callbacks: contained, counted, reported.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::holder::Holder;
use crate::sync::{Arc, AtomicU64, Ordering};

/// What kind of callback panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallbackKind {
    /// A handler of a file descriptor.
    FdHandler,
    /// A bottom half.
    BottomHalf,
    /// A timer.
    Timer,
    /// A closure handed over with `post` or `call`.
    Posted,
    /// Blocking work, on a worker thread.
    Worker,
    /// The hook of iterations.
    Hook,
}

impl fmt::Display for CallbackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FdHandler => "fd handler",
            Self::BottomHalf => "bottom half",
            Self::Timer => "timer",
            Self::Posted => "posted closure",
            Self::Worker => "blocking work",
            Self::Hook => "hook of iterations",
        })
    }
}

/// A panic of a callback. The thread goes on; the callback is not called again.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PanicReport {
    /// Name of the context: the id of its IOThread.
    pub context: String,
    /// What panicked.
    pub callback: CallbackKind,
    /// On whose behalf it ran, if the context has holders.
    pub holder: Option<Holder>,
    /// The panic's message.
    pub message: String,
}

impl fmt::Display for PanicReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} panicked: {}",
            self.callback, self.context, self.message
        )
    }
}

/// Panics that were contained and that no hook was told.
static UNREPORTED: AtomicU64 = AtomicU64::new(0);

/// How many panics of callbacks the loops of this process have contained without telling anybody, because no hook was set
/// for their context, or because the hook panicked itself.
///
/// A test compares it before and after, so that it does not pass although a callback has failed. The panics
/// were printed by the panic handler of the process, as every panic is.
pub fn unreported_panics() -> u64 {
    UNREPORTED.load(Ordering::Acquire)
}

/// Receives the reports of a context, on the thread that panicked.
pub(crate) type PanicHook = Arc<dyn Fn(&PanicReport) + Send + Sync>;

/// Tells `hook` of a panic, or counts it for the process.
pub(super) fn report(hook: Option<&PanicHook>, report: &PanicReport) {
    let holder = report.holder.as_ref();
    crate::trace::panicked(&report.context, &report.callback, holder, &report.message);
    let is_reported = hook.is_some_and(|hook| contain(|| hook(report)).is_ok());
    if !is_reported {
        UNREPORTED.fetch_add(1, Ordering::AcqRel);
    }
}

/// Runs foreign code; a panic becomes its message.
///
/// What the code leaves behind is dropped by the callers, so that broken invariants stay inside it.
pub(crate) fn contain<R>(code: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(message_of)
}

fn message_of(payload: Box<dyn Any + Send>) -> String {
    let message = if let Some(message) = payload.downcast_ref::<&'static str>() {
        (*message).to_owned()
    } else if let Some(message) = payload.downcast_ref::<String>() {
        message.clone()
    } else {
        "a value that is not a message".to_owned()
    };
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Dropping this one could panic again, without end.
        std::mem::forget(second);
    }
    message
}
