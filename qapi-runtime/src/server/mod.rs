//! A QMP server on tokio: any number of clients, each with a session of its own.
//!
//! ```no_run
//! # use std::sync::Arc;
//! use qapi_runtime::dispatch::Service;
//! use qapi_runtime::server::{ListenAddress, Server};
//! use qapi_runtime::session::SessionConfig;
//!
//! // `commands` is the `Dispatcher` that is generated from a schema, for example.
//! # async fn serve(commands: Arc<dyn Service>) -> std::io::Result<()> {
//! let server = Server::new(SessionConfig::default(), move |_connection| commands.clone());
//! server.listen(&ListenAddress::unix("/run/example/qmp.sock")).await?;
//! // ... until the program ends:
//! let n_unanswered = server.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! Handlers run on tokio's threads for blocking work, unless they are declared to run inline
//! ([`Server::with_inline`]) or are futures. While a handler runs, its session takes no other
//! in-band command, and no other session is held up. A handler that panics answers with an error.
//! One that takes long asks from time to time whether anybody still waits for it
//! ([`Connection::is_cancelled`]).
//!
//! Who connects, and which commands run, is told to [`Hooks`], which may refuse both; with the feature `tracing` it is told to
//! `tracing` as well.
//!
//! All sessions share a [`Budget`]. Clients on TCP that begin like HTTP or TLS are disconnected.
//!
//! Everything must be called inside a tokio runtime with its I/O and time drivers enabled.

mod connection;
mod hooks;
mod listen;
mod notice;
mod thread;
mod trace;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

pub use self::connection::Connection;
use self::connection::{Client, Peer};
pub use self::hooks::Hooks;
use self::hooks::Watch;
pub use self::listen::{ListenAddress, ListenError};
pub use self::notice::Notice;
use crate::budget::Budget;
use crate::dispatch::{CommandInfo, Service};
use crate::error::Error;
use crate::lock::lock;
use crate::message::EventData;
use crate::session::{
    EventLimiter, EventMessage, EventQueue, SESSION_MEMORY, Session, SessionConfig, SessionControl,
};
#[cfg(unix)]
use crate::system::{Adopted, adopt};
use crate::transport::Transport;
use crate::visit::VisitError;

/// A QMP server. Clones are handles on the same server.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

type MakeService = dyn Fn(&Connection) -> Arc<dyn Service> + Send + Sync;
type RunsInline = dyn Fn(&CommandInfo) -> bool + Send + Sync;
type OnNotice = dyn Fn(&Notice) + Send + Sync;

/// How long [`Server::shutdown`] waits for clients that do not read and handlers that do not end.
pub const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);

/// Whether sessions are to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    No,
    /// Once what was sent is answered.
    Orderly,
    AtOnce,
}

struct Shared {
    config: SessionConfig,
    /// That of no session: those of all sessions are made of it.
    control: SessionControl,
    budget: Budget,
    make_service: Box<MakeService>,
    runs_inline: Arc<RunsInline>,
    sessions: Mutex<HashMap<u64, Listening>>,
    next_session: AtomicU64,
    limiter: Mutex<EventLimiter>,
    stop: watch::Sender<Stop>,
    /// Commands without a reply at the end.
    n_unanswered: AtomicUsize,
    on_notice: Mutex<Option<Arc<OnNotice>>>,
    hooks: Mutex<Option<Arc<dyn Hooks>>>,
    /// How many sessions there may be.
    max_sessions: AtomicUsize,
    /// Held by each task; gone when all have ended.
    tasks: Mutex<Option<mpsc::Sender<()>>>,
    all_ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

/// Where a session gets its events, and who has to know.
struct Listening {
    events: EventQueue,
    task: Arc<Notify>,
}

impl Listening {
    fn send(&self, event: EventMessage) {
        if self.events.push(event) {
            self.task.notify_one();
        }
    }
}

fn has_shut_down() -> io::Error {
    io::Error::other("the server has shut down")
}

impl Server {
    /// A server whose sessions get their services from `make_service`: one service for each, so
    /// that its handler can hold what belongs to the session.
    pub fn new(
        config: SessionConfig,
        make_service: impl Fn(&Connection) -> Arc<dyn Service> + Send + Sync + 'static,
    ) -> Self {
        Self::with_inline(config, make_service, |_| false)
    }

