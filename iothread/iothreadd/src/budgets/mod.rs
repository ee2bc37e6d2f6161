//! The memory that peers may take up, a budget for each kind: `--limit`.
//!
//! - `allowance`: what one connection or queue has of it.
//! - `room`: how one that waits for more hears that there is some.

mod allowance;
mod room;

use qapi_runtime::budget::Budget;
use qapi_runtime::session::SESSION_MEMORY;

pub(crate) use self::allowance::Allowance;
pub(crate) use self::room::Room;

/// How many bytes all peers of a kind may take up together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Commands and replies of QMP sessions.
    pub(crate) qmp: usize,
    /// Requests and replies of NBD connections.
    pub(crate) nbd: usize,
    /// Buffers of the queues of vhost-user-blk exports.
    pub(crate) vhost_user_blk: usize,
    /// Packets of comparisons.
    pub(crate) colo: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            qmp: SESSION_MEMORY,
            nbd: 256 << 20,
            vhost_user_blk: 256 << 20,
            colo: 256 << 20,
        }
    }
}

/// What is left of it.
#[derive(Debug)]
pub(crate) struct Budgets {
    qmp: Budget,
    nbd: Budget,
    vhost_user_blk: Budget,
    colo: Budget,
}

impl Budgets {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            qmp: Budget::new(limits.qmp),
            nbd: Budget::new(limits.nbd),
            vhost_user_blk: Budget::new(limits.vhost_user_blk),
            colo: Budget::new(limits.colo),
        }
    }

    /// Shared by QMP sessions.
    pub(crate) fn qmp(&self) -> &Budget {
        &self.qmp
    }

    /// Shared by NBD connections.
    pub(crate) fn nbd(&self) -> &Budget {
        &self.nbd
    }

    /// Shared by queues of vhost-user-blk exports.
    pub(crate) fn vhost_user_blk(&self) -> &Budget {
        &self.vhost_user_blk
    }

    /// Shared by comparisons.
    pub(crate) fn colo(&self) -> &Budget {
        &self.colo
    }
}
