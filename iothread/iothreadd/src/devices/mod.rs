//! Devices: plugging, unplugging, and their places in the QOM tree.
//!
//! - `add`, `remove`: how devices come and go; `describe`: what there are, for people and in lists.
//! - `drivers`: all kinds of devices, a row each; `device`, `plug`: what a kind has to do.
//! - `slots`, `position`, `bus`: where devices are.
//! - `unheeded`: properties that are for guests.
//! - `properties`, `placement`, `vq_mapping`: what they were told, and which event loops serve them.
//! - `backend`, `notify`: what virtio devices have in common; `drive`: their block nodes.
//! - one file for each kind of device.

mod add;
mod backend;
mod bus;
mod describe;
mod device;
mod drive;
mod drivers;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod notify;
mod placement;
mod plug;
mod position;
mod properties;
mod remove;
mod scsi_disk;
mod slots;
mod unheeded;
mod vfio_user;
mod virtio_balloon;
mod virtio_blk;
mod virtio_scsi;
mod vq_mapping;
mod xen_disk;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(crate) use self::describe::{BusInfo, DeviceInfo, list_properties};
pub(crate) use self::drivers::{help, machine_buses, types};
use self::position::Position;
pub(crate) use self::properties::{parse, parse_options};
use self::slots::{Plugged, Slots};
use crate::coming::Coming;
use crate::objects::Objects;
use crate::qom::Object;
use crate::qom::types::Type;

/// All devices.
pub(crate) struct Devices {
    /// For disks that make themselves an IOThread.
    objects: Arc<Objects>,
    named: Arc<Slots>,
    unnamed: Arc<Slots>,
    /// IDs of devices that wait for a peer.
    coming: Coming,
    n_unnamed: AtomicU64,
    n_unnamed_buses: AtomicU64,
    is_balloon_lost: AtomicBool,
}

impl Devices {
    pub(crate) fn new(objects: &Arc<Objects>) -> Self {
        Self {
            objects: Arc::clone(objects),
            named: Arc::default(),
            unnamed: Arc::default(),
            coming: Coming::default(),
            n_unnamed: AtomicU64::new(0),
            n_unnamed_buses: AtomicU64::new(0),
            is_balloon_lost: AtomicBool::new(false),
        }
    }

    /// `/machine/peripheral`
    pub(crate) fn peripheral(&self) -> Arc<dyn Object> {
        Arc::<Slots>::clone(&self.named)
    }

    /// `/machine/peripheral-anon`
    pub(crate) fn peripheral_anon(&self) -> Arc<dyn Object> {
        Arc::<Slots>::clone(&self.unnamed)
    }

    fn slots(&self, position: &Position) -> &Slots {
        if position.is_named {
            &self.named
        } else {
            &self.unnamed
        }
    }

    /// Tells the buses of controllers without ID apart.
    fn next_unnamed_bus(&self) -> u64 {
        self.n_unnamed_buses.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether the place of the only balloon is taken by one that is not there.
    fn is_balloon_lost(&self) -> bool {
        self.is_balloon_lost.load(Ordering::Relaxed)
    }

    /// As in QEMU, a balloon that wants hints and has no IOThread is refused and keeps its place.
    fn lose_balloon(&self) {
        self.is_balloon_lost.store(true, Ordering::Relaxed);
    }

    /// Whether there is a device of that type.
    fn has(&self, object_type: &'static Type) -> bool {
        [&self.named, &self.unnamed].into_iter().any(|slots| {
            let slots = slots.0.lock();
            let is_one =
                |it: &Plugged| std::ptr::eq(it.device.properties().object_type(), object_type);
            slots.iter().any(is_one)
        })
    }

    /// Whether there is no device, not even one that is on its way out.
    pub(crate) fn is_empty(&self) -> bool {
        self.named.0.lock().is_empty() && self.unnamed.0.lock().is_empty()
    }

    /// What keeps devices that are going: for people.
    pub(crate) fn stuck(&self) -> Vec<String> {
        let mut stuck = Vec::new();
        for (slots, is_named) in [(&self.named, true), (&self.unnamed, false)] {
            for plugged in slots.newest_first() {
                let name = plugged.name.clone();
                let path = Position { is_named, name }.path();
                if let Some(node) = plugged.device.busy_node() {
                    stuck.push(format!("device '{path}' waits for block node '{node}'"));
                }
            }
        }
        stuck
    }
}
