//! The end of a loop that cannot wait any more.

use std::io;

use thiserror::Error;

use crate::sync::Arc;

/// A loop's wait for events was refused by the kernel, and the loop has ended.
///
/// It has told its file descriptors and timers nothing since, takes nothing new
/// ([`ContextError::Ended`](crate::ContextError::Ended)), and runs what it had accepted. A host without `epoll_pwait2` is no reason:
/// a loop does without.
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
pub(crate) type FailureHook = Arc<dyn Fn(&LoopFailure) + Send + Sync>;
