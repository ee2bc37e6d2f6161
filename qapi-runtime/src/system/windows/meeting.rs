//! Where a mock and its clients meet.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener};
use std::sync::Arc;

use super::line::Line;
use crate::address::Address;

/// A connection of a mock, which blocks. It is carried as those of clients are: who reads a socket of Windows does not hear that
/// somebody else shuts it down.
pub(crate) struct MockStream(Arc<Line>);

impl MockStream {
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(Arc::clone(&self.0)))
    }

    /// Ends both directions.
    pub(crate) fn shutdown(&self, _how: Shutdown) -> io::Result<()> {
        self.0.end();
        Ok(())
    }
}

impl Read for MockStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer, None)
    }
}

impl Write for MockStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes, &[], None)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

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
        Ok(MockStream(Arc::new(Line::new(stream.into())?)))
    }
}
