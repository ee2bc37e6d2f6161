//! Handlers of file descriptors put together from closures.

use std::os::fd::AsFd;

use super::{AioContext, ContextError, FdDispatch, FdHandler, FdWatch, Interest};
use crate::sync::Arc;

type Callback<S> = Box<dyn FnMut(&S, &mut FdDispatch<'_>) + Send>;
type PollCallback<S> = Box<dyn FnMut(&S, &mut FdDispatch<'_>) -> bool + Send>;

/// Collects the callbacks of a file descriptor.
#[must_use = "nothing is watched before `register`"]
pub struct FdWatchBuilder<'c, S> {
    context: &'c AioContext,
    source: Arc<S>,
    handler: ClosureHandler<S>,
}

struct ClosureHandler<S> {
    source: Arc<S>,
    readable: Option<Callback<S>>,
    writable: Option<Callback<S>>,
    poll: Option<PollCallback<S>>,
}

impl AioContext {
    /// Begins to watch a file descriptor with closures; they are given `source`, which is kept meanwhile.
    ///
    /// A type that implements [`FdHandler`] suits callbacks better that share state.
    pub fn watch<S>(&self, source: S) -> FdWatchBuilder<'_, S>
    where
        S: AsFd + Send + Sync + 'static,
    {
        let source = Arc::new(source);
        FdWatchBuilder {
            context: self,
            handler: ClosureHandler {
                source: Arc::clone(&source),
                readable: None,
                writable: None,
                poll: None,
            },
            source,
        }
    }
}

impl<S: AsFd + Send + Sync + 'static> FdWatchBuilder<'_, S> {
    /// Sets the callback for readability.
    pub fn on_readable(
        mut self,
        callback: impl FnMut(&S, &mut FdDispatch<'_>) + Send + 'static,
    ) -> Self {
        self.handler.readable = Some(Box::new(callback));
        self
    }

    /// Sets the callback for writability.
    pub fn on_writable(
        mut self,
        callback: impl FnMut(&S, &mut FdDispatch<'_>) + Send + 'static,
    ) -> Self {
        self.handler.writable = Some(Box::new(callback));
        self
    }

    /// Sets the callback that tells without a system call whether the one for readability has work.
    pub fn on_poll(
        mut self,
        callback: impl FnMut(&S, &mut FdDispatch<'_>) -> bool + Send + 'static,
    ) -> Self {
        self.handler.poll = Some(Box::new(callback));
        self
    }

    /// Watches from now on for whatever has a callback.
    ///
    /// # Errors
    ///
    /// As for [`AioContext::add_fd`].
    pub fn register(self) -> Result<FdWatch, ContextError> {
        let interest = Interest {
            read: self.handler.readable.is_some(),
            write: self.handler.writable.is_some(),
        };
        self.context.add_fd(self.source, interest, self.handler)
    }
}

impl<S: Send + Sync + 'static> FdHandler for ClosureHandler<S> {
    fn readable(&mut self, dispatch: &mut FdDispatch<'_>) {
        if let Some(callback) = &mut self.readable {
            callback(&self.source, dispatch);
        }
    }

    fn writable(&mut self, dispatch: &mut FdDispatch<'_>) {
        if let Some(callback) = &mut self.writable {
            callback(&self.source, dispatch);
        }
    }

    fn can_poll(&self) -> bool {
        self.poll.is_some()
    }

    fn poll(&mut self, dispatch: &mut FdDispatch<'_>) -> bool {
        self.poll
            .as_mut()
            .is_some_and(|callback| callback(&self.source, dispatch))
    }
}
