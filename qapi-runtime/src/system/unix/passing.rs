//! Descriptors that travel beside the bytes of a unix socket (SCM_RIGHTS), and those that a program was started with.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{self, ControlMessage, MsgFlags};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, recvmsg, sendmsg,
};

use super::super::PeerCredentials;
use super::kernel;

/// Descriptors that travel with one message; the kernel closes those beyond it. As in QEMU.
pub const MAX_DESCRIPTORS: usize = 16;

/// Sends bytes with descriptors beside them; how many bytes were taken. The descriptors travel
/// with the first byte, so the rest is sent without them.
///
/// # Errors
///
/// More than [`MAX_DESCRIPTORS`], or what the socket refuses.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "more descriptors than one message takes",
        ));
    }
    kernel::no_signal(socket.as_fd());
    let bytes = &[IoSlice::new(bytes)];
    Ok(sendmsg(socket, bytes, &mut ancillary, kernel::SENDING)?)
}

/// What came with one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// How many bytes; none at the end.
    pub n_bytes: usize,
    /// Whether the kernel has closed descriptors: more than [`MAX_DESCRIPTORS`], or more than this process may have.
    pub has_lost_descriptors: bool,
}

/// Receives bytes, and appends the descriptors that came with them. Those are closed when a program
/// is executed. Never waits.
///
/// # Errors
///
/// What the socket refuses, or that there is nothing yet.
pub fn receive(
    socket: impl AsFd,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(
        socket,
        &mut [IoSliceMut::new(buffer)],
        &mut ancillary,
        kernel::RECEIVING,
    )?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            for descriptor in rights {
                kernel::close_on_exec(&descriptor)?;
                descriptors.push(descriptor);
            }
        }
    }
    Ok(Received {
        n_bytes: message.bytes,
        has_lost_descriptors: message.flags.contains(ReturnFlags::CTRUNC),
    })
}

/// Who is at the other end of a unix socket (SO_PEERCRED; on macOS LOCAL_PEERCRED and LOCAL_PEERPID): who had connected, or who had
/// begun to listen.
///
/// # Errors
///
/// Not a unix socket that is connected.
pub fn peer_credentials(socket: impl AsFd) -> io::Result<PeerCredentials> {
    kernel::credentials_of(socket.as_fd())
}

/// A descriptor that the program was started with, by its number: socket activation starts with
/// 3. The result is a duplicate; the number itself stays open.
///
/// # Errors
///
/// No such descriptor, or none left for the duplicate.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // It is passed from here to here. No other safe call takes a number on all kernels: `pidfd_getfd` is of Linux 5.6, and many a
    // sandbox refuses it.
    let (from, to) = UnixStream::pair()?;
    let rights = [ControlMessage::ScmRights(&[number])];
    let bytes = [IoSlice::new(&[0])];
    socket::sendmsg::<()>(from.as_raw_fd(), &bytes, &rights, MsgFlags::empty(), None)?;
    let mut descriptors = Vec::new();
    receive(&to, &mut [0], &mut descriptors)?;
    descriptors.pop().ok_or_else(|| Errno::MFILE.into())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Sends one byte with that many descriptors, whether or not the receiver can have them.
    fn pass(socket: &UnixStream, count: usize) {
        let descriptors = vec![socket.as_fd(); count];
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2 * MAX_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
        let bytes = &[IoSlice::new(b"x")];
        sendmsg(socket, bytes, &mut ancillary, kernel::SENDING).unwrap();
    }

    #[test]
    fn descriptors_that_are_lost_are_told() {
        let (sender, receiver) = UnixStream::pair().unwrap();
        for (count, has_lost_descriptors) in [
            (1, false),
            (MAX_DESCRIPTORS, false),
            (2 * MAX_DESCRIPTORS, true),
        ] {
            let why = "QEMU's emulators do not tell of them";
            if has_lost_descriptors && ::tests::skips_emulated("descriptors that are lost", why) {
                continue;
            }
            pass(&sender, count);
            let mut descriptors = Vec::new();
            let received = receive(&receiver, &mut [0; 8], &mut descriptors).unwrap();
            let expected = Received {
                n_bytes: 1,
                has_lost_descriptors,
            };
            assert_eq!(received, expected);
            assert_eq!(descriptors.len() < count, has_lost_descriptors);
        }
    }
}
