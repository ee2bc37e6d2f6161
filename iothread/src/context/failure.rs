//! Why a context refuses, and the end of a loop that cannot wait any more.

use std::io;

use thiserror::Error;

use crate::sync::Arc;

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

/// A loop's wait for events was refused by the kernel, and the loop has ended.
///
/// It has told its file descriptors and timers nothing since, takes nothing new ([`ContextError::Ended`](crate::ContextError::Ended)), and
/// runs what it had accepted. A host without `epoll_pwait2` does not end it: a loop does without.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
#[error("event loop '{context}' cannot wait for events: {source}")]
pub struct LoopFailure {
    /// Name of the context: the id of its IOThread.
    pub context: String,
    /// What the kernel says.
    #[source]
    pub source: Arc<io::Error>,
}

impl From<LoopFailure> for io::Error {
    fn from(failure: LoopFailure) -> Self {
        Self::new(failure.source.kind(), failure)
    }
}

/// Receives the failure of an IOThread, on its thread.
pub(super) type FailureHook = Arc<dyn Fn(&LoopFailure) + Send + Sync>;
