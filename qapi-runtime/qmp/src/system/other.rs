//! Systems that are like Unix, but not Linux.

use std::io;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::net::AddressFamily;

/// The family of a socket's addresses.
pub(super) fn domain(socket: &OwnedFd) -> Result<AddressFamily, Errno> {
    Ok(rustix::net::getsockname(socket)?.address_family())
}

/// Whether a socket listens: it is not told here, and one that does not has no clients.
pub(crate) fn is_listening(_socket: &OwnedFd) -> io::Result<bool> {
    Ok(true)
}

/// The next client.
pub(crate) fn accept(listener: &OwnedFd) -> Result<OwnedFd, Errno> {
    let client = rustix::net::accept(listener)?;
    // A program that is started in between has it, too; there is no call that does both.
    fcntl_setfd(&client, FdFlags::CLOEXEC)?;
    Ok(client)
}

/// What makes those who wait stop: readable from then on.
#[derive(Debug)]
pub(crate) struct Bell {
    rung: OwnedFd,
    rope: OwnedFd,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        let (rung, rope) = io::pipe()?;
        rustix::io::ioctl_fionbio(&rope, true)?;
        Ok(Self {
            rung: rung.into(),
            rope: rope.into(),
        })
    }

    pub(crate) fn ring(&self) {
        // It is full if it has rung often, and readable then, too.
        let _ = rustix::io::write(&self.rope, b"!");
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.rung.as_fd()
    }
}
