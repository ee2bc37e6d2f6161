//! What a program wants to do on the threads of a loop.

use std::io;

use super::LoopStats;
use super::contain::{PanicHook, contain};
use crate::sync::Arc;

/// What a thread is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ThreadRole {
    /// It runs the loop of an IOThread.
    Loop,
    /// It does blocking work.
    Worker,
}

/// A thread that begins, before it does anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadStart<'a> {
    /// Name of the context: the id of its IOThread.
    pub context: &'a str,
    /// What the thread is there for.
    pub role: ThreadRole,
}

/// Runs at the start of a thread, on it.
pub(crate) type StartHook = Arc<dyn Fn(&ThreadStart<'_>) -> io::Result<()> + Send + Sync>;

/// Runs after each iteration, on the loop's thread.
pub(crate) type IterationHook = Arc<dyn Fn(&LoopStats) + Send + Sync>;

/// All that a loop is given of this kind.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) panic: Option<PanicHook>,
    pub(crate) start: Option<StartHook>,
    pub(crate) iteration: Option<IterationHook>,
    pub(crate) worker_stack_size: Option<usize>,
}

/// Runs the hook of a thread that begins. A panic is an error, too: a thread that is not what it has to be does nothing.
pub(crate) fn run_start_hook(
    hook: Option<&StartHook>,
    context: &str,
    role: ThreadRole,
) -> io::Result<()> {
    match hook {
        Some(hook) => match contain(|| hook(&ThreadStart { context, role })) {
            Ok(outcome) => outcome,
            Err(message) => Err(io::Error::other(message)),
        },
        None => Ok(()),
    }
}
