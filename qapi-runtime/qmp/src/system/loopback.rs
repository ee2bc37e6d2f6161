//! Systems on which no socket has a name that is gone with it.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use qapi_runtime::address::Address;
use rustix::fd::OwnedFd;

/// Listens at a port that nobody else has, of this machine alone.
pub(crate) fn listen_anywhere() -> io::Result<(OwnedFd, Address)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = Address::Tcp(listener.local_addr()?.to_string());
    Ok((listener.into(), address))
}
