//! One client: its transport, and the task that drives its session.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use super::thread::blocking;
use super::{RunsInline, Shared, Stop};
use crate::descriptor::{DESCRIPTOR_PATIENCE, Descriptors, PeerCredentials};
use crate::dispatch::{Reply, Service};
use crate::error::Error;
use crate::message::EventData;
use crate::session::{
    Call, CallId, EventMessage, MEMORY_PATIENCE, Session, SessionControl, Started,
};
use crate::transport::{Reader, Transport, Writer};
use crate::visit::VisitError;

/// Bytes read at a time.
const READ_SIZE: usize = 16 << 10;

/// How long a server that shuts down waits for what is still on its way from a client.
const LAST_INPUT_PAUSE: Duration = Duration::from_millis(20);

/// How often a client that nothing is read from is looked at.
const GONE_CHECK: Duration = Duration::from_millis(250);

/// How many bytes of that it takes at most, from a client that never pauses.
const MAX_LAST_INPUT: usize = 1 << 20;

/// Who a client is, as far as its socket tells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peer {
    pub(super) credentials: Option<PeerCredentials>,
    pub(super) address: Option<SocketAddr>,
}

/// What a service may know of the client that it is made for.
#[derive(Clone, Debug)]
pub struct Connection {
    number: u64,
    peer: Peer,
    control: SessionControl,
    descriptors: Descriptors,
    server: Weak<Shared>,
    is_cancelled: Arc<watch::Sender<bool>>,
}

impl Connection {
    pub(super) fn new(
        number: u64,
        peer: Peer,
        control: SessionControl,
        server: Weak<Shared>,
    ) -> Self {
        Self {
            number,
            peer,
            server,
            control,
            descriptors: Descriptors::default(),
            is_cancelled: Arc::new(watch::Sender::new(false)),
        }
    }

    /// The connection of no server, whose client is never gone: for tests of handlers.
    #[must_use]
    pub fn detached() -> Self {
        Self::new(0, Peer::default(), SessionControl::default(), Weak::new())
    }

    fn cancel(&self) {
        self.is_cancelled.send_replace(true);
    }

    /// Whether handlers had better come to an end: the server shuts down, or what they return is not waited for, because the
    /// client is gone or the session is over. For handlers that take long.
    ///
    /// That a client is gone is noticed within a second on a unix socket, and when the connection is reset on TCP. A client
    /// that has only closed its sending half still gets its replies.
    pub fn is_cancelled(&self) -> bool {
        *self.is_cancelled.borrow()
    }

    /// Waits until handlers had better come to an end, see [`Connection::is_cancelled`]. For handlers that are futures:
    ///
    /// ```no_run
    /// # use qapi_runtime::server::Connection;
    /// # async fn handler(connection: Connection) -> Result<(), qapi_runtime::Error> {
    /// # let job = std::future::ready(());
    /// tokio::select! {
    ///     () = job => Ok(()),
    ///     () = connection.cancelled() => Err(qapi_runtime::Error::generic("cancelled")),
    /// }
    /// # }
    /// ```
    pub async fn cancelled(&self) {
        let mut is_cancelled = self.is_cancelled.subscribe();
        // An error would mean that the sender is gone, which this holds.
        let _ = is_cancelled.wait_for(|is_cancelled| *is_cancelled).await;
    }

    /// Counts the connections of a server, from 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Who has connected, if that was on a unix socket.
    pub fn peer_credentials(&self) -> Option<PeerCredentials> {
        self.peer.credentials
    }

    /// Where the client has connected from, if that was over TCP.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        self.peer.address
    }

    /// What ends the session, and the phase of `preconfig`: for the handlers of `quit` and `x-exit-preconfig`.
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

    /// Sends an event to this client alone, at any rate.
    pub fn emit_to_client(&self, event: EventMessage) {
        if let Some(server) = self.server.upgrade() {
            server.emit_to(self.number, event);
        }
    }

    /// The descriptors that the client has sent: for the handlers of `getfd` and `add-fd`.
    /// Only a unix socket brings any.
    #[cfg(unix)]
    pub fn descriptors(&self) -> &Descriptors {
        &self.descriptors
    }
}

