//! File descriptors and their handlers.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::epoll::{self, EventData, EventFlags};

use super::polling::{EventInterval, PollParameters};
use super::{AioContext, CallbackKind, ContextError, FdDispatch, FdHandler, Interest, Polling};
use crate::cell::CallbackCell;
use crate::gate::Gate;
use crate::holders::Registration;
use crate::slab::{Key, Slab};
use crate::sync::{Arc, AtomicU8, AtomicU64, AtomicUsize, Mutex, OnceLock, Ordering};

/// A registered handler. Dropping the value removes it.
///
/// Once it is removed no callback of it starts any more; one that is running on the context's thread meanwhile runs
/// to its end. The file descriptor is closed when that is over, if the registration owned it.
#[must_use = "dropping the value removes the handler"]
pub struct FdWatch {
    inner: Arc<FdInner>,
}

/// What the loop has of an [`FdWatch`].
pub(super) struct FdInner {
    context: AioContext,
    source: Box<dyn AsFd + Send + Sync>,
    handler: CallbackCell<dyn FdHandler>,
    polling: Polling,
    gate: Gate,
    /// Copy of the interest for the loop, see [`Interest::to_bits`].
    interest: AtomicU8,
    watch: Mutex<Watch>,
    /// Only the loop's thread uses it.
    interval: Mutex<EventInterval>,
    /// Place among the registrations of the attachment.
    key: OnceLock<Key>,
}

/// The registration as the kernel and the table know it.
struct Watch {
    key: Option<Key>,
    in_epoll: bool,
    /// Whether it is counted among those that watch for something.
    is_counted: bool,
    is_paused: bool,
    removed: bool,
}

/// Why a handler is dispatched.
#[derive(Debug, Clone, Copy)]
pub(super) enum Readiness {
    Events(EventFlags),
    /// Its poll callback has found something.
    Polled,
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
        let waited_ns = i64::try_from(core.stats.waited_ns.get()).unwrap_or(i64::MAX);
        let inner = Arc::new(FdInner {
            context: self.share(),
            source: Box::new(source),
            handler: CallbackCell::new(Box::new(handler)),
            polling,
            gate: Gate::new(),
            interest: AtomicU8::new(Interest::NONE.to_bits()),
            watch: Mutex::new(Watch {
                key: None,
                in_epoll: false,
                is_counted: false,
                is_paused: false,
                removed: false,
            }),
            interval: Mutex::new(EventInterval::starting_at(waited_ns)),
            key: OnceLock::new(),
        });
        // From here on dropping the watch undoes everything.
        let watch = FdWatch { inner };
        let inner = &watch.inner;
        let key = self
            .attachment()
            .register(Arc::<FdInner>::clone(inner))
            .ok_or_else(|| self.released())?;
        // The cell is fresh.
        let _ = inner.key.set(key);
        // The loop sees nothing of a handler before a release of its holder does.
        core.fds.insert(inner);
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

    /// Removes the handler, as dropping the value does.
    pub fn remove(self) {
        drop(self);
    }
}

impl Drop for FdWatch {
    fn drop(&mut self) {
        self.inner.end();
    }
}

impl AsFd for FdWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl fmt::Debug for FdWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FdWatch")
            .field("context", &self.inner.context)
            .field("fd", &self.as_fd())
            .field("interest", &self.interest())
            .finish()
    }
}

