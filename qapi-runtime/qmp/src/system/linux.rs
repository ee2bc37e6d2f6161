//! Linux.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use qapi_runtime::address::Address;
use qapi_runtime::socket::{BindError, listen_abstract};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, accept_with, sockopt};

/// Listens at a name that nobody else has.
pub(crate) fn listen_anywhere() -> io::Result<(OwnedFd, Address)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("qmp-relay-{}-{number}", std::process::id()).into_bytes();
        match listen_abstract(&name) {
            Ok(socket) => return Ok((socket, Address::Abstract(name))),
            // Processes of several containers may have the same number and share names.
            Err(BindError::InUse { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The family of a socket's addresses.
pub(super) fn domain(socket: &OwnedFd) -> Result<AddressFamily, Errno> {
    sockopt::socket_domain(socket)
}

/// Whether a socket listens.
pub(crate) fn is_listening(socket: &OwnedFd) -> io::Result<bool> {
    Ok(sockopt::socket_acceptconn(socket)?)
}

/// The next client.
pub(crate) fn accept(listener: &OwnedFd) -> Result<OwnedFd, Errno> {
    accept_with(listener, SocketFlags::CLOEXEC)
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
