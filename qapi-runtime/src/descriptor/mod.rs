//! File descriptors that travel beside the bytes of a unix socket (SCM_RIGHTS).

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

#[cfg(feature = "tokio")]
mod received;

#[cfg(feature = "tokio")]
pub use self::received::Descriptors;
#[cfg(feature = "tokio")]
pub(crate) use self::received::receive;

/// Descriptors that travel with one message; the kernel closes those beyond it. As in QEMU.
pub const MAX_DESCRIPTORS: usize = 16;

/// Sends bytes with descriptors beside them; how many bytes were taken. The descriptors travel
/// with the first byte, so the rest is sent without them.
pub(crate) fn send(
    socket: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "more descriptors than one message takes",
        ));
    }
    let count = sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    Ok(count)
}
