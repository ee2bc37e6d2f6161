//! The client's messages, taken off a socket that is not waited for.
//!
//! The library's handler of messages reads them from a socket and blocks until all of one is there, which an event loop
//! cannot allow. So messages are put together here, and those that are complete are handed on through a pair of sockets.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrAny, SocketAddrUnix,
    getpeername, getsockname, sendmsg,
};
use vhost::vhost_user::message::{BackendReq, FrontendReq, MAX_ATTACHED_FD_ENTRIES, MAX_MSG_SIZE};

use crate::net::protocol::{Protocol, Step};
use crate::net::stream::Passed;
use crate::net::unsent::Unsent;

/// Bytes of a header: number of the request, flags and size of the body, each of 32 bits.
const HEADER_SIZE: usize = 12;

/// The most bytes of a message.
pub(super) const MAX_SIZE: usize = HEADER_SIZE + MAX_MSG_SIZE;

/// The client's messages as they come, one after the other: nothing of the next one is received before, since descriptors
/// belong to the message whose bytes they come with.
pub(super) struct Messages {
    bytes: Box<[u8; MAX_SIZE]>,
    filled: usize,
    descriptors: Vec<OwnedFd>,
    /// Answers to them.
    unsent: Unsent,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The message, which is complete, waits for requests to be over.
    Held,
    Over,
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

impl Default for Messages {
    fn default() -> Self {
        Self {
            bytes: Box::new([0; MAX_SIZE]),
            filled: 0,
            descriptors: Vec::new(),
            unsent: Unsent::default(),
            state: State::Open,
        }
    }
}

impl Messages {
    /// Leaves the message, which is complete, for later.
    pub(super) fn hold(&mut self) {
        self.change(State::Held);
    }

    pub(super) fn is_held(&self) -> bool {
        self.state == State::Held
    }

    /// Comes back to a message that was left for later.
    pub(super) fn resume(&mut self) {
        self.change(State::Open);
    }

    /// Takes no more messages.
    pub(super) fn give_up(&mut self) {
        self.state = State::Over;
    }

    fn change(&mut self, state: State) {
        match self.state {
            State::Open | State::Held => self.state = state,
            State::Over => {}
        }
    }

    fn has_header(&self) -> bool {
        self.filled >= HEADER_SIZE
    }

