//! File descriptors and their handlers.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::epoll::{self, EventData, EventFlags};

use super::aio_context::AioContext;
use super::callback::Callback;
use super::contain::CallbackKind;
use super::failure::ContextError;
use super::fd_table::{Readiness, Watched};
use super::handler::{FdDispatch, FdHandler, WatchedFd};
use super::interest::{Interest, Polling};
use super::polling::{EventInterval, PollParameters};
use crate::holders::Registration;
use crate::slab::Key;
use crate::sync::{Arc, AtomicU8, Mutex, Ordering};

/// A registered handler. Dropping the value removes it.
///
/// Once it is removed no callback of it starts any more; one that is running on the context's thread meanwhile runs
/// to its end. The file descriptor is closed when that is over, if the registration owned it.
#[derive(Debug)]
#[must_use = "dropping the value removes the handler"]
pub struct FdWatch {
    inner: Arc<FdInner>,
}

/// What the loop has of an [`FdWatch`].
struct FdInner {
    callback: Callback<dyn FdHandler>,
    source: Box<dyn AsFd + Send + Sync>,
    polling: Polling,
    /// Copy of the interest for the loop, see [`Interest::to_bits`].
    interest: AtomicU8,
    watch: Mutex<Watch>,
    /// Only the loop's thread uses it.
    interval: Mutex<EventInterval>,
}

/// The registration as the kernel and the table know it.
#[derive(Default)]
struct Watch {
    key: Option<Key>,
    in_epoll: bool,
    /// Whether it is counted among those that watch for something.
    is_counted: bool,
    is_paused: bool,
    removed: bool,
}

impl AioContext {
    /// Watches a file descriptor; `source` owns or shares it and is kept until the handler is gone.
    ///
    /// # Errors
    ///
    /// [`ContextError::Watch`] with EPERM for what cannot be watched, such as a regular file; EEXIST for a file descriptor that
    /// is on the context already (a duplicate of it may be watched); ENOSPC beyond the user's limit in
    /// `/proc/sys/fs/epoll/max_user_watches`; ENOMEM. [`ContextError::Released`] once the holder has been released.
    pub fn add_fd(
        &self,
        source: impl AsFd + Send + Sync + 'static,
        interest: Interest,
        handler: impl FdHandler,
    ) -> Result<FdWatch, ContextError> {
        let core = self.core();
        let polling = handler.polling();
        let waited_ns = i64::try_from(core.stats.phases.waited_ns()).unwrap_or(i64::MAX);
        let inner = Arc::new(FdInner {
            callback: Callback::new(self, CallbackKind::FdHandler, Box::new(handler)),
            source: Box::new(source),
            polling,
            interest: AtomicU8::new(Interest::NONE.to_bits()),
            watch: Mutex::default(),
            interval: Mutex::new(EventInterval::starting_at(waited_ns)),
        });
        // From here on dropping the watch undoes everything.
        let watch = FdWatch { inner };
        let inner = &watch.inner;
        inner.callback.register(Arc::<FdInner>::clone(inner))?;
        // The loop sees nothing of a handler before a release of its holder does.
        inner.enter_table();
        inner.set_interest(interest)?;
        match polling {
            Polling::Never => {}
            // The loop may poll already, and looks at its list anew.
            Polling::Memory | Polling::Kernel => core.notify(),
        }
        Ok(watch)
    }
}

impl FdWatch {
    /// Changes what is watched for, from now on. Costs no system call if nothing changes.
    ///
    /// # Errors
    ///
    /// [`ContextError::Watch`], as for [`AioContext::add_fd`]; what was watched for before still is. [`ContextError::Removed`] once the handler has removed itself
    /// or has panicked, and [`ContextError::Released`] once the holder has been released.
    pub fn set_interest(&self, interest: Interest) -> Result<(), ContextError> {
        self.inner.set_interest(interest)
    }

    /// What is watched for.
    pub fn interest(&self) -> Interest {
        self.inner.interest()
    }
}

impl Drop for FdWatch {
    fn drop(&mut self) {
        self.inner.callback.end(&*self.inner);
    }
}

impl AsFd for FdWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

