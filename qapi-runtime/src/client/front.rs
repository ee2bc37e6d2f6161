//! What both clients make of commands and events, written once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{ClientError, ClientErrorKind};
use super::event::{EventFilter, RawEvent};
use super::hub::Hub;
use super::late::{LateReply, Outcome};
use super::listener::Listener;
use super::options::CallOptions;
use super::request::{Draft, Exchanged};
use crate::introspection::PeerSchema;
use crate::value::Value;

/// A client, of threads or of tasks. The functions of the one for threads block, so that their futures are ready at once.
pub(super) trait Front: Clone {
    /// What errors call the server.
    fn peer(&self) -> &Arc<str>;

    /// The time that commands have unless their options say otherwise.
    fn timeout(&self) -> Option<Duration>;

    /// Whether what the server does not know is not sent.
    fn refuses_unknown(&self) -> bool;

    /// Looks at the hub, or changes it.
    fn hub<T>(&self, look: impl FnOnce(&mut Hub) -> T) -> T;

    /// Sends a command, whatever it is, and waits for the reply, which is no error.
    async fn send(&self, draft: Draft, options: CallOptions) -> Result<Exchanged, ClientError>;

    /// Waits for what becomes of a command whose reply is late.
    async fn settled(&self, reply: &LateReply, timeout: Duration) -> Outcome;

    /// Waits for the next event of a listener; for ever without a time-out.
    async fn next(
        &self,
        listener: &Listener,
        timeout: Option<Duration>,
    ) -> Result<Arc<RawEvent>, ClientError>;
}

/// The time that there is for something that takes several steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    timeout: Option<Duration>,
    since: Instant,
}

impl Patience {
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        Self {
            timeout,
            since: Instant::now(),
        }
    }

    /// What is left of it; nothing where there is no limit.
    pub(super) fn left(self) -> Option<Duration> {
        let timeout = self.timeout?;
        Some(timeout.saturating_sub(self.since.elapsed()))
    }

    /// Options of a command that may take what is left.
    pub(super) fn options(self) -> CallOptions {
        let options = CallOptions::new();
        match self.left() {
            None => options,
            Some(left) => options.timeout(left),
        }
    }

    /// An error of one step as one of the whole.
    pub(super) fn kind_of(self, error: &ClientError) -> ClientErrorKind {
        match (error.kind(), self.timeout) {
            (ClientErrorKind::TimedOut(_), Some(timeout)) => ClientErrorKind::TimedOut(timeout),
            _ => ClientErrorKind::Closed,
        }
    }
}

/// Sends a command and waits for the reply, which is no error.
pub(super) async fn exchange<F: Front>(
    front: &F,
    draft: Draft,
    options: CallOptions,
) -> Result<Exchanged, ClientError> {
    if front.refuses_unknown() {
        let asking = Patience::new(options.timeout.or(front.timeout()));
        let schema = peer_schema(front, asking).await?;
        let arguments = draft.arguments();
        let known = schema.check(draft.command(), Some(arguments.root()));
        known.map_err(|unknown| draft.error(ClientErrorKind::NotKnown(unknown)))?;
    }
    front.send(draft, options).await
}

/// What the server tells of itself, which it is asked once on each connection.
pub(super) async fn peer_schema<F: Front>(
    front: &F,
    patience: Patience,
) -> Result<Arc<PeerSchema>, ClientError> {
    let (known, connection) = front.hub(|hub| hub.schema());
    if let Some(schema) = known {
        return Ok(schema);
    }
    let draft = Draft::new("query-qmp-schema", None::<&Value>, false)?;
    let told = front.send(draft, patience.options()).await?;
    let Some(schema) = PeerSchema::read(told.returned()) else {
        return Err(told.misfit("what it returns is no schema"));
    };
    let schema = Arc::new(schema);
    front.hub(|hub| hub.keep_schema(&schema, connection));
    Ok(schema)
}

/// Executes a command and waits for the first event that passes the filter and comes after it was sent.
pub(super) async fn execute_until<F: Front>(
    front: &F,
    draft: Draft,
    filter: EventFilter,
    mut options: CallOptions,
) -> Result<(Exchanged, Arc<RawEvent>), ClientError> {
    let patience = Patience::new(options.timeout.or(front.timeout()));
    let (listener, following) = Listener::following(filter.clone(), front.peer());
    options.following = Some(following);
    let exchanged = exchange(front, draft, options).await?;
    match front.next(&listener, patience.left()).await {
        Ok(event) => Ok((exchanged, event)),
        Err(error) => Err(exchanged.without(patience.kind_of(&error), &filter)),
    }
}
