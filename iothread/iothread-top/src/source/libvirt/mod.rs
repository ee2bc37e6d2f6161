//! Guests of libvirt: what it tells without harm, and which process each is.
//!
//! `domstats` and `dumpxml` change nothing. `qemu-monitor-command` marks a domain as tainted, for good, so it is asked with only
//! where that is wanted.

mod domain;
mod look;
mod process;
mod virsh;

use self::domain::Domain;
pub(crate) use self::look::{Known, Told, look};
pub(crate) use self::virsh::{Virsh, VirshError};
