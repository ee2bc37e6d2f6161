//! Event loops of the server, and what becomes of it if one of them fails.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use iothread::{CreateError, IoThread, IoThreadBuilder, LoopFailure, MainContext, Registry};

use crate::history::History;
use crate::qapi::IoThreadStats;
use crate::report::report;

/// How long the server may take to end after a loop has failed: what was under way on it may never be over.
const END: Duration = Duration::from_secs(10);

/// The IOThreads of the server: those that users create, and its own.
pub(crate) struct Threads {
    registry: Registry,
    failure: Arc<Failure>,
    history: Arc<History>,
}

/// The first loop that has failed.
struct Failure {
    main: MainContext,
    first: OnceLock<LoopFailure>,
}

impl Failure {
    /// Without one of its event loops the server cannot work properly, so it ends. From any thread.
    fn note(&self, failure: &LoopFailure) {
        if self.first.set(failure.clone()).is_ok() {
            end_in_any_case();
            self.main.quit();
        }
    }
}

impl Threads {
    pub(crate) fn new(main: &MainContext, registry: Registry) -> Self {
        Self {
            registry,
            failure: Arc::new(Failure {
                main: main.clone(),
                first: OnceLock::new(),
            }),
            history: Arc::default(),
        }
    }

    /// What has changed among the holders of those that users create.
    pub(crate) fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// All of them, by their ids.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Describes an IOThread of users' to be made. The server ends if its loop fails.
    pub(crate) fn builder(&self, id: &str) -> IoThreadBuilder {
        let history = Arc::clone(&self.history);
        let builder = self.any_builder(id);
        builder.on_holders_changed(move |change| history.note(change))
    }

    fn any_builder(&self, id: &str) -> IoThreadBuilder {
        let noting = Arc::downgrade(&self.failure);
        let builder = IoThread::builder(id).registry(&self.registry);
        builder.on_failure(move |failure| match noting.upgrade() {
            Some(noting) => noting.note(failure),
            // The server has ended.
            None => report(&failure.to_string()),
        })
    }

    /// An IOThread of the server's own, made for the first who asks for it.
    pub(crate) fn internal(&self, id: &str) -> Result<IoThread, CreateError> {
        match self.registry.find_internal(id) {
            Some(thread) => Ok(thread),
            None => self.any_builder(id).internal().spawn(),
        }
    }

    /// The IOThread that a link names: by an id, or by the path of the object.
    pub(crate) fn find(&self, link: &str) -> Option<IoThread> {
        let path = link.strip_prefix('/').unwrap_or(link);
        let id = path.strip_prefix("objects/").unwrap_or(link);
        self.registry.find(id)
    }

    /// Who holds an IOThread, for people. `None` if it has no holder, or there is no such thread.
    pub(crate) fn holders(&self, id: &str) -> Option<String> {
        let holders = self.find(id)?.holders();
        let holders: Vec<String> = holders.iter().map(ToString::to_string).collect();
        (!holders.is_empty()).then(|| holders.join(", "))
    }

    /// What the loops of all have done.
    pub(crate) fn query_stats(&self) -> Vec<IoThreadStats> {
        let threads = self.registry.threads().into_iter();
        let threads = threads.chain(self.registry.internal_threads());
        threads.map(|thread| described(&thread)).collect()
    }

    /// Why the server ends, if it does because a loop has failed.
    pub(crate) fn failure(&self) -> Option<&LoopFailure> {
        self.failure.first.get()
    }
}

/// What a loop has done, as the schema says it.
fn described(thread: &IoThread) -> IoThreadStats {
    let stats = thread.stats();
    let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    IoThreadStats {
        id: thread.id().to_owned(),
        thread_id: thread.thread_id().into(),
        internal: thread.is_internal(),
        dispatching_ns: ns(stats.busy),
        polling_ns: ns(stats.polled),
        blocked_ns: ns(stats.slept),
        iterations: stats.iterations,
        sleeps: stats.sleeps,
        poll_hits: stats.successful_polls,
        poll_misses: stats.polls.saturating_sub(stats.successful_polls),
        wakeups: stats.wakeups,
        fd_events: stats.fd_events,
        bottom_halves: stats.bottom_halves,
        posted: stats.posted,
        timers: stats.timers,
        panics: stats.panics,
        poll_ns: ns(stats.poll_time),
        fds: stats.fds,
        workers: stats.workers,
        work: stats.work,
    }
}

/// Ends the process in a while, whatever keeps it.
pub(crate) fn end_in_any_case() {
    let end = std::thread::Builder::new().spawn(|| {
        std::thread::sleep(END);
        report("the end takes too long");
        std::process::exit(1);
    });
    if let Err(error) = end {
        // Without a thread it could not be done.
        report(&format!("cannot start a thread: {error}"));
        std::process::exit(1);
    }
}
