//! The client for programs with threads.
//!
//! ```no_run
//! use std::time::Duration;
//! use qapi_runtime::client::blocking::Client;
//! use qapi_runtime::client::{Address, CallOptions, ConnectOptions, EventFilter};
//!
//! # fn main() -> Result<(), qapi_runtime::client::ClientError> {
//! let options = ConnectOptions::new(Address::unix("/run/example/qmp.sock"))
//!     .wait_for_socket(Duration::from_secs(5));
//! let client = Client::connect(options)?;
//! let stopped = client.listen(EventFilter::name("STOP"));
//! client.execute_raw("stop", None, CallOptions::new())?;
//! stopped.next(Some(Duration::from_secs(1)))?;
//! # Ok(())
//! # }
//! ```

mod connection;
mod jobs;
mod now;
mod plans;
mod until;

use std::fmt;
use std::io::{Read, Write};
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use self::connection::{Inner, Phase, establish, open};
pub use self::jobs::Job;
use self::now::now;
pub use self::plans::Plan;
use super::core::Greeting;
use super::error::{ClientError, ClientErrorKind};
use super::establish::not_opened;
use super::event::{EventFilter, RawEvent};
use super::front::{Front, Patience, exchange, peer_schema};
use super::hub::Hub;
use super::late::{LateReply, Outcome};
use super::lifeline::Lifeline;
use super::listener::Listener;
use super::options::{CallOptions, ConnectOptions};
use super::request::{Draft, Exchanged, SILENT_SUCCESS};
use super::stream::{Stream, time_to};
use crate::descriptor::PeerCredentials;
use crate::introspection::PeerSchema;
use crate::lock::lock;
use crate::message::Request;
use crate::value::Value;

/// A connection to a server. Clones share it; the last one closes it.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

impl Client {
    /// Connects to a server and negotiates.
    ///
    /// # Errors
    ///
    /// The server is not there in time, or does not behave.
    pub fn connect(options: ConnectOptions) -> Result<Self, ClientError> {
        let hub = Hub::new(&options);
        let stream = open(&options, options.wait)?;
        Self::start(options, hub, stream)
    }

    /// Connects to a server and listens from its first word on.
    ///
    /// # Errors
    ///
    /// The server is not there in time, or does not behave.
    pub fn connect_and_listen(
        options: ConnectOptions,
        filter: EventFilter,
    ) -> Result<(Self, Events), ClientError> {
        let mut hub = Hub::new(&options);
        let events = Events(Listener::of(&mut hub, filter, &options.peer(), true));
        let stream = open(&options, options.wait)?;
        Ok((Self::start(options, hub, stream)?, events))
    }

    /// Takes a connection that is there already, of any kind: TLS, for example. The options are those of
    /// [`ConnectOptions::for_stream`].
    ///
    /// A thread reads, which ends when `reader` does: [`Client::close`] drops `writer`, upon which a peer hangs up. A time-out
    /// does not end a write; give the writer one of its own if it has such a thing.
    ///
    /// # Errors
    ///
    /// The server does not behave.
    pub fn connect_stream(
        options: ConnectOptions,
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
    ) -> Result<Self, ClientError> {
        let stream = Stream::of_any(reader, writer).map_err(|error| not_opened(error, &options))?;
        let hub = Hub::new(&options);
        Self::start(options, hub, stream)
    }

    /// Takes a descriptor that is a connection already: one of a pair of sockets, a socket of whatever family, a terminal or a
    /// port of a virtual machine. Whether it blocks is set as the client needs it.
    ///
    /// # Errors
    ///
    /// A socket that listens, or a server that does not behave.
    #[cfg(unix)]
    pub fn connect_descriptor(
        options: ConnectOptions,
        descriptor: OwnedFd,
    ) -> Result<Self, ClientError> {
        let stream = Stream::of_opened(descriptor.into());
        let stream = stream.map_err(|error| not_opened(error, &options))?;
        let hub = Hub::new(&options);
        Self::start(options, hub, stream)
    }

    fn start(options: ConnectOptions, mut hub: Hub, stream: Stream) -> Result<Self, ClientError> {
        establish(&stream, &options, &mut hub)?;
        let inner = Inner::start(options, hub, stream)?;
        Ok(Self { inner })
    }

    /// What the server said of itself; the guest agent says nothing.
    pub fn greeting(&self) -> Option<Greeting> {
        lock(&self.inner.state).greeting.clone()
    }

    /// Who is at the other end of a unix socket: who has made the socket that listens, to be exact. `None` where it cannot be
    /// told.
    pub fn peer_credentials(&self) -> Option<PeerCredentials> {
        lock(&self.inner.state).credentials
    }

