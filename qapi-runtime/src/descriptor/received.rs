//! The receiving side.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::MAX_DESCRIPTORS;

/// The descriptors that came with the last message that had any.
///
/// A later message with descriptors closes those of an earlier one that nobody took, as in QEMU,
/// so a peer cannot pile them up.
#[derive(Clone, Debug, Default)]
pub struct Descriptors {
    received: Arc<Mutex<Vec<OwnedFd>>>,
}

impl Descriptors {
    /// Takes the next descriptor: the one for `getfd` or `add-fd`.
    pub fn take(&self) -> Option<OwnedFd> {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        if received.is_empty() {
            None
        } else {
            Some(received.remove(0))
        }
    }

    pub(crate) fn replace(&self, descriptors: Vec<OwnedFd>) {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        *received = descriptors;
    }
}

/// Receives bytes, and the descriptors that came with them.
pub(crate) fn receive(
    socket: impl AsFd,
    buffer: &mut [u8],
    descriptors: &Descriptors,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(
        socket,
        &mut [IoSliceMut::new(buffer)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut received = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            received.extend(rights);
        }
    }
    if !received.is_empty() {
        descriptors.replace(received);
    }
    Ok(message.bytes)
}
