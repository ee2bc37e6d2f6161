//! What a session holds, and what it may.

use std::task::{Context, Poll};
use std::time::Duration;

use super::Session;

/// What the sessions of a server share unless it is told otherwise ([`SessionConfig::budget`](super::SessionConfig::budget)).
pub const SESSION_MEMORY: usize = 512 << 20;

/// How long a value in the making waits for memory before it is refused.
pub const MEMORY_PATIENCE: Duration = Duration::from_secs(1);

/// Memory is told to the budget in steps of this size, so that short commands cost nothing.
const STEP: usize = 16 << 10;

/// How much is read at a time, about.
const READ: usize = 16 << 10;

impl Session {
    /// About how much memory the session holds: the value in the making, requests that wait or run, and output.
    pub fn memory(&self) -> usize {
        let waiting: usize = self.queue.iter().map(super::Queued::memory).sum();
        let running: usize = self.running.iter().map(|running| running.memory).sum();
        self.parser.memory() + waiting + running + self.out.capacity()
    }

    /// Tells the budget what the session holds now, and what it is about to read if there is room for that: who only asked
    /// whether there is room could find that somebody else has taken it.
    pub(super) fn account(&mut self) {
        let Some(member) = &self.member else {
            return;
        };
        if self.is_short {
            // What it has waited for, it may have by now.
            self.accounted = member.used();
        }
        let mut used = self.memory().next_multiple_of(STEP);
        if !member.is_its_part(used + self.growth()) {
            // Memory that is only kept for later use is not worth waiting for.
            self.parser.trim();
            if self.out.is_empty() {
                self.out = Vec::new();
            }
            used = self.memory().next_multiple_of(STEP);
        }
        let wanted = used + self.growth();
        let Some(member) = &self.member else {
            return;
        };
        let grows = wanted > self.accounted;
        self.is_short = grows && !member.try_acquire(wanted - self.accounted);
        let accounted = if self.is_short { used } else { wanted };
        // What was acquired is told already.
        if (self.is_short || !grows) && accounted != self.accounted {
            member.set_used(accounted);
        }
        self.accounted = accounted;
    }

    /// Whether there is room for so much more, beside what is to be read.
    pub(super) fn has_room(&self, more: usize) -> bool {
        self.member
            .as_ref()
            .is_none_or(|member| member.is_its_part(self.accounted + more) || member.has_room(more))
    }

    /// What there has to be room for before more is read.
    fn growth(&self) -> usize {
        if self.parser.is_mid_value() {
            let growth = self.parser.growth(READ).max(READ);
            growth.next_multiple_of(STEP)
        } else {
            READ
        }
    }

    /// Whether the session would take input if there were room in its budget.
    ///
    /// Then the caller reads nothing until [`Session::poll_memory`] is ready. If that takes longer than [`MEMORY_PATIENCE`]
    /// and the session is in the middle of a value ([`Session::is_mid_value`]), it has it refused
    /// ([`Session::refuse_value`]): others may hold theirs for as long as they like.
    pub fn is_short_of_memory(&self) -> bool {
        self.would_take_input() && self.is_short
    }

    /// Waits for the memory to read, and has it when this is ready, see
    /// [`Member::poll_acquire`](crate::budget::Member::poll_acquire). Then the caller calls [`Session::advance`], even
    /// without input.
    ///
    /// Who only waited for room would have to ask again, and two of them could wake each other for ever.
    pub fn poll_memory(&self, context: &mut Context<'_>) -> Poll<()> {
        match &self.member {
            Some(member) => member.poll_acquire(self.growth(), context),
            None => Poll::Ready(()),
        }
    }

    /// Gives up its place among those who wait for memory: for a caller that does not wait any more.
    pub fn stop_waiting_for_memory(&self) {
        if let Some(member) = &self.member {
            member.stop_waiting();
        }
    }

    /// Whether the peer has sent a part of a value.
    pub fn is_mid_value(&self) -> bool {
        self.parser.is_mid_value()
    }

    /// Refuses the value in the making. It is answered with the error for values that are too large, its memory is free at
    /// once, and what is still to come of it is dropped.
    pub fn refuse_value(&mut self) {
        if let Some(error) = self.parser.refuse_value() {
            self.mistake(error);
        }
        self.account();
    }
}
