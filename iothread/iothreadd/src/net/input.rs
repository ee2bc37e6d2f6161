//! Bytes that have been received and not been taken yet.

/// A buffer that grows with what waits in it, up to a limit.
#[derive(Debug)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes received at a time.
    step: usize,
    /// The most bytes that wait.
    limit: usize,
}

impl Input {
    /// One that receives `step` bytes at a time, and holds `limit` of them, the longest thing that is taken in one piece.
    pub(crate) fn new(step: usize, limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            end: 0,
            step: step.min(limit),
            limit,
        }
    }

    /// Where the next bytes go; nowhere if as much waits as may.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let wanted = (self.end + self.step).min(self.limit);
        if self.bytes.len() < wanted || self.bytes.len() > wanted.max(2 * self.step) {
            self.bytes.resize(wanted, 0);
            self.bytes.shrink_to(wanted);
        }
        &mut self.bytes[self.end..wanted]
    }

    /// So many bytes have come there.
    pub(crate) fn fill(&mut self, count: usize) {
        self.end += count;
        debug_assert!(self.end <= self.bytes.len());
    }

    /// What waits.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// How much memory it takes, whatever waits.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the first bytes off.
    pub(crate) fn take(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end);
    }

    /// Forgets what waits.
    pub(crate) fn clear(&mut self) {
        self.start = self.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_stays_in_order_and_within_the_limit() {
        let mut input = Input::new(4, 10);
        let mut next = 0_u8;
        let mut receive = |input: &mut Input, most: usize| {
            let space = input.space();
            let count = space.len().min(most);
            for byte in &mut space[..count] {
                *byte = next;
                next += 1;
            }
            input.fill(count);
            count
        };
        assert_eq!(receive(&mut input, 9), 4);
        input.take(1);
        assert_eq!(receive(&mut input, 2), 2);
        assert_eq!(input.bytes(), [1, 2, 3, 4, 5]);
        assert_eq!(receive(&mut input, 9), 4);
        assert_eq!(receive(&mut input, 9), 1);
        assert_eq!(receive(&mut input, 9), 0);
        assert_eq!(input.bytes(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        input.take(9);
        assert_eq!((receive(&mut input, 9), input.len()), (4, 5));
        input.clear();
        assert!(input.is_empty());
        assert_eq!(receive(&mut input, 1), 1);
        assert_eq!(input.bytes(), [15]);
    }
}
