//! Bytes that wait to be sent.

use std::io;

use crate::net::stream::Stream;

/// What has been sent stays in front until it is more than this, so that sending a little does not move a lot.
const MAX_SENT: usize = 64 << 10;

/// A queue of bytes.
#[derive(Default)]
pub(super) struct Unsent {
    bytes: Vec<u8>,
    n_sent: usize,
}

impl Unsent {
    /// Where what is to be sent is appended.
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.n_sent
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much memory it takes.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Sends what the stream takes now.
    pub(super) fn send_to(&mut self, stream: &Stream) -> io::Result<()> {
        while !self.is_empty() {
            match stream.send(&self.bytes[self.n_sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.n_sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.is_empty() {
            self.bytes.clear();
            self.n_sent = 0;
            self.bytes.shrink_to(MAX_SENT);
        } else if self.n_sent > MAX_SENT.max(self.len()) {
            // As much as is moved has been sent before, so this costs no more than sending did.
            self.bytes.drain(..self.n_sent);
            self.n_sent = 0;
            self.bytes.shrink_to(MAX_SENT);
        }
        Ok(())
    }
}
