//! What follows from the properties of a server's devices: which IOThread each was told to use, and which disks it has.

mod disks;
mod place;
mod walk;

use std::collections::HashSet;

pub(crate) use self::place::place;
pub(crate) use self::walk::{names, walk};

use crate::facts::{Device, Export};

/// All that changes only when something is plugged in or out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// What the guest is called.
    pub(crate) name: Option<String>,
    /// The objects and devices that there were, as they are called: when others are there it is time for a new plan.
    pub(crate) names: Vec<String>,
    pub(crate) devices: Vec<Device>,
    pub(crate) exports: Vec<Export>,
    /// Threads of virtual processors.
    pub(crate) vcpus: HashSet<i64>,
    /// What could not be known.
    pub(crate) notes: Vec<String>,
}
