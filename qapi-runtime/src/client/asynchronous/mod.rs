//! The client on tokio.

mod connect;
mod driver;
mod jobs;
mod plans;
mod until;

use std::fmt;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use self::connect::{Connection, Wire, establish, open};
use self::driver::Driver;
pub use self::jobs::Job;
pub use self::plans::Plan;
use super::core::Greeting;
use super::error::{Awaited, ClientError, ClientErrorKind};
#[cfg(unix)]
use super::establish::not_opened;
use super::event::{EventFilter, RawEvent};
use super::front::{Front, Patience, exchange, peer_schema};
use super::hub::Hub;
use super::late::{LateReply, Outcome};
use super::lifeline::Lifeline;
use super::listener::{Following, Listener};
use super::options::{CallOptions, ConnectOptions};
use super::request::{Answer, Draft, Encoded, Exchanged, SILENT_SUCCESS};
use crate::descriptor::PeerCredentials;
use crate::introspection::PeerSchema;
use crate::lock::lock;
use crate::message::Request;
use crate::system::Descriptor;
use crate::transport::Transport;
use crate::value::Value;

/// Requests that wait to be sent before those who make more have to wait.
const REQUEST_BACKLOG: usize = 256;

/// A connection to a server, on tokio. Clones share it; the last one closes it.
///
/// Dropping the future of a command that is not sent yet cancels it. One that is sent is executed
/// by the server all the same; its reply is dropped.
///
/// ```no_run
/// use qapi_runtime::client::{Address, CallOptions, Client, ConnectOptions};
///
/// # async fn example() -> Result<(), qapi_runtime::client::ClientError> {
/// let address = Address::unix("/run/example/qmp.sock");
/// let client = Client::connect(ConnectOptions::new(address)).await?;
/// let name = client.execute_raw("query-name", None, CallOptions::new()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    options: ConnectOptions,
    shared: Arc<Shared>,
    in_band: mpsc::Sender<Outgoing>,
    /// These overtake.
    out_of_band: mpsc::Sender<Outgoing>,
    closing: watch::Sender<bool>,
    next_id: AtomicU64,
}

/// What the driver and the handles share.
struct Shared {
    peer: Arc<str>,
    hub: Mutex<Hub>,
    server: Mutex<ServerInfo>,
    /// False while a new connection is made.
    is_connected: AtomicBool,
    /// Tells the driver that somebody has given up, which may make room for others.
    changed: Notify,
}

/// What is known of the server.
#[derive(Default)]
struct ServerInfo {
    greeting: Option<Greeting>,
    credentials: Option<PeerCredentials>,
    /// Why the last attempt to connect again failed.
    trouble: Option<String>,
}

/// A request on its way to the driver.
struct Outgoing {
    request: Encoded,
    descriptors: Vec<Descriptor>,
    following: Option<Following>,
    answer: oneshot::Sender<Result<Answer, ClientErrorKind>>,
    /// Turns true when all of it is written.
    is_sent: Arc<AtomicBool>,
}

/// A request whose caller may go away at any moment.
struct Call<'a> {
    shared: &'a Shared,
    id: u64,
    is_answered: bool,
    is_over: bool,
}

impl Call<'_> {
    /// The time of the request is up: its answer, if it comes, is for a later question. It may have come this moment, and a
    /// request that is not sent yet will not be.
    fn give_up(
        &self,
        answers: &mut oneshot::Receiver<Result<Answer, ClientErrorKind>>,
        timeout: Duration,
    ) -> (Result<Answer, ClientErrorKind>, Option<LateReply>) {
        let (late, deliver) = LateReply::new();
        let mut hub = lock(&self.shared.hub);
        if self.is_answered && hub.defer(self.id, deliver) {
            self.shared.changed.notify_one();
            return (Err(ClientErrorKind::TimedOut(timeout)), Some(late));
        }
        // The driver looks at this with the hub locked.
        answers.close();
        drop(hub);
        let answer = answers.try_recv();
        (
            answer.unwrap_or(Err(ClientErrorKind::TimedOut(timeout))),
            None,
        )
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            lock(&self.shared.hub).forget(self.id, self.is_answered);
            self.shared.changed.notify_one();
        }
    }
}

