//! What devices there are, and what those of a type have.

use qapi_runtime::{Error, Value};

use super::Devices;
use super::bus::Bus;
use super::drivers::backend_property;
use super::slots::{Plugged, Slots};
use crate::qapi::ObjectPropertyInfo;
use crate::qom::Tree;
use crate::qom::commands::{TYPE, describe_type};
use crate::qom::types::{self, Type};

/// `device-list-properties`
pub(crate) fn list_properties(
    tree: &Tree,
    type_name: &str,
) -> Result<Vec<ObjectPropertyInfo>, Error> {
    let is_device =
        |known: &'static Type| known.lineage().any(|it| std::ptr::eq(it, &types::DEVICE));
    match tree.find_type(type_name) {
        Some(known) if is_device(known) => {
            // What is the same for all objects is left out, as in QEMU.
            let of_all = [TYPE, "realized", "hotplugged", "hotpluggable", "parent_bus"];
            let mut list = describe_type(known);
            list.retain(|it| !of_all.contains(&it.name.as_str()));
            list.extend(backend_property(known));
            Ok(list)
        }
        Some(_) => Err(Error::generic(
            "Parameter 'typename' expects a non-abstract device type",
        )),
        None if types::INTERFACES.contains(&type_name) => Err(Error::generic(
            "Parameter 'typename' expects a non-abstract device type",
        )),
        None => Err(Error::device_not_found(format!(
            "Device '{type_name}' not found"
        ))),
    }
}

/// A bus and what is plugged into it.
pub(crate) struct BusInfo {
    pub(crate) name: String,
    pub(crate) type_name: &'static str,
    pub(crate) devices: Vec<DeviceInfo>,
}

/// A device, for people.
pub(crate) struct DeviceInfo {
    pub(crate) driver: &'static str,
    pub(crate) id: String,
    pub(crate) properties: Vec<(&'static str, Value)>,
    pub(crate) buses: Vec<BusInfo>,
}

impl Devices {
    /// All buses and what is plugged into them, for people.
    pub(crate) fn describe(&self) -> Vec<BusInfo> {
        [Bus::Pci, Bus::Xen]
            .iter()
            .map(|bus| self.describe_bus(bus))
            .collect()
    }

    fn describe_bus(&self, bus: &Bus) -> BusInfo {
        let path = bus.path();
        let on_bus = |slots: &Slots| {
            let devices = slots.0.lock().clone();
            devices
                .into_iter()
                .filter(|it| it.bus_path == path)
                .collect::<Vec<_>>()
        };
        let named = on_bus(&self.named)
            .into_iter()
            .map(|it| self.describe_device(&it, true));
        let unnamed = on_bus(&self.unnamed)
            .into_iter()
            .map(|it| self.describe_device(&it, false));
        BusInfo {
            name: path.rsplit('/').next().unwrap_or_default().to_owned(),
            type_name: bus.bus_type().name(),
            devices: named.chain(unnamed).collect(),
        }
    }

    fn describe_device(&self, plugged: &Plugged, is_named: bool) -> DeviceInfo {
        let properties = plugged.device.properties();
        let bus = plugged.device.scsi_bus().cloned().map(Bus::Scsi);
        DeviceInfo {
            driver: properties.object_type().name,
            id: if is_named {
                plugged.name.clone()
            } else {
                String::new()
            },
            properties: properties.all(),
            buses: bus.iter().map(|bus| self.describe_bus(bus)).collect(),
        }
    }
}
