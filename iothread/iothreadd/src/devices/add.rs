//! `device_add`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use iothread::OnMain;
use qapi_runtime::Error;

use super::bus::{Bus, BusType, PCI_BUS, ScsiBus, XEN_BUS};
use super::device::Device;
use super::drivers::{self, Driver};
use super::plug::{Plug, Realize};
use super::position::{self, Position};
use super::properties::{Given, Properties, take};
use super::slots::Plugged;
use super::{Devices, placement, unheeded};
use crate::finally::Finally;
use crate::host::Host;
use crate::ident::is_identifier;
use crate::task;

impl Devices {
    /// `device_add`. A device that has to agree with a peer does not keep the main loop.
    pub(crate) async fn add(&self, host: &Arc<Host>, given: impl Into<Given>) -> Result<(), Error> {
        let mut given = given.into();
        let arguments = &mut given.members;
        let name: String = take(arguments, "driver")?
            .ok_or_else(|| Error::generic("Parameter 'driver' is missing"))?;
        let bus: Option<String> = take(arguments, "bus")?;
        let id: Option<String> = take(arguments, "id")?;
        let driver = drivers::find(&name)
            .ok_or_else(|| Error::generic(format!("'{name}' is not a valid device model name")))?;
        let bus = self.find_bus(driver, &name, bus.as_deref())?;
        if driver.bus == BusType::Pci {
            position::check_pci_address(driver.object_type, arguments)?;
        }
        let position = match id {
            Some(id) => Position {
                is_named: true,
                name: self.check_id(id)?,
            },
            None => Position {
                is_named: false,
                // As in QEMU, the number of one that is refused is not used again.
                name: format!("device[{}]", self.n_unnamed.fetch_add(1, Ordering::Relaxed)),
            },
        };
        let properties = Properties::new(driver.object_type, given.typed(driver.object_type)?)?;
        unheeded::check(&properties)?;
        placement::check_link(host, &properties)?;
        let plug = Plug {
            host,
            devices: self,
            position: &position,
            bus: &bus,
        };
        match driver.realize {
            Realize::AtOnce(realize) => {
                let plug_in = |main: OnMain<'_>, moved: &Finally| {
                    let device = realize(main, &plug, properties, moved)?;
                    self.insert(&plug, device);
                    Ok(())
                };
                task::see_through(&host.main, plug_in).await?
            }
            Realize::InTime(realize) => {
                let _coming = position.id().map(|id| self.coming.begin(id));
                let device = realize(&plug, properties).await?;
                self.insert(&plug, device);
                Ok(())
            }
        }
    }

    fn insert(&self, plug: &Plug<'_>, device: Arc<dyn Device>) {
        self.slots(plug.position).0.lock().push(Plugged {
            name: plug.position.name.clone(),
            device,
            bus_path: plug.bus.path(),
            is_leaving: Arc::default(),
            removal: Arc::default(),
        });
    }

    /// Finds the bus that a device names, or the first that fits it.
    fn find_bus(
        &self,
        driver: &Driver,
        driver_name: &str,
        name: Option<&str>,
    ) -> Result<Bus, Error> {
        let Some(name) = name else {
            return match driver.bus {
                BusType::Pci => Ok(Bus::Pci),
                BusType::Xen => Ok(Bus::Xen),
                BusType::Scsi => self.scsi_buses().next().map(Bus::Scsi).ok_or_else(|| {
                    let bus_type = driver.bus.name();
                    Error::generic(format!(
                        "No '{bus_type}' bus found for device '{driver_name}'"
                    ))
                }),
            };
        };
        let found = match name {
            PCI_BUS => Some(Bus::Pci),
            XEN_BUS => Some(Bus::Xen),
            name => self
                .scsi_buses()
                .find(|bus| bus.name == name)
                .map(Bus::Scsi),
        };
        let bus = found.ok_or_else(|| Error::generic(format!("Bus '{name}' not found")))?;
        let bus_type = bus.bus_type();
        if bus_type != driver.bus {
            return Err(Error::generic(format!(
                "Device '{driver_name}' can't go on {} bus",
                bus_type.name()
            )));
        }
        Ok(bus)
    }

    /// The buses of all controllers, the latest first.
    fn scsi_buses(&self) -> impl Iterator<Item = Arc<ScsiBus>> {
        let of_named = self.named.newest_first();
        let of_unnamed = self.unnamed.newest_first();
        let stays = |it: &Plugged| !it.is_leaving.load(Ordering::Acquire);
        let mut devices = of_named.into_iter().chain(of_unnamed).filter(stays);
        std::iter::from_fn(move || devices.find_map(|it| it.device.scsi_bus().cloned()))
    }

    fn check_id(&self, id: String) -> Result<String, Error> {
        if !is_identifier(&id) {
            return Err(Error::generic(format!("Invalid qdev ID '{id}'")));
        }
        // What contains the devices has a property of this name.
        let is_property = id == "type";
        if is_property || self.named.find(&id).is_some() || self.coming.has(&id) {
            return Err(Error::generic(format!("Duplicate device ID '{id}'")));
        }
        Ok(id)
    }
}
