//! Connecting to the addresses that QMP's commands name.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use qapi_runtime::Error;
use qapi_runtime::socket::{MAX_PATH, connect_path};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with, sockopt};

use crate::errno::reason;
use crate::net::log::Log;
use crate::net::sockets::{abstract_name, describe_unix, modern, resolve, too_long};
use crate::net::stream::Stream;
use crate::qapi::{ChardevSocket, InetSocketAddress, SocketAddress, UnixSocketAddress};

/// How long each address of a host may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What to connect to.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Unix(UnixSocketAddress),
    Inet(InetSocketAddress),
}

/// A connection that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) target: Target,
    pub(super) nodelay: bool,
}

/// A connection, and the address of the peer.
pub(crate) struct Connected {
    pub(crate) stream: Stream,
    pub(super) peer: String,
}

/// What a device has before it is opened.
#[derive(Default)]
pub(super) struct Ready {
    pub(super) log: Option<Arc<Log>>,
    /// What [`plan`] has led to.
    pub(super) connected: Option<Connected>,
    /// Where one that listens does so.
    pub(super) found: Option<Vec<SocketAddr>>,
}

/// What a device connects to at its creation; `None` for one that listens, tries again and again, or is given a socket.
pub(super) fn plan(options: &ChardevSocket) -> Result<Option<Plan>, Error> {
    let connects = options.server == Some(false) && options.wait.is_none();
    let retries = options.reconnect_ms.is_some_and(|value| value != 0);
    if !connects || retries {
        return Ok(None);
    }
    Plan::new(options)
}

impl Plan {
    /// `None` for a socket that is open already.
    pub(super) fn new(options: &ChardevSocket) -> Result<Option<Self>, Error> {
        let target = match modern(options.addr.clone()) {
            SocketAddress::Unix(unix) => Target::Unix(unix),
            SocketAddress::Inet(inet) => Target::Inet(inet),
            SocketAddress::Fd(_) => return Ok(None),
            SocketAddress::Unknown(name) => {
                return Err(Error::generic(format!(
                    "Parameter 'addr.type' does not accept value '{name}'"
                )));
            }
        };
        Ok(Some(Self {
            target,
            nodelay: options.nodelay.unwrap_or(false),
        }))
    }

    /// Connects, and waits for it.
    ///
    /// # Errors
    ///
    /// In QEMU's words: what the host says.
    pub(super) fn connect(&self) -> Result<Connected, Error> {
        match &self.target {
            Target::Unix(unix) => connect_unix(unix),
            Target::Inet(inet) => connect_inet(inet, self.nodelay),
        }
    }
}

impl Target {
    /// How a device that connects to it is called.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Unix(unix) => describe_unix(unix),
            Self::Inet(inet) => format!("tcp:{}:{}", inet.host, inet.port),
        }
    }
}

/// Connects to a unix socket, which is done at once.
pub(crate) fn connect_unix(address: &UnixSocketAddress) -> Result<Connected, Error> {
    let path = &address.path;
    if path.len() > MAX_PATH {
        return Err(too_long(path));
    }
    let connect = || -> io::Result<OwnedFd> {
        // A server that does not accept fails this instead of holding it up.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        match address.r#abstract {
            Some(true) => {
                let name = SocketAddrUnix::new_abstract_name(&abstract_name(address))?;
                rustix::net::connect(&socket, &name)?;
            }
            Some(false) | None => connect_path(&socket, Path::new(path))?,
        }
        Ok(socket)
    };
    let socket = connect().map_err(|error| {
        let reason = reason(&error);
        Error::generic(format!("Failed to connect to '{path}': {reason}"))
    })?;
    Ok(Connected {
        stream: Stream::unix(socket),
        peer: String::new(),
    })
}

fn connect_inet(address: &InetSocketAddress, nodelay: bool) -> Result<Connected, Error> {
    let candidates = resolve(address)?;
    let mut failure = None;
    for candidate in candidates {
        let connect = || -> io::Result<Connected> {
            let stream = TcpStream::connect_timeout(&candidate, TIMEOUT)?;
            stream.set_nodelay(nodelay)?;
            sockopt::set_socket_keepalive(&stream, address.keep_alive.unwrap_or(false))?;
            Ok(Connected {
                stream: Stream::tcp(not_blocking(stream.into())?),
                peer: candidate.to_string(),
            })
        };
        match connect() {
            Ok(connected) => return Ok(connected),
            Err(error) => failure = Some(error),
        }
    }
    let InetSocketAddress { host, port, .. } = address;
    let reason = failure.map(|error| reason(&error)).unwrap_or_default();
    Err(Error::generic(format!(
        "Failed to connect to '{host}:{port}': {reason}"
    )))
}

/// Takes a connected socket that somebody else has made.
pub(super) fn adopt(socket: OwnedFd) -> io::Result<Stream> {
    let domain = sockopt::socket_domain(&socket)?;
    let socket = not_blocking(socket)?;
    Ok(match domain {
        AddressFamily::UNIX => Stream::unix(socket),
        _ => Stream::tcp(socket),
    })
}

fn not_blocking(socket: OwnedFd) -> io::Result<OwnedFd> {
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}
