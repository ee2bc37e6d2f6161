//! Replies on their way to a client.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use rustix::io::Errno;

use super::protocol::{
    BASE_ALLOCATION_ID, REPLY_DONE, SIMPLE_REPLY_MAGIC, STRUCTURED_REPLY_MAGIC, chunk,
    error_number, state,
};
use crate::block::{Extent, IoBuffer, is_zero};
use crate::budgets::Allowance;
use crate::net::protocol::{Outgoing, Sent};
use crate::net::stream::Stream;

/// Data are searched for zeroes in steps of this size.
const ZERO_STEP: usize = 4096;

/// The most pieces that go out with one system call.
const MAX_PIECES: usize = 64;

/// The longest header: that of a chunk with an offset and a length.
const MAX_HEAD: usize = 32;

/// A piece of a reply: its header and its data.
struct Frame {
    head: [u8; MAX_HEAD],
    head_len: usize,
    body: Body,
    /// The memory that is free again when this is sent.
    reserved: usize,
}

enum Body {
    None,
    Bytes(Vec<u8>),
    Whole(IoBuffer),
    /// Part of what is read; the whole is free again with the last part.
    Part(Arc<IoBuffer>, Range<usize>),
}

/// What is to be sent.
pub(super) struct Replies {
    frames: VecDeque<Frame>,
    /// How much of the first frame has been sent.
    sent: usize,
    /// Bytes that wait.
    len: usize,
    pub(super) memory: Allowance,
}

impl Frame {
    fn new(parts: &[&[u8]], body: Body) -> Self {
        let mut head = [0; MAX_HEAD];
        let mut head_len = 0;
        for part in parts {
            head[head_len..head_len + part.len()].copy_from_slice(part);
            head_len += part.len();
        }
        Self {
            head,
            head_len,
            body,
            reserved: 0,
        }
    }

    fn len(&self) -> usize {
        self.head_len + self.body.bytes().len()
    }
}

impl Body {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Bytes(bytes) => bytes,
            Self::Whole(buffer) => buffer,
            Self::Part(buffer, range) => &buffer[range.clone()],
        }
    }
}

impl Replies {
    pub(super) fn new(memory: Allowance) -> Self {
        Self {
            frames: VecDeque::new(),
            sent: 0,
            len: 0,
            memory,
        }
    }

    /// Forgets what was to be sent. Requests that are under way still have `reserved` bytes.
    pub(super) fn clear(&mut self, reserved: usize) {
        self.frames.clear();
        self.sent = 0;
        self.len = 0;
        self.memory.retire(reserved);
    }

    /// Keeps memory that has been taken until the last reply is sent.
    pub(super) fn reserve(&mut self, bytes: usize) {
        match self.frames.back_mut() {
            Some(frame) => frame.reserved += bytes,
            None => self.memory.give(bytes),
        }
    }

    fn push(&mut self, frame: Frame) {
        self.len += frame.len();
        self.frames.push_back(frame);
    }

