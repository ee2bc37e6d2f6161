//! What is asked and answered on a connection that uses an export, without I/O.

use std::task::Waker;

use rustix::io::Errno;

use super::offer::{Choice, Exported};
use super::protocol::{REQUEST_SIZE, command, command_flag};
use super::reply::Replies;
use super::request::{Header, Refusal};
use crate::block::{IoBuffer, Outcome};
use crate::budgets::Allowance;
use crate::net::protocol::{Outgoing as _, Protocol, Step};
use crate::net::stream::Passed;

/// Bytes received at a time, beside the data of a write.
const INPUT_SIZE: usize = 64 << 10;

/// The most requests of a connection that wait at the same time.
const MAX_WAITING: usize = 128;

/// With so many bytes of requests that wait, no more are taken: two of the largest.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// With so many bytes to be sent, they are sent first: a client should not keep others on the thread waiting for longer,
/// and one that does not read is not read from.
pub(super) const ENOUGH_OUTPUT: usize = 1 << 20;

/// The server's side of a transmission.
pub(super) struct Exchange<E> {
    choice: Choice<E>,
    /// What has been received and not been looked at yet: the part of the buffer between the two.
    input: Box<[u8]>,
    start: usize,
    end: usize,
    stage: Stage,
    /// Bytes that are still to be received when the end is near.
    arrived: Option<usize>,
    replies: Replies,
    n_waiting: usize,
    /// Bytes of requests that wait.
    waiting_bytes: usize,
    /// Is told when there is memory for a request.
    room: Waker,
}

/// What comes next from the client.
enum Stage {
    Header,
    /// The data of a write, of which some are there.
    Payload {
        header: Header,
        data: IoBuffer,
        filled: usize,
    },
    /// Data of a write that is refused when they have come: a client that hears of it before may stop in the middle of them.
    Skip {
        header: Header,
        refusal: Refusal,
        left: u32,
    },
    /// Nothing more; what was asked for is still answered.
    Ended,
    /// The peer is gone.
    Broken,
}

/// A request, all of which has come. It is answered later, or it waits.
#[derive(Debug)]
pub(super) enum Taken {
    Write(Header, IoBuffer),
    Other(Header),
}

impl<E: Exported> Exchange<E> {
    /// `input` is what the client has sent already, `output` what it is to receive first.
    pub(super) fn new(
        choice: Choice<E>,
        memory: Allowance,
        room: Waker,
        input: &[u8],
        output: Vec<u8>,
    ) -> Self {
        let mut replies = Replies::new(memory);
        replies.raw(output);
        let mut buffer = vec![0; INPUT_SIZE.max(input.len())];
        buffer[..input.len()].copy_from_slice(input);
        Self {
            choice,
            input: buffer.into(),
            start: 0,
            end: input.len(),
            stage: Stage::Header,
            arrived: None,
            replies,
            n_waiting: 0,
            waiting_bytes: 0,
            room,
        }
    }

    pub(super) fn memory(&mut self) -> &mut Allowance {
        &mut self.replies.memory
    }

    pub(super) fn n_waiting(&self) -> usize {
        self.n_waiting
    }

    /// Takes no more than the next `arrived` bytes: what comes later was not asked for in time.
    pub(super) fn end_after(&mut self, arrived: usize) {
        self.arrived = Some(arrived);
    }

    /// Forgets everything but what waits.
    pub(super) fn give_up(&mut self) {
        self.stage = Stage::Ended;
        // What workers have is still there.
        let reserved = self.waiting_bytes;
        self.replies.clear(reserved);
    }

    /// A request waits.
    pub(super) fn wait(&mut self, header: &Header) {
        self.n_waiting += 1;
        self.waiting_bytes += header.memory();
    }

    /// A request does not wait any more.
    pub(super) fn stop_waiting(&mut self, header: &Header) {
        self.n_waiting -= 1;
        self.waiting_bytes -= header.memory();
    }

    /// A request that has waited is over, and its outcome does not matter.
    pub(super) fn forget(&mut self, header: &Header) {
        self.waiting_bytes -= header.memory();
        self.replies.memory.give(header.memory());
    }

    /// A request that has waited cannot be carried out, because its context is going away.
    pub(super) fn abandon(&mut self, header: &Header) {
        self.stop_waiting(header);
        self.replies.memory.give(header.memory());
        self.refuse(header, Errno::SHUTDOWN, "shutting down");
    }

