//! Handlers of file descriptors put together from closures.

use std::ops::BitOr;
use std::os::fd::AsFd;

use super::aio_context::AioContext;
use super::failure::ContextError;
use super::fd::FdWatch;
use super::handler::{FdDispatch, FdHandler};
use super::interest::{Interest, Polling};
use crate::debug::debug_by;
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

debug_by!(FdWatchBuilder, [impl<S>] FdWatchBuilder<'_, S>, |it| context = it.context);

struct ClosureHandler<S> {
    source: Arc<S>,
    /// One for each kind of event at the most.
    callbacks: Vec<(Interest, Callback<S>)>,
    poll: Option<PollCallback<S>>,
    /// How it hears of work without a poll callback.
    unpolled: Polling,
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
                callbacks: Vec::new(),
                poll: None,
                unpolled: Polling::Never,
            },
            source,
        }
    }
}

impl<S: AsFd + Send + Sync + 'static> FdWatchBuilder<'_, S> {
    fn on(mut self, interest: Interest, callback: Callback<S>) -> Self {
        self.handler.callbacks.retain(|(of, _)| *of != interest);
        self.handler.callbacks.push((interest, callback));
        self
    }

    /// Sets the callback for readability.
    pub fn on_readable(
        self,
        callback: impl FnMut(&S, &mut FdDispatch<'_>) + Send + 'static,
    ) -> Self {
        self.on(Interest::READ, Box::new(callback))
    }

    /// Sets the callback for writability.
    pub fn on_writable(
        self,
        callback: impl FnMut(&S, &mut FdDispatch<'_>) + Send + 'static,
    ) -> Self {
        self.on(Interest::WRITE, Box::new(callback))
    }

    /// Sets the callback for something urgent: [`Interest::PRIORITY`].
    pub fn on_priority(
        self,
        callback: impl FnMut(&S, &mut FdDispatch<'_>) + Send + 'static,
    ) -> Self {
        self.on(Interest::PRIORITY, Box::new(callback))
    }

    /// Sets the callback for a peer that will send nothing more: [`Interest::PEER_CLOSED`].
    pub fn on_peer_closed(
        self,
        callback: impl FnMut(&S, &mut FdDispatch<'_>) + Send + 'static,
    ) -> Self {
        self.on(Interest::PEER_CLOSED, Box::new(callback))
    }

    /// Sets the callback that tells without a system call whether the one for readability has work.
    pub fn on_poll(
        mut self,
        callback: impl FnMut(&S, &mut FdDispatch<'_>) -> bool + Send + 'static,
    ) -> Self {
        self.handler.poll = Some(Box::new(callback));
        self
    }

    /// Lets the loop poll for others although this one needs the kernel: it has its turn a little late then, see [`Polling::Kernel`].
    pub fn may_be_late(mut self) -> Self {
        self.handler.unpolled = Polling::Kernel;
        self
    }

    /// Watches from now on for whatever has a callback.
    ///
    /// # Errors
    ///
    /// As for [`AioContext::add_fd`].
    pub fn register(self) -> Result<FdWatch, ContextError> {
        let kinds = self.handler.callbacks.iter().map(|(interest, _)| *interest);
        let interest = kinds.fold(Interest::NONE, Interest::bitor);
        self.context.add_fd(self.source, interest, self.handler)
    }
}

impl<S> ClosureHandler<S> {
    fn call(&mut self, interest: Interest, dispatch: &mut FdDispatch<'_>) {
        let callback = self.callbacks.iter_mut().find(|(of, _)| *of == interest);
        if let Some((_, callback)) = callback {
            callback(&self.source, dispatch);
        }
    }
}

impl<S: Send + Sync + 'static> FdHandler for ClosureHandler<S> {
    fn readable(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.call(Interest::READ, dispatch);
    }

    fn writable(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.call(Interest::WRITE, dispatch);
    }

    fn priority(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.call(Interest::PRIORITY, dispatch);
    }

    fn peer_closed(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.call(Interest::PEER_CLOSED, dispatch);
    }

    fn polling(&self) -> Polling {
        match self.poll {
            Some(_) => Polling::Memory,
            None => self.unpolled,
        }
    }

    fn poll(&mut self, dispatch: &mut FdDispatch<'_>) -> bool {
        self.poll
            .as_mut()
            .is_some_and(|callback| callback(&self.source, dispatch))
    }
}
