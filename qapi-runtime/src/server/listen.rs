//! Where a server listens.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;

use super::thread::blocking;
use crate::socket::{SocketFile, listen_abstract, listen_path};
use crate::system::{LocalListener, keep_alive};
use crate::transport::Transport;

/// How long a listener waits after it could not accept.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// A unix socket in the file system. A socket that is left over there is replaced, one on which somebody listens is
    /// not: see [`socket`](crate::socket).
    Unix {
        /// Its path, at most 108 bytes.
        path: PathBuf,
        /// Its mode bits, in force before anybody can connect; by default what the umask leaves.
        mode: Option<u32>,
    },
    /// A unix socket with an abstract name (Linux).
    Abstract(Vec<u8>),
    /// A named pipe (Windows), by its name or as `\\.\pipe\NAME`. Programs of other machines are not let in, nor those of
    /// other users, who may read at most, unless they are administrators.
    Pipe(PathBuf),
    /// A TCP socket, `HOST:PORT`. Without a host it is the loopback address: QMP has no
    /// authentication, so other hosts have to be let in by name.
    Tcp(String),
}

impl ListenAddress {
    /// A unix socket in the file system.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::Unix {
            path: path.into(),
            mode: None,
        }
    }

    /// A unix socket in the file system with these mode bits.
    pub fn unix_with_mode(path: impl Into<PathBuf>, mode: u32) -> Self {
        Self::Unix {
            path: path.into(),
            mode: Some(mode),
        }
    }
}

/// Why a server does not listen. It is one sentence however it is printed, so that `main` may return it.
pub struct ListenError(io::Error);

impl ListenError {
    /// What kind of an error it is: [`AddrInUse`](io::ErrorKind::AddrInUse) if another server has the address.
    pub fn kind(&self) -> io::ErrorKind {
        self.0.kind()
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl From<io::Error> for ListenError {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

impl From<ListenError> for io::Error {
    fn from(error: ListenError) -> Self {
        error.0
    }
}

/// A socket that listens.
pub(super) enum Listener {
    Local {
        listener: LocalListener,
        /// Goes away with the listener, if it was made here.
        _file: Option<SocketFile>,
    },
    Tcp(TcpListener),
}

impl From<LocalListener> for Listener {
    fn from(listener: LocalListener) -> Self {
        Self::Local {
            listener,
            _file: None,
        }
    }
}

impl Listener {
    pub(super) fn local_address(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Self::Local { .. } => Ok(None),
            Self::Tcp(listener) => listener.local_addr().map(Some),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Transport> {
        match self {
            Self::Local { listener, .. } => Ok(Transport::Local(listener.accept().await?)),
            Self::Tcp(listener) => loop {
                let stream = listener.accept().await?.0;
                // Where that fails the client is gone, and others need not wait.
                if stream.set_nodelay(true).is_ok() && keep_alive(&stream).is_ok() {
                    return Ok(Transport::Tcp(stream));
                }
            },
        }
    }
}

pub(super) async fn bind(address: &ListenAddress) -> io::Result<Listener> {
    match address {
        ListenAddress::Unix { path, mode } => {
            let (path, mode) = (path.clone(), *mode);
            // May have to wait for a lock.
            let bound = blocking(move || listen_path(&path, mode));
            let (socket, file) = bound.await??;
            Ok(Listener::Local {
                listener: LocalListener::new(socket)?,
                _file: Some(file),
            })
        }
        ListenAddress::Abstract(name) => Ok(LocalListener::new(listen_abstract(name)?)?.into()),
        ListenAddress::Pipe(name) => Ok(LocalListener::at_pipe(name)?.into()),
        ListenAddress::Tcp(address) => {
            let address = match address.strip_prefix(':') {
                Some(port) => format!("127.0.0.1:{port}"),
                None => address.clone(),
            };
            match TcpListener::bind(&address).await {
                Ok(listener) => Ok(Listener::Tcp(listener)),
                Err(error) => Err(io::Error::new(
                    error.kind(),
                    format!("cannot listen on '{address}': {error}"),
                )),
            }
        }
    }
}