    /// Executes a command.
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`].
    pub fn execute<R: Request>(&self, request: &R) -> Result<R::Returns, ClientError> {
        self.execute_with(request, CallOptions::new())
    }

    /// Executes a command in some other way than the usual one.
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`].
    pub fn execute_with<R: Request>(
        &self,
        request: &R,
        options: CallOptions,
    ) -> Result<R::Returns, ClientError> {
        let draft = Draft::of(request, options.out_of_band)?;
        self.exchange(draft, options)?.decode()
    }

    /// Executes a command without types.
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`].
    pub fn execute_raw(
        &self,
        command: &str,
        arguments: Option<&Value>,
        options: CallOptions,
    ) -> Result<Value, ClientError> {
        let draft = Draft::new(command, arguments, options.out_of_band)?;
        self.exchange(draft, options)?.decode()
    }

    fn exchange(&self, draft: Draft, options: CallOptions) -> Result<Exchanged, ClientError> {
        match self.refuses_unknown() {
            true => now(exchange(self, draft, options)),
            false => self.send_now(draft, options),
        }
    }

    fn send_now(&self, draft: Draft, mut options: CallOptions) -> Result<Exchanged, ClientError> {
        let is_answered = draft.is_answered;
        let timeout = options
            .timeout
            .or((!is_answered).then_some(SILENT_SUCCESS))
            .or(self.inner.options.timeout);
        let deadline = timeout.map(|timeout| (Instant::now() + timeout, timeout));
        let (request, answers) = self.inner.send(&draft, &mut options, deadline)?;
        let answer =
            match deadline {
                None => answers.recv().unwrap_or(Err(ClientErrorKind::Closed)),
                Some((deadline, timeout)) => answers
                    .recv_timeout(time_to(deadline))
                    .unwrap_or_else(|error| {
                        Err(match error {
                            RecvTimeoutError::Timeout => ClientErrorKind::TimedOut(timeout),
                            RecvTimeoutError::Disconnected => ClientErrorKind::Closed,
                        })
                    }),
            };
        let (answer, late) = match answer {
            Err(ClientErrorKind::TimedOut(timeout)) => {
                self.inner
                    .give_up(request.id(), is_answered, &answers, timeout)
            }
            answer => (answer, None),
        };
        let peer = &self.inner.peer;
        Exchanged::settle(answer, request, is_answered, peer)
            .map_err(|error| error.after_sending(late).of_peer(peer))
    }

    /// Listens to events from now on, also those of later connections.
    ///
    /// What came before anybody listened is kept, up to 1,024 events, for the first listeners that want them: nothing is lost
    /// between [`Client::connect`] and this. [`Client::connect_and_listen`] is for more than that.
    pub fn listen(&self, filter: EventFilter) -> Events {
        self.listen_from(filter, true)
    }

    fn listen_from(&self, filter: EventFilter, is_first: bool) -> Events {
        let mut state = lock(&self.inner.state);
        if state.phase == Phase::Closed {
            return Events(Listener::over(&self.inner.peer));
        }
        Events(Listener::of(
            &mut state.hub,
            filter,
            &self.inner.peer,
            is_first,
        ))
    }

    /// Waits for the next event that passes the filter. Events that came before do not count:
    /// [`Client::listen`] before the command that causes the event, if it may come soon.
    ///
    /// # Errors
    ///
    /// No such event in time, or the end of the connection.
    pub fn wait_for_event(
        &self,
        filter: EventFilter,
        timeout: Option<Duration>,
    ) -> Result<Arc<RawEvent>, ClientError> {
        self.listen_from(filter, false).next(timeout)
    }

    /// What the server tells of itself. It is asked once on each connection.
    ///
    /// ```no_run
    /// # fn example(client: qapi_runtime::client::blocking::Client) -> Result<(), qapi_runtime::client::ClientError> {
    /// let server = client.peer_schema()?;
    /// if server.has("blockdev-add/arguments/driver=qcow2/discard-no-unref") {
    ///     // This QEMU is new enough for it, or has it from its distribution.
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`]. Guest agents do not tell.
    pub fn peer_schema(&self) -> Result<Arc<PeerSchema>, ClientError> {
        now(peer_schema(self, Patience::new(self.inner.options.timeout)))
    }

    /// Begins to do several things as one: when one of them fails, those before are undone.
    pub fn plan(&self) -> Plan {
        Plan::new(self)
    }

    /// How the server is, if it has so long for an answer: told by what came and what is waited for, without asking it.
    pub fn lifeline(&self, patience: Duration) -> Lifeline {
        lock(&self.inner.state).hub.lifeline(patience)
    }

    /// Closes the connection for all clones. Commands in flight end with
    /// [`ClientErrorKind::Closed`].
    pub fn close(&self) {
        self.inner.close();
    }

    /// Whether the connection is closed for good: by [`Client::close`], or because it is lost and not made again.
    pub fn is_closed(&self) -> bool {
        lock(&self.inner.state).phase == Phase::Closed
    }
}

impl Front for Client {
    fn peer(&self) -> &Arc<str> {
        &self.inner.peer
    }

    fn timeout(&self) -> Option<Duration> {
        self.inner.options.timeout
    }

    fn refuses_unknown(&self) -> bool {
        self.inner.options.refuses_unknown
    }

    fn hub<T>(&self, look: impl FnOnce(&mut Hub) -> T) -> T {
        look(&mut lock(&self.inner.state).hub)
    }

    async fn send(&self, draft: Draft, options: CallOptions) -> Result<Exchanged, ClientError> {
        self.send_now(draft, options)
    }

    async fn settled(&self, reply: &LateReply, timeout: Duration) -> Outcome {
        reply.wait(timeout)
    }

    async fn next(
        &self,
        listener: &Listener,
        timeout: Option<Duration>,
    ) -> Result<Arc<RawEvent>, ClientError> {
        listener.wait(timeout)
    }
}

/// A listener's events.
#[derive(Debug)]
pub struct Events(Listener);

impl Events {
    /// Waits for the next event; for ever without a time-out.
    ///
    /// # Errors
    ///
    /// No event in time, or the end of the connection.
    pub fn next(&self, timeout: Option<Duration>) -> Result<Arc<RawEvent>, ClientError> {
        self.0.wait(timeout)
    }

    /// An event that is there already.
    pub fn try_next(&self) -> Option<Arc<RawEvent>> {
        self.0.try_next()
    }

    /// How many events were dropped because 1,024 were waiting, here or before anybody listened.
    pub fn n_missed(&self) -> u64 {
        self.0.n_missed()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("peer", &self.inner.peer)
            .finish_non_exhaustive()
    }
}
