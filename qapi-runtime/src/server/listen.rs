//! Where a server listens.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::net::{AddressFamily, sockopt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::socket::{SocketFile, listen_abstract, listen_path};
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
    Unix {
        listener: UnixListener,
        /// Goes away with the listener, if it was made here.
        _file: Option<SocketFile>,
    },
    Tcp(TcpListener),
}

impl Listener {
    fn unix(socket: OwnedFd, file: Option<SocketFile>) -> io::Result<Self> {
        Ok(Self::Unix {
            listener: UnixListener::from_std(socket.into())?,
            _file: file,
        })
    }

    pub(super) fn local_address(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Self::Unix { .. } => Ok(None),
            Self::Tcp(listener) => listener.local_addr().map(Some),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Transport> {
        match self {
            Self::Unix { listener, .. } => Ok(Transport::Unix(listener.accept().await?.0)),
            Self::Tcp(listener) => loop {
                let stream = listener.accept().await?.0;
                // Where that fails the client is gone, and others need not wait.
                if set_up(&stream).is_ok() {
                    return Ok(Transport::Tcp(stream));
                }
            },
        }
    }
}

fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // A peer that vanishes without a word is noticed in the end.
    Ok(sockopt::set_socket_keepalive(stream, true)?)
}

/// A descriptor that was opened elsewhere.
pub(super) enum Adopted {
    Listener(Listener),
    Transport(Transport),
}

pub(super) async fn bind(address: &ListenAddress) -> io::Result<Listener> {
    match address {
        ListenAddress::Unix { path, mode } => {
            let (path, mode) = (path.clone(), *mode);
            // May have to wait for a lock.
            let bound = tokio::task::spawn_blocking(move || listen_path(&path, mode));
            let (socket, file) = bound.await.map_err(io::Error::other)??;
            Listener::unix(socket, Some(file))
        }
        ListenAddress::Abstract(name) => Listener::unix(listen_abstract(name)?, None),
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

/// Finds out what a descriptor is.
pub(super) fn adopt(socket: OwnedFd) -> io::Result<Adopted> {
    rustix::io::ioctl_fionbio(&socket, true)?;
    let listens = sockopt::socket_acceptconn(&socket)?;
    Ok(match (sockopt::socket_domain(&socket)?, listens) {
        (AddressFamily::UNIX, true) => Adopted::Listener(Listener::unix(socket, None)?),
        (AddressFamily::UNIX, false) => {
            Adopted::Transport(Transport::Unix(UnixStream::from_std(socket.into())?))
        }
        (AddressFamily::INET | AddressFamily::INET6, true) => {
            Adopted::Listener(Listener::Tcp(TcpListener::from_std(socket.into())?))
        }
        (AddressFamily::INET | AddressFamily::INET6, false) => {
            Adopted::Transport(Transport::Tcp(TcpStream::from_std(socket.into())?))
        }
        _ => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "neither a unix socket nor a TCP socket",
            ));
        }
    })
}