impl Client {
    /// Connects to a server and negotiates.
    ///
    /// # Errors
    ///
    /// The server is not there in time, or does not behave.
    pub async fn connect(options: ConnectOptions) -> Result<Self, ClientError> {
        let hub = Hub::new(&options);
        let wire = open(&options, options.wait).await?;
        Self::start(options, hub, wire).await
    }

    /// Connects to a server and listens from its first word on.
    ///
    /// # Errors
    ///
    /// The server is not there in time, or does not behave.
    pub async fn connect_and_listen(
        options: ConnectOptions,
        filter: EventFilter,
    ) -> Result<(Self, Events), ClientError> {
        let mut hub = Hub::new(&options);
        let events = Events(Listener::of(&mut hub, filter, &options.peer(), true));
        let wire = open(&options, options.wait).await?;
        Ok((Self::start(options, hub, wire).await?, events))
    }

    /// Takes a connection that is there already, of any kind: TLS, for example. The options are those of
    /// [`ConnectOptions::for_stream`].
    ///
    /// # Errors
    ///
    /// The server does not behave.
    pub async fn connect_stream(
        options: ConnectOptions,
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self, ClientError> {
        let hub = Hub::new(&options);
        Self::start(options, hub, Wire::of(Transport::any(reader, writer))).await
    }

    /// Takes a descriptor that is a connection already: one of a pair of sockets, a socket of whatever family, a terminal or a
    /// port of a virtual machine. It does not block any more.
    ///
    /// # Errors
    ///
    /// A socket that listens, something that epoll does not take, as a file, or a server that does not behave.
    #[cfg(unix)]
    pub async fn connect_descriptor(
        options: ConnectOptions,
        descriptor: OwnedFd,
    ) -> Result<Self, ClientError> {
        let wire = Wire::of_opened(descriptor.into());
        let wire = wire.map_err(|error| not_opened(error, &options))?;
        let hub = Hub::new(&options);
        Self::start(options, hub, wire).await
    }

    async fn start(options: ConnectOptions, mut hub: Hub, wire: Wire) -> Result<Self, ClientError> {
        let credentials = wire.credentials;
        let connection: Connection = establish(wire, &options, &mut hub).await?;
        let (in_band, from_in_band) = mpsc::channel(REQUEST_BACKLOG);
        let (out_of_band, from_out_of_band) = mpsc::channel(REQUEST_BACKLOG);
        let closing = watch::Sender::new(false);
        let shared = Arc::new(Shared {
            peer: options.peer(),
            server: Mutex::new(ServerInfo {
                greeting: hub.core().greeting().cloned(),
                credentials,
                trouble: None,
            }),
            hub: Mutex::new(hub),
            is_connected: AtomicBool::new(true),
            changed: Notify::new(),
        });
        let driver = Driver::new(
            options.clone(),
            Arc::clone(&shared),
            from_in_band,
            from_out_of_band,
            closing.subscribe(),
        );
        tokio::spawn(driver.run(connection));
        Ok(Self {
            inner: Arc::new(Inner {
                options,
                shared,
                in_band,
                out_of_band,
                closing,
                next_id: AtomicU64::new(1),
            }),
        })
    }

    /// What the server said of itself; the guest agent says nothing.
    pub fn greeting(&self) -> Option<Greeting> {
        lock(&self.inner.shared.server).greeting.clone()
    }

    /// Who is at the other end of a unix socket: who has made the socket that listens, to be exact. `None` where it cannot be
    /// told.
    pub fn peer_credentials(&self) -> Option<PeerCredentials> {
        lock(&self.inner.shared.server).credentials
    }

    /// Executes a command.
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`].
    pub async fn execute<R: Request>(&self, request: &R) -> Result<R::Returns, ClientError> {
        self.execute_with(request, CallOptions::new()).await
    }

    /// Executes a command in some other way than the usual one.
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`].
    pub async fn execute_with<R: Request>(
        &self,
        request: &R,
        options: CallOptions,
    ) -> Result<R::Returns, ClientError> {
        let draft = Draft::of(request, options.out_of_band)?;
        exchange(self, draft, options).await?.decode()
    }

