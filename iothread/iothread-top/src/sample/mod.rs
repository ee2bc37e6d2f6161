//! Looking at servers again and again. Each is asked by a task of its own and has a deadline, so that none is waited for on
//! behalf of another; what shows the results asks no server.

mod look;
mod memory;
mod open;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use self::look::Looker;
pub(crate) use self::memory::GoneHolder;
pub(crate) use self::watch::{Board, Watch};
use crate::facts::Facts;
use crate::target::Target;

/// How servers are looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Between the beginnings of two looks.
    pub(crate) interval: Duration,
    /// How long a look may take.
    pub(crate) deadline: Duration,
    /// Whether a connection is kept from look to look. A monitor of QEMU serves nobody else meanwhile.
    pub(crate) hold: bool,
}

impl Settings {
    /// What takes longer is slow.
    fn slow(&self) -> Duration {
        self.deadline / 4
    }
}

/// The lifeline of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum State {
    /// It has not been asked to the end yet.
    New,
    /// It answered.
    Alive,
    /// It answered, and took more than a quarter of the time that it has.
    Slow,
    /// It is there, and does not answer.
    Silent,
    /// It serves another client, and one at a time.
    Busy,
    /// Nobody is there.
    Gone,
    /// What is there does not speak QMP.
    Foreign,
}

impl State {
    pub(crate) const ALL: [Self; 7] = [
        Self::New,
        Self::Alive,
        Self::Slow,
        Self::Silent,
        Self::Busy,
        Self::Gone,
        Self::Foreign,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Alive => "alive",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::Busy => "busy",
            Self::Gone => "gone",
            Self::Foreign => "foreign",
        }
    }

    /// Whether what is known is of the last look.
    pub(crate) fn is_fresh(self) -> bool {
        match self {
            Self::Alive | Self::Slow => true,
            Self::New | Self::Silent | Self::Busy | Self::Gone | Self::Foreign => false,
        }
    }
}

/// What is known of a server after a look.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) target: Target,
    pub(crate) state: State,
    /// Since when it has been in this state.
    pub(crate) since: Instant,
    /// Why it is not alive, for people.
    pub(crate) reason: String,
    /// When it last answered to the end.
    pub(crate) answered: Option<Instant>,
    /// What it answered then.
    pub(crate) facts: Option<Arc<Facts>>,
    /// Who gave up a thread of late, the last first.
    pub(crate) gone: Vec<GoneHolder>,
    /// How many looks there were.
    pub(crate) n_looks: u64,
}

impl Look {
    /// Before the first look has ended.
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            state: State::New,
            since: Instant::now(),
            reason: "it has not been looked at yet".to_owned(),
            answered: None,
            facts: None,
            gone: Vec::new(),
            n_looks: 0,
        }
    }

    /// What people call it: the guest's name, or else its address.
    pub(crate) fn title(&self) -> String {
        let name = self.facts.as_ref().and_then(|it| it.name.clone());
        name.unwrap_or_else(|| self.target.to_string())
    }

    /// Whether people have only its address.
    pub(crate) fn has_no_name(&self) -> bool {
        self.facts.as_ref().is_none_or(|it| it.name.is_none())
    }

    /// The facts, if they are of now.
    pub(crate) fn fresh(&self) -> Option<&Facts> {
        self.facts.as_deref().filter(|_| self.state.is_fresh())
    }
}
