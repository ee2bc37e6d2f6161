//! Memory for requests.

use std::ops::{Deref, DerefMut};

/// What buffers are aligned to: enough for O_DIRECT on every device.
const ALIGNMENT: usize = 4096;

/// Owned bytes of a request, aligned so that they can bypass the page cache.
///
/// A request owns its memory while it is under way, because workers of any thread may be using it; the outcome gives it
/// back. One piece, since the pieces of a guest's request have to be copied anyway to stay within safe code.
#[derive(Debug, Default)]
pub(crate) struct IoBuffer {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl IoBuffer {
    /// Zeroes.
    pub(crate) fn new(len: usize) -> Self {
        let memory = vec![0; len + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        Self { memory, start, len }
    }

    /// A buffer of this length, with any contents, in the memory of `spare` if that is large enough.
    pub(crate) fn recycled(mut spare: Self, len: usize) -> Self {
        if spare.capacity() < len {
            return Self::new(len);
        }
        spare.len = len;
        spare
    }

    /// The longest buffer that fits in its memory.
    pub(crate) fn capacity(&self) -> usize {
        self.memory.len() - self.start
    }
}

impl Deref for IoBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl DerefMut for IoBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

/// Whether all bytes are zeroes.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Most data differ at once. The rest is compared in steps that the compiler makes vectors of.
    let (head, rest) = bytes.split_at(bytes.len().min(16));
    head.iter().all(|byte| *byte == 0)
        && rest
            .chunks(256)
            .all(|chunk| chunk.iter().fold(0, |any, byte| any | byte) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_aligned_and_used_again() {
        let mut buffer = IoBuffer::new(10_000);
        assert_eq!(buffer.as_ptr().align_offset(ALIGNMENT), 0);
        buffer[9_999] = 1;
        let place = buffer.as_ptr();
        let again = IoBuffer::recycled(buffer, 512);
        assert_eq!((again.as_ptr(), again.len()), (place, 512));
        assert_eq!(IoBuffer::recycled(again, 20_000).len(), 20_000);
        assert_eq!(IoBuffer::recycled(IoBuffer::default(), 0).len(), 0);
    }

    #[test]
    fn zeroes_are_told_from_data() {
        for len in [0, 1, 15, 16, 17, 255, 272, 273, 4096, 5000] {
            let mut bytes = vec![0; len];
            assert!(is_zero(&bytes), "{len}");
            for place in [0, len / 2, len.saturating_sub(1)] {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = 1;
                    assert!(!is_zero(&bytes), "{place} of {len}");
                    bytes[place] = 0;
                }
            }
        }
    }
}