    /// Executes a command without types.
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`].
    pub async fn execute_raw(
        &self,
        command: &str,
        arguments: Option<&Value>,
        options: CallOptions,
    ) -> Result<Value, ClientError> {
        let draft = Draft::new(command, arguments, options.out_of_band)?;
        exchange(self, draft, options).await?.decode()
    }

    async fn send_now(&self, draft: Draft, options: CallOptions) -> Result<Exchanged, ClientError> {
        let is_answered = draft.is_answered;
        let request = draft.with_id(self.inner.next_id.fetch_add(1, Ordering::Relaxed));
        drop(draft);
        let shared = &self.inner.shared;
        if self.is_closed() {
            let error = request.error(ClientErrorKind::Closed);
            return Err(error.of_peer(&shared.peer));
        }
        let timeout = options
            .timeout
            .or((!is_answered).then_some(SILENT_SUCCESS))
            .or(self.inner.options.timeout);
        // Goes after the other end of `sender`, so that the driver knows whom it still has to serve.
        let mut call = Call {
            shared,
            id: request.id(),
            is_answered,
            is_over: false,
        };
        let (sender, mut answers) = oneshot::channel();
        let is_sent = Arc::<AtomicBool>::default();
        let outgoing = Outgoing {
            request: request.clone(),
            descriptors: options.descriptors,
            following: options.following,
            answer: sender,
            is_sent: Arc::clone(&is_sent),
        };
        let requests = match options.out_of_band {
            true => &self.inner.out_of_band,
            false => &self.inner.in_band,
        };
        let exchange = async {
            if requests.send(outgoing).await.is_err() {
                return Err(ClientErrorKind::Closed);
            }
            (&mut answers).await.unwrap_or(Err(ClientErrorKind::Closed))
        };
        let answer = match timeout {
            None => exchange.await,
            Some(timeout) => tokio::time::timeout(timeout, exchange)
                .await
                .unwrap_or(Err(ClientErrorKind::TimedOut(timeout))),
        };
        let (answer, late) = match answer {
            Err(ClientErrorKind::TimedOut(timeout)) => call.give_up(&mut answers, timeout),
            answer => (answer, None),
        };
        call.is_over = answer.is_ok() || late.is_some();
        let awaited = match &answer {
            Err(ClientErrorKind::TimedOut(_)) => shared.what_is_missing(request.id()),
            Ok(_) | Err(_) => Awaited::Answer,
        };
        let note = match awaited {
            Awaited::Connection => lock(&shared.server).trouble.clone(),
            _ => None,
        };
        // Silence means success only of what the server was asked to do.
        let is_sent = is_sent.load(Ordering::Acquire);
        let settled = Exchanged::settle(answer, request, is_answered || !is_sent, &shared.peer);
        settled.map_err(|error| {
            let error = error.awaiting(awaited).with_note(note);
            // What is being written may well become whole.
            let error = match is_sent || late.is_some() {
                true => error.after_sending(late),
                false => error,
            };
            error.of_peer(&shared.peer)
        })
    }

    /// Listens to events from now on, also those of later connections.
    ///
    /// What came before anybody listened is kept, up to 1,024 events, for the first listeners that want them: nothing is lost
    /// between [`Client::connect`] and this. [`Client::connect_and_listen`] is for more than that.
    pub fn listen(&self, filter: EventFilter) -> Events {
        self.listen_from(filter, true)
    }

    fn listen_from(&self, filter: EventFilter, is_first: bool) -> Events {
        // Asked with the hub locked: a driver that closes now has yet to close the hub.
        let mut hub = lock(&self.inner.shared.hub);
        if self.is_closed() {
            return Events(Listener::over(&self.inner.shared.peer));
        }
        let peer = &self.inner.shared.peer;
        Events(Listener::of(&mut hub, filter, peer, is_first))
    }

    /// Waits for the next event that passes the filter. Events that came before do not count:
    /// [`Client::listen`] before the command that causes the event, if it may come soon.
    ///
    /// # Errors
    ///
    /// No such event in time, or the end of the connection.
    pub async fn wait_for_event(
        &self,
        filter: EventFilter,
        timeout: Option<Duration>,
    ) -> Result<Arc<RawEvent>, ClientError> {
        let events = self.listen_from(filter, false);
        self.next(&events.0, timeout).await
    }

    /// What the server tells of itself. It is asked once on each connection.
    ///
    /// ```no_run
    /// # async fn example(client: qapi_runtime::client::Client) -> Result<(), qapi_runtime::client::ClientError> {
    /// let server = client.peer_schema().await?;
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
    pub async fn peer_schema(&self) -> Result<Arc<PeerSchema>, ClientError> {
        peer_schema(self, Patience::new(self.inner.options.timeout)).await
    }

