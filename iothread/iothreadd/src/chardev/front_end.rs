//! Who uses a character device, and what it has of the device.

use std::sync::{Arc, Weak};

use iothread::OnMain;
use qapi_runtime::Error;

use crate::net::stream::Stream;

/// Who uses a character device.
pub(crate) trait FrontEnd: Send + Sync {
    /// A peer is there. The connection may be used on any thread.
    fn connected(&self, main: OnMain<'_>, connection: PeerStream);

    /// What it sends first to a device that only takes what it is sent; `None` if it cannot do with such a device.
    fn first_words(&self) -> Option<Vec<u8>>;
}

/// What a front end does with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    /// It takes what comes.
    Read,
    /// It only sends.
    Write,
}

/// Why a front end cannot use a device.
#[derive(Debug)]
pub(crate) enum AttachError {
    /// There is no such device.
    Missing,
    /// It has a front end.
    InUse,
    /// It only takes what it is sent.
    Mute,
    Failed(Error),
}

impl AttachError {
    /// In the words that QEMU has for most front ends.
    pub(crate) fn about(self, id: &str) -> Error {
        match self {
            Self::Missing => Error::device_not_found(format!("Device '{id}' not found")),
            Self::InUse => Error::generic(format!("chardev '{id}' is already in use")),
            Self::Mute => Error::generic(format!("chardev '{id}' has no stream")),
            Self::Failed(error) => error,
        }
    }
}

impl From<Error> for AttachError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A connection that a front end has from a device, and gives back by dropping it.
pub(crate) struct PeerStream {
    stream: Stream,
    /// Absent for devices that have the same stream for good.
    lender: Option<(Weak<dyn Lender>, u64)>,
}

/// A device whose peers come and go.
pub(super) trait Lender: Send + Sync {
    /// A front end has given the connection to a peer back; `number` tells peers apart. From any thread.
    fn take_back(self: Arc<Self>, number: u64, reason: Reason);
}

/// Why a connection is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The peer has hung up, or is cut off.
    HungUp,
    /// Nothing more comes for the peer.
    Dismissed,
    /// The front end does without it.
    Unused,
}

impl PeerStream {
    pub(super) fn without_lender(stream: Stream) -> Self {
        Self {
            stream,
            lender: None,
        }
    }

    pub(super) fn lent_by(lender: Weak<dyn Lender>, number: u64, stream: Stream) -> Self {
        Self {
            stream,
            lender: Some((lender, number)),
        }
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Ends the connection: the peer has hung up, or is to be cut off. From any thread.
    pub(crate) fn close(mut self) {
        if let Some((lender, number)) = self.lender() {
            self.stream.close();
            lender.take_back(number, Reason::HungUp);
        }
    }

    /// Tells the peer that nothing more comes, and leaves the connection to the device until the peer hangs up or
    /// another front end is there. From any thread.
    pub(crate) fn dismiss(mut self) {
        if let Some((lender, number)) = self.lender() {
            self.stream.close();
            lender.take_back(number, Reason::Dismissed);
        }
    }

    /// Who is to have it back; the first time only.
    fn lender(&mut self) -> Option<(Arc<dyn Lender>, u64)> {
        let (lender, number) = self.lender.take()?;
        Some((lender.upgrade()?, number))
    }
}

impl Drop for PeerStream {
    fn drop(&mut self) {
        if let Some((lender, number)) = self.lender() {
            lender.take_back(number, Reason::Unused);
        }
    }
}