/// Tells the handlers when the session is over, however it ends.
struct CancelAtEnd<'a>(&'a Connection);

impl Drop for CancelAtEnd<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Why the task of a session wakes up.
enum Wake {
    Read(io::Result<usize>),
    Written(io::Result<usize>),
    Completed(CallId, Result<Reply, Error>),
    Events,
    Stop(Stop),
    Memory,
    Time(Alarm),
}

/// What it may be time for.
#[derive(Clone, Copy)]
enum Alarm {
    /// Nothing more comes from a client of a server that shuts down.
    NoMoreInput,
    /// To see whether the client is still there, while nothing is read.
    IsGone,
    /// To refuse a value for which there is no memory.
    Refuse,
    /// To close descriptors that were not taken.
    CloseDescriptors,
}

/// What is to be done by when.
#[derive(Default)]
struct Deadlines {
    memory: Option<Instant>,
    descriptors: Option<Instant>,
}

/// One client of a server, and what its task is made of.
pub(super) struct Client<'a> {
    pub(super) session: Session,
    pub(super) connection: &'a Connection,
    pub(super) service: Arc<dyn Service>,
    pub(super) runs_inline: Arc<RunsInline>,
    /// Told when events wait.
    pub(super) events: &'a Notify,
    pub(super) stop: watch::Receiver<Stop>,
}

/// How a session has ended.
pub(super) struct End {
    /// The name of another protocol, if the client began like it.
    pub(super) foreign_protocol: Option<&'static str>,
    /// How many commands have no reply that the client has read, because the server could not wait any longer.
    pub(super) n_unanswered: usize,
}

