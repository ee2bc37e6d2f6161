//! What comes on a connection of a comparison and what is sent there, without I/O.

use super::frame::{Deframer, Frame, FrameError};
use crate::net::protocol::{Protocol, Step};
use crate::net::stream::Passed;
use crate::net::unsent::Unsent;

/// Frames in both directions. The events are frames, in their order; something that is not a frame is the last event.
pub(super) struct Wire {
    deframer: Deframer,
    unsent: Unsent,
    /// Whether nothing is taken in for now.
    is_held: bool,
    is_over: bool,
}

impl Wire {
    /// `has_headers` is whether frames that come in have the length of a header.
    pub(super) fn new(has_headers: bool) -> Self {
        Self {
            deframer: Deframer::new(has_headers),
            unsent: Unsent::default(),
            is_held: false,
            is_over: false,
        }
    }

    /// Takes something in, or nothing.
    pub(super) fn hold(&mut self, is_held: bool) {
        self.is_held = is_held;
    }

    /// Where what is to be sent is appended.
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        self.unsent.end()
    }

    /// How many bytes wait to be sent.
    pub(super) fn n_unsent(&self) -> usize {
        self.unsent.bytes().len()
    }

    /// How much memory it takes.
    pub(super) fn size(&self) -> usize {
        self.unsent.size() + self.deframer.size()
    }
}

impl Protocol for Wire {
    type Event = Result<Frame, FrameError>;
    type Output = Unsent;

    fn space(&mut self) -> &mut [u8] {
        self.deframer.input().space()
    }

    fn received(&mut self, count: usize, _: Passed) {
        self.deframer.input().fill(count);
    }

    fn end_of_input(&mut self) {
        self.is_over = true;
    }

    fn advance(&mut self) -> Step<Self::Event> {
        if self.is_over {
            return Step::Abort;
        }
        if self.is_held {
            return Step::Wait;
        }
        match self.deframer.next() {
            Ok(Some(frame)) => Step::Event(Ok(frame)),
            Ok(None) => Step::Read,
            Err(error) => {
                self.is_over = true;
                Step::Event(Err(error))
            }
        }
    }

    fn output(&mut self) -> &mut Unsent {
        &mut self.unsent
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::MAX_LENGTH;
    use super::*;
    use crate::net::drive::{Fate, drive};

    fn frames(
        has_headers: bool,
        input: &[u8],
        piece: usize,
    ) -> (Vec<Result<Frame, FrameError>>, Fate) {
        let mut frames = Vec::new();
        let mut wire = Wire::new(has_headers);
        let (_, fate) = drive(&mut wire, input, piece, |_, frame| frames.push(frame));
        (frames, fate)
    }

    #[test]
    fn frames_come_out_however_they_are_cut() {
        for has_headers in [false, true] {
            let expected = [
                Frame {
                    data: b"hello".to_vec(),
                    header_length: if has_headers { 2 } else { 0 },
                },
                Frame::message(""),
                Frame::message("DO_CHECKPOINT"),
                Frame {
                    data: vec![7; MAX_LENGTH],
                    header_length: 0,
                },
            ];
            let mut bytes = Vec::new();
            for frame in &expected {
                frame.encode(has_headers, &mut bytes);
            }
            let expected = expected.map(Ok);
            for piece in (1..60).chain([bytes.len() - 1, bytes.len()]) {
                let (frames, fate) = frames(has_headers, &bytes, piece);
                assert!(frames == expected, "{piece}");
                assert_eq!(fate, Fate::Over(0));
            }
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        let (too_long, _) = frames(false, &[0, 1, 0x10, 1], 9);
        assert_eq!(too_long, [Err(FrameError::TooLong(69633))]);
        let (header, _) = frames(true, &[0, 0, 0, 4, 0, 0, 0, 5], 9);
        let error = FrameError::HeaderTooLong {
            header: 5,
            packet: 4,
        };
        assert_eq!(header, [Err(error)]);
    }

    #[test]
    fn what_is_held_back_comes_later() {
        let mut bytes = Vec::new();
        Frame::message("one").encode(false, &mut bytes);
        let mut wire = Wire::new(false);
        wire.space()[..bytes.len()].copy_from_slice(&bytes);
        wire.received(bytes.len(), Passed::default());
        wire.hold(true);
        assert_eq!(wire.advance(), Step::Wait);
        wire.hold(false);
        assert_eq!(wire.advance(), Step::Event(Ok(Frame::message("one"))));
        wire.hold(true);
        wire.end_of_input();
        assert_eq!(wire.advance(), Step::Abort);
    }
}
