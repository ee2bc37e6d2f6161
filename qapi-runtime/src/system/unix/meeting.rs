//! Where a mock and its clients meet.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicU64, Ordering};

use super::kernel;
use crate::address::Address;

/// A connection of a mock, which blocks.
pub(crate) type MockStream = UnixStream;

/// A place of their own. It is gone with this value.
pub(crate) struct Meeting {
    listener: UnixListener,
    address: Address,
}

impl Meeting {
    /// Listens at a name that is not taken. Processes of several containers may have the same number and share names, so one
    /// that is taken is passed over.
    pub(crate) fn new() -> io::Result<Self> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = COUNTER.fetch_add(1, Ordering::Relaxed);
            let name = format!("qapi-runtime-mock-{}-{number}", std::process::id());
            match kernel::listen_at(&name) {
                Ok((listener, address)) => return Ok(Self { listener, address }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> Address {
        self.address.clone()
    }

    pub(crate) fn accept(&self) -> io::Result<MockStream> {
        Ok(self.listener.accept()?.0)
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        kernel::clear(&self.address);
    }
}
