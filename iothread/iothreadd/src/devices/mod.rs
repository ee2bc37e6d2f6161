//! Devices: plugging, unplugging, and their places in the QOM tree.
//!
//! - `slots`, `bus`: where devices are.
//! - `unheeded`: properties that are for guests.
//! - `properties`, `placement`, `vq_mapping`: what they were told, and which event loops serve them.
//! - `describe`: all of them, for people.
//! - `backend`, `notify`: what virtio devices have in common; `drive`: their block nodes.
//! - one file for each kind of device.

mod backend;
mod bus;
mod describe;
mod drive;
mod notify;
mod placement;
mod properties;
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

use qapi_runtime::{Error, Value};

use self::bus::{Bus, BusType, PCI_BUS, ScsiBus, XEN_BUS};
pub(crate) use self::describe::{BusInfo, DeviceInfo, list_properties};
pub(crate) use self::properties::{Given, parse, parse_options};
use self::properties::{Properties, take};
use self::slots::{Plugged, Position, Slots};
use crate::finally::Finally;
use crate::host::Host;
use crate::ident::is_identifier;
use crate::objects::Objects;
use crate::qapi::{DeviceDeleted, ObjectPropertyInfo};
use crate::qom::Object;
use crate::qom::help;
use crate::qom::types::{DEVICE, Property, Type};
use crate::sync::Mutex;
use crate::task::Work;

/// What every kind of device can do.
trait Device: Send + Sync {
    fn properties(&self) -> &Properties;

    /// Reads one of the type's own properties.
    fn get(&self, property: &str) -> Result<Value, Error> {
        Ok(self.properties().value(property))
    }

    /// Writes one of the type's own properties that are writable.
    fn set(&self, _: &str, _: &Value) -> Result<(), Error> {
        Ok(())
    }

    /// The objects below.
    fn children(&self) -> Vec<(String, Arc<dyn Object>)> {
        Vec::new()
    }

    /// The bus of a controller.
    fn scsi_bus(&self) -> Option<&Arc<ScsiBus>> {
        None
    }

    /// Takes nothing in any more, and keeps `idle` until what is under way is over. Called once, on the main loop.
    fn quiesce(&self, _idle: &Finally) {}

    /// The node that has requests of the device, if one has any.
    fn busy_node(&self) -> Option<&str> {
        None
    }

    /// Gives back everything that the device has; called once, when it is idle.
    fn unrealize(&self, host: &Host);
}

/// What a new device is told beside its properties.
struct Plug<'p> {
    host: &'p Host,
    devices: &'p Devices,
    position: &'p Position,
    bus: &'p Bus,
}

impl Plug<'_> {
    /// Where the device is in the tree.
    fn path(&self) -> String {
        self.position.path()
    }
}

/// A kind of device.
struct Driver {
    /// Its type, whose name is the driver's.
    object_type: &'static Type,
    /// Another name.
    alias: Option<&'static str>,
    bus: BusType,
    realize: Realize,
}