    /// Whether a descriptor may belong to the message, as far as is known of it.
    fn is_wanted(&self, descriptor: &OwnedFd) -> bool {
        match what_it_is(descriptor) {
            Kind::Other => true,
            // The client's own end of a connection, kept here, would keep that from ever ending.
            Kind::NamedSocket => false,
            Kind::NamelessSocket => self
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
    fn barrier(&self) -> Barrier {
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

impl Protocol for Messages {
    /// A message is there, which has to wait for this.
    type Event = Barrier;
    type Output = Unsent;

    const TAKES_DESCRIPTORS: bool = true;

    fn space(&mut self) -> &mut [u8] {
        let end = self.end().unwrap_or(self.filled);
        &mut self.bytes[self.filled..end]
    }

    fn received(&mut self, count: usize, passed: Passed) {
        self.descriptors.extend(passed.descriptors);
        let too_many = self.descriptors.len() > MAX_ATTACHED_FD_ENTRIES;
        if passed.has_lost_some || too_many || self.descriptors.iter().any(|it| !self.is_wanted(it))
        {
            self.give_up();
        }
        self.filled += count;
    }

    fn end_of_input(&mut self) {
        self.give_up();
    }

    fn advance(&mut self) -> Step<Barrier> {
        match self.state {
            State::Open => {}
            State::Held => return Step::Wait,
            State::Over => return Step::Abort,
        }
        match self.end() {
            Ok(end) if self.filled < end => Step::Read,
            // A part of the header did not tell what it is about.
            Ok(_) if self.descriptors.iter().all(|it| self.is_wanted(it)) => {
                Step::Event(self.barrier())
            }
            Ok(_) | Err(Broken) => Step::Abort,
        }
    }

    fn output(&mut self) -> &mut Unsent {
        &mut self.unsent
    }
}

/// What a client has passed.
enum Kind {
    /// One that can be connected to, or was: a connection to a server such as this.
    NamedSocket,
    /// One of a pair.
    NamelessSocket,
    Other,
}

fn what_it_is(descriptor: &OwnedFd) -> Kind {
    // Every open descriptor says what it is.
    let is_socket =
        fstat(descriptor).is_ok_and(|it| FileType::from_raw_mode(it.st_mode).is_socket());
    if !is_socket {
        return Kind::Other;
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
        true => Kind::NamelessSocket,
        false => Kind::NamedSocket,
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::net::drive::{Fate, drive};

    pub(super) fn message(number: u32, body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len()).unwrap();
        let mut bytes = number.to_ne_bytes().to_vec();
        bytes.extend(1_u32.to_ne_bytes());
        bytes.extend(size.to_ne_bytes());
        bytes.extend(body);
        bytes
    }

    /// What messages have to wait for, and what becomes of them.
    fn barriers(input: &[u8], piece: usize) -> (Vec<Barrier>, Fate) {
        let mut barriers = Vec::new();
        let mut messages = Messages::default();
        let (_, fate) = drive(&mut messages, input, piece, |messages, barrier| {
            barriers.push(barrier);
            messages.discard();
        });
        (barriers, fate)
    }

    #[test]
    fn messages_come_out_however_they_are_cut() {
        let input = [
            message(FrontendReq::GET_FEATURES as u32, &[]),
            message(
                FrontendReq::GET_VRING_BASE as u32,
                &[3, 0, 0, 0, 0, 0, 0, 0],
            ),
            message(FrontendReq::GET_VRING_BASE as u32, &[]),
            message(FrontendReq::RESET_DEVICE as u32, &[]),
            vec![1, 2, 3],
        ]
        .concat();
        let queue = u32::from_ne_bytes([3, 0, 0, 0]);
        let expected = [
            Barrier::None,
            Barrier::Queue(queue),
            Barrier::None,
            Barrier::Device,
        ];
        for piece in 1..input.len() {
            let (barriers, fate) = barriers(&input, piece);
            assert_eq!((&barriers[..], fate), (&expected[..], Fate::Over(0)));
        }
    }

    #[test]
    fn a_message_too_long_ends_it() {
        let size = u32::try_from(MAX_MSG_SIZE).unwrap();
        let mut longest = message(1, &vec![0; MAX_MSG_SIZE]);
        assert_eq!(barriers(&longest, MAX_SIZE).0.len(), 1);
        longest[8..12].copy_from_slice(&(size + 1).to_ne_bytes());
        let fate = Fate::Over(MAX_MSG_SIZE);
        assert_eq!(barriers(&longest, MAX_SIZE), (Vec::new(), fate));
    }

    #[test]
    fn what_waits_is_come_back_to() {
        let mut messages = Messages::default();
        let input = message(FrontendReq::RESET_DEVICE as u32, &[]);
        let (_, fate) = drive(&mut messages, &input, 99, |messages, _| messages.hold());
        assert_eq!((fate, messages.is_held()), (Fate::Waits, true));
        messages.resume();
        assert_eq!(messages.advance(), Step::Event(Barrier::Device));
    }

    /// A channel is passed with one message only, and nothing else is a socket.
    #[test]
    fn sockets_come_with_one_message_only() {
        for (number, is_taken) in [
            (FrontendReq::SET_BACKEND_REQ_FD, true),
            (FrontendReq::SET_VRING_KICK, false),
        ] {
            let mut messages = Messages::default();
            let input = message(number as u32, &[]);
            messages.space().copy_from_slice(&input);
            let (socket, _other) = UnixStream::pair().unwrap();
            let passed = Passed {
                descriptors: vec![socket.into()],
                has_lost_some: false,
            };
            messages.received(input.len(), passed);
            let step = messages.advance();
            assert_eq!(step == Step::Event(Barrier::None), is_taken);
            let channel = messages.channel();
            assert_eq!(matches!(channel, Ok(Some(_))), is_taken);
        }
        let mut messages = Messages::default();
        messages.space()[0] = 1;
        let passed = Passed {
            descriptors: Vec::new(),
            has_lost_some: true,
        };
        messages.received(1, passed);
        assert_eq!(messages.advance(), Step::Abort);
    }
}