    /// The same with commands that run where their session runs, without a hop to another thread.
    /// They must not block.
    pub fn with_inline(
        mut config: SessionConfig,
        make_service: impl Fn(&Connection) -> Arc<dyn Service> + Send + Sync + 'static,
        runs_inline: impl Fn(&CommandInfo) -> bool + Send + Sync + 'static,
    ) -> Self {
        let (tasks, all_ended) = mpsc::channel(1);
        let budget = config.budget.take();
        let budget = budget.unwrap_or_else(|| Budget::new(SESSION_MEMORY));
        config.budget = Some(budget.clone());
        Self {
            shared: Arc::new(Shared {
                config,
                control: SessionControl::default(),
                budget,
                make_service: Box::new(make_service),
                runs_inline: Arc::new(runs_inline),
                sessions: Mutex::default(),
                next_session: AtomicU64::new(0),
                limiter: Mutex::default(),
                stop: watch::Sender::new(Stop::No),
                n_unanswered: AtomicUsize::new(0),
                on_notice: Mutex::default(),
                hooks: Mutex::default(),
                max_sessions: AtomicUsize::new(usize::MAX),
                tasks: Mutex::new(Some(tasks)),
                all_ended: tokio::sync::Mutex::new(all_ended),
            }),
        }
    }

    /// Listens on an address and serves all who connect, until the server shuts down. The actual
    /// address of a TCP socket is the result, for port 0.
    ///
    /// # Errors
    ///
    /// What binding the socket refuses, with the address; of a path see [`socket`](crate::socket). A server that has shut
    /// down.
    pub async fn listen(&self, address: &ListenAddress) -> Result<Option<SocketAddr>, ListenError> {
        // Nothing is bound, and no file made, for a server that is over.
        if self.task().is_none() {
            return Err(has_shut_down().into());
        }
        let listener = listen::bind(address).await?;
        let local = listener.local_address()?;
        self.accept_all(listener)?;
        Ok(local)
    }

    /// Serves a socket that was opened elsewhere: one that listens, or one that is connected.
    ///
    /// # Errors
    ///
    /// A descriptor of anything else, and a server that has shut down.
    #[cfg(unix)]
    pub fn serve_descriptor(&self, socket: OwnedFd) -> io::Result<()> {
        if self.task().is_none() {
            return Err(has_shut_down());
        }
        match adopt(socket)? {
            Adopted::Local(listener) => self.accept_all(listener.into())?,
            Adopted::Tcp(listener) => self.accept_all(listen::Listener::Tcp(listener))?,
            Adopted::Transport(transport) => {
                self.spawn(transport);
            }
        }
        Ok(())
    }

    /// Serves one client on standard input and output.
    pub fn serve_stdio(&self) -> SessionTask {
        self.spawn(Transport::any(tokio::io::stdin(), tokio::io::stdout()))
    }

