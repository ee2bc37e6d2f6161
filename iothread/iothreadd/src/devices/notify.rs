//! Queues of virtio devices: an eventfd that the guest notifies, and a handler.
//!
//! Without a guest there are no requests in memory, so each notification stands for one: the first block of every disk
//! of the queue is read, on the queue's event loop.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use iothread::{AioContext, ContextError, FdWatch, SharedContext};
use qapi_runtime::{Error, Value};
use rustix::event::{EventfdFlags, eventfd};
use rustix::thread::gettid;

use super::drive::Disks;
use crate::block::{Backend, IoBuffer, Operation, Outcome, Request, Started};
use crate::sync::Mutex;

/// Bytes that a request reads, if the disk has them.
const BLOCK_SIZE: usize = 4096;

/// One queue.
pub(super) struct Queue {
    notifier: Arc<OwnedFd>,
    /// Where it is served.
    context: SharedContext,
    counters: Arc<Counters>,
    watch: Mutex<Option<FdWatch>>,
}

#[derive(Default)]
struct Counters {
    n_notified: AtomicU64,
    /// The kernel's id of the thread that ran the handler last; 0 if it has not run yet.
    thread_id: AtomicI64,
    n_ended: AtomicU64,
    n_failed: AtomicU64,
}

impl Counters {
    fn ended(&self, outcome: &Outcome) {
        let counter = match outcome.result {
            Ok(()) => &self.n_ended,
            Err(_) => &self.n_failed,
        };
        counter.fetch_add(1, Ordering::Release);
    }
}

/// Reads the first block of a disk.
fn read_first_block(disk: &Backend, context: &AioContext, counters: &Arc<Counters>) {
    let size = usize::try_from(disk.size()).map_or(BLOCK_SIZE, |size| size.min(BLOCK_SIZE));
    let request = Request {
        offset: 0,
        operation: Operation::Read(IoBuffer::new(size)),
    };
    match disk.start(request) {
        Started::Done(outcome) => counters.ended(&outcome),
        Started::Waiting(pending) => {
            let counting = Arc::clone(counters);
            // A device that goes away wants no more.
            let _ = pending.finish(context, move |_, outcome| counting.ended(&outcome));
        }
    }
}

impl Queue {
    /// Makes a queue whose handler runs on `context`.
    pub(super) fn start(context: SharedContext, disks: &Disks) -> Result<Self, ContextError> {
        let notifier = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| ContextError::Watch(error.into()))?;
        let notifier = Arc::new(notifier);
        let counters = Arc::new(Counters::default());
        let counting = Arc::clone(&counters);
        let disks = disks.clone();
        let watch = context.watch_eventfd(Arc::clone(&notifier), move |count, dispatch| {
            let thread_id = i64::from(gettid().as_raw_nonzero().get());
            counting.thread_id.store(thread_id, Ordering::Relaxed);
            counting.n_notified.fetch_add(count, Ordering::Release);
            for (disk, _entered) in disks.enter() {
                read_first_block(&disk, dispatch.context(), &counting);
            }
        })?;
        Ok(Self {
            notifier,
            context,
            counters,
            watch: Mutex::new(Some(watch)),
        })
    }

    /// Notifies the queue, as a guest does.
    pub(super) fn notify(&self) -> Result<(), Error> {
        rustix::io::write(&*self.notifier, &1_u64.to_ne_bytes())
            .map(|_| ())
            .map_err(|error| Error::generic(format!("cannot notify the queue: {error}")))
    }

    /// Ends the handler; one that runs at the moment runs to its end.
    pub(super) fn stop(&self) {
        let watch = self.watch.lock().take();
        drop(watch);
    }

    /// What a client is told.
    pub(super) fn describe(&self) -> Value {
        let iothread = self.context.iothread().map(str::to_owned);
        let n_notified = self.counters.n_notified.load(Ordering::Acquire);
        let n_ended = self.counters.n_ended.load(Ordering::Acquire);
        let n_failed = self.counters.n_failed.load(Ordering::Acquire);
        let thread_id = self.counters.thread_id.load(Ordering::Relaxed);
        Value::from_iter([
            ("iothread".to_owned(), Value::from(iothread)),
            ("thread-id".to_owned(), Value::from(thread_id)),
            ("notifications".to_owned(), Value::from(n_notified)),
            ("requests".to_owned(), Value::from(n_ended)),
            ("failures".to_owned(), Value::from(n_failed)),
        ])
    }
}
