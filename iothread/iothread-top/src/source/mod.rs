//! Where facts come from, a module each: what servers tell about IOThreads, what follows from the properties of their devices,
//! and what the kernel counts.

pub(crate) mod devices;
pub(crate) mod history;
pub(crate) mod kernel;
pub(crate) mod libvirt;
pub(crate) mod loops;
pub(crate) mod monitor;
pub(crate) mod peer;
