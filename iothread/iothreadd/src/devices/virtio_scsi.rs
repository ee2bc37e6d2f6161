//! A controller of SCSI disks: `virtio-scsi-pci`.

use std::sync::Arc;

use iothread::OnMain;
use qapi_runtime::{Error, Value};

use super::backend::{self, QUEUE_PROPERTIES, Queues, VirtioBackend};
use super::bus::ScsiBus;
use super::device::Device;
use super::drive::Disks;
use super::placement::{Placement, default_queues};
use super::plug::Plug;
use super::properties::Properties;
use super::unheeded::{VIRTIO_PCI, VIRTIO_SCSI, join, show_vectors};
use crate::finally::Finally;
use crate::host::Host;
use crate::qom::Object;
use crate::qom::types::{Initial, Property, Type, ValueType};

/// The queues for control and for events, which stay on the main loop.
const N_FIXED: u16 = 2;

/// The most queues for commands.
const MAX_QUEUES: u32 = 1022;

/// Leaves the number of queues open.
const AS_MANY_AS_FIT: u32 = u32::MAX;

/// The most requests in a queue.
const MAX_QUEUE_SIZE: u32 = 1024;

pub(super) static PCI_TYPE: Type = Type {
    name: "virtio-scsi-pci",
    base: Some(&VIRTIO_PCI),
    own: &join::<7, 3, 10>(HEEDED, VIRTIO_SCSI),
};

const HEEDED: [Property; 7] = [
    Property::fixed("iothread", ValueType::Link("iothread")),
    Property::fixed("iothread-vq-mapping", ValueType::VirtQueueMapping)
        .described(
            "IOThread virtqueue mapping list [{\"iothread\":\"<id>\", \"vqs\":[1,2,3,...]},...]",
        )
        .initially(Initial::EmptyList),
    Property::fixed("num_queues", ValueType::Uint32).initially(Initial::Int(4_294_967_295)),
    Property::fixed("virtqueue_size", ValueType::Uint32).initially(Initial::Int(256)),
    Property::fixed("max_sectors", ValueType::Uint32).initially(Initial::Int(65535)),
    Property::fixed("cmd_per_lun", ValueType::Uint32).initially(Initial::Int(128)),
    Property::fixed("ioeventfd", ValueType::Bool)
        .described("on/off")
        .initially(Initial::Bool(true)),
];

/// The part of a controller that holds IOThreads.
pub(super) static BACKEND_TYPE: Type = Type {
    name: "virtio-scsi-device",
    base: None,
    own: &QUEUE_PROPERTIES,
};

/// A controller that is plugged in.
struct VirtioScsi {
    properties: Properties,
    bus: Arc<ScsiBus>,
    backend: Arc<VirtioBackend>,
}

pub(super) fn realize(
    _: OnMain<'_>,
    plug: &Plug<'_>,
    mut properties: Properties,
    _: &Finally,
) -> Result<Arc<dyn Device>, Error> {
    let num_queues: u32 = match properties.get("num_queues")? {
        Some(number) if number != AS_MANY_AS_FIT => number,
        Some(_) | None => default_queues(&properties, 1022)?.into(),
    };
    let n_commands = match u16::try_from(num_queues) {
        Ok(number @ 1..) if num_queues <= MAX_QUEUES => number,
        Ok(_) | Err(_) => {
            return Err(Error::generic(format!(
                "Invalid number of queues (= {num_queues}), must be a positive integer less than {MAX_QUEUES}."
            )));
        }
    };
    let queue_size: u32 = properties.get_or("virtqueue_size", 256)?;
    if queue_size <= 2 {
        return Err(Error::generic(format!(
            "invalid virtqueue_size property (= {queue_size}), must be > 2"
        )));
    }
    // Differs from QEMU, which aborts.
    if !(3..=MAX_QUEUE_SIZE).contains(&queue_size) {
        return Err(Error::generic(format!(
            "invalid virtqueue_size property ({queue_size}), must be between 3 and {MAX_QUEUE_SIZE}"
        )));
    }
    for name in ["max_sectors", "cmd_per_lun"] {
        properties.get::<u32>(name)?;
    }
    properties.set("num_queues", Value::from(num_queues));
    show_vectors(&mut properties, num_queues + 3);
    let path = backend::path_below(&plug.path());
    // The indices of a mapping are those of the queues for commands.
    let placement = Placement::resolve(&plug.host.threads, &properties, n_commands)?;
    let home = placement.home().cloned();
    let main = &plug.host.main;
    let disks = Disks::default();
    let n_queues = (N_FIXED, n_commands);
    let queues = Queues::start(&BACKEND_TYPE, &path, placement, main, n_queues, &disks)?;
    let bus_name = match plug.position.id() {
        Some(id) => format!("{id}.0"),
        None => format!("scsi.{}", plug.devices.next_unnamed_bus()),
    };
    let bus = ScsiBus::new(bus_name, &path, home, disks);
    let bus_object: Arc<dyn Object> = Arc::<ScsiBus>::clone(&bus);
    let children = vec![(bus.name.clone(), bus_object)];
    Ok(Arc::new(VirtioScsi {
        properties,
        bus,
        backend: VirtioBackend::with_children(queues, children),
    }))
}

impl Device for VirtioScsi {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn children(&self) -> Vec<(String, Arc<dyn Object>)> {
        vec![self.backend.as_child()]
    }

    fn scsi_bus(&self) -> Option<&Arc<ScsiBus>> {
        Some(&self.bus)
    }

    fn unrealize(&self, main: OnMain<'_>, _: &Arc<Host>, gone: &Finally) {
        self.backend.queues.end(main, gone);
    }
}