    /// Serves one client on any pair of streams.
    pub fn serve_stream(
        &self,
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> SessionTask {
        self.spawn(Transport::any(reader, writer))
    }

    fn accept_all(&self, listener: listen::Listener) -> io::Result<()> {
        let task = self.task().ok_or_else(has_shut_down)?;
        let server = self.clone();
        let mut stop = self.shared.stop.subscribe();
        tokio::spawn(async move {
            // Dropped last.
            let _task = task;
            let mut fails = false;
            loop {
                let accepted = tokio::select! {
                    _ = stop.wait_for(|stop| *stop > Stop::No) => break,
                    accepted = listener.accept() => accepted,
                };
                match accepted {
                    Ok(transport) => {
                        fails = false;
                        server.spawn(transport);
                    }
                    // Out of descriptors, most likely: others may end their sessions.
                    Err(error) => {
                        if !std::mem::replace(&mut fails, true) {
                            server.shared.notice(&Notice::NotAccepted(error));
                        }
                        tokio::time::sleep(listen::ACCEPT_PAUSE).await;
                    }
                }
            }
            // Its file goes before the shutdown that waits for this task is over.
            drop(listener);
        });
        Ok(())
    }

    /// What a task holds while it runs; `None` once the server has shut down.
    fn task(&self) -> Option<mpsc::Sender<()>> {
        lock(&self.shared.tasks).clone()
    }

    fn spawn(&self, transport: Transport) -> SessionTask {
        let Some(task) = self.task() else {
            // The server has shut down, so the connection is closed.
            return SessionTask(None);
        };
        let shared = Arc::clone(&self.shared);
        let number = shared.next_session.fetch_add(1, Ordering::Relaxed);
        let peer = Peer {
            credentials: transport.peer_credentials(),
            address: transport.peer_of_tcp(),
        };
        let control = shared.control.of_another();
        let connection = Connection::new(number, peer, control, Arc::downgrade(&shared));
        let mut config = shared.config.clone();
        if transport.is_tcp() {
            // No web page reaches a unix socket.
            config.ends_foreign = true;
        }
        let mut session = Session::with_control(config, connection.control().clone());
        let events = Arc::<Notify>::default();
        let listening = Listening {
            events: session.event_queue(),
            task: Arc::clone(&events),
        };
        let served = match shared.admit(&connection, listening) {
            Ok(served) => served,
            Err(error) => {
                shared.notice(&Notice::Refused {
                    connection: number,
                    error,
                });
                // The connection is closed with the transport.
                return SessionTask(None);
            }
        };
        if let Some(watch) = Watch::new(&connection, served.hooks.clone()) {
            session.observe(Arc::new(watch));
        }
        let service = (shared.make_service)(&connection);
        let task = tokio::spawn(async move {
            let _task = task;
            let _served = served;
            let client = Client {
                session,
                connection: &connection,
                service,
                runs_inline: Arc::clone(&shared.runs_inline),
                events: &events,
                stop: shared.stop.subscribe(),
            };
            let end = client.serve(transport).await;
            let connection = number;
            if let Some(protocol) = end.foreign_protocol {
                shared.notice(&Notice::Foreign {
                    connection,
                    peer: peer.address,
                    protocol,
                });
            }
            let n_commands = end.n_unanswered;
            if n_commands > 0 {
                shared.n_unanswered.fetch_add(n_commands, Ordering::Relaxed);
                shared.notice(&Notice::Unanswered {
                    connection,
                    n_commands,
                });
            }
        });
        SessionTask(Some(task))
    }

    /// Has a function called for what the operator of the server may want to know: to write it to a log. It replaces an
    /// earlier one, and must not block.
    pub fn on_notice(&self, notice: impl Fn(&Notice) + Send + Sync + 'static) {
        *lock(&self.shared.on_notice) = Some(Arc::new(notice));
    }

    /// Has these hooks asked and told of the clients that connect from now on. They replace earlier ones.
    pub fn set_hooks(&self, hooks: impl Hooks + 'static) {
        *lock(&self.shared.hooks) = Some(Arc::new(hooks));
    }

    /// How many clients are served at a time; the connections of further ones are closed. By default there is no limit.
    pub fn set_max_sessions(&self, count: usize) {
        self.shared.max_sessions.store(count, Ordering::Relaxed);
    }

    /// Which events are held back, and for how long. By default these are QEMU's. What is held back at that moment is lost.
    pub fn set_event_limiter(&self, limiter: EventLimiter) {
        *lock(&self.shared.limiter) = limiter;
    }

    /// The memory that the sessions share: that of the configuration, or [`SESSION_MEMORY`] bytes.
    pub fn budget(&self) -> &Budget {
        &self.shared.budget
    }

    /// How many clients are connected.
    pub fn n_sessions(&self) -> usize {
        lock(&self.shared.sessions).len()
    }

    /// Sends an event to all clients that have negotiated; at the rate that QEMU allows. What a handler emits before it
    /// returns precedes its reply, unless it is held back by that rate.
    pub fn emit(&self, event: EventMessage) {
        self.shared.emit(event);
    }

    /// Sends an event of a generated type, with the time of now; nothing if the policy hides it. As [`Server::emit`].
    ///
    /// # Errors
    ///
    /// Data that no peer can be sent.
    pub fn emit_event<E: EventData>(&self, event: &E) -> Result<(), VisitError> {
        self.shared.emit_event(event)
    }

    /// Ends the phase in which only commands with 'allow-preconfig' may run ([`SessionConfig::preconfig`]), for all clients.
    pub fn leave_preconfig(&self) {
        self.shared.control.leave_preconfig();
    }

    /// Ends the server: no client is accepted any more, the files of its sockets are removed, handlers are told
    /// ([`Connection::cancelled`]), what clients have sent completely is answered and flushed, then their connections are
    /// closed. Returns when all is done.
    ///
    /// What is on its way counts as sent, up to 1 MiB of each client: its connection is closed
    /// when nothing more has come for 20 ms.
    ///
    /// Clients that do not read their replies and handlers that do not end are waited for [`SHUTDOWN_PATIENCE`]. Then their
    /// connections are closed; the result is how many commands have no reply, or none that was sent to its end. Handlers that
    /// run on go on without their clients. (Tokio's runtime waits for those of them that block when it is dropped; see its
    /// `shutdown_timeout`.)
    ///
    /// Afterwards [`Server::listen`] and [`Server::serve_descriptor`] are errors.
    pub async fn shutdown(&self) -> usize {
        self.shutdown_within(SHUTDOWN_PATIENCE).await
    }

    /// The same with another limit.
    pub async fn shutdown_within(&self, limit: Duration) -> usize {
        self.stop(Stop::Orderly);
        lock(&self.shared.tasks).take();
        if tokio::time::timeout(limit, self.all_ended()).await.is_err() {
            self.stop(Stop::AtOnce);
            self.all_ended().await;
        }
        self.shared.n_unanswered.load(Ordering::Relaxed)
    }

    /// Several may shut down at a time; the most impatient one counts.
    fn stop(&self, stop: Stop) {
        self.shared.stop.send_if_modified(|before| {
            let changes = stop > *before;
            if changes {
                *before = stop;
            }
            changes
        });
    }

    async fn all_ended(&self) {
        let mut all_ended = self.shared.all_ended.lock().await;
        // Nothing is ever sent: the end of the channel is the end of the last task.
        while all_ended.recv().await.is_some() {}
    }
}

impl Shared {
    /// Puts a client into the list, unless it is not to be served.
    fn admit(
        self: &Arc<Self>,
        connection: &Connection,
        listening: Listening,
    ) -> Result<Served, Error> {
        let number = connection.number();
        {
            let mut sessions = lock(&self.sessions);
            if sessions.len() >= self.max_sessions.load(Ordering::Relaxed) {
                return Err(Error::generic("there are as many clients as are served"));
            }
            sessions.insert(number, listening);
        }
        let mut served = Served {
            shared: Arc::clone(self),
            connection: connection.clone(),
            hooks: None,
            is_admitted: false,
        };
        let hooks = lock(&self.hooks).clone();
        if let Some(hooks) = &hooks {
            hooks.connected(connection)?;
        }
        served.hooks = hooks;
        served.is_admitted = true;
        trace::connected(connection);
        Ok(served)
    }

