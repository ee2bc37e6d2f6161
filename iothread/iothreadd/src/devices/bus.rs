//! What devices are plugged into.

use std::sync::Arc;

use iothread::IoThread;
use qapi_runtime::Error;

use super::drive::Disks;
use super::position::Position;
use crate::qom::types::Type;
use crate::qom::{Link, Object};
use crate::sync::Mutex;

/// The highest channel, target and unit of a virtio-scsi bus, as in QEMU.
const MAX_CHANNEL: u32 = 0;
const MAX_TARGET: u32 = 255;
const MAX_LUN: u32 = 16383;

/// The kinds of bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BusType {
    Pci,
    Scsi,
    Xen,
}

impl BusType {
    /// The name of the type, as messages have it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pci => "PCI",
            Self::Scsi => "SCSI",
            Self::Xen => "xen-bus",
        }
    }
}

/// A bus that a device is plugged into.
#[derive(Clone)]
pub(super) enum Bus {
    Pci,
    Xen,
    Scsi(Arc<ScsiBus>),
}

/// Name of the PCI bus.
pub(super) const PCI_BUS: &str = "pci.0";
/// Name of the Xen bus.
pub(super) const XEN_BUS: &str = "xen-bus.0";

impl Bus {
    pub(super) fn bus_type(&self) -> BusType {
        match self {
            Self::Pci => BusType::Pci,
            Self::Xen => BusType::Xen,
            Self::Scsi(_) => BusType::Scsi,
        }
    }

    /// Where it is in the tree.
    pub(super) fn path(&self) -> String {
        match self {
            Self::Pci => format!("/machine/{PCI_BUS}"),
            Self::Xen => format!("/machine/{XEN_BUS}"),
            Self::Scsi(bus) => bus.path.clone(),
        }
    }
}

/// The bus of a SCSI controller.
pub(super) struct ScsiBus {
    pub(super) name: String,
    path: String,
    /// Where the data of its disks are to be; the main loop if `None`.
    pub(super) home: Option<IoThread>,
    /// Those that requests to the controller reach.
    pub(super) disks: Disks,
    units: Mutex<Units>,
}

#[derive(Default)]
struct Units {
    list: Vec<Unit>,
    /// How many there have been.
    count: u64,
}

/// A disk on the bus.
struct Unit {
    address: Address,
    position: Position,
    type_name: &'static str,
    /// Tells the links to units apart.
    number: u64,
}

/// Where on the bus a disk is; what is absent is chosen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WantedAddress {
    pub(super) channel: Option<u32>,
    pub(super) target: Option<u32>,
    pub(super) lun: Option<u32>,
}

/// Where on the bus a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) channel: u32,
    pub(super) target: u32,
    pub(super) lun: u32,
}

/// The bus of a SCSI controller as an object.
pub(super) static SCSI_BUS: Type = Type {
    name: "SCSI",
    base: None,
    own: &[],
};

/// A bus of the machine as an object.
pub(super) static PCI_BUS_TYPE: Type = Type {
    name: "PCI",
    base: None,
    own: &[],
};

/// The Xen bus as an object.
pub(super) static XEN_BUS_TYPE: Type = Type {
    name: "xen-bus",
    base: None,
    own: &[],
};

impl ScsiBus {
    pub(super) fn new(
        name: String,
        backend_path: &str,
        home: Option<IoThread>,
        disks: Disks,
    ) -> Arc<Self> {
        Arc::new(Self {
            path: format!("{backend_path}/{name}"),
            name,
            home,
            disks,
            units: Mutex::default(),
        })
    }

    /// Gives a new disk its place on the bus, which it has until `remove`.
    ///
    /// # Errors
    ///
    /// In QEMU's words: an address beyond what the bus has, or taken, or none left.
    pub(super) fn add(
        &self,
        wanted: WantedAddress,
        position: &Position,
        type_name: &'static str,
    ) -> Result<Address, Error> {
        let mut units = self.units.lock();
        let address = units.choose(wanted)?;
        let number = units.count;
        units.count += 1;
        units.list.push(Unit {
            address,
            position: position.clone(),
            type_name,
            number,
        });
        Ok(address)
    }

    /// Frees the place of a disk.
    pub(super) fn remove(&self, address: Address) {
        let mut units = self.units.lock();
        units.list.retain(|unit| unit.address != address);
    }

