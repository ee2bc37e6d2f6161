//! What there is to tell at a moment, as far as there is room for it.

use iothread::{HolderCounts, IoThread, LoopStats, Parameter};
use iothread_metrics::kernel::{Counts, counts};
use iothread_metrics::label;

use crate::calls::CallCount;
use crate::export::ExportLoad;
use crate::parts::Parts;

/// The most IOThreads that are told of, the oldest.
const MAX_THREADS: usize = 1_024;

/// The most holders that are told by name, of all IOThreads together.
const MAX_HOLDERS: usize = 2_000;

/// The most exports that are told of, the oldest.
const MAX_EXPORTS: usize = 256;

/// An IOThread.
pub(super) struct Thread {
    pub(super) id: String,
    /// Nothing where the kernel does not show it, as without `/proc`.
    pub(super) kernel: Option<Counts>,
    pub(super) stats: LoopStats,
    pub(super) poll_max_ns: i64,
    pub(super) counts: HolderCounts,
    /// Kinds and names, each once.
    pub(super) holders: Vec<(&'static str, String)>,
}

/// All that is told.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) threads: Vec<Thread>,
    pub(super) exports: Vec<ExportLoad>,
    pub(super) calls: Vec<CallCount>,
    pub(super) n_unknown_calls: u64,
    pub(super) n_threads_left_out: usize,
    pub(super) n_holders_left_out: usize,
    pub(super) n_exports_left_out: usize,
}

impl Found {
    pub(super) fn now(parts: &Parts) -> Self {
        let listed = parts.host.threads.registry().threads();
        let mut room = MAX_HOLDERS;
        let mut n_holders_left_out = 0;
        let threads = listed.iter().take(MAX_THREADS);
        let threads = threads.map(|it| Thread::now(it, &mut room, &mut n_holders_left_out));
        let threads = threads.collect();
        let (exports, n_exports_left_out) = parts.exports.loads(MAX_EXPORTS);
        Self {
            name: label(parts.name.as_deref().unwrap_or_default()),
            threads,
            exports,
            calls: parts.calls.counts(),
            n_unknown_calls: parts.calls.n_unknown(),
            n_threads_left_out: listed.len().saturating_sub(MAX_THREADS),
            n_holders_left_out,
            n_exports_left_out,
        }
    }
}

impl Thread {
    fn now(thread: &IoThread, room: &mut usize, n_left_out: &mut usize) -> Self {
        let newest = thread.newest_holders(*room);
        let counts_of_kinds = thread.holder_counts();
        *room -= newest.len();
        *n_left_out += counts_of_kinds.total().saturating_sub(newest.len());
        let mut holders: Vec<_> = newest
            .iter()
            .map(|it| (it.kind().as_str(), label(it.name())))
            .collect();
        // One that holds several times has one series.
        holders.sort_unstable();
        holders.dedup();
        Self {
            id: label(thread.id()),
            kernel: counts(std::process::id(), thread.thread_id().into()),
            stats: thread.stats(),
            poll_max_ns: thread.parameters().get(Parameter::PollMaxNs),
            counts: counts_of_kinds,
            holders,
        }
    }
}
