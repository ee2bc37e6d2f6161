//! Exports as vhost-user-blk devices: the disk of a virtual machine, whose requests are served here.
//!
//! Two parties speak to such an export. The *client*, the virtual machine monitor, says over a socket where the guest's
//! memory and queues are; it is trusted with that memory, as everywhere in vhost-user: one that truncates the file behind
//! it takes this process along. The *guest* puts requests into the queues; whatever it puts there costs it no more than
//! its own requests.
//!
//! - `export`: what is exported, to one client at a time.
//! - `session`: a client's messages, on an IOThread of the export, with `message` as their framing.
//! - `device`: what the messages change; `shared`: what queues see of it.
//! - `memory`: the guest's memory.
//! - `queue`: a virtqueue on its IOThread, with `ring` as its part in the guest's memory.
//! - `counters`: what it has done.
//! - `request`: what a chain of descriptors asks for; `job`: a request that is being carried out;
//!   `under_way`: those that the node has.
//! - `config`: features and configuration space.

mod config;
mod counters;
mod device;
mod export;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod job;
mod memory;
mod message;
mod queue;
mod request;
mod ring;
mod session;
mod shared;
mod under_way;

pub(crate) use self::export::prepare;
