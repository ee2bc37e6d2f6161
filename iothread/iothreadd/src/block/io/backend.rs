//! A user's way to a node: its requests, counted.

use std::sync::Arc;

use iothread::{AioContext, ContextError, Dispatch};
use rustix::io::Errno;
use tracing::{Span, trace, trace_span};

use super::account::{Accounts, Begun, UserPath};
use super::under_way::UnderWay;
use super::{IoBuffer, NodeIo, Outcome, Request, Step, Totals};
use crate::finally::Finally;
use crate::logging::REQUESTS;
use crate::sync::Mutex;

/// What one user of a node sends its requests through. Any thread may; the requests end where the user says.
pub(crate) struct Backend {
    io: Arc<NodeIo>,
    in_flight: Arc<InFlight>,
}

/// How far a request came at once.
pub(crate) enum Started {
    /// To its end, without waiting for anything.
    Done(Outcome),
    /// It has to wait.
    Waiting(Pending),
}

/// A request that has to wait; nothing happens before it is given a context.
#[must_use = "a request that is dropped is never carried out"]
pub(crate) struct Pending {
    step: Step,
    token: Entered,
    begun: Begun,
    span: Span,
}

impl Backend {
    pub(in crate::block) fn new(io: Arc<NodeIo>, user: &UserPath) -> Self {
        let in_flight = Arc::new(InFlight {
            user: Arc::clone(user),
            requests: UnderWay::default(),
            accounts: Accounts::default(),
            past: Arc::clone(&io.past),
        });
        io.add_way(&in_flight);
        Self { io, in_flight }
    }

    /// The size of the node in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.io.size()
    }

    /// What was asked for through it so far.
    pub(crate) fn totals(&self) -> Totals {
        self.in_flight.totals()
    }

    /// Starts a request. What the page cache has is read at once, on this thread.
    ///
    /// A request that does not fit the node ends with `EIO`, one that would change a read-only node with `EPERM`.
    pub(crate) fn start(&self, request: Request) -> Started {
        // Before it is looked at whether the node is active, so that who deactivates it sees one or the other.
        let token = self.enter();
        let begun = Begun::now(&request.operation);
        let span = trace_span!(
            target: REQUESTS,
            "request",
            user = &*self.in_flight.user,
            operation = request.operation.name(),
            offset = request.offset,
            length = request.operation.length(),
        );
        match NodeIo::start(&self.io, request) {
            Step::Done(outcome) => {
                self.in_flight.end(&begun, &outcome, &span);
                Started::Done(outcome)
            }
            step @ (Step::Blocking { .. } | Step::Delayed { .. }) => Started::Waiting(Pending {
                step,
                token,
                begun,
                span,
            }),
        }
    }

    /// Keeps `idle` until the node does nothing on behalf of this user: no worker touches its file, and nobody who has
    /// [entered](Self::enter) is left. New requests have to be kept away meanwhile. Completions may still be on their way to
    /// their contexts.
    pub(crate) fn keep_until_idle(&self, idle: &Finally) {
        self.in_flight.keep_until_idle(idle);
    }

    /// Whether the node does nothing on behalf of this user.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.requests.is_idle()
    }

    /// Announces requests: until the value is dropped the user is not idle.
    pub(crate) fn enter(&self) -> Entered {
        InFlight::begin(&self.in_flight)
    }
}

impl Pending {
    /// Whether it hardly blocks, so that several are done sooner by one worker than by several: short writes into the page
    /// cache.
    pub(crate) fn is_quick(&self) -> bool {
        match &self.step {
            Step::Blocking { io, request, .. } => io.is_quick(&request.operation),
            Step::Done(_) | Step::Delayed { .. } => false,
        }
    }