    /// Bytes that are ready made.
    pub(super) fn raw(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.push(Frame::new(&[], Body::Bytes(bytes)));
        }
    }

    fn chunk(&mut self, cookie: u64, kind: u16, flags: u16, payload: &[u8], body: Body) {
        let length = payload.len() + body.bytes().len();
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.push(Frame::new(
            &[
                &STRUCTURED_REPLY_MAGIC.to_be_bytes(),
                &flags.to_be_bytes(),
                &kind.to_be_bytes(),
                &cookie.to_be_bytes(),
                &length.to_be_bytes(),
                payload,
            ],
            body,
        ));
    }

    fn simple(&mut self, cookie: u64, error: u32, body: Body) {
        self.push(Frame::new(
            &[
                &SIMPLE_REPLY_MAGIC.to_be_bytes(),
                &error.to_be_bytes(),
                &cookie.to_be_bytes(),
            ],
            body,
        ));
    }

    /// The request is done, and has no data.
    pub(super) fn done(&mut self, cookie: u64) {
        self.simple(cookie, 0, Body::None);
    }

    /// The request has failed.
    pub(super) fn error(&mut self, cookie: u64, structured: bool, error: Errno, text: &str) {
        let number = error_number(error);
        if !structured {
            return self.simple(cookie, number, Body::None);
        }
        let length = u16::try_from(text.len()).unwrap_or_default();
        let payload = [&number.to_be_bytes()[..], &length.to_be_bytes()].concat();
        let body = Body::Bytes(text.into());
        self.chunk(cookie, chunk::ERROR, REPLY_DONE, &payload, body);
    }

    /// Data as a simple reply.
    pub(super) fn data(&mut self, cookie: u64, data: IoBuffer) {
        self.simple(cookie, 0, Body::Whole(data));
    }

    /// Data as a structured reply, in which zeroes are holes unless it has to be in one piece.
    pub(super) fn structured_data(
        &mut self,
        cookie: u64,
        offset: u64,
        data: IoBuffer,
        in_one_piece: bool,
    ) {
        if data.is_empty() {
            return self.chunk(cookie, chunk::NONE, REPLY_DONE, &[], Body::None);
        }
        let runs = if in_one_piece {
            Vec::new()
        } else {
            runs(&data)
        };
        match &runs[..] {
            [] | [(_, false)] => {
                let payload = offset.to_be_bytes();
                let body = Body::Whole(data);
                self.chunk(cookie, chunk::OFFSET_DATA, REPLY_DONE, &payload, body);
            }
            [(range, true)] => {
                self.hole(cookie, REPLY_DONE, offset, range);
                self.memory.keep(data);
            }
            [_, _, ..] => {
                let data = Arc::new(data);
                let last = runs.len() - 1;
                for (index, (range, is_hole)) in runs.into_iter().enumerate() {
                    let flags = if index == last { REPLY_DONE } else { 0 };
                    if is_hole {
                        self.hole(cookie, flags, offset, &range);
                        continue;
                    }
                    let start = (offset + range.start as u64).to_be_bytes();
                    let body = Body::Part(Arc::clone(&data), range);
                    self.chunk(cookie, chunk::OFFSET_DATA, flags, &start, body);
                }
            }
        }
    }

    fn hole(&mut self, cookie: u64, flags: u16, offset: u64, range: &Range<usize>) {
        let start = (offset + range.start as u64).to_be_bytes();
        let length = u32::try_from(range.len()).unwrap_or(u32::MAX);
        let payload = [&start[..], &length.to_be_bytes()].concat();
        self.chunk(cookie, chunk::OFFSET_HOLE, flags, &payload, Body::None);
    }

    /// What a range consists of.
    pub(super) fn block_status(&mut self, cookie: u64, extents: &[Extent]) {
        let mut body = Vec::with_capacity(extents.len() * 8);
        for extent in extents {
            let mut flags = 0;
            if !extent.is_allocated {
                flags |= state::HOLE;
            }
            if extent.is_zero {
                flags |= state::ZERO;
            }
            // A request has 32 bits for its length, so an extent of it has not more.
            let length = u32::try_from(extent.length).unwrap_or(u32::MAX);
            body.extend_from_slice(&length.to_be_bytes());
            body.extend_from_slice(&u32::to_be_bytes(flags));
        }
        let payload = BASE_ALLOCATION_ID.to_be_bytes();
        let body = Body::Bytes(body);
        self.chunk(cookie, chunk::BLOCK_STATUS, REPLY_DONE, &payload, body);
    }

    fn consume(&mut self, count: usize) {
        self.len -= count;
        self.sent += count;
        while let Some(frame) = self.frames.front()
            && self.sent >= frame.len()
        {
            self.sent -= frame.len();
            let Some(sent) = self.frames.pop_front() else {
                break;
            };
            self.memory.give(sent.reserved);
            match sent.body {
                Body::Whole(buffer) => self.memory.keep(buffer),
                Body::Part(buffer, _) => {
                    if let Some(buffer) = Arc::into_inner(buffer) {
                        self.memory.keep(buffer);
                    }
                }
                Body::None | Body::Bytes(_) => {}
            }
        }
    }
}

impl Outgoing for Replies {
    fn len(&self) -> usize {
        self.len
    }

    fn send_some(&mut self, stream: &Stream) -> io::Result<Sent> {
        let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
        let mut n_pieces = 0;
        let mut wanted = 0;
        let mut skipped = self.sent;
        'frames: for frame in &self.frames {
            for bytes in [&frame.head[..frame.head_len], frame.body.bytes()] {
                let passed = skipped.min(bytes.len());
                skipped -= passed;
                let bytes = &bytes[passed..];
                if bytes.is_empty() {
                    continue;
                }
                if n_pieces == MAX_PIECES {
                    break 'frames;
                }
                pieces[n_pieces] = IoSlice::new(bytes);
                n_pieces += 1;
                wanted += bytes.len();
            }
        }
        let count = stream.send_pieces(&pieces[..n_pieces])?;
        self.consume(count);
        Sent::of(count, wanted)
    }
}

#[cfg(any(test, fuzzing))]
impl crate::net::drive::Drain for Replies {
    fn drain(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        for frame in &self.frames {
            all.extend_from_slice(&frame.head[..frame.head_len]);
            all.extend_from_slice(frame.body.bytes());
        }
        self.consume(all.len());
        all
    }
}

/// The stretches of zeroes and of other data, in steps.
fn runs(data: &[u8]) -> Vec<(Range<usize>, bool)> {
    let mut runs: Vec<(Range<usize>, bool)> = Vec::new();
    for (index, step) in data.chunks(ZERO_STEP).enumerate() {
        let start = index * ZERO_STEP;
        let end = start + step.len();
        let is_hole = is_zero(step);
        match runs.last_mut() {
            Some((range, known)) if *known == is_hole => range.end = end,
            Some(_) | None => runs.push((start..end, is_hole)),
        }
    }
    runs
}
