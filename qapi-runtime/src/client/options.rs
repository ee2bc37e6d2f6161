//! How a client connects, and how a command is sent.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::core::Dialect;
use super::transcript::Transcript;
use crate::json::Limits;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// A unix socket in the file system.
    Unix(PathBuf),
    /// A unix socket with an abstract name (Linux).
    Abstract(Vec<u8>),
    /// A TCP socket, `HOST:PORT`.
    Tcp(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix-abstract:{}", String::from_utf8_lossy(name)),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

impl Address {
    /// An error of connecting there, which names the address.
    pub(super) fn not_connected(&self, error: io::Error) -> io::Error {
        io::Error::new(
            error.kind(),
            NotConnected {
                address: self.to_string(),
                source: error,
            },
        )
    }

    /// A unix socket in the file system.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::Unix(path.into())
    }
}

/// A connection that was not made.
#[derive(Debug)]
struct NotConnected {
    address: String,
    source: io::Error,
}

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to '{}': {}", self.address, self.source)
    }
}

impl std::error::Error for NotConnected {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The longest time that is told from all of it: some hundred years, so that there is a point in
/// time at its end.
const FOR_EVER: Duration = Duration::from_secs(1 << 32);

/// How a client connects.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    pub(super) address: Address,
    pub(super) dialect: Dialect,
    pub(super) oob: bool,
    pub(super) wait: Duration,
    pub(super) handshake: Duration,
    pub(super) timeout: Option<Duration>,
    pub(super) reconnect: Option<Duration>,
    pub(super) transcript: Option<Arc<Transcript>>,
    pub(super) limits: Limits,
}

impl ConnectOptions {
    /// QMP at this address: no wait for the socket, ten seconds for greeting and negotiation,
    /// `oob` enabled where it is offered, no time-out for commands, no reconnection.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            dialect: Dialect::Qmp,
            oob: true,
            wait: Duration::ZERO,
            handshake: Duration::from_secs(10),
            timeout: None,
            reconnect: None,
            transcript: None,
            limits: Limits::REPLY,
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

    /// How long greeting, negotiation and synchronization may take.
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
    #[must_use]
    pub fn reconnect(mut self, trying: Duration) -> Self {
        self.reconnect = Some(trying.min(FOR_EVER));
        self
    }

    /// What is taken of a reply or an event before the connection is given up: by default 1 GiB and 64 Mi tokens
    /// ([`Limits::REPLY`]), which is more than any server sends; less where the server is not trusted.
    #[must_use]
    pub fn reply_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Records what is sent and what comes.
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
    pub(super) descriptors: Vec<OwnedFd>,
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
    #[must_use]
    pub fn descriptor(mut self, descriptor: OwnedFd) -> Self {
        self.descriptors.push(descriptor);
        self
    }
}
