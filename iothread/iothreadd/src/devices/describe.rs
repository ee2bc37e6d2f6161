//! All devices, for people.

use qapi_runtime::Value;

use super::Devices;
use super::bus::Bus;
use super::slots::{Plugged, Slots};

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