    /// Where the disks are plugged in, the latest first.
    pub(super) fn positions(&self) -> Vec<Position> {
        let units = self.units.lock();
        let position = |unit: &Unit| unit.position.clone();
        units.list.iter().rev().map(position).collect()
    }
}

impl Units {
    fn choose(&self, wanted: WantedAddress) -> Result<Address, Error> {
        for (what, number, limit) in [
            ("channel id", wanted.channel, MAX_CHANNEL),
            ("device id", wanted.target, MAX_TARGET),
            ("device lun", wanted.lun, MAX_LUN),
        ] {
            if let Some(number) = number.filter(|number| *number > limit) {
                return Err(Error::generic(format!("bad scsi {what}: {number}")));
            }
        }
        let channel = wanted.channel.unwrap_or(0);
        let occupant = |target: u32, lun: u32| {
            let address = Address {
                channel,
                target,
                lun,
            };
            self.list.iter().find(|unit| unit.address == address)
        };
        let (target, lun) = match (wanted.target, wanted.lun) {
            (Some(target), Some(lun)) => {
                if let Some(unit) = occupant(target, lun) {
                    return Err(Error::generic(format!(
                        "lun already used by '{}'",
                        unit.position.id().unwrap_or_default()
                    )));
                }
                (target, lun)
            }
            (None, lun) => {
                let lun = lun.unwrap_or(0);
                let target = (0..=MAX_TARGET).find(|target| occupant(*target, lun).is_none());
                let none = || Error::generic("no free target");
                (target.ok_or_else(none)?, lun)
            }
            (Some(target), None) => {
                let lun = (0..=MAX_LUN).find(|lun| occupant(target, *lun).is_none());
                let none = || Error::generic("no free lun");
                (target, lun.ok_or_else(none)?)
            }
        };
        Ok(Address {
            channel,
            target,
            lun,
        })
    }
}

impl Object for ScsiBus {
    fn object_type(&self) -> &'static Type {
        &SCSI_BUS
    }

    fn links(&self) -> Vec<Link> {
        let units = self.units.lock();
        let link = |unit: &Unit| Link {
            name: format!("child[{}]", unit.number),
            type_name: unit.type_name,
            target: unit.position.path(),
        };
        units.list.iter().map(link).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(name: &str) -> Position {
        Position {
            is_named: true,
            name: name.to_owned(),
        }
    }

    fn wanted(target: Option<u32>, lun: Option<u32>) -> WantedAddress {
        WantedAddress {
            channel: None,
            target,
            lun,
        }
    }

    #[test]
    fn places_are_chosen_and_freed() {
        let bus = ScsiBus::new("s0.0".to_owned(), "/x", None, Disks::default());
        let add = |name: &str, wanted| bus.add(wanted, &position(name), "scsi-hd");
        let first = add("a", wanted(None, None)).unwrap();
        assert_eq!((first.target, first.lun), (0, 0));
        let second = add("b", wanted(None, None)).unwrap();
        assert_eq!((second.target, second.lun), (1, 0));
        let third = add("c", wanted(Some(0), None)).unwrap();
        assert_eq!((third.target, third.lun), (0, 1));
        let taken = add("d", wanted(Some(0), Some(0))).unwrap_err();
        assert_eq!(taken.desc, "lun already used by 'a'");
        bus.remove(first);
        let again = add("d", wanted(Some(0), Some(0))).unwrap();
        assert_eq!(again, first);
        let names: Vec<_> = bus.positions().into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["d", "c", "b"]);
    }

    #[test]
    fn places_that_cannot_be_are_refused() {
        let bus = ScsiBus::new("s0.0".to_owned(), "/x", None, Disks::default());
        for (channel, target, lun, text) in [
            (1, 0, 0, "bad scsi channel id: 1"),
            (0, 256, 0, "bad scsi device id: 256"),
            (0, 0, 16384, "bad scsi device lun: 16384"),
        ] {
            let wanted = WantedAddress {
                channel: Some(channel),
                target: Some(target),
                lun: Some(lun),
            };
            let refused = bus.add(wanted, &position("a"), "scsi-hd").unwrap_err();
            assert_eq!(refused.desc, text);
        }
        for target in 0..=MAX_TARGET {
            bus.add(wanted(Some(target), Some(0)), &position("a"), "scsi-hd")
                .unwrap();
        }
        let full = bus.add(wanted(None, None), &position("a"), "scsi-hd");
        assert_eq!(full.unwrap_err().desc, "no free target");
    }
}
