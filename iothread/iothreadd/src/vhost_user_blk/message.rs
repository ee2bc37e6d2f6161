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
    SendAncillaryMessage, SendFlags, SocketAddrAny, SocketAddrUnix, getpeername, getsockname,
    recvmsg, sendmsg,
};
use vhost::vhost_user::message::{BackendReq, FrontendReq, MAX_ATTACHED_FD_ENTRIES, MAX_MSG_SIZE};

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
                // A part of the header did not tell what it is about.
                return match self.descriptors.iter().all(|it| self.is_wanted(it)) {
                    true => Ok(Progress::Complete),
                    false => Err(Broken),
                };
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
            if lost_some || too_many || self.descriptors.iter().any(|it| !self.is_wanted(it)) {
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

    /// Whether a descriptor may belong to the message, as far as is known of it.
    fn is_wanted(&self, descriptor: &OwnedFd) -> bool {
        match what_it_is(descriptor) {
            Passed::Other => true,
            // The client's own end of a connection, kept here, would keep that from ever ending.
            Passed::NamedSocket => false,
            Passed::NamelessSocket => self
                .number_at(0)
                .is_none_or(|number| number == FrontendReq::SET_BACKEND_REQ_FD as u32),
        }
    }

    /// The channel for the server's own messages, if the message, which is complete, brings one.
    pub(super) fn channel(&self) -> Result<Option<OwnedFd>, Broken> {
        if self.number_at(0) != Some(FrontendReq::SET_BACKEND_REQ_FD as u32) {
            return Ok(None);
        }
        let [channel] = &self.descriptors[..] else {
            return Err(Broken);
        };
        channel.try_clone().map(Some).map_err(|_| Broken)
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

/// What a client has passed.
enum Passed {
    /// One that can be connected to, or was: a connection to a server such as this.
    NamedSocket,
    /// One of a pair.
    NamelessSocket,
    Other,
}

fn what_it_is(descriptor: &OwnedFd) -> Passed {
    // Every open descriptor says what it is.
    let is_socket =
        fstat(descriptor).is_ok_and(|it| FileType::from_raw_mode(it.st_mode).is_socket());
    if !is_socket {
        return Passed::Other;
    }
    let is_nameless = |address: SocketAddrAny| {
        SocketAddrUnix::try_from(address).is_ok_and(|it| {
            it.path_bytes().is_none_or(<[u8]>::is_empty)
                && it.abstract_name().is_none_or(<[u8]>::is_empty)
        })
    };
    let own = getsockname(descriptor).is_ok_and(is_nameless);
    let of_peer = getpeername(descriptor)
        .ok()
        .flatten()
        .is_none_or(is_nameless);
    match own && of_peer {
        true => Passed::NamelessSocket,
        false => Passed::NamedSocket,
    }
}

/// The message that asks a client to read the configuration space again. It has no body.
pub(super) fn config_change() -> [u8; HEADER_SIZE] {
    /// The version of the protocol, among the flags.
    const VERSION: u32 = 1;
    let mut message = [0; HEADER_SIZE];
    message[..4].copy_from_slice(&(BackendReq::CONFIG_CHANGE_MSG as u32).to_ne_bytes());
    message[4..8].copy_from_slice(&VERSION.to_ne_bytes());
    message
}