    /// Answers a request that has been carried out, or has failed.
    pub(super) fn reply(&mut self, header: &Header, outcome: Outcome) {
        let replies = &mut self.replies;
        let cookie = header.cookie;
        let memory = header.memory();
        match (outcome.result, header.command) {
            (Err(error), _) => {
                replies.memory.give(memory);
                replies.memory.keep(outcome.buffer);
                self.refuse(header, error, "request failed");
            }
            (Ok(()), command::READ) if self.choice.structured_replies => {
                let in_one_piece = header.has(command_flag::DF);
                replies.structured_data(cookie, header.offset, outcome.buffer, in_one_piece);
                replies.reserve(memory);
            }
            (Ok(()), command::READ) => {
                replies.data(cookie, outcome.buffer);
                replies.reserve(memory);
            }
            (Ok(()), command::BLOCK_STATUS) => {
                replies.block_status(cookie, &outcome.extents);
                replies.reserve(memory);
            }
            (Ok(()), _) => {
                replies.memory.give(memory);
                replies.memory.keep(outcome.buffer);
                replies.done(cookie);
            }
        }
    }

    fn refuse(&mut self, header: &Header, error: Errno, text: &str) {
        let structured = self.choice.structured_replies;
        self.replies.error(header.cookie, structured, error, text);
    }

    /// Whether data go where they belong at once: if all that has been received is used up.
    fn fills_payload(&self) -> bool {
        let is_payload = match self.stage {
            Stage::Payload { .. } => true,
            Stage::Header | Stage::Skip { .. } | Stage::Ended | Stage::Broken => false,
        };
        is_payload && self.start == self.end
    }

    /// Takes what it can from the input.
    fn take(&mut self) -> Step<Taken> {
        loop {
            let input = &self.input[self.start..self.end];
            match &mut self.stage {
                Stage::Header => {
                    let Some(bytes) = input.first_chunk::<REQUEST_SIZE>() else {
                        return self.more();
                    };
                    let Some(header) = Header::read(bytes) else {
                        self.stage = Stage::Broken;
                        return Step::Abort;
                    };
                    if header.command == command::DISC {
                        self.start += REQUEST_SIZE;
                        self.stage = Stage::Ended;
                        return self.end();
                    }
                    let checked = header.check(&self.choice);
                    let needed = checked.map_or(0, |()| header.memory());
                    let room = &self.room;
                    if needed > 0 && !self.replies.memory.try_take(needed, || room.clone()) {
                        return Step::Wait;
                    }
                    self.start += REQUEST_SIZE;
                    match checked {
                        Err(refusal) => {
                            self.stage = Stage::Skip {
                                left: header.payload(),
                                header,
                                refusal,
                            };
                        }
                        Ok(()) if header.command == command::WRITE => {
                            let data = self.replies.memory.buffer(header.length as usize);
                            self.stage = Stage::Payload {
                                header,
                                data,
                                filled: 0,
                            };
                        }
                        Ok(()) => return Step::Event(Taken::Other(header)),
                    }
                }
                Stage::Payload { data, filled, .. } => {
                    let count = input.len().min(data.len() - *filled);
                    data[*filled..*filled + count].copy_from_slice(&input[..count]);
                    *filled += count;
                    self.start += count;
                    if *filled < data.len() {
                        return self.more();
                    }
                    let taken = std::mem::replace(&mut self.stage, Stage::Header);
                    if let Stage::Payload { header, data, .. } = taken {
                        return Step::Event(Taken::Write(header, data));
                    }
                }
                Stage::Skip {
                    header,
                    refusal,
                    left,
                } => {
                    let count = input.len().min(*left as usize);
                    *left -= u32::try_from(count).unwrap_or(*left);
                    self.start += count;
                    if *left > 0 {
                        return self.more();
                    }
                    let (header, refusal) = (*header, *refusal);
                    self.stage = Stage::Header;
                    self.refuse(&header, refusal.error, refusal.text);
                    if self.replies.len() >= ENOUGH_OUTPUT {
                        // What is refused costs the client nothing but reading.
                        return Step::Wait;
                    }
                }
                Stage::Ended => return self.end(),
                Stage::Broken => return Step::Abort,
            }
        }
    }