type Method = fn(&mut dyn FdHandler, &mut FdDispatch<'_>);

/// What is called for each kind of event, in this order.
const METHODS: [(Interest, Method); 4] = [
    (Interest::PRIORITY, |it, dispatch| it.priority(dispatch)),
    (Interest::READ, |it, dispatch| it.readable(dispatch)),
    (Interest::WRITE, |it, dispatch| it.writable(dispatch)),
    (Interest::PEER_CLOSED, |it, dispatch| {
        it.peer_closed(dispatch)
    }),
];

impl FdInner {
    /// Lets the loop know the handler, unless a release of its holder has come first.
    fn enter_table(self: &Arc<Self>) {
        let mut watch = self.watch.lock();
        if !watch.removed {
            let fds = &self.callback.context().core().fds;
            watch.key = Some(fds.insert(Arc::<Self>::clone(self)));
            if self.polling == Polling::Memory {
                fds.change_pollable();
            }
        }
    }

    fn interest(&self) -> Interest {
        Interest::from_bits(self.interest.load(Ordering::Acquire))
    }

    /// Why the handler cannot be changed.
    fn gone(&self) -> ContextError {
        let context = self.callback.context();
        if context.attachment().is_released() {
            context.released()
        } else {
            ContextError::Removed {
                context: context.name().to_owned(),
            }
        }
    }

    /// Tells the kernel and the loop whether the handler is to hear of anything.
    fn set_paused(&self, is_paused: bool) {
        let mut watch = self.watch.lock();
        if watch.removed {
            return;
        }
        watch.is_paused = is_paused;
        self.count(&mut watch);
        if let Some(key) = watch.key
            && watch.in_epoll
        {
            // Only its flags change, which needs no memory.
            let _ = self.apply(&mut watch, key, self.interest());
        }
        drop(watch);
        if self.polling == Polling::Memory {
            let core = self.callback.context().core();
            core.fds.change_pollable();
            core.notify();
        }
    }

    /// Counts the handler among those that watch for something, or not: such a one does not mind being late.
    fn count(&self, watch: &mut Watch) {
        let counts = watch.key.is_some() && !watch.is_paused && self.interest() != Interest::NONE;
        if std::mem::replace(&mut watch.is_counted, counts) != counts {
            self.callback
                .context()
                .core()
                .fds
                .count(self.polling, counts);
        }
    }

    fn apply(&self, watch: &mut Watch, key: Key, interest: Interest) -> io::Result<()> {
        let epoll = &self.callback.context().core().epoll.0;
        let data = EventData::new_u64(key.to_bits());
        let flags = if watch.is_paused {
            // Nothing, but the place is kept. A hang-up is told nevertheless, once, and is told again when this is over.
            EventFlags::ET
        } else {
            interest.flags()
        };
        if interest == Interest::NONE {
            // epoll reports hang-ups even to those who watch for nothing, so it must not know the fd.
            if watch.in_epoll {
                epoll::delete(epoll, self)?;
            }
            watch.in_epoll = false;
        } else if watch.in_epoll {
            epoll::modify(epoll, self, data, flags)?;
        } else {
            epoll::add(epoll, self, data, flags)?;
            watch.in_epoll = true;
        }
        Ok(())
    }

    fn run<R>(&self, run: impl FnOnce(&mut dyn FdHandler, &mut FdDispatch<'_>) -> R) -> Option<R> {
        self.callback.run(self, |handler, dispatch| {
            run(handler, &mut FdDispatch::new(dispatch, self))
        })
    }
}

impl WatchedFd for FdInner {
    fn fd(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }

    fn set_interest(&self, interest: Interest) -> Result<(), ContextError> {
        let mut watch = self.watch.lock();
        let Some(key) = watch.key else {
            drop(watch);
            return Err(self.gone());
        };
        if interest == self.interest() {
            return Ok(());
        }
        self.apply(&mut watch, key, interest)
            .map_err(ContextError::Watch)?;
        self.interest.store(interest.to_bits(), Ordering::Release);
        self.count(&mut watch);
        Ok(())
    }
}

impl Watched for FdInner {
    fn dispatch(&self, readiness: Readiness) {
        if !self.callback.gate.is_open() {
            // It is ready still when that is over.
            return;
        }
        self.run(|handler, dispatch| match readiness {
            Readiness::Polled => handler.poll_ready(dispatch),
            Readiness::Events(flags) => {
                let happened = Interest::happened(flags);
                for (interest, method) in METHODS {
                    // One of them may have changed its mind.
                    if happened.contains(interest)
                        && self.interest().contains(interest)
                        && !dispatch.wants_removal()
                        && !self.callback.is_removed()
                    {
                        dispatch.context().core().stats.fd_events.add(1);
                        method(handler, dispatch);
                    }
                }
            }
        });
    }

    fn record_event(&self, waited_ns: i64, parameters: &PollParameters) -> i64 {
        self.interval.lock().record(waited_ns, parameters)
    }

    fn is_polled(&self) -> bool {
        self.polling == Polling::Memory && self.callback.gate.is_open()
    }

    fn poll(&self) -> bool {
        let may_find = self.callback.gate.is_open() && self.interest().contains(Interest::READ);
        may_find && self.run(|it, dispatch| it.poll(dispatch)) == Some(true)
    }

    fn poll_begin(&self) {
        self.run(|it, dispatch| it.poll_begin(dispatch));
    }

    fn poll_end(&self) {
        self.run(|it, dispatch| it.poll_end(dispatch));
    }
}

impl Registration for FdInner {
    fn cancel(&self) {
        let core = self.callback.context().core();
        let key = {
            let mut watch = self.watch.lock();
            watch.removed = true;
            if std::mem::take(&mut watch.in_epoll) {
                // Fails only if the source has given its file descriptor away, and then it is out already.
                let _ = epoll::delete(&core.epoll.0, self);
            }
            let key = watch.key.take();
            self.count(&mut watch);
            key
        };
        if let Some(key) = key {
            core.fds.remove(key);
            if self.polling == Polling::Memory {
                core.fds.change_pollable();
                if !core.is_current() {
                    // The loop's list of handlers to poll keeps this one, and its fd, until it looks again.
                    core.notify();
                }
            }
        }
        self.callback.remove();
    }

    fn pause(&self) {
        self.callback.gate.close();
        self.set_paused(true);
    }

    fn resume(self: Arc<Self>) {
        // What is ready is told again, so nothing has to be made up for.
        let _ = self.callback.gate.open();
        self.set_paused(false);
    }
}

impl AsFd for FdInner {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

impl fmt::Debug for FdInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FdInner")
            .field("callback", &self.callback)
            .field("fd", &self.as_fd())
            .field("interest", &self.interest())
            .finish_non_exhaustive()
    }
}
