//! What a session is made with, and what ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::budget::Budget;
use crate::json::Limits;
use crate::value::Value;
use crate::visit::CompatPolicy;

/// What a session is made with.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Member `version` of the greeting: the result of `query-version`.
    pub version: Value,
    /// Whether the capability `oob` is offered.
    pub oob: bool,
    /// Whether output is laid out over several lines.
    pub pretty: bool,
    /// What deprecated and unstable parts of the interface may do.
    pub compat: CompatPolicy,
    /// What the parser takes.
    pub limits: Limits,
    /// Whether only commands with 'allow-preconfig' may run at first, until [`SessionControl::leave_preconfig`].
    pub preconfig: bool,
    /// Unsent bytes from which on events are dropped. Replies are never.
    ///
    /// Differs from QEMU, which keeps all for a peer that reads nothing.
    pub max_unsent_events: usize,
    /// The memory that sessions share. A session that needs more than its part while others use up the rest is not read from
    /// meanwhile, gets no events, and may have to refuse a value; see [`Session::is_short_of_memory`](super::Session::is_short_of_memory).
    pub budget: Option<Budget>,
    /// Whether a peer that begins like HTTP or TLS is disconnected before anything of what it sends is looked at: for sockets
    /// that a web page can reach through the browser that shows it, which are those of TCP.
    ///
    /// Differs from QEMU, which answers what it does not understand with errors, and then executes the commands in it.
    pub ends_foreign: bool,
}

impl Default for SessionConfig {
    fn default() -> Self {
        let numbers = [("micro", 0), ("minor", 0), ("major", 0)];
        let numbers = numbers.map(|(name, number)| (name.to_owned(), Value::from(number)));
        Self {
            version: Value::from_iter([
                ("qemu".to_owned(), Value::from_iter(numbers)),
                ("package".to_owned(), Value::from("")),
            ]),
            oob: true,
            pretty: false,
            compat: CompatPolicy::ACCEPT,
            limits: Limits::QMP,
            preconfig: false,
            max_unsent_events: 16 << 20,
            budget: None,
            ends_foreign: false,
        }
    }
}

/// Lets a handler end the session that it runs for, and the phase of [`SessionConfig::preconfig`].
#[derive(Clone, Debug, Default)]
pub struct SessionControl {
    closing: Arc<AtomicBool>,
    has_left_preconfig: Arc<AtomicBool>,
}

impl SessionControl {
    /// Ends the session once the replies to the commands that have begun are sent; later input
    /// is not looked at. This is what `quit` does.
    pub fn quit(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Whether the session is ending.
    pub fn is_quitting(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// The control of a further session of the same server: it ends by itself, and leaves `preconfig` together with this one.
    #[must_use]
    pub fn of_another(&self) -> Self {
        Self {
            closing: Arc::default(),
            has_left_preconfig: Arc::clone(&self.has_left_preconfig),
        }
    }

    /// Ends the phase in which only commands with 'allow-preconfig' may run, for all sessions of the server. This is what
    /// `x-exit-preconfig` does.
    pub fn leave_preconfig(&self) {
        self.has_left_preconfig.store(true, Ordering::Release);
    }

    pub(super) fn has_left_preconfig(&self) -> bool {
        self.has_left_preconfig.load(Ordering::Acquire)
    }
}
