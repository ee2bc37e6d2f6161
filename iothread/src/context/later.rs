//! Closures that are handed over now and run after a while.

use std::time::Duration;

use super::activity::Activity;
use super::aio_context::AioContext;
use super::clock::Clock;
use super::dispatch::{Dispatch, Task};
use super::failure::ContextError;
use crate::sync::Arc;

/// A closure that was accepted. It is handed to the loop when the value is dropped: by the timer when it fires, or by what ends
/// that before.
struct Late(Option<(Activity, Task)>);

impl Drop for Late {
    fn drop(&mut self) {
        if let Some((activity, task)) = self.0.take() {
            let core = Arc::clone(activity.context().core());
            core.deliver(activity.into_job(task));
        }
    }
}

impl AioContext {
    /// Runs a closure once on the context's thread, after a while on the monotonic clock.
    ///
    /// As with [`post`](Self::post) what has been taken runs in any case, and its holder is on record until then. A release does not wait
    /// for the time: closures that wait for theirs run at once then. A [`Pause`](super::Pause) does not hold them back, and its drain waits
    /// for them. A callback that may be taken back is a [`timer`](Self::timer).
    ///
    /// # Errors
    ///
    /// As for [`post`](Self::post).
    pub fn post_after(
        &self,
        delay: Duration,
        task: impl FnOnce(&mut Dispatch<'_>) + Send + 'static,
    ) -> Result<(), ContextError> {
        let activity = self.begin()?;
        self.core().expect_delivery()?;
        let late = Late(Some((activity, Box::new(task))));
        let timer = self.register_timer(Clock::Monotonic, false, move |dispatch| {
            let _ = &late;
            dispatch.remove();
        });
        // Otherwise the holder is released, which has come after the closure was accepted: it runs now.
        if let Ok(timer) = timer {
            timer.arm_after(delay);
        }
        Ok(())
    }
}
