//! Where clients come in.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use qapi_runtime::address::Address;
use qapi_runtime::descriptor::inherited;
use qapi_runtime::socket::{BindError, SocketFile, listen_abstract, listen_path};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, accept_with, sockopt};

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: OwnedFd,
    address: Address,
    is_tcp: bool,
    /// Goes with it.
    _file: Option<SocketFile>,
}

/// An address at which nobody can listen.
#[derive(Debug)]
pub(crate) enum ListenError {
    /// Only clients can use such an address.
    NotForServers(String),
    /// What the system refuses.
    System(String, io::Error),
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotForServers(address) => write!(
                f,
                "cannot listen on '{address}': unix:PATH, tcp:HOST:PORT or fd:NUMBER is expected"
            ),
            Self::System(address, error) => match error.get_ref() {
                // It names the address by itself.
                Some(inner) if inner.is::<BindError>() => write!(f, "{error}"),
                _ => write!(f, "cannot listen on '{address}': {error}"),
            },
        }
    }
}

impl std::error::Error for ListenError {}

impl From<ListenError> for io::Error {
    fn from(error: ListenError) -> Self {
        let kind = match &error {
            ListenError::NotForServers(_) => io::ErrorKind::InvalidInput,
            ListenError::System(_, error) => error.kind(),
        };
        Self::new(kind, error.to_string())
    }
}

impl Listener {
    /// Listens at an address. A descriptor that the program was started with listens already.
    pub(crate) fn at(address: &Address) -> Result<Self, ListenError> {
        let system = |error| ListenError::System(address.to_string(), error);
        let (socket, file) = match address {
            Address::Unix(path) => {
                let (socket, file) =
                    listen_path(path, None).map_err(|error| system(error.into()))?;
                (socket, Some(file))
            }
            Address::Abstract(name) => {
                let socket = listen_abstract(name).map_err(|error| system(error.into()))?;
                (socket, None)
            }
            Address::Tcp(text) => {
                let text = match text.strip_prefix(':') {
                    Some(port) => format!("localhost:{port}"),
                    None => text.clone(),
                };
                (TcpListener::bind(text).map_err(system)?.into(), None)
            }
            Address::Fd(number) => (inherited(*number).map_err(system)?, None),
            _ => return Err(ListenError::NotForServers(address.to_string())),
        };
        Self::of_socket(socket, address.clone(), file).map_err(system)
    }

    /// Listens at a name that nobody else has.
    pub(crate) fn anywhere() -> io::Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let name = format!("qmp-relay-{}-{number}", std::process::id()).into_bytes();
            match listen_abstract(&name) {
                Ok(socket) => return Self::of_socket(socket, Address::Abstract(name), None),
                // Processes of several containers may have the same number and share names.
                Err(BindError::InUse { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn of_socket(socket: OwnedFd, address: Address, file: Option<SocketFile>) -> io::Result<Self> {
        if !sockopt::socket_acceptconn(&socket)? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it does not listen",
            ));
        }
        rustix::io::ioctl_fionbio(&socket, true)?;
        let domain = sockopt::socket_domain(&socket)?;
        Ok(Self {
            socket,
            address,
            is_tcp: domain == AddressFamily::INET || domain == AddressFamily::INET6,
            _file: file,
        })
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// The next client; nothing once `stop` is readable.
    pub(crate) fn accept(&self, stop: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
        loop {
            let mut polled = [
                PollFd::from_borrowed_fd(stop, PollFlags::IN),
                PollFd::new(&self.socket, PollFlags::IN),
            ];
            match poll(&mut polled, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            if !polled[0].revents().is_empty() {
                return Ok(None);
            }
            match accept_with(&self.socket, SocketFlags::CLOEXEC) {
                Ok(client) => {
                    if self.is_tcp {
                        // Messages are small and wait for each other. Where it cannot be set they are only slower.
                        let _ = sockopt::set_tcp_nodelay(&client, true);
                    }
                    return Ok(Some(client));
                }
                // The client has gone again.
                Err(Errno::INTR | Errno::AGAIN | Errno::CONNABORTED) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What makes those who wait stop: readable from then on.
#[derive(Debug)]
pub(crate) struct Bell(OwnedFd);

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?))
    }

    pub(crate) fn ring(&self) {
        // It is full if it has rung for years, and readable then, too.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
