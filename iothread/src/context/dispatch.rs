//! What a callback is given: never the loop, only what it may do.

use std::cell::Cell;
use std::time::Duration;

use super::{aio_context::AioContext, clock::Clock, on_main::OnMain};

/// A closure that a loop runs once.
pub(super) type Task = Box<dyn FnOnce(&mut Dispatch<'_>) + Send>;

/// What a callback may do while it runs on the loop's thread.
#[derive(Debug)]
pub struct Dispatch<'a> {
    context: &'a AioContext,
    /// Whether the registration is to end. A reference to it also keeps the value on this thread, which alone may say that it runs
    /// on the loop.
    remove: &'a Cell<bool>,
}

impl<'a> Dispatch<'a> {
    pub(super) fn new(context: &'a AioContext, remove: &'a Cell<bool>) -> Self {
        Self { context, remove }
    }

    /// The context on which the callback runs, as its own user sees it.
    ///
    /// What the callback registers there belongs to the same holder and ends with it.
    pub fn context(&self) -> &AioContext {
        self.context
    }

    /// What functions ask for that have to run on a main loop; `None` on an IOThread.
    pub fn on_main(&self) -> Option<OnMain<'_>> {
        let is_main = self.context.core().is_main();
        is_main.then(|| OnMain::new(self.context))
    }

    /// The time on one of the context's clocks.
    pub fn now(&self, clock: Clock) -> Duration {
        self.context.now(clock)
    }

    /// Ends the registration whose callback this is, once it returns. The callback is dropped then.
    ///
    /// Closures that run only once have nothing to end.
    pub fn remove(&mut self) {
        self.remove.set(true);
    }

    pub(super) fn wants_removal(&self) -> bool {
        self.remove.get()
    }
}
