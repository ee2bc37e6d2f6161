//! How a client connects, and how a command is sent.

use std::fmt;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::listener::Following;
use super::peer::Peer;
use super::transcript::Transcript;
use crate::address::Address;
use crate::dialect::Dialect;
use crate::json::Limits;
use crate::system::Descriptor;

/// The longest time that is told from all of it: some hundred years, so that there is a point in
/// time at its end.
const FOR_EVER: Duration = Duration::from_secs(1 << 32);

/// How a client connects.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    pub(super) peer: Peer,
    pub(super) dialect: Dialect,
    pub(super) oob: bool,
    pub(super) wait: Duration,
    pub(super) handshake: Duration,
    pub(super) timeout: Option<Duration>,
    pub(super) reconnect: Option<Duration>,
    pub(super) transcript: Option<Arc<Transcript>>,
    pub(super) limits: Limits,
    pub(super) refuses_unknown: bool,
    pub(super) on_connection: Option<OnConnection>,
}

/// What is called whenever a connection is ready.
#[derive(Clone)]
pub(super) struct OnConnection(Arc<dyn Fn() + Send + Sync>);

impl OnConnection {
    pub(super) fn call(&self) {
        (self.0)();
    }
}

impl fmt::Debug for OnConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnConnection")
    }
}

impl ConnectOptions {
    /// QMP at this address: no wait for the socket, ten seconds for greeting and negotiation,
    /// `oob` enabled where it is offered, no time-out for commands, no reconnection.
    pub fn new(address: Address) -> Self {
        Self::with_peer(Peer::At(address))
    }

    /// The same over a stream or descriptor that is there already, for `connect_stream` and `connect_descriptor`. Errors name
    /// it so.
    pub fn for_stream(name: &str) -> Self {
        Self::with_peer(Peer::Stream(name.into()))
    }

    fn with_peer(peer: Peer) -> Self {
        Self {
            peer,
            dialect: Dialect::Qmp,
            oob: true,
            wait: Duration::ZERO,
            handshake: Duration::from_secs(10),
            timeout: None,
            reconnect: None,
            transcript: None,
            limits: Limits::REPLY,
            refuses_unknown: false,
            on_connection: None,
        }
    }

    /// The peer's address, or what else it is called.
    pub(super) fn peer(&self) -> Arc<str> {
        match &self.peer {
            Peer::At(address) => address.to_string().into(),
            Peer::Stream(name) => Arc::clone(name),
        }
    }

    /// Who is at the other end.
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Whether to enable execution out of band where it is offered.
    #[must_use]
    pub fn oob(mut self, oob: bool) -> Self {
        self.oob = oob;
        self
    }

    /// How long to wait for the socket to appear and accept.
    #[must_use]
    pub fn wait_for_socket(mut self, wait: Duration) -> Self {
        self.wait = wait.min(FOR_EVER);
        self
    }

    /// How long greeting, negotiation and synchronization may take, with the time before it in which the server has no room
    /// for one more client.
    #[must_use]
    pub fn handshake_timeout(mut self, handshake: Duration) -> Self {
        self.handshake = handshake.min(FOR_EVER);
        self
    }

    /// How long each command may take, unless its own options say otherwise.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout.min(FOR_EVER));
        self
    }

    /// Connects again when the connection is lost, trying for this long each time. Requests that
    /// were on their way fail; later ones wait for the new connection.
    ///
    /// The first attempt is made at once. Before each further one there is a pause, of 20 ms first and twice as long each time,
    /// up to 5 s; a random part of it, at most one half, is left out, so that the clients of a server do not come all together.
    /// It starts over after a connection on which a command was answered, or that lasted more than 5 s: a server that
    /// negotiates and hangs up is no better than one that is not there.
    ///
    /// A stream, and a descriptor that the program was started with (`fd:`), cannot be had again: for these it has no effect.
    #[must_use]
    pub fn reconnect(mut self, trying: Duration) -> Self {
        self.reconnect = Some(trying.min(FOR_EVER));
        self
    }

    /// Has a function called whenever a connection is ready for commands: the first one, and after
    /// [`Self::reconnect`] each further one. Listeners go on over all of them, and events that the server emitted
    /// in between are lost: who keeps a state by events learns here that it has to be asked for again.
    ///
    /// The function runs where the client reads, so it must not block or use the client. It wakes a task or a thread that does.
    #[must_use]
    pub fn on_connection(mut self, ready: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_connection = Some(OnConnection(Arc::new(ready)));
        self
    }

    /// What is taken of a reply or an event before the connection is given up: by default 1 GiB and 64 Mi tokens
    /// ([`Limits::REPLY`]), which is more than any server sends; less where the server is not trusted.
    #[must_use]
    pub fn reply_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Looks at each command before it is sent, and does not send what the server does not know: the command, an argument at any
    /// depth, a value of an enumeration. The error has the path of it.
    ///
    /// The server is asked what it knows before the first command on a connection. A guest agent cannot tell.
    #[must_use]
    pub fn refuse_unknown(mut self) -> Self {
        self.refuses_unknown = true;
        self
    }

    /// Records what is sent and what comes, on this connection and on those that are made after it was lost.
    #[must_use]
    pub fn record(mut self, transcript: Arc<Transcript>) -> Self {
        self.transcript = Some(transcript);
        self
    }
}

/// How one command is sent.
#[derive(Debug, Default)]
pub struct CallOptions {
    pub(super) out_of_band: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) descriptors: Vec<Descriptor>,
    /// Who gets the events that come after the command was sent.
    pub(super) following: Option<Following>,
}

impl CallOptions {
    /// In band, with the time-out of the connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Has the command executed out of band.
    #[must_use]
    pub fn out_of_band(mut self) -> Self {
        self.out_of_band = true;
        self
    }

    /// How long the command may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout.min(FOR_EVER));
        self
    }

    /// Sends a descriptor along, for `getfd` and `add-fd`; unix sockets only.
    #[cfg(unix)]
    #[must_use]
    pub fn descriptor(mut self, descriptor: OwnedFd) -> Self {
        self.descriptors.push(descriptor);
        self
    }
}
