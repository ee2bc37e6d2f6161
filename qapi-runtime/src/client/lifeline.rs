//! How a server is, as far as a client can tell without asking it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LifelineState {
    /// It answers.
    Alive,
    /// It answers, and takes more than a quarter of the time that it is given.
    Slow,
    /// It is there, and what is asked has no answer in the time that it is given.
    Silent,
    /// It serves another client, and one at a time, as a monitor of QEMU.
    Busy,
    /// There is no connection.
    Gone,
}

/// How a server is, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifeline {
    /// How it is.
    pub state: LifelineState,
    /// Of one that is alive, how long ago something came from it; otherwise how long it has been so.
    pub age: Duration,
}

/// What a connection has shown of its server.
pub(super) struct Pulse {
    /// When each request went out that has no answer yet. Numbers grow, so the oldest is the first.
    asked: BTreeMap<u64, Instant>,
    /// When something came last.
    heard: Instant,
    /// When the last answer came, and how long it took.
    answered: Option<(Instant, Duration)>,
    /// Since when there is no connection, and what was found when one was to be made.
    lost: Option<(Instant, LifelineState)>,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            asked: BTreeMap::new(),
            heard: Instant::now(),
            answered: None,
            lost: None,
        }
    }

    pub(super) fn asked(&mut self, id: u64) {
        self.asked.insert(id, Instant::now());
    }

    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
    }

    pub(super) fn answered(&mut self, id: u64) {
        if let Some(asked) = self.asked.remove(&id) {
            self.answered = Some((self.heard, self.heard.saturating_duration_since(asked)));
        }
    }

    /// A request will have no answer, and that says nothing.
    pub(super) fn forget(&mut self, id: u64) {
        self.asked.remove(&id);
    }

    /// What was asked before is lost.
    pub(super) fn forget_all(&mut self) {
        self.asked.clear();
    }

    /// There is no connection any more.
    pub(super) fn lost(&mut self) {
        self.asked.clear();
        if self.lost.is_none() {
            self.lost = Some((Instant::now(), LifelineState::Gone));
        }
    }

    /// A connection that was to be made again is not.
    pub(super) fn not_connected(&mut self, found: Option<LifelineState>) {
        if let Some((_, state)) = &mut self.lost {
            *state = found.unwrap_or(LifelineState::Gone);
        }
    }

    /// Goes on with another connection, if that is one.
    pub(super) fn adopt(&mut self, other: Self) {
        if other.lost.is_none() {
            *self = other;
        }
    }

    /// How the server is, if it has so long for an answer.
    pub(super) fn lifeline(&self, patience: Duration) -> Lifeline {
        let now = Instant::now();
        let since = |then: Instant| now.saturating_duration_since(then);
        let is = |state, age| Lifeline { state, age };
        if let Some((then, state)) = self.lost {
            return is(state, since(then));
        }
        let slow = patience / 4;
        if let Some((_, asked)) = self.asked.first_key_value() {
            // A server that says something else meanwhile is not silent.
            let silence = since((*asked).max(self.heard));
            if silence > patience {
                return is(LifelineState::Silent, silence);
            }
            if since(*asked) > slow {
                return is(LifelineState::Slow, since(*asked));
            }
        }
        match self.answered {
            Some((then, took)) if took > slow => is(LifelineState::Slow, since(then)),
            Some(_) | None => is(LifelineState::Alive, since(self.heard)),
        }
    }
}
