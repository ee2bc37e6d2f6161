//! Completions that take their time, as those of a null node with a latency do.

use std::sync::Arc;
use std::time::Duration;

use iothread::{AioContext, Clock, ContextError, Dispatch, Timer};

use crate::sync::Mutex;

/// Runs a closure on the context's thread after a delay, unless its holder is released before.
pub(super) fn run_after(
    context: &AioContext,
    delay: Duration,
    task: impl FnOnce(&mut Dispatch<'_>) + Send + 'static,
) -> Result<(), ContextError> {
    // The timer keeps itself until it has fired.
    let kept: Arc<Mutex<Option<Timer>>> = Arc::default();
    let keeper = Arc::clone(&kept);
    let mut task = Some(task);
    let timer = context.timer(Clock::Monotonic, move |dispatch| {
        if let Some(task) = task.take() {
            task(dispatch);
        }
        drop(keeper.lock().take());
    })?;
    let mut slot = kept.lock();
    timer.arm_after(delay);
    *slot = Some(timer);
    Ok(())
}
