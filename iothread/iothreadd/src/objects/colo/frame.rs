//! Packets on a stream, as QEMU's filters send them: a length of four bytes, then, if there are virtio-net headers, the
//! length of that header in four bytes, then the packet with its header in front. Numbers are big-endian.

use thiserror::Error;

/// The longest packet, as in QEMU.
pub(super) const MAX_LENGTH: usize = 4096 + 65536;

/// A packet as it came, with the header in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) data: Vec<u8>,
    /// Bytes of the virtio-net header.
    pub(super) header_length: usize,
}

impl Frame {
    /// A message without header.
    pub(super) fn message(text: &str) -> Self {
        Self {
            data: text.as_bytes().to_vec(),
            header_length: 0,
        }
    }

    /// Appends the frame to what is to be sent.
    pub(super) fn encode(&self, has_headers: bool, output: &mut Vec<u8>) {
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        output.extend_from_slice(&number(self.data.len()));
        if has_headers {
            output.extend_from_slice(&number(self.header_length));
        }
        output.extend_from_slice(&self.data);
    }
}

/// A stream that is none of packets. There is no way to find the next packet on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum FrameError {
    #[error("a packet of {0} bytes, more than {MAX_LENGTH}")]
    TooLong(usize),
    #[error("a header of {header} bytes in a packet of {packet}")]
    HeaderTooLong { header: usize, packet: usize },
}

/// Cuts a stream into frames.
pub(super) struct Deframer {
    has_headers: bool,
    buffer: Vec<u8>,
    /// Bytes at the start of the buffer that are done with.
    done: usize,
}

impl Deframer {
    pub(super) fn new(has_headers: bool) -> Self {
        Self {
            has_headers,
            buffer: Vec::new(),
            done: 0,
        }
    }

    /// How much memory it takes.
    pub(super) fn size(&self) -> usize {
        self.buffer.len()
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.done);
        self.done = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let rest = &self.buffer[self.done..];
        let (Some(packet), mut start) = (number_at(rest, 0), 4) else {
            return Ok(None);
        };
        if packet > MAX_LENGTH {
            return Err(FrameError::TooLong(packet));
        }
        let mut header_length = 0;
        if self.has_headers {
            let Some(header) = number_at(rest, start) else {
                return Ok(None);
            };
            if header > packet {
                return Err(FrameError::HeaderTooLong { header, packet });
            }
            header_length = header;
            start += 4;
        }
        let Some(data) = rest.get(start..start + packet) else {
            return Ok(None);
        };
        let frame = Frame {
            data: data.to_vec(),
            header_length,
        };
        self.done += start + packet;
        Ok(Some(frame))
    }
}

fn number_at(bytes: &[u8], start: usize) -> Option<usize> {
    let number = bytes.get(start..start + 4)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(number)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_however_they_are_cut() {
        for has_headers in [false, true] {
            let frames = [
                Frame {
                    data: b"hello".to_vec(),
                    header_length: if has_headers { 2 } else { 0 },
                },
                Frame::message(""),
                Frame::message("DO_CHECKPOINT"),
            ];
            let mut bytes = Vec::new();
            for frame in &frames {
                frame.encode(has_headers, &mut bytes);
            }
            for size in 1..=bytes.len() {
                let mut deframer = Deframer::new(has_headers);
                let mut received = Vec::new();
                for piece in bytes.chunks(size) {
                    deframer.feed(piece);
                    while let Some(frame) = deframer.next().unwrap() {
                        received.push(frame);
                    }
                }
                assert_eq!(received, frames);
            }
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        let mut deframer = Deframer::new(false);
        deframer.feed(&[0, 1, 0x10, 1]);
        assert_eq!(deframer.next(), Err(FrameError::TooLong(69633)));
        let mut deframer = Deframer::new(true);
        deframer.feed(&[0, 0, 0, 4, 0, 0, 0, 5]);
        let error = FrameError::HeaderTooLong {
            header: 5,
            packet: 4,
        };
        assert_eq!(deframer.next(), Err(error));
    }
}
