//! Contexts as their users have them: for one owner, shared by clones, and weak.

use std::ops::Deref;

use crate::context::{AioContext, ContextError, Dispatch};
use crate::holders::Registration;
use crate::slab::Key;
use crate::sync::Arc;

/// The context of an IOThread together with the record of who holds it.
///
/// The record is there until nothing of the holder is left: no callback that runs, no closure that was posted and has not run,
/// no blocking work, no completion of it. Dropping the value ends what was registered through it, whether or not
/// the handles of these are dropped, forbids more, and waits for nothing: the record goes at once if the holder has nothing left,
/// else with the last of it. [`release`](Self::release) waits for that, and [`release_then`](Self::release_then) tells a loop.
#[derive(Debug)]
#[must_use = "dropping the context releases it"]
pub struct HeldAioContext {
    context: AioContext,
}

impl HeldAioContext {
    /// A view of a user that ends with the value.
    pub(crate) fn new(context: AioContext) -> Self {
        Self { context }
    }

    /// Ends what is registered, and waits until nothing of the holder is left: then its record is struck out.
    ///
    /// That includes blocking work, however long it takes, so this is for threads that may block. A loop, whose callbacks may not,
    /// uses [`release_then`](Self::release_then).
    ///
    /// Where the wait would be for itself this is the same as dropping the value, and the record goes later: on the context's own thread;
    /// in work of the holder; and where any of those that it would wait for waits for the caller, through however many contexts.
    pub fn release(self) {
        // If nothing was ever done with the context nothing can be left.
        if self.context.used().is_some() {
            self.context.release_and_wait();
        }
    }

    /// Ends what is registered, and runs `callback` on `context` when nothing of the holder is left and its record is
    /// struck out. Waits for nothing, so this is how a loop removes a device or an export whose requests may take
    /// their time, as [the guide](crate#what-may-block) shows.
    ///
    /// The callback counts as accepted by `context` from now on: that one's holder is on record until it has run, and a
    /// [`MainLoop`](crate::MainLoop) that is dropped waits for it.
    ///
    /// # Errors
    ///
    /// [`ContextError::Ended`] or [`ContextError::Released`] if `context` takes nothing any more, as when it is this holder's own. The
    /// holder is released all the same, and the callback dropped.
    pub fn release_then(
        self,
        context: &AioContext,
        callback: impl FnOnce(&mut Dispatch<'_>) + Send + 'static,
    ) -> Result<(), ContextError> {
        self.context.release_then(context, callback)
    }

    /// The context for several owners, in clones.
    pub fn share(self) -> SharedContext {
        SharedContext {
            inner: Arc::new(Inner {
                context: self,
                guest: None,
            }),
        }
    }
}

impl Deref for HeldAioContext {
    type Target = AioContext;

    fn deref(&self) -> &AioContext {
        &self.context
    }
}

impl Drop for HeldAioContext {
    fn drop(&mut self) {
        self.context.release();
    }
}

/// Where somebody runs: an IOThread that is held, or the main loop. Clones are the same user of it.
///
/// It is [made](HeldAioContext::share) of the context of an IOThread, or [of a main loop](crate::MainContext::share), where the user has no
/// record but is told apart from others all the same. So code that runs on either has one type to keep, and one way to end.
///
/// Dropping the last clone releases it, as dropping a [`HeldAioContext`] does. [`release`](Self::release) and its like end all clones
/// at once: what is called on one after that answers [`ContextError::Released`]. So a user that was moved elsewhere,
/// or is late to hear of it, does not keep the record.
#[derive(Debug, Clone)]
#[must_use = "dropping the last clone releases the context"]
pub struct SharedContext {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    context: HeldAioContext,
    /// A user of a main loop is one of its registrations, so that it ends with the loop.
    guest: Option<(AioContext, Key)>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.context.context.release();
        if let Some((main, key)) = &self.guest {
            main.attachment().unregister(*key);
        }
    }
}

/// A user of a main loop, as one of the registrations there.
struct Guest(AioContext);

impl Registration for Guest {
    fn cancel(&self) {
        self.0.release();
    }
}

impl SharedContext {
    /// A new user of a main loop.
    pub(crate) fn on_main(main: &AioContext) -> Self {
        let user = AioContext::new(Arc::clone(main.core()), None);
        let key = main.attachment().register(Arc::new(Guest(user.share())));
        if key.is_none() {
            // The loop is gone.
            user.release();
        }
        Self {
            inner: Arc::new(Inner {
                context: HeldAioContext::new(user),
                guest: key.map(|key| (main.share(), key)),
            }),
        }
    }

    /// The id of the IOThread; `None` on a main loop.
    pub fn iothread(&self) -> Option<&str> {
        (!self.core().is_main()).then(|| self.name())
    }

    /// Ends what is registered through any clone, and waits until nothing of the user is left, as [`HeldAioContext::release`] does and
    /// with the same exceptions. If others have begun it, it waits with them.
    pub fn release(&self) {
        self.inner.context.context.release_and_wait();
    }

    /// As [`release`](Self::release) without waiting: `callback` runs on `context` when nothing of the user is left.
    ///
    /// # Errors
    ///
    /// As for [`HeldAioContext::release_then`].
    pub fn release_then(
        &self,
        context: &AioContext,
        callback: impl FnOnce(&mut Dispatch<'_>) + Send + 'static,
    ) -> Result<(), ContextError> {
        self.inner.context.context.release_then(context, callback)
    }

    /// As [`release`](Self::release) without waiting, and no hook is called: the record goes with the last of what is left.
    pub fn close(&self) {
        let context = &self.inner.context.context;
        // The clones are to see that it was released, so there has to be something to see it by.
        context.attachment();
        context.release();
    }

    /// Whether both are clones of each other.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Deref for SharedContext {
    type Target = AioContext;

    fn deref(&self) -> &AioContext {
        &self.inner.context
    }
}

impl From<HeldAioContext> for SharedContext {
    fn from(context: HeldAioContext) -> Self {
        context.share()
    }
}

/// A view of a context that does not keep it: it does all that the context does as long as that is held, and then answers
/// [`ContextError::Released`]. For threads, futures and other callbacks that are to reach it and not to prolong its life.
#[derive(Debug)]
pub struct WeakContext(AioContext);

impl AioContext {
    /// A view of the same user that does not keep it.
    pub fn downgrade(&self) -> WeakContext {
        WeakContext(self.share())
    }
}

impl Clone for WeakContext {
    fn clone(&self) -> Self {
        Self(self.0.share())
    }
}

impl Deref for WeakContext {
    type Target = AioContext;

    fn deref(&self) -> &AioContext {
        &self.0
    }
}