    fn notice(&self, notice: &Notice) {
        trace::noticed(notice);
        let on_notice = lock(&self.on_notice).clone();
        if let Some(on_notice) = on_notice {
            on_notice(notice);
        }
    }

    fn emit_to(&self, number: u64, event: EventMessage) {
        if let Some(session) = lock(&self.sessions).get(&number) {
            session.send(event);
        }
    }

    fn emit(self: &Arc<Self>, event: EventMessage) {
        let now = Instant::now();
        let (event, pending) = {
            let mut limiter = lock(&self.limiter);
            let was_idle = limiter.deadline().is_none();
            let event = limiter.admit(event, now);
            (event, was_idle && limiter.deadline().is_some())
        };
        if let Some(event) = event {
            self.broadcast(&event);
        }
        if pending {
            self.send_delayed();
        }
    }

    fn emit_event<E: EventData>(self: &Arc<Self>, event: &E) -> Result<(), VisitError> {
        if let Some(event) = EventMessage::of(event, SystemTime::now(), self.config.compat)? {
            self.emit(event);
        }
        Ok(())
    }

    /// Sends delayed events in their time, until none is left.
    fn send_delayed(self: &Arc<Self>) {
        let shared = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                let Some(deadline) = shared
                    .upgrade()
                    .and_then(|shared| lock(&shared.limiter).deadline())
                else {
                    return;
                };
                tokio::time::sleep_until(deadline.into()).await;
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                let due = lock(&shared.limiter).due(Instant::now());
                for event in &due {
                    shared.broadcast(event);
                }
            }
        });
    }

    /// With the list locked, so that all sessions get events in the same order.
    fn broadcast(&self, event: &EventMessage) {
        for session in lock(&self.sessions).values() {
            session.send(event.clone());
        }
    }
}

/// A session that is served, on a task of its own: a future that is over with it. It may be dropped, which changes nothing.
#[derive(Debug)]
pub struct SessionTask(Option<JoinHandle<()>>);

impl Future for SessionTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            // A task that has panicked is over as well.
            Some(task) => Pin::new(task).poll(context).map(drop),
            None => Poll::Ready(()),
        }
    }
}

/// Keeps a client in the list while its task runs, whatever becomes of the task.
struct Served {
    shared: Arc<Shared>,
    connection: Connection,
    hooks: Option<Arc<dyn Hooks>>,
    is_admitted: bool,
}

impl Drop for Served {
    fn drop(&mut self) {
        lock(&self.shared.sessions).remove(&self.connection.number());
        if self.is_admitted {
            trace::disconnected(&self.connection);
            if let Some(hooks) = &self.hooks {
                hooks.disconnected(&self.connection);
            }
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("n_sessions", &self.n_sessions())
            .finish_non_exhaustive()
    }
}
