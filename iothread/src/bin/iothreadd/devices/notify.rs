//! Queues of virtio devices: an eventfd that the guest notifies, and a handler that counts.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use iothread::{AioContext, ContextError, FdWatch};
use qapi_runtime::{Error, Value};
use rustix::event::{EventfdFlags, eventfd};
use rustix::thread::gettid;

use crate::sync::Mutex;

/// One queue.
pub(super) struct Queue {
    notifier: Arc<OwnedFd>,
    /// The IOThread that serves it; `None` for the main loop.
    iothread: Option<String>,
    counters: Arc<Counters>,
    watch: Mutex<Option<FdWatch>>,
}

#[derive(Default)]
struct Counters {
    n_notified: AtomicU64,
    /// The kernel's id of the thread that ran the handler last; 0 if it has not run yet.
    thread_id: AtomicI64,
}

impl Queue {
    /// Makes a queue whose handler runs on `context`.
    pub(super) fn start(
        context: &AioContext,
        iothread: Option<String>,
    ) -> Result<Self, ContextError> {
        let notifier = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| ContextError::Watch(error.into()))?;
        let notifier = Arc::new(notifier);
        let counters = Arc::new(Counters::default());
        let counting = Arc::clone(&counters);
        let watch = context
            .watch(Arc::clone(&notifier))
            .on_readable(move |notifier, _| {
                let mut count = [0; 8];
                // Fails only if nothing has come after all.
                if rustix::io::read(&**notifier, &mut count).is_ok() {
                    let thread_id = i64::from(gettid().as_raw_nonzero().get());
                    counting.thread_id.store(thread_id, Ordering::Relaxed);
                    let count = u64::from_ne_bytes(count);
                    counting.n_notified.fetch_add(count, Ordering::Release);
                }
            })
            .register()?;
        Ok(Self {
            notifier,
            iothread,
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
        let n_notified = self.counters.n_notified.load(Ordering::Acquire);
        let thread_id = self.counters.thread_id.load(Ordering::Relaxed);
        Value::from_iter([
            ("iothread".to_owned(), Value::from(self.iothread.clone())),
            ("thread-id".to_owned(), Value::from(thread_id)),
            ("notifications".to_owned(), Value::from(n_notified)),
        ])
    }
}