type Callback = fn(&mut dyn FdHandler, &mut FdDispatch<'_>);

/// What is called for each kind of event, in this order.
const CALLBACKS: [(Interest, Callback); 4] = [
    (Interest::PRIORITY, |it, dispatch| it.priority(dispatch)),
    (Interest::READ, |it, dispatch| it.readable(dispatch)),
    (Interest::WRITE, |it, dispatch| it.writable(dispatch)),
    (Interest::PEER_CLOSED, |it, dispatch| {
        it.peer_closed(dispatch)
    }),
];

impl FdInner {
    pub(super) fn context(&self) -> &AioContext {
        &self.context
    }

    fn interest(&self) -> Interest {
        Interest::from_bits(self.interest.load(Ordering::Acquire))
    }

    pub(super) fn set_interest(&self, interest: Interest) -> Result<(), ContextError> {
        let mut watch = self.watch.lock();
        let key = match watch.key {
            Some(key) if !watch.removed => key,
            Some(_) | None => {
                drop(watch);
                return Err(self.gone());
            }
        };
        if interest == self.interest() {
            return Ok(());
        }
        self.apply(&mut watch, key, interest)
            .map_err(ContextError::Watch)?;
        self.interest.store(interest.to_bits(), Ordering::Release);
        let is_paused = watch.is_paused;
        self.set_counted(&mut watch, interest != Interest::NONE && !is_paused);
        Ok(())
    }

    /// Whether the loop calls its poll callback.
    fn is_polled(&self) -> bool {
        match self.polling {
            Polling::Memory => true,
            Polling::Never | Polling::Kernel => false,
        }
    }

    /// Tells the kernel and the loop whether the handler is to hear of anything.
    fn set_paused(&self, is_paused: bool) {
        let mut watch = self.watch.lock();
        if watch.removed {
            return;
        }
        watch.is_paused = is_paused;
        let interest = self.interest();
        self.set_counted(&mut watch, interest != Interest::NONE && !is_paused);
        if let Some(key) = watch.key
            && watch.in_epoll
        {
            // Only its flags change, which needs no memory.
            let _ = self.apply(&mut watch, key, interest);
        }
        drop(watch);
        if self.is_polled() {
            let core = self.context.core();
            core.fds.pollable_version.fetch_add(1, Ordering::AcqRel);
            core.notify();
        }
    }

    /// Why the handler cannot be changed.
    fn gone(&self) -> ContextError {
        if self.context.attachment().is_released() {
            self.context.released()
        } else {
            ContextError::Removed {
                context: self.context.name().to_owned(),
            }
        }
    }

    /// One that watches for nothing does not mind being late.
    fn set_counted(&self, watch: &mut Watch, counts: bool) {
        if std::mem::replace(&mut watch.is_counted, counts) != counts {
            let fds = &self.context.core().fds;
            let count = match self.polling {
                Polling::Never => &fds.n_unpollable,
                Polling::Kernel => &fds.n_late,
                Polling::Memory => return,
            };
            if counts {
                count.fetch_add(1, Ordering::AcqRel);
            } else {
                count.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }

    fn apply(&self, watch: &mut Watch, key: Key, interest: Interest) -> io::Result<()> {
        let epoll = &self.context.core().epoll.0;
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

    /// Counts an event for adaptive polling. Returns the polling time that the handler wants.
    pub(super) fn record_event(&self, waited_ns: i64, parameters: &PollParameters) -> i64 {
        self.interval.lock().record(waited_ns, parameters)
    }

    /// Calls the callbacks that `readiness` asks for. Only the loop's thread calls this.
    pub(super) fn dispatch(&self, readiness: Readiness) {
        if !self.gate.is_open() {
            // It is ready still when that is over.
            return;
        }
        self.with_handler((), |handler, dispatch| match readiness {
            Readiness::Polled => handler.poll_ready(dispatch),
            Readiness::Events(flags) => {
                for (interest, callback) in CALLBACKS {
                    // One of them may have changed its mind.
                    if self.interest().happened(flags).contains(interest)
                        && !dispatch.wants_removal()
                        && !self.handler.is_removed()
                    {
                        self.context.core().stats.fd_events.add(1);
                        callback(handler, dispatch);
                    }
                }
            }
        });
    }

    /// Whether the handler has work. Only the loop's thread calls this, as the next two.
    pub(super) fn poll(&self) -> bool {
        self.gate.is_open()
            && self.interest().contains(Interest::READ)
            && self.with_handler(false, |handler, dispatch| handler.poll(dispatch))
    }

    pub(super) fn poll_begin(&self) {
        self.with_handler((), |handler, dispatch| handler.poll_begin(dispatch));
    }

    pub(super) fn poll_end(&self) {
        self.with_handler((), |handler, dispatch| handler.poll_end(dispatch));
    }

    /// Runs the handler unless it has been removed; `otherwise` is the outcome without it.
    fn with_handler<R>(
        &self,
        otherwise: R,
        callback: impl FnOnce(&mut dyn FdHandler, &mut FdDispatch<'_>) -> R,
    ) -> R {
        let core = self.context.core();
        let _running = core.running.enter(self.context.attachment());
        let Some(mut handler) = self.handler.take() else {
            return otherwise;
        };
        let mut dispatch = FdDispatch::new(self);
        let outcome = core.run(CallbackKind::FdHandler, self.context.attachment(), || {
            callback(&mut *handler, &mut dispatch)
        });
        let keep = outcome.is_ok() && !dispatch.wants_removal();
        let rejected = self.handler.put_back(handler);
        self.drop_handler(rejected);
        if !keep {
            self.end();
        }
        outcome.unwrap_or(otherwise)
    }

    /// Removes the handler for good.
    fn end(&self) {
        self.cancel();
        if let Some(key) = self.key.get() {
            self.context.attachment().unregister(*key);
        }
    }

    fn drop_handler(&self, handler: Option<Box<dyn FdHandler>>) {
        // What the handler owns may panic when it is dropped.
        let _ = self.context.core().run(
            CallbackKind::FdHandler,
            self.context.attachment(),
            move || drop(handler),
        );
    }
}

impl Registration for FdInner {
    fn cancel(&self) {
        let key = {
            let mut watch = self.watch.lock();
            watch.removed = true;
            self.set_counted(&mut watch, false);
            if std::mem::take(&mut watch.in_epoll) {
                // Fails only if the source has given its file descriptor away, and then it is out already.
                let _ = epoll::delete(&self.context.core().epoll.0, self);
            }
            watch.key.take()
        };
        let core = self.context.core();
        if let Some(key) = key {
            core.fds.remove(key);
            if self.is_polled() && !core.is_current() {
                // The loop's list of handlers to poll keeps this one, and its fd, until it looks again.
                core.notify();
            }
        }
        let removed = self.handler.remove();
        self.drop_handler(removed);
    }

    fn pause(&self) {
        self.gate.close();
        self.set_paused(true);
    }

    fn resume(self: Arc<Self>) {
        // What is ready is told again, so nothing has to be made up for.
        let _ = self.gate.open();
        self.set_paused(false);
    }
}

impl AsFd for FdInner {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

/// The handlers of a context.
#[derive(Default)]
pub(super) struct FdTable {
    entries: Mutex<Slab<Arc<FdInner>>>,
    len: AtomicUsize,
    /// How many handlers watch for something that cannot be polled.
    n_unpollable: AtomicUsize,
    /// How many handlers watch for something that the kernel is asked for now and then while the loop polls.
    n_late: AtomicUsize,
    /// Counts the changes among those that are polled.
    pollable_version: AtomicU64,
}

impl FdTable {
    fn insert(&self, inner: &Arc<FdInner>) {
        let mut entries = self.entries.lock();
        let mut watch = inner.watch.lock();
        // A release may have come first.
        if !watch.removed {
            watch.key = Some(entries.insert(Arc::clone(inner)));
            self.after_change(&entries, inner);
        }
    }

    fn remove(&self, key: Key) {
        let mut entries = self.entries.lock();
        let removed = entries.remove(key);
        if let Some(inner) = &removed {
            self.after_change(&entries, inner);
        }
        drop(entries);
        drop(removed);
    }

    fn after_change(&self, entries: &Slab<Arc<FdInner>>, inner: &FdInner) {
        self.len.store(entries.len(), Ordering::Release);
        if inner.is_polled() {
            self.pollable_version.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    pub(super) fn n_unpollable(&self) -> usize {
        self.n_unpollable.load(Ordering::Acquire)
    }

    pub(super) fn any_late(&self) -> bool {
        self.n_late.load(Ordering::Acquire) > 0
    }

    pub(super) fn pollable_version(&self) -> u64 {
        self.pollable_version.load(Ordering::Acquire)
    }

    /// The handlers that can be polled.
    pub(super) fn pollable(&self) -> Vec<Arc<FdInner>> {
        let entries = self.entries.lock();
        entries
            .iter()
            .filter(|inner| inner.is_polled() && inner.gate.is_open())
            .cloned()
            .collect()
    }

    /// Adds the handlers that epoll has named to `ready`; those removed meanwhile are left out.
    pub(super) fn resolve(
        &self,
        events: &[epoll::Event],
        ready: &mut Vec<(Arc<FdInner>, Readiness)>,
    ) {
        let entries = self.entries.lock();
        for event in events {
            let key = Key::from_bits(event.data.u64());
            if let Some(inner) = entries.get(key) {
                ready.push((Arc::clone(inner), Readiness::Events(event.flags)));
            }
        }
    }
}