impl Client<'_> {
    /// Drives the session until it is over.
    pub(super) async fn serve(mut self, transport: Transport) -> End {
        let _cancel = CancelAtEnd(self.connection);
        let (mut reader, mut writer) = transport.split();
        let n_unanswered = self.drive(&mut reader, &mut writer).await;
        if n_unanswered.is_none() {
            tokio::select! {
                () = writer.close() => {}
                _ = self.stop.wait_for(|stop| *stop == Stop::AtOnce) => {}
            }
        }
        End {
            foreign_protocol: self.session.foreign_protocol(),
            n_unanswered: n_unanswered.unwrap_or(0),
        }
    }

    /// `None` if the session has come to its end; otherwise how many commands have no reply although the client may still be
    /// there.
    async fn drive(&mut self, reader: &mut Reader, writer: &mut Writer) -> Option<usize> {
        let Self {
            session,
            connection,
            service,
            runs_inline,
            events,
            stop,
        } = self;
        let descriptors = &connection.descriptors;
        let (completed, mut completions) = mpsc::unbounded_channel();
        let mut buffer = vec![0; READ_SIZE];
        let mut pending = 0..0;
        // Once the server shuts down: how much may still be read.
        let mut last_input: Option<usize> = None;
        let mut deadlines = Deadlines::default();
        while !session.is_finished() {
            let stopping = last_input.is_some();
            let wants_input = session.wants_input() && pending.is_empty();
            let is_short = session.is_short_of_memory() && pending.is_empty();
            let has_output = !session.output().is_empty() || writer.needs_flush();
            let now = Instant::now();
            deadlines.memory = (is_short && session.is_mid_value())
                .then(|| deadlines.memory.unwrap_or(now + MEMORY_PATIENCE));
            let alarm = [
                (wants_input && stopping).then(|| (now + LAST_INPUT_PAUSE, Alarm::NoMoreInput)),
                (!wants_input).then(|| (now + GONE_CHECK, Alarm::IsGone)),
                deadlines.memory.map(|at| (at, Alarm::Refuse)),
                deadlines
                    .descriptors
                    .map(|at| (at, Alarm::CloseDescriptors)),
            ];
            let alarm = alarm.into_iter().flatten().min_by_key(|(at, _)| *at);
            let wake = {
                let stopped = pin!(stop.wait_for(|stop| match stop {
                    Stop::No => false,
                    Stop::Orderly => !stopping,
                    Stop::AtOnce => true,
                }));
                tokio::select! {
                    biased;
                    written = writer.write(session.output(), &[]), if has_output => {
                        Wake::Written(written)
                    }
                    Some((call, result)) = completions.recv() => Wake::Completed(call, result),
                    () = events.notified() => Wake::Events,
                    // The sender is gone with the server, which ends no session by that.
                    Ok(stop) = stopped => Wake::Stop(*stop),
                    read = reader.read(&mut buffer, Some(descriptors)), if wants_input => {
                        Wake::Read(read)
                    }
                    () = poll_fn(|context| session.poll_memory(context)), if is_short => {
                        Wake::Memory
                    }
                    // Made when it is waited for, which is rarely.
                    alarm = ring(alarm), if alarm.is_some() => Wake::Time(alarm),
                }
            };
            match wake {
                // A connection that fails is at its end as well.
                Wake::Read(Ok(0) | Err(_)) => {
                    session.end_of_input();
                    if reader.peer_is_gone() {
                        return Some(0);
                    }
                }
                Wake::Read(Ok(count)) => {
                    pending = 0..count;
                    last_input = last_input.map(|left| left.saturating_sub(count));
                }
                Wake::Written(Ok(count)) if count > 0 || session.output().is_empty() => {
                    session.consume_output(count);
                }
                // The client does not read any more, so it is not answered.
                Wake::Written(_) => return Some(0),
                Wake::Completed(call, result) => session.complete(call, result),
                Wake::Events => session.take_events(),
                Wake::Stop(Stop::AtOnce) => return Some(session.n_unanswered()),
                Wake::Stop(Stop::No | Stop::Orderly) => {
                    last_input = Some(MAX_LAST_INPUT);
                    connection.cancel();
                }
                Wake::Memory => {}
                Wake::Time(Alarm::NoMoreInput) => session.end_of_input(),
                Wake::Time(Alarm::IsGone) => {
                    if reader.peer_is_gone() {
                        return Some(0);
                    }
                }
                Wake::Time(Alarm::Refuse) => session.refuse_value(),
                Wake::Time(Alarm::CloseDescriptors) => descriptors.close_unclaimed(),
            }
            let mut input = &buffer[pending.clone()];
            while let Some(call) = session.advance(&mut input, &**service, &**runs_inline) {
                run(call, service, &completed);
            }
            pending.start = pending.end - input.len();
            if last_input == Some(0) && pending.is_empty() {
                session.end_of_input();
            }
            if pending.is_empty() && !session.holds_input() {
                descriptors.close_consumed();
            }
            deadlines.descriptors = (!descriptors.is_empty()).then(|| {
                let patience = Instant::now() + DESCRIPTOR_PATIENCE;
                deadlines.descriptors.unwrap_or(patience)
            });
        }
        None
    }
}

/// Waits until it is time for something.
async fn ring(alarm: Option<(Instant, Alarm)>) -> Alarm {
    match alarm {
        Some((at, alarm)) => {
            tokio::time::sleep_until(at).await;
            alarm
        }
        None => std::future::pending().await,
    }
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
            let started = blocking(move || call.start(&*service)).await;
            // Panics of handlers are caught inside, so it has not begun.
            started.unwrap_or_else(|error| {
                Started::Done(Err(Error::generic(format!(
                    "the command could not be started: {error}"
                ))))
            })
        };
        let result = match started {
            Started::Done(result) => result,
            Started::Pending(future) => future.await,
        };
        // The session may be gone, and with it the client that was to get the reply.
        let _ = completed.send((id, result));
    });
}
