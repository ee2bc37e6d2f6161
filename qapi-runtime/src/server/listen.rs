//! Where a server listens.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::transport::Transport;

/// How long a listener waits after it could not accept.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that wait to be accepted; the kernel has a limit of its own.
const BACKLOG: i32 = 4096;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// A unix socket in the file system. A socket that is left over there is replaced.
    Unix {
        /// Its path, at most 107 bytes.
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

/// A socket that listens.
pub(super) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(listener) => listener.local_addr().ok(),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Transport> {
        match self {
            Self::Unix(listener) => Ok(Transport::Unix(listener.accept().await?.0)),
            Self::Tcp(listener) => {
                let stream = listener.accept().await?.0;
                stream.set_nodelay(true)?;
                // A peer that vanishes without a word is noticed in the end.
                sockopt::set_socket_keepalive(&stream, true)?;
                Ok(Transport::Tcp(stream))
            }
        }
    }
}

/// A descriptor that was opened elsewhere.
pub(super) enum Adopted {
    Listener(Listener),
    Transport(Transport),
}

pub(super) async fn bind(address: &ListenAddress) -> io::Result<Listener> {
    match address {
        ListenAddress::Unix { path, mode } => bind_path(path, *mode),
        ListenAddress::Abstract(name) => {
            listen_unix(&SocketAddrUnix::new_abstract_name(name)?, || Ok(()))
        }
        ListenAddress::Tcp(address) => {
            let address = match address.strip_prefix(':') {
                Some(port) => format!("127.0.0.1:{port}"),
                None => address.clone(),
            };
            Ok(Listener::Tcp(TcpListener::bind(address).await?))
        }
    }
}

fn bind_path(path: &Path, mode: Option<u32>) -> io::Result<Listener> {
    if let Ok(metadata) = std::fs::symlink_metadata(path)
        && metadata.file_type().is_socket()
    {
        std::fs::remove_file(path)?;
    }
    listen_unix(&SocketAddrUnix::new(path)?, || match mode {
        Some(mode) => std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)),
        None => Ok(()),
    })
}

/// Binds, calls `before_listen`, and listens: nobody can connect before.
fn listen_unix(
    address: &SocketAddrUnix,
    before_listen: impl FnOnce() -> io::Result<()>,
) -> io::Result<Listener> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    rustix::net::bind(&socket, address)?;
    before_listen()?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(Listener::Unix(UnixListener::from_std(socket.into())?))
}

/// Finds out what a descriptor is.
pub(super) fn adopt(socket: OwnedFd) -> io::Result<Adopted> {
    rustix::io::ioctl_fionbio(&socket, true)?;
    let listens = sockopt::socket_acceptconn(&socket)?;
    Ok(match (sockopt::socket_domain(&socket)?, listens) {
        (AddressFamily::UNIX, true) => {
            Adopted::Listener(Listener::Unix(UnixListener::from_std(socket.into())?))
        }
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
