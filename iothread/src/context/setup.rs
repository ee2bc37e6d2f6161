//! What a loop is described by, with what a program wants to do on its threads.

use std::io;

use super::clock::VirtualClock;
use super::contain::{PanicHook, contain};
use super::failure::FailureHook;
use super::stats::LoopStats;
use crate::holder::HolderChange;
use crate::holders::ChangeHook;
use crate::parameters::Parameters;
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

/// Whose thread runs a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoopKind {
    IoThread,
    /// The program's own, whenever it wants to.
    Main,
}

/// What a loop is made by.
pub(crate) struct Setup {
    pub(crate) kind: LoopKind,
    pub(crate) name: String,
    pub(crate) parameters: Parameters,
    pub(crate) virtual_clock: Option<VirtualClock>,
    pub(crate) hooks: Hooks,
}

/// Runs at the start of a thread, on it.
type StartHook = Arc<dyn Fn(&ThreadStart<'_>) -> io::Result<()> + Send + Sync>;

/// Runs after each iteration, on the loop's thread.
type IterationHook = Arc<dyn Fn(&LoopStats) + Send + Sync>;

/// Is told of holders that come and go, with the records locked.
type HolderHook = Arc<dyn Fn(&HolderChange<'_>) + Send + Sync>;

/// What is done on the threads of a loop, and how these are.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) panic: Option<PanicHook>,
    pub(crate) failure: Option<FailureHook>,
    pub(crate) start: Option<StartHook>,
    pub(crate) iteration: Option<IterationHook>,
    pub(crate) holders: Option<HolderHook>,
    pub(crate) worker_stack_size: Option<usize>,
}

impl Setup {
    pub(crate) fn new(kind: LoopKind, name: String, parameters: Parameters) -> Self {
        let hooks = Hooks::default();
        Self {
            kind,
            name,
            parameters,
            virtual_clock: None,
            hooks,
        }
    }
}

impl Hooks {
    /// The hook of holders as the records of the IOThread `id` have it. A panic in it has been told, and ends there.
    pub(super) fn of_holders(&self, id: &str) -> Option<ChangeHook> {
        let (hook, id) = (Arc::clone(self.holders.as_ref()?), id.to_owned());
        Some(ChangeHook(Box::new(move |holder, kind| {
            let iothread = &*id;
            // A panic is told where it is contained.
            let _ = contain(|| {
                hook(&HolderChange {
                    iothread,
                    holder,
                    kind,
                })
            });
        })))
    }

    /// Runs the hook of a thread that begins. A panic is an error, too: a thread that is not what it has to be does nothing.
    pub(crate) fn start_thread(&self, context: &str, role: ThreadRole) -> io::Result<()> {
        match &self.start {
            Some(hook) => {
                contain(|| hook(&ThreadStart { context, role })).map_err(io::Error::other)?
            }
            None => Ok(()),
        }
    }
}
