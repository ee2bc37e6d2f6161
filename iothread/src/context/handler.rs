//! The callbacks of a file descriptor.

use super::fd::FdDispatch;
use super::interest::Polling;
use crate::sync::Arc;

/// Callbacks of one file descriptor. They run on the context's thread, never two at a time.
///
/// Watching is level-triggered: a callback that leaves data behind is called again.
#[expect(
    unused_variables,
    reason = "the defaults do nothing, but their parameters are documentation"
)]
pub trait FdHandler: Send + 'static {
    /// There is something to read, or the other end is gone.
    fn readable(&mut self, dispatch: &mut FdDispatch<'_>) {}

    /// There is room to write, or the other end is gone.
    fn writable(&mut self, dispatch: &mut FdDispatch<'_>) {}

    /// There is something urgent, or the other end is gone.
    fn priority(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.readable(dispatch);
    }

    /// The peer will send nothing more; what it has sent may still be there to be read.
    fn peer_closed(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.readable(dispatch);
    }

    /// How the handler hears of work while the loop polls. Asked once, when the handler is added.
    fn polling(&self) -> Polling {
        Polling::Never
    }

    /// Looks for work, in memory shared with a guest for example, and returns whether there is any. Called only of [`Polling::Memory`].
    fn poll(&mut self, dispatch: &mut FdDispatch<'_>) -> bool {
        false
    }

    /// Does the work that [`poll`](Self::poll) has found.
    fn poll_ready(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.readable(dispatch);
    }

    /// The loop begins to poll; notifications may be suppressed until [`poll_end`](Self::poll_end).
    fn poll_begin(&mut self, dispatch: &mut FdDispatch<'_>) {}

    /// The loop is about to sleep, or cannot poll any more; notifications are needed again. Afterwards it polls once more.
    fn poll_end(&mut self, dispatch: &mut FdDispatch<'_>) {}
}

/// The callbacks of a file descriptor, for a value that others share: its [`Arc`] is an [`FdHandler`].
#[expect(
    unused_variables,
    reason = "the defaults do nothing, but their parameters are documentation"
)]
pub trait SharedFdHandler: Send + Sync + 'static {
    /// As [`FdHandler::readable`].
    fn readable(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {}

    /// As [`FdHandler::writable`].
    fn writable(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {}

    /// As [`FdHandler::priority`].
    fn priority(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {
        self.readable(dispatch);
    }

    /// As [`FdHandler::peer_closed`].
    fn peer_closed(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {
        self.readable(dispatch);
    }

    /// As [`FdHandler::polling`].
    fn polling(&self) -> Polling {
        Polling::Never
    }

    /// As [`FdHandler::poll`].
    fn poll(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) -> bool {
        false
    }

    /// As [`FdHandler::poll_ready`].
    fn poll_ready(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {
        self.readable(dispatch);
    }

    /// As [`FdHandler::poll_begin`].
    fn poll_begin(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {}

    /// As [`FdHandler::poll_end`].
    fn poll_end(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {}
}

impl<T: SharedFdHandler> FdHandler for Arc<T> {
    fn readable(&mut self, dispatch: &mut FdDispatch<'_>) {
        T::readable(self, dispatch);
    }

    fn writable(&mut self, dispatch: &mut FdDispatch<'_>) {
        T::writable(self, dispatch);
    }

    fn priority(&mut self, dispatch: &mut FdDispatch<'_>) {
        T::priority(self, dispatch);
    }

    fn peer_closed(&mut self, dispatch: &mut FdDispatch<'_>) {
        T::peer_closed(self, dispatch);
    }

    fn polling(&self) -> Polling {
        T::polling(self)
    }

    fn poll(&mut self, dispatch: &mut FdDispatch<'_>) -> bool {
        T::poll(self, dispatch)
    }

    fn poll_ready(&mut self, dispatch: &mut FdDispatch<'_>) {
        T::poll_ready(self, dispatch);
    }

    fn poll_begin(&mut self, dispatch: &mut FdDispatch<'_>) {
        T::poll_begin(self, dispatch);
    }

    fn poll_end(&mut self, dispatch: &mut FdDispatch<'_>) {
        T::poll_end(self, dispatch);
    }
}
