//! What queues have done, as clients of the server are told.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use rustix::thread::gettid;

use crate::qapi::BlockExportQueueInfo;

/// What a queue has done; lives as long as the export.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) n_notified: AtomicU64,
    pub(super) n_done: AtomicU64,
    pub(super) n_failed: AtomicU64,
    pub(super) n_jobs: AtomicU64,
    /// The kernel's id of the thread that took requests last; 0 if there were none.
    thread_id: AtomicI64,
}

impl Counters {
    pub(super) fn served_here(&self) {
        let thread_id = i64::from(gettid().as_raw_nonzero().get());
        self.thread_id.store(thread_id, Ordering::Relaxed);
    }

    /// What clients of the server are told.
    pub(super) fn describe(&self, iothread: Option<String>) -> BlockExportQueueInfo {
        BlockExportQueueInfo {
            iothread,
            thread_id: self.thread_id.load(Ordering::Relaxed),
            notifications: self.n_notified.load(Ordering::Relaxed),
            requests: self.n_done.load(Ordering::Relaxed),
            failures: self.n_failed.load(Ordering::Relaxed),
            in_flight: self.n_jobs.load(Ordering::Relaxed),
        }
    }
}
