//! Listeners of servers.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::net::AddressFamily;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::super::{Transport, unsupported};
use super::kernel::{family_of, listens};
use super::local::Local;

/// A unix socket that listens.
pub(crate) struct LocalListener(UnixListener);

impl LocalListener {
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self(UnixListener::from_std(socket.into())?))
    }

    /// Listens at a named pipe.
    pub(crate) fn at_pipe(_name: &Path) -> io::Result<Self> {
        Err(unsupported("servers listen at named pipes on Windows only"))
    }

    pub(crate) async fn accept(&self) -> io::Result<Local> {
        Ok(Local::Unix(self.0.accept().await?.0))
    }
}

/// A socket that was opened elsewhere.
pub(crate) enum Adopted {
    Local(LocalListener),
    Tcp(TcpListener),
    Transport(Transport),
}

/// Finds out what a descriptor is.
pub(crate) fn adopt(socket: OwnedFd) -> io::Result<Adopted> {
    rustix::io::ioctl_fionbio(&socket, true)?;
    let listens = listens(&socket)?;
    Ok(match (family_of(&socket)?, listens) {
        (AddressFamily::UNIX, true) => Adopted::Local(LocalListener::new(socket)?),
        (AddressFamily::UNIX, false) => {
            let stream = UnixStream::from_std(socket.into())?;
            Adopted::Transport(Transport::Local(Local::Unix(stream)))
        }
        (AddressFamily::INET | AddressFamily::INET6, true) => {
            Adopted::Tcp(TcpListener::from_std(socket.into())?)
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

/// Has a peer that vanishes without a word noticed in the end.
pub(crate) fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_keepalive(stream, true)?)
}
