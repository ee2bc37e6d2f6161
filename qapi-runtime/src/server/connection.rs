//! One client: its transport, and the task that drives its session.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};

use super::{RunsInline, Shared};
use crate::descriptor::Descriptors;
use crate::dispatch::{EventData, Reply, Service};
use crate::error::Error;
use crate::session::{Call, CallId, EventMessage, Session, SessionControl, Started};
use crate::transport::Transport;
use crate::visit::VisitError;

/// Bytes read at a time.
const READ_SIZE: usize = 16 << 10;

/// How long a server that shuts down waits for what is still on its way from a client.
const LAST_INPUT_PAUSE: Duration = Duration::from_millis(20);

/// How many bytes of that it takes at most, from a client that never pauses.
const MAX_LAST_INPUT: usize = 1 << 20;

/// What a service may know of the client that it is made for.
#[derive(Clone, Debug)]
pub struct Connection {
    number: u64,
    control: SessionControl,
    descriptors: Descriptors,
    server: Weak<Shared>,
}

impl Connection {
    pub(super) fn new(number: u64, server: Weak<Shared>) -> Self {
        Self {
            number,
            server,
            control: SessionControl::default(),
            descriptors: Descriptors::default(),
        }
    }

    /// Counts the connections of a server, from 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What ends the session: for the handler of `quit`.
    pub fn control(&self) -> &SessionControl {
        &self.control
    }

    /// Sends an event to all clients of the server, as [`Server::emit`](super::Server::emit): for handlers.
    pub fn emit(&self, event: EventMessage) {
        if let Some(server) = self.server.upgrade() {
            server.emit(event);
        }
    }

    /// Sends an event of a generated type to all clients of the server, as
    /// [`Server::emit_event`](super::Server::emit_event): for handlers.
    ///
    /// # Errors
    ///
    /// Data that no peer can be sent.
    pub fn emit_event<E: EventData>(&self, event: &E) -> Result<(), VisitError> {
        match self.server.upgrade() {
            Some(server) => server.emit_event(event),
            None => Ok(()),
        }
    }

    /// The descriptors that the client has sent: for the handlers of `getfd` and `add-fd`.
    /// Only a unix socket brings any.
    pub fn descriptors(&self) -> &Descriptors {
        &self.descriptors
    }
}

/// Why the task of a session wakes up.
enum Wake {
    Read(io::Result<usize>),
    Written(io::Result<usize>),
    Completed(CallId, Result<Reply, Error>),
    Events,
    Stop,
    NoMoreInput,
}

/// Drives a session until it is over.
pub(super) async fn serve(
    transport: Transport,
    mut session: Session,
    connection: Connection,
    service: Arc<dyn Service>,
    runs_inline: Arc<RunsInline>,
    events: &Notify,
    mut stop: watch::Receiver<bool>,
) {
    let (mut reader, mut writer) = transport.split();
    let (completed, mut completions) = mpsc::unbounded_channel();
    let mut buffer = vec![0; READ_SIZE];
    let mut pending = 0..0;
    // Once the server shuts down: how much may still be read.
    let mut last_input: Option<usize> = None;
    while !session.is_finished() {
        let stopping = last_input.is_some();
        let wants_input = session.wants_input() && pending.is_empty();
        let has_output = !session.output().is_empty() || writer.needs_flush();
        let wake = {
            let stopped = pin!(stop.wait_for(|stop| *stop));
            tokio::select! {
                biased;
                written = writer.write(session.output(), &[]), if has_output => {
                    Wake::Written(written)
                }
                Some((call, result)) = completions.recv() => Wake::Completed(call, result),
                () = events.notified() => Wake::Events,
                _ = stopped, if !stopping => Wake::Stop,
                read = reader.read(&mut buffer, &connection.descriptors), if wants_input => {
                    Wake::Read(read)
                }
                // Made when it is waited for, which is rarely.
                () = async { tokio::time::sleep(LAST_INPUT_PAUSE).await },
                    if wants_input && stopping => Wake::NoMoreInput,
            }
        };
        match wake {
            Wake::Read(Ok(0) | Err(_)) => session.end_of_input(),
            Wake::Read(Ok(count)) => {
                pending = 0..count;
                last_input = last_input.map(|left| left.saturating_sub(count));
            }
            Wake::Written(Ok(count)) if count > 0 || session.output().is_empty() => {
                session.consume_output(count);
            }
            // Nobody reads any more, so there is nobody to answer.
            Wake::Written(_) => return,
            Wake::Completed(call, result) => session.complete(call, result),
            Wake::Events => session.take_events(),
            Wake::Stop => last_input = Some(MAX_LAST_INPUT),
            Wake::NoMoreInput => session.end_of_input(),
        }
        let mut input = &buffer[pending.clone()];
        while let Some(call) = session.advance(&mut input, &*service, &*runs_inline) {
            run(call, &service, &completed);
        }
        pending.start = pending.end - input.len();
        if last_input == Some(0) && pending.is_empty() {
            session.end_of_input();
        }
    }
    writer.close().await;
}

/// Runs a call away from its session.
fn run(
    call: Call,
    service: &Arc<dyn Service>,
    completed: &mpsc::UnboundedSender<(CallId, Result<Reply, Error>)>,
) {
    let id = call.id();
    let completed = completed.clone();
    let service = Arc::clone(service);
    tokio::spawn(async move {
        let started = if call.is_future() {
            call.start(&*service)
        } else {
            match tokio::task::spawn_blocking(move || call.start(&*service)).await {
                Ok(started) => started,
                // Panics are caught inside, so this is the end of the runtime.
                Err(_) => Started::Done(Err(Error::generic("the server is shutting down"))),
            }
        };
        let result = match started {
            Started::Done(result) => result,
            Started::Pending(future) => future.await,
        };
        // The session may be gone.
        let _ = completed.send((id, result));
    });
}
