//! What becomes of a command whose caller has given up.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::error::ClientErrorKind;
use super::request::{Answer, Deliver};
use crate::error::Error;
use crate::json::ValueRef;
use crate::lock::lock;
use crate::value::Value;

/// What is known of a command.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The server did not get it, and will not: it can be sent again.
    NotSent,
    /// The server has executed it, and returned this.
    Done(Value),
    /// The server has refused it.
    Refused(Error),
    /// The connection was lost before an answer came; whether the command was executed cannot be told by this connection.
    ConnectionLost,
    /// It was sent, and there is no answer yet.
    Unknown,
}

/// The answer that a command will have after its time was up.
///
/// It is matched by the number of the request however late it comes. Clones are of the same answer.
#[derive(Clone)]
pub struct LateReply {
    slot: Arc<Slot>,
}

#[derive(Default)]
struct Slot {
    outcome: Mutex<Option<Outcome>>,
    settled: Condvar,
    #[cfg(feature = "client-async")]
    told: tokio::sync::Notify,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<Outcome>> {
        lock(&self.outcome)
    }

    fn settle(&self, outcome: Outcome) {
        let mut known = self.lock();
        if known.is_none() {
            *known = Some(outcome);
            self.settled.notify_all();
            #[cfg(feature = "client-async")]
            self.told.notify_waiters();
        }
    }
}

/// The end at which the answer comes. One that goes without an answer tells that the connection has gone.
struct Sender(Arc<Slot>);

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.settle(Outcome::ConnectionLost);
    }
}

impl LateReply {
    /// A reply that is still to come, and what takes it.
    pub(super) fn new() -> (Self, Deliver) {
        let slot = Arc::<Slot>::default();
        let sender = Sender(Arc::clone(&slot));
        let deliver = move |answer: Result<Answer, ClientErrorKind>| {
            if let Ok(answer) = answer {
                sender.0.settle(Outcome::of(&answer));
            }
        };
        (Self { slot }, Box::new(deliver))
    }

    /// The reply to a command that has come, though what the caller waited for has not.
    pub(super) fn known(outcome: Outcome) -> Self {
        let slot = Arc::<Slot>::default();
        slot.settle(outcome);
        Self { slot }
    }

    /// What is known by now.
    pub fn outcome(&self) -> Outcome {
        self.slot.lock().clone().unwrap_or(Outcome::Unknown)
    }

    /// Waits until it is known what became of the command, but no longer than `timeout`.
    pub fn wait(&self, timeout: Duration) -> Outcome {
        let deadline = Instant::now().checked_add(timeout);
        let mut outcome = self.slot.lock();
        while outcome.is_none() {
            let left = deadline.map_or(Duration::MAX, |it| {
                it.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                break;
            }
            let waited = self.slot.settled.wait_timeout(outcome, left);
            outcome = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        outcome.clone().unwrap_or(Outcome::Unknown)
    }

    /// Waits until it is known what became of the command.
    #[cfg(feature = "client-async")]
    pub async fn settled(&self) -> Outcome {
        loop {
            let mut told = std::pin::pin!(self.slot.told.notified());
            // From here on nothing is missed.
            told.as_mut().enable();
            if let Some(outcome) = self.slot.lock().clone() {
                return outcome;
            }
            told.await;
        }
    }
}

impl Outcome {
    fn of(answer: &Answer) -> Self {
        match answer.result() {
            Ok(value) => Self::Done(ValueRef::to_value(value)),
            Err(error) => Self::Refused(error.clone()),
        }
    }
}

impl fmt::Debug for LateReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LateReply").field(&self.outcome()).finish()
    }
}