    /// It needs more input.
    fn more(&mut self) -> Step<Taken> {
        if self.arrived == Some(0) {
            // What is left is part of a request.
            self.stage = Stage::Ended;
            return self.end();
        }
        Step::Read
    }

    /// Nothing more comes.
    fn end(&self) -> Step<Taken> {
        match self.n_waiting {
            0 => Step::Close,
            _ => Step::Wait,
        }
    }
}

impl<E: Exported> Protocol for Exchange<E> {
    type Event = Taken;
    type Output = Replies;

    fn space(&mut self) -> &mut [u8] {
        let limit = self.arrived.unwrap_or(usize::MAX);
        let fills_payload = self.fills_payload();
        let space = match &mut self.stage {
            Stage::Payload { data, filled, .. } if fills_payload => &mut data[*filled..],
            Stage::Header
            | Stage::Payload { .. }
            | Stage::Skip { .. }
            | Stage::Ended
            | Stage::Broken => {
                self.input.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
                &mut self.input[self.end..]
            }
        };
        let length = space.len().min(limit);
        &mut space[..length]
    }

    fn received(&mut self, count: usize, _: Passed) {
        if let Some(arrived) = &mut self.arrived {
            *arrived = arrived.saturating_sub(count);
        }
        let fills_payload = self.fills_payload();
        match &mut self.stage {
            Stage::Payload { filled, .. } if fills_payload => *filled += count,
            Stage::Header
            | Stage::Payload { .. }
            | Stage::Skip { .. }
            | Stage::Ended
            | Stage::Broken => {
                self.end += count;
            }
        }
    }

    fn end_of_input(&mut self) {
        self.stage = Stage::Ended;
    }

    fn break_off(&mut self) {
        self.stage = Stage::Broken;
    }

    fn advance(&mut self) -> Step<Taken> {
        let is_open = match self.stage {
            Stage::Header | Stage::Payload { .. } | Stage::Skip { .. } => true,
            Stage::Ended | Stage::Broken => false,
        };
        let has_room = self.n_waiting < MAX_WAITING && self.waiting_bytes < MAX_WAITING_BYTES;
        if is_open && !has_room {
            return Step::Wait;
        }
        self.take()
    }

    fn output(&mut self) -> &mut Replies {
        &mut self.replies
    }
}

#[cfg(test)]
mod tests {
    use qapi_runtime::budget::Budget;

    use super::super::handshake::tests::{Disk, disks};
    use super::super::protocol::{REQUEST_MAGIC, SIMPLE_REPLY_MAGIC, STRUCTURED_REPLY_MAGIC};
    use super::*;
    use crate::net::drive::{Drain as _, Fate, drive};

    /// A client of one of the disks, of which the first is read-only.
    fn client(index: usize, structured_replies: bool) -> Exchange<Disk> {
        let choice = Choice {
            export: disks().exports().swap_remove(index),
            structured_replies,
            base_allocation: false,
        };
        let memory = Allowance::new(Budget::new(1 << 20).join());
        Exchange::new(choice, memory, Waker::noop().clone(), &[], Vec::new())
    }

