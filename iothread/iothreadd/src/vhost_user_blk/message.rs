//! The client's messages, taken off a socket that is not waited for.
//!
//! The library's handler of messages reads them from a socket and blocks until all of one is there, which an event loop
//! cannot allow. So messages are put together here, and those that are complete are handed on through a pair of sockets.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use vhost::vhost_user::message::{FrontendReq, MAX_ATTACHED_FD_ENTRIES, MAX_MSG_SIZE};

/// Bytes of a header: number of the request, flags and size of the body, each of 32 bits.
const HEADER_SIZE: usize = 12;

/// The most bytes of a message.
pub(super) const MAX_SIZE: usize = HEADER_SIZE + MAX_MSG_SIZE;

/// The message that is coming in.
pub(super) struct Incoming {
    bytes: Box<[u8; MAX_SIZE]>,
    filled: usize,
    descriptors: Vec<OwnedFd>,
}

/// How far receiving came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All of a message is there.
    Complete,
    /// There is no more at the moment.
    Partial,
    /// The client has hung up.
    End,
}

/// What has to be over before a message is handled, because its answer says so.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Barrier {
    None,
    /// The requests of one queue, which ends.
    Queue(u32),
    /// All requests.
    Device,
}

/// The client does not keep to the protocol, or the socket is broken.
#[derive(Debug)]
pub(super) struct Broken;

impl From<Errno> for Broken {
    fn from(_: Errno) -> Self {
        Self
    }
}

impl Default for Incoming {
    fn default() -> Self {
        Self {
            bytes: Box::new([0; MAX_SIZE]),
            filled: 0,
            descriptors: Vec::new(),
        }
    }
}

impl Incoming {
    /// Receives as much of the message as there is. Nothing of the next one is touched, since descriptors belong to the
    /// message whose bytes they come with.
    pub(super) fn receive(&mut self, socket: &OwnedFd) -> Result<Progress, Broken> {
        loop {
            let end = self.end()?;
            if self.filled == end && end > HEADER_SIZE - 1 && self.has_header() {
                return Ok(Progress::Complete);
            }
            let mut space =
                [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_ATTACHED_FD_ENTRIES))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let received = recvmsg(
                socket,
                &mut [IoSliceMut::new(&mut self.bytes[self.filled..end])],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
            );
            let received = match received {
                Ok(received) => received,
                Err(Errno::AGAIN) => return Ok(Progress::Partial),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    self.descriptors.extend(rights);
                }
            }
            let lost_some = received.flags.contains(ReturnFlags::CTRUNC);
            let too_many = self.descriptors.len() > MAX_ATTACHED_FD_ENTRIES;
            if lost_some || too_many || self.descriptors.iter().any(is_socket) {
                return Err(Broken);
            }
            if received.bytes == 0 {
                return Ok(Progress::End);
            }
            self.filled += received.bytes;
        }
    }

    fn has_header(&self) -> bool {
        self.filled >= HEADER_SIZE
    }

    fn number_at(&self, offset: usize) -> Option<u32> {
        let bytes = self.bytes[..self.filled].get(offset..)?;
        Some(u32::from_ne_bytes(*bytes.first_chunk()?))
    }

    /// Where the part ends that is to be received next: the header, or the body.
    fn end(&self) -> Result<usize, Broken> {
        if !self.has_header() {
            return Ok(HEADER_SIZE);
        }
        let size = self.number_at(8).and_then(|it| usize::try_from(it).ok());
        match size {
            Some(size) if size <= MAX_MSG_SIZE => Ok(HEADER_SIZE + size),
            Some(_) | None => Err(Broken),
        }
    }

    /// What the message, which is complete, has to wait for.
    pub(super) fn barrier(&self) -> Barrier {
        let Some(number) = self.number_at(0) else {
            return Barrier::None;
        };
        if number == FrontendReq::GET_VRING_BASE as u32 {
            // Without a body there is nothing to wait for, and the handler refuses it.
            self.number_at(HEADER_SIZE)
                .map_or(Barrier::None, Barrier::Queue)
        } else if number == FrontendReq::RESET_DEVICE as u32 {
            Barrier::Device
        } else {
            Barrier::None
        }
    }

    /// Forgets what has come of a message, and what came with it.
    pub(super) fn discard(&mut self) {
        self.filled = 0;
        self.descriptors.clear();
    }

    /// Hands the message on, in one piece, and begins with the next one.
    pub(super) fn forward(&mut self, socket: &impl AsFd) -> Result<(), Broken> {
        let message = &self.bytes[..self.filled];
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_ATTACHED_FD_ENTRIES))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let rights: Vec<_> = self.descriptors.iter().map(AsFd::as_fd).collect();
        if !rights.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&rights)) {
            return Err(Broken);
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let sent = sendmsg(socket, &[IoSlice::new(message)], &mut ancillary, flags)?;
        // A message is far smaller than what a socket takes, and there is no other in it.
        if sent != message.len() {
            return Err(Broken);
        }
        self.discard();
        Ok(())
    }
}

/// Whether it is a socket: no message that is on offer comes with one. The client's own end of the connection, kept here,
/// would keep the connection from ever ending.
fn is_socket(descriptor: &OwnedFd) -> bool {
    // Every open descriptor says what it is.
    fstat(descriptor).is_ok_and(|it| FileType::from_raw_mode(it.st_mode).is_socket())
}