    /// Begins to do several things as one: when one of them fails, those before are undone.
    pub fn plan(&self) -> Plan {
        Plan::new(self)
    }

    /// How the server is, if it has so long for an answer: told by what came and what is waited for, without asking it.
    pub fn lifeline(&self, patience: Duration) -> Lifeline {
        lock(&self.inner.shared.hub).lifeline(patience)
    }

    /// Closes the connection for all clones. Commands in flight end with
    /// [`ClientErrorKind::Closed`], and later ones are not sent.
    pub fn close(&self) {
        self.inner.closing.send_replace(true);
    }

    /// Whether the connection is closed for good: by [`Client::close`], or because it is lost and not made again.
    pub fn is_closed(&self) -> bool {
        *self.inner.closing.borrow() || self.inner.in_band.is_closed()
    }
}

impl Front for Client {
    fn peer(&self) -> &Arc<str> {
        &self.inner.shared.peer
    }

    fn timeout(&self) -> Option<Duration> {
        self.inner.options.timeout
    }

    fn refuses_unknown(&self) -> bool {
        self.inner.options.refuses_unknown
    }

    fn hub<T>(&self, look: impl FnOnce(&mut Hub) -> T) -> T {
        look(&mut lock(&self.inner.shared.hub))
    }

    async fn send(&self, draft: Draft, options: CallOptions) -> Result<Exchanged, ClientError> {
        self.send_now(draft, options).await
    }

    async fn settled(&self, reply: &LateReply, timeout: Duration) -> Outcome {
        let settled = tokio::time::timeout(timeout, reply.settled());
        settled.await.unwrap_or_else(|_| reply.outcome())
    }

    async fn next(
        &self,
        listener: &Listener,
        timeout: Option<Duration>,
    ) -> Result<Arc<RawEvent>, ClientError> {
        let next = std::future::poll_fn(|context| listener.poll(context));
        match timeout {
            None => next.await,
            Some(timeout) => tokio::time::timeout(timeout, next)
                .await
                .unwrap_or_else(|_| Err(listener.error(ClientErrorKind::TimedOut(timeout)))),
        }
    }
}

impl Shared {
    /// What a request that has no answer yet waits for.
    fn what_is_missing(&self, id: u64) -> Awaited {
        if !self.is_connected.load(Ordering::Relaxed) {
            Awaited::Connection
        } else if lock(&self.hub).core().is_pending(id) {
            Awaited::Answer
        } else {
            Awaited::Room
        }
    }
}

/// A listener's events.
#[derive(Debug)]
pub struct Events(Listener);

impl Events {
    /// Waits for the next event.
    ///
    /// # Errors
    ///
    /// The end of the connection.
    pub async fn next(&mut self) -> Result<Arc<RawEvent>, ClientError> {
        std::future::poll_fn(|context| self.0.poll(context)).await
    }

    /// An event that is there already.
    pub fn try_next(&mut self) -> Option<Arc<RawEvent>> {
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
            .field("peer", &self.inner.shared.peer)
            .finish_non_exhaustive()
    }
}