/// Makes a device. After an error everything is as before.
#[derive(Clone, Copy)]
enum Realize {
    AtOnce(fn(&Plug<'_>, Properties) -> Realized),
    /// It waits for a peer, and the main loop goes on meanwhile.
    InTime(RealizeInTime),
}

type Realized = Result<Arc<dyn Device>, Error>;

type RealizeInTime = for<'p> fn(&'p Plug<'p>, Properties) -> Work<'p, Realized>;

/// All kinds of devices.
static DRIVERS: [Driver; 7] = [
    Driver {
        object_type: &scsi_disk::SCSI_CD,
        alias: None,
        bus: BusType::Scsi,
        realize: Realize::AtOnce(scsi_disk::realize),
    },
    Driver {
        object_type: &scsi_disk::SCSI_HD,
        alias: None,
        bus: BusType::Scsi,
        realize: Realize::AtOnce(scsi_disk::realize),
    },
    Driver {
        object_type: &vfio_user::PCI_TYPE,
        alias: None,
        bus: BusType::Pci,
        realize: Realize::InTime(vfio_user::realize),
    },
    Driver {
        object_type: &virtio_balloon::PCI_TYPE,
        alias: Some("virtio-balloon"),
        bus: BusType::Pci,
        realize: Realize::AtOnce(virtio_balloon::realize),
    },
    Driver {
        object_type: &virtio_blk::PCI_TYPE,
        alias: Some("virtio-blk"),
        bus: BusType::Pci,
        realize: Realize::AtOnce(virtio_blk::realize),
    },
    Driver {
        object_type: &virtio_scsi::PCI_TYPE,
        alias: Some("virtio-scsi"),
        bus: BusType::Pci,
        realize: Realize::AtOnce(virtio_scsi::realize),
    },
    Driver {
        object_type: &xen_disk::TYPE,
        alias: None,
        bus: BusType::Xen,
        realize: Realize::AtOnce(xen_disk::realize),
    },
];

/// What of the devices of each type holds IOThreads.
static BACKENDS: [(&Type, &Type); 3] = [
    (&virtio_balloon::PCI_TYPE, &virtio_balloon::BACKEND_TYPE),
    (&virtio_blk::PCI_TYPE, &virtio_blk::BACKEND_TYPE),
    (&virtio_scsi::PCI_TYPE, &virtio_scsi::BACKEND_TYPE),
];

/// The property of devices of a type that leads to the part that holds IOThreads.
pub(crate) fn backend_property(object_type: &Type) -> Option<ObjectPropertyInfo> {
    let (_, backend) = BACKENDS
        .iter()
        .find(|(device, _)| std::ptr::eq(*device, object_type))?;
    let value_type = format!("child<{}>", backend.name);
    Some(ObjectPropertyInfo::new(
        backend::NAME.to_owned(),
        value_type,
    ))
}

/// What buses devices are on, as QEMU groups them.
const GROUPS: [(&str, &[&str]); 2] = [
    (
        "Storage",
        &[
            "scsi-cd",
            "scsi-hd",
            "virtio-blk-pci",
            "virtio-scsi-pci",
            "xen-disk",
        ],
    ),
    ("Misc", &["vfio-user-pci", "virtio-balloon-pci"]),
];

/// What kinds of devices there are, or what properties one of them has.
pub(crate) fn help(about: Option<&str>) -> Result<String, String> {
    if let Some(name) = about {
        let driver = find_driver(name).ok_or_else(|| format!("Device '{name}' not found"))?;
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
    let groups = GROUPS.iter().map(|(title, names)| {
        let is_in = |driver: &&Driver| names.contains(&driver.object_type.name);
        let lines: String = DRIVERS.iter().filter(is_in).map(describe).collect();
        format!("{title} devices:\n{lines}")
    });
    Ok(groups.collect::<Vec<_>>().join("\n"))
}

/// The types of the objects that devices consist of.
pub(crate) fn types() -> impl Iterator<Item = &'static Type> {
    let backends = BACKENDS.iter().map(|(_, backend)| *backend);
    let buses = [&bus::PCI_BUS_TYPE, &bus::SCSI_BUS, &bus::XEN_BUS_TYPE];
    let devices = DRIVERS.iter().map(|driver| driver.object_type);
    devices.chain(backends).chain(buses)
}

/// The buses of the machine.
pub(crate) fn machine_buses() -> [(&'static str, &'static Type); 2] {
    [(PCI_BUS, &bus::PCI_BUS_TYPE), (XEN_BUS, &bus::XEN_BUS_TYPE)]
}

fn find_driver(name: &str) -> Option<&'static Driver> {
    let is_called =
        |driver: &&Driver| driver.object_type.name == name || driver.alias == Some(name);
    DRIVERS.iter().find(is_called)
}

/// All devices.
pub(crate) struct Devices {
    /// For disks that make themselves an IOThread.
    objects: Arc<Objects>,
    named: Arc<Slots>,
    unnamed: Arc<Slots>,
    /// IDs of devices that wait for a peer, in no order.
    coming: Mutex<Vec<String>>,
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
            coming: Mutex::default(),
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