    /// As [`finish`](Self::finish), for quick requests together: one worker does them in their order, and `done` is called
    /// once, with their outcomes in that order.
    ///
    /// # Errors
    ///
    /// As there.
    pub(crate) fn finish_together(
        pending: Vec<Self>,
        context: &AioContext,
        done: impl FnOnce(&mut Dispatch<'_>, Vec<Outcome>) + Send + 'static,
    ) -> Result<(), ContextError> {
        let count = pending.len();
        context.spawn_blocking(
            move || pending.into_iter().map(Self::run).collect::<Vec<_>>(),
            move |dispatch, outcomes| {
                let failed = |_| (0..count).map(|_| failure()).collect();
                done(dispatch, outcomes.unwrap_or_else(failed));
            },
        )
    }

    /// Carries it out, blocking the caller.
    fn run(self) -> Outcome {
        let Self {
            step,
            token,
            begun,
            span,
        } = self;
        match step {
            Step::Blocking {
                io,
                request,
                progress,
            } => {
                let outcome = io.run_blocking(request, progress);
                token.0.end(&begun, &outcome, &span);
                // The file may be closed from here on.
                drop(io);
                drop(token);
                outcome
            }
            Step::Done(outcome) | Step::Delayed { outcome, .. } => outcome,
        }
    }

    /// Goes on with the request. `done` is called once, on the thread of `context`; a request with a latency whose context
    /// is given back meanwhile ends at once.
    ///
    /// # Errors
    ///
    /// The context is gone; `done` is never called.
    pub(crate) fn finish(
        self,
        context: &AioContext,
        done: impl FnOnce(&mut Dispatch<'_>, Outcome) + Send + 'static,
    ) -> Result<(), ContextError> {
        let Self {
            step,
            token,
            begun,
            span,
        } = self;
        match step {
            Step::Done(outcome) => context.post(move |dispatch| done(dispatch, outcome)),
            step @ Step::Blocking { .. } => context.spawn_blocking(
                move || {
                    let pending = Self {
                        step,
                        token,
                        begun,
                        span,
                    };
                    pending.run()
                },
                move |dispatch, outcome| {
                    // A panic has been reported; the request has failed then.
                    done(dispatch, outcome.unwrap_or_else(|_| failure()));
                },
            ),
            Step::Delayed { delay, outcome } => {
                // Nothing below is in use, so it is not waited for.
                let in_flight = Arc::clone(&token.0);
                drop(token);
                context.post_after(delay, move |dispatch| {
                    in_flight.end(&begun, &outcome, &span);
                    done(dispatch, outcome);
                })
            }
        }
    }
}

/// The outcome of a request that was lost.
fn failure() -> Outcome {
    Outcome::new(Err(Errno::IO), IoBuffer::default())
}

/// The requests of a user: how many workers have, and what has become of the others.
pub(super) struct InFlight {
    user: UserPath,
    requests: UnderWay,
    accounts: Accounts,
    /// Where the node keeps what was counted for users that are gone.
    past: Arc<Mutex<Totals>>,
}

/// One request, or somebody who is about to start some; it is over when the value is dropped.
pub(crate) struct Entered(Arc<InFlight>);

impl InFlight {
    pub(super) fn is_of(&self, user: &str) -> bool {
        *self.user == *user
    }

    pub(super) fn totals(&self) -> Totals {
        self.accounts.totals()
    }

    /// A request has ended.
    fn end(&self, begun: &Begun, outcome: &Outcome, span: &Span) {
        self.accounts.note(begun, outcome);
        let _entered = span.enter();
        match outcome.result {
            Ok(()) => trace!(target: REQUESTS, "done"),
            Err(error) => trace!(target: REQUESTS, %error, "failed"),
        }
    }

    fn begin(in_flight: &Arc<Self>) -> Entered {
        in_flight.requests.begin();
        Entered(Arc::clone(in_flight))
    }

    pub(super) fn keep_until_idle(&self, idle: &Finally) {
        self.requests.keep_until_idle(idle);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        *self.past.lock() += self.accounts.totals();
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.requests.end();
    }
}