    fn request(command: u16, cookie: u64, length: u32) -> Vec<u8> {
        let mut bytes = REQUEST_MAGIC.to_be_bytes().to_vec();
        bytes.extend([0, 0]);
        bytes.extend(command.to_be_bytes());
        bytes.extend(cookie.to_be_bytes());
        bytes.extend(4096_u64.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes
    }

    /// A simple reply without data.
    fn reply(cookie: u64, error: u32) -> Vec<u8> {
        let mut bytes = SIMPLE_REPLY_MAGIC.to_be_bytes().to_vec();
        bytes.extend(error.to_be_bytes());
        bytes.extend(cookie.to_be_bytes());
        bytes
    }

    fn done(buffer: IoBuffer) -> Outcome {
        Outcome {
            result: Ok(()),
            buffer,
            extents: Vec::new(),
        }
    }

    /// Answers each request at once.
    fn answer(exchange: &mut Exchange<Disk>, taken: Taken) -> (u16, u64) {
        let (header, buffer) = match taken {
            Taken::Write(header, data) => {
                assert!(data.iter().all(|byte| *byte == 7));
                (header, data)
            }
            Taken::Other(header) => (header, IoBuffer::new(0)),
        };
        exchange.reply(&header, done(buffer));
        (header.command, header.cookie)
    }

    #[test]
    fn requests_are_taken_whole_and_in_their_order() {
        let mut input = request(command::WRITE, 1, 16);
        input.extend([7; 16]);
        input.extend(request(command::FLUSH, 2, 0));
        input.extend(request(command::WRITE, 3, 1));
        input.push(7);
        input.extend(request(command::DISC, 4, 0));
        input.extend(b"what comes behind it");
        for piece in 1..input.len() {
            let mut taken = Vec::new();
            let mut exchange = client(1, false);
            let (output, fate) = drive(&mut exchange, &input, piece, |exchange, event| {
                taken.push(answer(exchange, event));
            });
            let expected = [
                (command::WRITE, 1),
                (command::FLUSH, 2),
                (command::WRITE, 3),
            ];
            assert_eq!(taken, expected, "in pieces of {piece}");
            assert_eq!(output, [reply(1, 0), reply(2, 0), reply(3, 0)].concat());
            assert!(fate.is_over());
        }
    }

    #[test]
    fn what_is_refused_is_answered_behind_its_data() {
        let mut input = request(command::WRITE, 1, 16);
        let refused = input.len() + 16;
        input.extend([7; 16]);
        input.extend(request(99, 2, 0));
        // The disk is read-only.
        for (structured, magic) in [(false, SIMPLE_REPLY_MAGIC), (true, STRUCTURED_REPLY_MAGIC)] {
            let mut exchange = client(0, structured);
            let refuse = |_: &mut Exchange<Disk>, taken| panic!("{taken:?} is carried out");
            let (output, _) = drive(&mut exchange, &input[..refused - 1], 5, refuse);
            assert!(output.is_empty());
            let mut exchange = client(0, structured);
            let (output, fate) = drive(&mut exchange, &input, 5, refuse);
            assert!(output.starts_with(&magic.to_be_bytes()));
            if !structured {
                assert_eq!(output, [reply(1, 1), reply(2, 22)].concat());
            }
            assert!(fate.is_over());
        }
    }

    #[test]
    fn a_disconnect_waits_for_what_is_under_way() {
        let mut exchange = client(1, false);
        let input = [request(command::FLUSH, 1, 0), request(command::DISC, 2, 0)].concat();
        let mut waiting = None;
        let (output, fate) = drive(&mut exchange, &input, input.len(), |exchange, taken| {
            let Taken::Other(header) = taken else {
                panic!("a flush has no data");
            };
            exchange.wait(&header);
            waiting = Some(header);
        });
        assert_eq!((output.len(), fate), (0, Fate::Waits));
        let header = waiting.unwrap();
        exchange.stop_waiting(&header);
        exchange.reply(&header, done(IoBuffer::new(0)));
        assert!(matches!(exchange.advance(), Step::Close));
        assert_eq!(exchange.output().drain(), reply(1, 0));
    }

    #[test]
    fn so_many_requests_wait_and_no_more() {
        let mut exchange = client(1, false);
        let input = request(command::FLUSH, 1, 0).repeat(MAX_WAITING + 1);
        let mut headers = Vec::new();
        let (_, fate) = drive(&mut exchange, &input, input.len(), |exchange, taken| {
            if let Taken::Other(header) = taken {
                exchange.wait(&header);
                headers.push(header);
            }
        });
        assert_eq!((headers.len(), fate), (MAX_WAITING, Fate::Waits));
        exchange.stop_waiting(&headers[0]);
        assert!(matches!(exchange.advance(), Step::Event(_)));
    }

    #[test]
    fn nothing_is_taken_that_came_too_late() {
        let mut exchange = client(1, false);
        exchange.end_after(REQUEST_SIZE + 1);
        let input = request(command::FLUSH, 1, 0).repeat(2);
        assert!(matches!(exchange.advance(), Step::Read));
        let space = exchange.space();
        assert_eq!(space.len(), REQUEST_SIZE + 1);
        space.copy_from_slice(&input[..=REQUEST_SIZE]);
        exchange.received(REQUEST_SIZE + 1, Passed::default());
        assert!(matches!(exchange.advance(), Step::Event(_)));
        assert!(matches!(exchange.advance(), Step::Close));
    }

    #[test]
    fn nonsense_ends_it() {
        let mut exchange = client(1, false);
        let (output, fate) = drive(&mut exchange, &[0xff; 64], 64, |_, _| ());
        assert_eq!((output.len(), fate), (0, Fate::Over(0)));
    }
}
