//! Completions that take their time, as those of a null node with a latency do.

use std::sync::Arc;
use std::time::Duration;

use iothread::{AioContext, Clock, ContextError, Dispatch, MainContext, Timer};

use crate::sync::Mutex;

type Task = Box<dyn FnOnce(&mut Dispatch<'_>) + Send>;

/// What waits for its time. The timer keeps it, and with it itself, until it has fired.
struct Waiting {
    _timer: Timer,
    completion: Completion,
}

/// Who waits for it has counted a request, so it runs in any case: without its context on the main loop.
struct Completion {
    /// `None` once it runs.
    task: Option<Task>,
    main: MainContext,
}

/// Runs a closure on the context's thread after a delay. If its holder is released before, it runs soon on the main loop.
///
/// # Errors
///
/// The context is gone; the closure never runs.
pub(super) fn run_after(
    context: &AioContext,
    main: MainContext,
    delay: Duration,
    task: impl FnOnce(&mut Dispatch<'_>) + Send + 'static,
) -> Result<(), ContextError> {
    let slot: Arc<Mutex<Option<Waiting>>> = Arc::default();
    let kept = Arc::clone(&slot);
    let timer = context.timer(Clock::Monotonic, move |dispatch| {
        let waiting = kept.lock().take();
        if let Some(waiting) = waiting {
            waiting.completion.run(dispatch);
        }
    })?;
    let completion = Completion {
        task: Some(Box::new(task)),
        main,
    };
    let mut waiting = slot.lock();
    timer.arm_after(delay);
    *waiting = Some(Waiting {
        _timer: timer,
        completion,
    });
    Ok(())
}

impl Completion {
    fn run(mut self, dispatch: &mut Dispatch<'_>) {
        if let Some(task) = self.task.take() {
            task(dispatch);
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            // Posted, because whoever releases a holder may have locks that the task needs. Without a main loop all ends.
            let _ = self.main.post(task);
        }
    }
}
