//! What a callback is given: never the loop, only what it may do.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::fd::FdInner;
use super::{AioContext, Clock, ContextError, Interest};

/// A closure that a loop runs once.
pub(super) type Task = Box<dyn FnOnce(&mut Dispatch<'_>) + Send>;

/// What a callback may do while it runs on the loop's thread.
#[derive(Debug)]
pub struct Dispatch<'a> {
    context: &'a AioContext,
    remove: bool,
    /// Keeps it from being sent, and from being lent to another thread, which could say then that it runs on the loop.
    stays_here: PhantomData<*const ()>,
}

impl<'a> Dispatch<'a> {
    pub(super) fn new(context: &'a AioContext) -> Self {
        Self {
            context,
            remove: false,
            stays_here: PhantomData,
        }
    }

    /// The context on which the callback runs, as its own user sees it.
    ///
    /// What the callback registers there belongs to the same holder and ends with it.
    pub fn context(&self) -> &AioContext {
        self.context
    }

    /// The time on one of the context's clocks.
    pub fn now(&self, clock: Clock) -> Duration {
        self.context.now(clock)
    }

    /// Ends the registration whose callback this is, once it returns. The callback is dropped then.
    ///
    /// Closures that run only once have nothing to end.
    pub fn remove(&mut self) {
        self.remove = true;
    }

    pub(super) fn wants_removal(&self) -> bool {
        self.remove
    }
}

/// What a handler of a file descriptor may do beside.
pub struct FdDispatch<'a> {
    dispatch: Dispatch<'a>,
    inner: &'a FdInner,
}

impl<'a> FdDispatch<'a> {
    pub(super) fn new(inner: &'a FdInner) -> Self {
        Self {
            dispatch: Dispatch::new(inner.context()),
            inner,
        }
    }

    /// The file descriptor that is watched.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }

    /// Changes what is watched for, from now on. Costs no system call if nothing changes.
    ///
    /// # Errors
    ///
    /// As for [`FdWatch::set_interest`](crate::FdWatch::set_interest).
    pub fn set_interest(&mut self, interest: Interest) -> Result<(), ContextError> {
        self.inner.set_interest(interest)
    }

    pub(super) fn as_dispatch(&mut self) -> &mut Dispatch<'a> {
        &mut self.dispatch
    }
}

impl fmt::Debug for FdDispatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FdDispatch")
            .field("dispatch", &self.dispatch)
            .field("fd", &self.fd())
            .finish()
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
        self.as_dispatch()
    }
}
