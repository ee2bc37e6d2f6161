//! All kinds of devices: a row each.

use super::bus::{self, BusType, PCI_BUS, XEN_BUS};
use super::plug::Realize;
use super::{backend, scsi_disk, vfio_user, virtio_balloon, virtio_blk, virtio_scsi, xen_disk};
use crate::qapi::ObjectPropertyInfo;
use crate::qom::help;
use crate::qom::types::{DEVICE, Property, Type};

/// A kind of device.
pub(super) struct Driver {
    /// Its type, whose name is the driver's.
    pub(super) object_type: &'static Type,
    /// Another name.
    pub(super) alias: Option<&'static str>,
    pub(super) bus: BusType,
    /// Under which title QEMU lists it.
    group: &'static str,
    /// The type of the part of the device that holds IOThreads.
    backend: Option<&'static Type>,
    pub(super) realize: Realize,
}

/// All kinds of devices.
static DRIVERS: &[Driver] = &[
    Driver {
        object_type: &scsi_disk::SCSI_CD,
        alias: None,
        bus: BusType::Scsi,
        group: STORAGE,
        backend: None,
        realize: Realize::AtOnce(scsi_disk::realize),
    },
    Driver {
        object_type: &scsi_disk::SCSI_HD,
        alias: None,
        bus: BusType::Scsi,
        group: STORAGE,
        backend: None,
        realize: Realize::AtOnce(scsi_disk::realize),
    },
    Driver {
        object_type: &vfio_user::PCI_TYPE,
        alias: None,
        bus: BusType::Pci,
        group: MISC,
        backend: None,
        realize: Realize::InTime(vfio_user::realize),
    },
    Driver {
        object_type: &virtio_balloon::PCI_TYPE,
        alias: Some("virtio-balloon"),
        bus: BusType::Pci,
        group: MISC,
        backend: Some(&virtio_balloon::BACKEND_TYPE),
        realize: Realize::AtOnce(virtio_balloon::realize),
    },
    Driver {
        object_type: &virtio_blk::PCI_TYPE,
        alias: Some("virtio-blk"),
        bus: BusType::Pci,
        group: STORAGE,
        backend: Some(&virtio_blk::BACKEND_TYPE),
        realize: Realize::AtOnce(virtio_blk::realize),
    },
    Driver {
        object_type: &virtio_scsi::PCI_TYPE,
        alias: Some("virtio-scsi"),
        bus: BusType::Pci,
        group: STORAGE,
        backend: Some(&virtio_scsi::BACKEND_TYPE),
        realize: Realize::AtOnce(virtio_scsi::realize),
    },
    Driver {
        object_type: &xen_disk::TYPE,
        alias: None,
        bus: BusType::Xen,
        group: STORAGE,
        backend: None,
        realize: Realize::AtOnce(xen_disk::realize),
    },
];

/// The property of devices of a type that leads to the part that holds IOThreads.
pub(super) fn backend_property(object_type: &Type) -> Option<ObjectPropertyInfo> {
    let is_it = |driver: &&Driver| std::ptr::eq(driver.object_type, object_type);
    let backend = DRIVERS.iter().find(is_it)?.backend?;
    let value_type = format!("child<{}>", backend.name);
    Some(ObjectPropertyInfo::new(
        backend::NAME.to_owned(),
        value_type,
    ))
}

/// The titles of QEMU's list of devices.
const STORAGE: &str = "Storage";
const MISC: &str = "Misc";

/// What kinds of devices there are, or what properties one of them has.
pub(crate) fn help(about: Option<&str>) -> Result<String, String> {
    if let Some(name) = about {
        let driver = find(name).ok_or_else(|| format!("Device '{name}' not found"))?;
        let of_all = |property: &&Property| DEVICE.property(property.name).is_none();
        let own = driver.object_type.properties();
        let own = own.filter(|it| !it.is_of_objects).filter(of_all);
        return Ok(help::list_properties(driver.object_type.name, own));
    }
    let describe = |driver: &Driver| {
        let mut line = format!("name \"{}\"", driver.object_type.name);
        line.push_str(&format!(", bus {}", driver.bus.name()));
        if let Some(alias) = driver.alias {
            line.push_str(&format!(", alias \"{alias}\""));
        }
        line.push('\n');
        line
    };
    let groups = [STORAGE, MISC].map(|title| {
        let is_in = |driver: &&Driver| driver.group == title;
        let lines: String = DRIVERS.iter().filter(is_in).map(describe).collect();
        format!("{title} devices:\n{lines}")
    });
    Ok(groups.join("\n"))
}

/// The types of the objects that devices consist of.
pub(crate) fn types() -> impl Iterator<Item = &'static Type> {
    let backends = DRIVERS.iter().filter_map(|driver| driver.backend);
    let buses = [&bus::PCI_BUS_TYPE, &bus::SCSI_BUS, &bus::XEN_BUS_TYPE];
    let devices = DRIVERS.iter().map(|driver| driver.object_type);
    devices.chain(backends).chain(buses)
}

/// The buses of the machine.
pub(crate) fn machine_buses() -> [(&'static str, &'static Type); 2] {
    [(PCI_BUS, &bus::PCI_BUS_TYPE), (XEN_BUS, &bus::XEN_BUS_TYPE)]
}

pub(super) fn find(name: &str) -> Option<&'static Driver> {
    let is_called =
        |driver: &&Driver| driver.object_type.name == name || driver.alias == Some(name);
    DRIVERS.iter().find(is_called)
}
