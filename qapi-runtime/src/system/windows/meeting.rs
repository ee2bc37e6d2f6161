//! Where a mock and its clients meet.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use crate::address::Address;

/// A connection of a mock, which blocks.
pub(crate) type MockStream = TcpStream;

/// A port that the system has chosen, of this machine alone.
pub(crate) struct Meeting {
    listener: TcpListener,
    address: Address,
}

impl Meeting {
    pub(crate) fn new() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = Address::Tcp(listener.local_addr()?.to_string());
        Ok(Self { listener, address })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> Address {
        self.address.clone()
    }

    pub(crate) fn accept(&self) -> io::Result<MockStream> {
        let stream = self.listener.accept()?.0;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
