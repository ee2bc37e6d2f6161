//! The callbacks of a file descriptor, and what they are given.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::os::fd::BorrowedFd;

use super::dispatch::Dispatch;
use super::failure::ContextError;
use super::interest::{Interest, Polling};
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

/// Methods that do what the shared value does.
macro_rules! pass_on {
    ($($method:ident $(-> $outcome:ty)?),*) => {$(
        fn $method(&mut self, dispatch: &mut FdDispatch<'_>) $(-> $outcome)? {
            T::$method(self, dispatch)
        }
    )*};
}

impl<T: SharedFdHandler> FdHandler for Arc<T> {
    pass_on!(readable, writable, priority, peer_closed);
    pass_on!(poll -> bool, poll_ready, poll_begin, poll_end);

    fn polling(&self) -> Polling {
        T::polling(self)
    }
}

/// What a handler of a file descriptor may do beside.
#[derive(Debug)]
pub struct FdDispatch<'a> {
    dispatch: Dispatch<'a>,
    watched: &'a dyn WatchedFd,
}

/// The registration behind a callback.
pub(super) trait WatchedFd: fmt::Debug {
    fn fd(&self) -> BorrowedFd<'_>;

    fn set_interest(&self, interest: Interest) -> Result<(), ContextError>;
}

impl<'a> FdDispatch<'a> {
    pub(super) fn new(dispatch: Dispatch<'a>, watched: &'a dyn WatchedFd) -> Self {
        Self { dispatch, watched }
    }

    /// The file descriptor that is watched.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.watched.fd()
    }

    /// Changes what is watched for, from now on. Costs no system call if nothing changes.
    ///
    /// # Errors
    ///
    /// As for [`FdWatch::set_interest`](crate::FdWatch::set_interest).
    pub fn set_interest(&mut self, interest: Interest) -> Result<(), ContextError> {
        self.watched.set_interest(interest)
    }
}

impl<'a> Deref for FdDispatch<'a> {
    type Target = Dispatch<'a>;

    fn deref(&self) -> &Dispatch<'a> {
        &self.dispatch
    }
}

impl<'a> DerefMut for FdDispatch<'a> {
    fn deref_mut(&mut self) -> &mut Dispatch<'a> {
        &mut self.dispatch
    }
}
