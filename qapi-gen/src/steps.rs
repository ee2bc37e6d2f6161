//! A count of the looks that the compiler takes at parts of a schema, for the test that every walk
//! is linear.
//!
//! Allocations and time alone do not show a scan inside of a scan: the first does not count it, the
//! second depends on the machine. So whatever loops go by, the functions that give the text of a
//! span or a part of a checked schema, and the bodies of loops over drafts, count a step. Builds
//! without debug assertions count nothing.

use std::cell::Cell;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// Counts a step of this thread.
#[inline]
pub(crate) fn step() {
    steps(1);
}

/// Counts `n` steps of this thread.
#[inline]
pub(crate) fn steps(n: usize) {
    if cfg!(debug_assertions) {
        TAKEN.set(TAKEN.get().wrapping_add(n as u64));
    }
}

/// The steps of this thread so far; always 0 without debug assertions.
#[must_use]
pub fn taken() -> u64 {
    TAKEN.get()
}
