//! Packets on a stream, as QEMU's filters send them: a length of four bytes, then, if there are virtio-net headers, the
//! length of that header in four bytes, then the packet with its header in front. Numbers are big-endian.

use thiserror::Error;

use crate::net::input::Input;

/// The longest packet, as in QEMU.
pub(super) const MAX_LENGTH: usize = 4096 + 65536;

/// Bytes received at a time.
const RECEIVE_SIZE: usize = 64 << 10;

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

/// A stream that does not consist of packets. There is no way to find the next packet on it.
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
    input: Input,
}

impl Deframer {
    pub(super) fn new(has_headers: bool) -> Self {
        Self {
            has_headers,
            input: Input::new(RECEIVE_SIZE, 2 * size_of::<u32>() + MAX_LENGTH),
        }
    }

    /// How much memory it takes.
    pub(super) fn size(&self) -> usize {
        self.input.size()
    }

    /// What is received goes there.
    pub(super) fn input(&mut self) -> &mut Input {
        &mut self.input
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let rest = self.input.bytes();
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
        self.input.take(start + packet);
        Ok(Some(frame))
    }
}

fn number_at(bytes: &[u8], start: usize) -> Option<usize> {
    let number = bytes.get(start..start + 4)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(number)).ok()
}
