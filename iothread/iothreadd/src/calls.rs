//! What becomes of QMP commands: how many there were, how they ended, and how long they took.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use qapi_runtime::Error;
use qapi_runtime::dispatch::{CommandInfo, Outcome, Service};
use qapi_runtime::visit::{Input, Output};
use tracing::{Instrument as _, Span, debug, debug_span};

use crate::cause::Cause;
use crate::latency::{Counted, Latencies, nanoseconds};
use crate::logging::COMMANDS;

/// The commands of all sessions.
#[derive(Debug)]
pub(crate) struct Calls {
    /// One for each command of the service, in its order.
    rows: Vec<Row>,
    n_unknown: AtomicU64,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    latencies: Latencies,
    n_done: AtomicU64,
    n_failed: AtomicU64,
}

/// What was counted of a command.
#[derive(Debug)]
pub(crate) struct CallCount {
    pub(crate) name: &'static str,
    /// All of them, those that failed included.
    pub(crate) over: Counted,
    pub(crate) n_done: u64,
    pub(crate) n_failed: u64,
}

impl Calls {
    /// For a service with these commands.
    pub(crate) fn new(names: impl Iterator<Item = &'static str>) -> Self {
        let rows = names.map(|name| Row {
            name,
            latencies: Latencies::default(),
            n_done: AtomicU64::new(0),
            n_failed: AtomicU64::new(0),
        });
        Self {
            rows: rows.collect(),
            n_unknown: AtomicU64::new(0),
        }
    }

    /// The commands that were ever executed.
    pub(crate) fn counts(&self) -> Vec<CallCount> {
        let counts = self.rows.iter().map(|row| CallCount {
            name: row.name,
            over: row.latencies.counted(),
            n_done: row.n_done.load(Ordering::Relaxed),
            n_failed: row.n_failed.load(Ordering::Relaxed),
        });
        counts.filter(|it| it.over.count() > 0).collect()
    }

    /// How many commands were asked for that do not exist.
    pub(crate) fn n_unknown(&self) -> u64 {
        self.n_unknown.load(Ordering::Relaxed)
    }

    fn note<T>(&self, index: usize, since: Instant, result: &Result<T, Error>) {
        let Some(row) = self.rows.get(index) else {
            return;
        };
        row.latencies.note(nanoseconds(since, Instant::now()));
        let number = match result {
            Ok(_) => &row.n_done,
            Err(_) => &row.n_failed,
        };
        number.fetch_add(1, Ordering::Relaxed);
    }
}

/// The commands of a session of a monitor, whose calls are counted and logged.
pub(crate) struct CountedService<S> {
    service: S,
    calls: Arc<Calls>,
    monitor: String,
}

impl<S: Service> CountedService<S> {
    pub(crate) fn new(service: S, calls: &Arc<Calls>, monitor: &str) -> Self {
        Self {
            service,
            calls: Arc::clone(calls),
            monitor: monitor.to_owned(),
        }
    }
}

impl<S: Service> Service for CountedService<S> {
    fn commands(&self) -> &[CommandInfo] {
        self.service.commands()
    }

    fn find(&self, name: &str) -> Option<usize> {
        let found = self.service.find(name);
        if found.is_none() {
            self.calls.n_unknown.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    fn call(
        &self,
        index: usize,
        input: &mut Input<'_>,
        output: &mut Output,
    ) -> Result<Outcome, Error> {
        let name = self.service.commands().get(index).map_or("", |it| it.name);
        let (since, cause) = (Instant::now(), Cause::new(name));
        let span = debug_span!(target: COMMANDS, "command", name, monitor = &*self.monitor);
        let result = {
            let _within = cause.enter();
            let _entered = span.enter();
            self.service.call(index, input, output)
        };
        match result {
            Ok(Outcome::Pending(future)) => {
                let calls = Arc::clone(&self.calls);
                Ok(Outcome::Pending(Box::pin(async move {
                    let result = cause.during(future.instrument(span.clone())).await;
                    calls.note(index, since, &result);
                    log(&span, &result);
                    result
                })))
            }
            result @ (Ok(Outcome::Done) | Err(_)) => {
                self.calls.note(index, since, &result);
                log(&span, &result);
                result
            }
        }
    }
}

/// Says how a call has ended.
fn log<T>(span: &Span, result: &Result<T, Error>) {
    let _entered = span.enter();
    match result {
        Ok(_) => debug!(target: COMMANDS, "done"),
        Err(error) => debug!(target: COMMANDS, error = &*error.desc, "failed"),
    }
}
