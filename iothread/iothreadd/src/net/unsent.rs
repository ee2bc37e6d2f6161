//! Bytes that wait to be sent.

use std::io;

use super::protocol::{Outgoing, Sent};
use super::stream::Stream;

/// What has been sent stays in front until it is more than this, so that sending a little does not move a lot.
const MAX_SENT: usize = 64 << 10;

/// A queue of bytes.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    bytes: Vec<u8>,
    n_sent: usize,
}

impl Unsent {
    /// Where what is to be sent is appended.
    pub(crate) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// What is to be sent next.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.n_sent..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// How much memory it takes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets all of it.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The first `count` bytes have been sent.
    pub(crate) fn consume(&mut self, count: usize) {
        self.n_sent += count;
        if self.is_empty() {
            self.bytes.clear();
            self.n_sent = 0;
            self.bytes.shrink_to(MAX_SENT);
        } else if self.n_sent > MAX_SENT.max(self.bytes().len()) {
            // As much as is moved has been sent before, so this costs no more than sending did.
            self.bytes.drain(..self.n_sent);
            self.n_sent = 0;
            self.bytes.shrink_to(MAX_SENT);
        }
    }
}

impl Outgoing for Unsent {
    fn len(&self) -> usize {
        self.bytes().len()
    }

    fn send_some(&mut self, stream: &Stream) -> io::Result<Sent> {
        let wanted = self.bytes().len();
        let count = stream.send(self.bytes())?;
        self.consume(count);
        Sent::of(count, wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_sent_is_forgotten_in_time() {
        let mut unsent = Unsent::default();
        let whole: Vec<u8> = (0..200_000_u32).map(|it| it as u8).collect();
        unsent.end().extend_from_slice(&whole);
        let mut n_sent = 0;
        while !unsent.is_empty() {
            assert_eq!(unsent.bytes(), &whole[n_sent..]);
            let count = 1000.min(unsent.bytes().len());
            unsent.consume(count);
            n_sent += count;
            assert!(unsent.size() <= whole.len() - n_sent + MAX_SENT.max(whole.len() - n_sent));
        }
        assert_eq!((n_sent, unsent.size()), (whole.len(), 0));
        unsent.end().push(7);
        assert_eq!(unsent.bytes(), [7]);
        unsent.clear();
        assert!(unsent.is_empty());
    }
}
