//! The memory of one user of a budget: its part of what all of them may take up.

use std::task::{Context, Waker};

use qapi_runtime::budget::Member;

use crate::block::IoBuffer;

/// Memory is asked for in steps of this size where there is enough: asking takes a lock that all users share.
const STEP: usize = 1 << 20;

/// How much memory of sent data is kept for the next requests, in buffers of at most this size.
const MAX_SPARE: usize = 64;
const MAX_SPARE_SIZE: usize = 256 << 10;

/// What a connection, or a queue, has for the data of requests and replies.
pub(crate) struct Allowance {
    member: Member,
    /// What it has been given: no less than the next two together.
    held: usize,
    /// What requests and replies have.
    used: usize,
    spare_bytes: usize,
    spare: Vec<IoBuffer>,
    is_waiting: bool,
}

impl Allowance {
    pub(crate) fn new(member: Member) -> Self {
        Self {
            member,
            held: 0,
            used: 0,
            spare_bytes: 0,
            spare: Vec::new(),
            is_waiting: false,
        }
    }

    /// Takes so much for a request if there is room. If not, the waker is told when it is worth asking again.
    pub(crate) fn try_take(&mut self, bytes: usize, waker: impl FnOnce() -> Waker) -> bool {
        let wanted = self.used + bytes;
        if wanted + self.spare_bytes > self.held && !self.grow(wanted + self.spare_bytes) {
            self.drop_spare();
            self.shrink();
            let missing = wanted.saturating_sub(self.held);
            let waker = waker();
            let mut context = Context::from_waker(&waker);
            if missing > 0 && self.member.poll_acquire(missing, &mut context).is_pending() {
                self.is_waiting = true;
                return false;
            }
            self.held += missing;
        }
        self.is_waiting = false;
        self.used = wanted;
        true
    }

    /// Asks for more, so that it has as much; in steps as long as it is sure to have its part.
    fn grow(&mut self, wanted: usize) -> bool {
        let rounded = wanted.next_multiple_of(STEP);
        let target = match self.member.is_its_part(rounded) {
            true => rounded,
            false => wanted,
        };
        let grown = !self.is_waiting && self.member.try_acquire(target - self.held);
        if grown {
            self.held = target;
        }
        grown
    }

    /// Gives back what a request or a reply had.
    pub(crate) fn give(&mut self, bytes: usize) {
        self.used -= bytes;
        if self.is_waiting || !self.member.is_its_part(self.held) {
            self.drop_spare();
            self.shrink();
        }
    }

    /// Keeps no more than so much, for requests that are still under way, and waits for nothing.
    pub(crate) fn retire(&mut self, bytes: usize) {
        self.used = bytes;
        self.drop_spare();
        self.shrink();
        self.member.stop_waiting();
        self.is_waiting = false;
    }

    /// Does not wait for more any longer.
    pub(crate) fn stop_waiting(&mut self) {
        if std::mem::take(&mut self.is_waiting) {
            self.member.stop_waiting();
        }
    }

    fn shrink(&mut self) {
        let left = self.held - self.used - self.spare_bytes;
        if left > 0 {
            self.held -= left;
            self.member.release(left);
        }
    }

    fn drop_spare(&mut self) {
        self.spare.clear();
        self.spare_bytes = 0;
    }

    /// A buffer for a request, in memory that has been taken.
    pub(crate) fn buffer(&mut self, len: usize) -> IoBuffer {
        match self.spare.pop() {
            Some(spare) => {
                self.spare_bytes -= spare.capacity();
                IoBuffer::recycled(spare, len)
            }
            None => IoBuffer::new(len),
        }
    }

    /// Keeps a buffer for the next requests if there is room. What the request had is given back by itself.
    pub(crate) fn keep(&mut self, buffer: IoBuffer) {
        let capacity = buffer.capacity();
        let fits = self.held - self.used - self.spare_bytes >= capacity;
        if capacity > 0 && capacity <= MAX_SPARE_SIZE && self.spare.len() < MAX_SPARE && fits {
            self.spare_bytes += capacity;
            self.spare.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use qapi_runtime::budget::Budget;

    use super::*;

    #[derive(Default)]
    struct Calls(AtomicUsize);

    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    const MIB: usize = 1 << 20;

    #[test]
    fn what_is_given_back_wakes_who_waits() {
        let budget = Budget::new(64 * MIB);
        let (mut first, mut second) =
            (Allowance::new(budget.join()), Allowance::new(budget.join()));
        let calls = Arc::new(Calls::default());
        let waker = Waker::from(Arc::clone(&calls));
        // Each has 16 MiB of its own, and there are 32 for those who need more.
        assert!(first.try_take(32 * MIB, || waker.clone()));
        assert!(!second.try_take(33 * MIB, || waker.clone()));
        assert_eq!(calls.0.load(Ordering::SeqCst), 0);
        first.give(32 * MIB);
        assert_eq!(calls.0.load(Ordering::SeqCst), 1);
        assert!(second.try_take(33 * MIB, || waker.clone()));
        // What is its own it can always have.
        assert!(first.try_take(15 * MIB, || waker.clone()));
        drop((first, second));
        assert_eq!((budget.used(), budget.n_members()), (0, 0));
    }

    #[test]
    fn one_request_always_fits() {
        let budget = Budget::new(MIB);
        let mut memory = Allowance::new(budget.join());
        let calls = Arc::new(Calls::default());
        let waker = Waker::from(Arc::clone(&calls));
        for _ in 0..3 {
            assert!(memory.try_take(4096, || waker.clone()));
            assert!(!memory.try_take(32 * MIB, || waker.clone()));
            // It waits for itself.
            memory.give(4096);
            assert!(memory.try_take(32 * MIB, || waker.clone()));
            memory.give(32 * MIB);
        }
        assert_eq!(calls.0.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn buffers_are_kept_within_what_it_has() {
        let budget = Budget::new(64 * MIB);
        let mut memory = Allowance::new(budget.join());
        let waker = Waker::noop();
        assert!(memory.try_take(8192, || waker.clone()));
        let buffer = memory.buffer(8192);
        let place = buffer.as_ptr();
        memory.give(8192);
        memory.keep(buffer);
        assert!(memory.try_take(8192, || waker.clone()));
        assert_eq!(memory.buffer(8192).as_ptr(), place);
        assert_eq!(budget.used(), STEP);
        memory.retire(0);
        assert_eq!(budget.used(), 0);
        // Nothing is kept where nothing is held.
        memory.keep(IoBuffer::new(4096));
        assert_eq!(memory.spare_bytes, 0);
    }
}
