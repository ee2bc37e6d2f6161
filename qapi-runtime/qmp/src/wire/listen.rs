//! Where clients come in.

use std::fmt;
use std::io;
use std::net::TcpListener;

use qapi_runtime::address::Address;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::sockopt;

use crate::system::{self, Medium, SocketFile};

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
                "cannot listen on '{address}': {} is expected",
                system::LISTENERS
            ),
            Self::System(_, error) if system::has_address(error) => write!(f, "{error}"),
            Self::System(address, error) => write!(f, "cannot listen on '{address}': {error}"),
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
    /// Listens at an address.
    pub(crate) fn at(address: &Address) -> Result<Self, ListenError> {
        let refused = |error| ListenError::System(address.to_string(), error);
        let (socket, file) = match address {
            Address::Tcp(text) => {
                let text = match text.strip_prefix(':') {
                    Some(port) => format!("localhost:{port}"),
                    None => text.clone(),
                };
                (TcpListener::bind(text).map_err(refused)?.into(), None)
            }
            _ => match system::listen(address) {
                Some(listening) => listening.map_err(refused)?,
                None => return Err(ListenError::NotForServers(address.to_string())),
            },
        };
        Self::of_socket(socket, address.clone(), file).map_err(refused)
    }

    /// Listens at a name that nobody else has.
    pub(crate) fn anywhere() -> io::Result<Self> {
        let (socket, address) = system::listen_anywhere()?;
        Self::of_socket(socket, address, None)
    }

    fn of_socket(socket: OwnedFd, address: Address, file: Option<SocketFile>) -> io::Result<Self> {
        if !system::is_listening(&socket)? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it does not listen",
            ));
        }
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self {
            is_tcp: system::medium(&socket)? == Medium::Tcp,
            socket,
            address,
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
            match system::accept(&self.socket) {
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
