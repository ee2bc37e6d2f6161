//! The parts of a loop that synchronise and stand alone.

#[path = "../../../iothread/src/context/cell.rs"]
pub(crate) mod cell;
pub(crate) use crate::{budget, event};
#[path = "../../../iothread/src/context/gate.rs"]
pub(crate) mod gate;
#[path = "../../../iothread/src/context/inbox.rs"]
pub(crate) mod inbox;
#[path = "../../../iothread/src/context/pool.rs"]
pub(crate) mod pool;
#[path = "../../../iothread/src/context/schedule.rs"]
pub(crate) mod schedule;