    /// `device_add`. A device that has to agree with a peer does not keep the main loop.
    pub(crate) async fn add(&self, host: &Host, given: impl Into<Given>) -> Result<(), Error> {
        let mut given = given.into();
        let arguments = &mut given.members;
        let name: String = take(arguments, "driver")?
            .ok_or_else(|| Error::generic("Parameter 'driver' is missing"))?;
        let bus: Option<String> = take(arguments, "bus")?;
        let id: Option<String> = take(arguments, "id")?;
        let driver = find_driver(&name)
            .ok_or_else(|| Error::generic(format!("'{name}' is not a valid device model name")))?;
        let bus = self.find_bus(driver, &name, bus.as_deref())?;
        if driver.bus == BusType::Pci {
            slots::check_pci_address(driver.object_type, arguments)?;
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
        placement::check_link(host, &properties)?;
        let plug = Plug {
            host,
            devices: self,
            position: &position,
            bus: &bus,
        };
        let device = match driver.realize {
            Realize::AtOnce(realize) => realize(&plug, properties)?,
            Realize::InTime(realize) => {
                let _coming = position.id().map(|id| Coming::new(&self.coming, id));
                realize(&plug, properties).await?
            }
        };
        self.slots(&position).0.lock().push(Plugged {
            name: position.name,
            device,
            bus_path: bus.path(),
            is_leaving: Arc::default(),
            removal: Arc::default(),
        });
        Ok(())
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
        if is_property || self.named.find(&id).is_some() || self.coming.lock().contains(&id) {
            return Err(Error::generic(format!("Duplicate device ID '{id}'")));
        }
        Ok(id)
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

    /// `device_del`: begins the removal, which is complete with the event.
    pub(crate) fn delete(self: &Arc<Self>, host: &Arc<Host>, id: &str) -> Result<(), Error> {
        let (position, plugged) = self.find(host, id)?;
        if plugged.is_leaving.swap(true, Ordering::AcqRel) {
            return Err(Error::generic(format!(
                "Device {id} is already in the process of unplug"
            )));
        }
        let (remover, removing) = (Arc::clone(self), Arc::clone(host));
        let leaving: Arc<AtomicBool> = Arc::clone(&plugged.is_leaving);
        // After the reply to the command.
        let posted = host.main.post(move |_| {
            remover.remove(&removing, position, &plugged);
        });
        posted.map_err(|error| {
            leaving.store(false, Ordering::Release);
            Error::generic(error.to_string())
        })
    }

    fn find(&self, host: &Host, id: &str) -> Result<(Position, Plugged), Error> {
        let position = if id.starts_with('/') {
            let path = host.tree.canonical_path(id)?;
            if path.ends_with(&format!("/{}", backend::NAME)) {
                return Err(Error::generic(
                    "Bus 'virtio-bus' does not support hotplugging",
                ));
            }
            Position::of_path(&path)
                .ok_or_else(|| Error::generic(format!("{id} is not a device")))?
        } else if id.is_empty() {
            // The path of what all devices are below.
            return Err(Error::generic(format!("{id} is not a device")));
        } else {
            Position {
                is_named: true,
                name: id.to_owned(),
            }
        };
        match self.slots(&position).find(&position.name) {
            Some(plugged) => Ok((position, plugged)),
            None => Err(Error::device_not_found(format!("Device '{id}' not found"))),
        }
    }

    /// Unplugs a device as soon as it is idle, those on its bus first. On the main loop.
    fn remove(self: &Arc<Self>, host: &Arc<Host>, position: Position, plugged: &Plugged) {
        // It may go, or have gone, with its bus.
        if plugged.removal.begin() {
            return;
        }
        let (remover, removing) = (Arc::clone(self), Arc::clone(host));
        let leaving = plugged.clone();
        let unplug = move || {
            leaving.device.unrealize(&removing);
            let slots = remover.slots(&position);
            slots.0.lock().retain(|known| !known.is(&leaving));
            announce(&removing, &position, &*leaving.device);
            leaving.removal.end();
        };
        let idle = Finally::new(&host.main, unplug);
        let on_bus = plugged.device.scsi_bus().map(|bus| bus.positions());
        for position in on_bus.into_iter().flatten() {
            if let Some(unit) = self.slots(&position).find(&position.name) {
                unit.is_leaving.store(true, Ordering::Release);
                unit.removal.keep(idle.clone());
                self.remove(host, position, &unit);
            }
        }
        plugged.device.quiesce(&idle);
        idle.or_now();
    }

    /// Begins to remove all devices, at the end of the server; those on a bus were plugged after it.
    pub(crate) fn end(self: &Arc<Self>, host: &Arc<Host>) {
        for (slots, is_named) in [(&self.named, true), (&self.unnamed, false)] {
            for plugged in slots.newest_first() {
                plugged.is_leaving.store(true, Ordering::Release);
                let name = plugged.name.clone();
                self.remove(host, Position { is_named, name }, &plugged);
            }
        }
    }

    /// Whether there is none, not even one that is going.
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

/// An ID that is taken as long as this lives.
struct Coming<'c> {
    list: &'c Mutex<Vec<String>>,
    id: String,
}

impl<'c> Coming<'c> {
    fn new(list: &'c Mutex<Vec<String>>, id: &str) -> Self {
        list.lock().push(id.to_owned());
        Self {
            list,
            id: id.to_owned(),
        }
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        self.list.lock().retain(|id| *id != self.id);
    }
}

/// Announces that a device is gone: its backend, and itself.
fn announce(host: &Host, position: &Position, device: &dyn Device) {
    let path = position.path();
    let has_backend = device
        .children()
        .iter()
        .any(|(name, _)| name == backend::NAME);
    if has_backend {
        host.events.emit(&DeviceDeleted {
            device: None,
            path: backend::path_below(&path),
        });
    }
    host.events.emit(&DeviceDeleted {
        device: position.id().map(str::to_owned),
        path,
    });
}
