//! A disk: `virtio-blk-pci`.

use std::sync::Arc;

use iothread::OnMain;
use qapi_runtime::{Error, Value};

use super::backend::{self, QUEUE_PROPERTIES, Queues, VirtioBackend};
use super::device::Device;
use super::drive::{self, Disks, Drive};
use super::placement::{Placement, default_queues};
use super::plug::Plug;
use super::properties::Properties;
use super::unheeded::{BLOCK, GEOMETRY, VIRTIO_BLK, VIRTIO_PCI, join, show_geometry, show_vectors};
use crate::block::Medium;
use crate::finally::Finally;
use crate::host::Host;
use crate::qom::Object;
use crate::qom::types::{Initial, Property, Type, ValueType};

/// The most queues of a PCI device.
const MAX_QUEUES: u16 = 1024;

/// Leaves the number of queues open.
const AS_MANY_AS_FIT: u16 = u16::MAX;

/// The most requests in a queue.
const MAX_QUEUE_SIZE: u16 = 1024;

pub(super) static PCI_TYPE: Type = Type {
    name: "virtio-blk-pci",
    base: Some(&VIRTIO_PCI),
    own: &join::<8, 28, 36>(
        HEEDED,
        join::<12, 16, 28>(BLOCK, join(GEOMETRY, VIRTIO_BLK)),
    ),
};

const HEEDED: [Property; 8] = [
    Property::fixed("drive", ValueType::Str)
        .described("Node name or ID of a block device to use as a backend"),
    Property::fixed("iothread", ValueType::Link("iothread")),
    Property::fixed("iothread-vq-mapping", ValueType::VirtQueueMapping)
        .described(
            "IOThread virtqueue mapping list [{\"iothread\":\"<id>\", \"vqs\":[1,2,3,...]},...]",
        )
        .initially(Initial::EmptyList),
    Property::fixed("num-queues", ValueType::Uint16).initially(Initial::Int(65535)),
    Property::fixed("queue-size", ValueType::Uint16).initially(Initial::Int(256)),
    Property::fixed("serial", ValueType::Str),
    Property::fixed("share-rw", ValueType::Bool)
        .described("on/off")
        .initially(Initial::Bool(false)),
    Property::fixed("ioeventfd", ValueType::Bool)
        .described("on/off")
        .initially(Initial::Bool(true)),
];

/// The part of a disk that holds IOThreads.
pub(super) static BACKEND_TYPE: Type = Type {
    name: "virtio-blk-device",
    base: None,
    own: &QUEUE_PROPERTIES,
};

/// A disk that is plugged in.
struct VirtioBlk {
    properties: Properties,
    drive: Drive,
    backend: Arc<VirtioBackend>,
}

/// The checks that need nothing but the properties, in QEMU's order.
fn check(num_queues: u16, queue_size: u16) -> Result<(), Error> {
    if num_queues == 0 {
        return Err(Error::generic("num-queues property must be larger than 0"));
    }
    if num_queues > MAX_QUEUES {
        return Err(Error::generic(format!(
            "num-queues property must not be larger than {MAX_QUEUES}"
        )));
    }
    if queue_size <= 2 {
        return Err(Error::generic(format!(
            "invalid queue-size property ({queue_size}), must be > 2"
        )));
    }
    if !queue_size.is_power_of_two() || queue_size > MAX_QUEUE_SIZE {
        return Err(Error::generic(format!(
            "invalid queue-size property ({queue_size}), must be a power of 2 (max {MAX_QUEUE_SIZE})",
        )));
    }
    Ok(())
}

pub(super) fn realize(
    main: OnMain<'_>,
    plug: &Plug<'_>,
    mut properties: Properties,
    moved: &Finally,
) -> Result<Arc<dyn Device>, Error> {
    let host = plug.host;
    let num_queues = match properties.get("num-queues")? {
        Some(number) if number != AS_MANY_AS_FIT => number,
        Some(_) | None => default_queues(&properties, MAX_QUEUES)?,
    };
    let queue_size = properties.get_or("queue-size", 256)?;
    let node = drive::node_of(host, &properties, BACKEND_TYPE.name)?
        .ok_or_else(|| Error::generic("drive property not set"))?;
    check(num_queues, queue_size)?;
    properties.set("num-queues", Value::from(num_queues));
    show_vectors(&mut properties, u32::from(num_queues) + 1);
    show_geometry(&mut properties, host.blocks.size(&node).unwrap_or(0));
    let path = backend::path_below(&plug.path());
    let drive = Drive::new(host, node, &path, Medium::Disk, &properties)?;
    let placement = Placement::resolve(&host.threads, &properties, num_queues)?;
    let home = placement.home().cloned();
    let disks = Disks::default();
    let queues = Queues::start(
        &BACKEND_TYPE,
        &path,
        placement,
        &host.main,
        (0, num_queues),
        &disks,
    )?;
    if let Err(error) = drive.attach(main, host, home.as_ref(), &disks, moved) {
        queues.end(main, moved);
        return Err(error);
    }
    Ok(Arc::new(VirtioBlk {
        properties,
        drive,
        backend: VirtioBackend::new(queues),
    }))
}

impl Device for VirtioBlk {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn children(&self) -> Vec<(String, Arc<dyn Object>)> {
        vec![self.backend.as_child()]
    }

    fn quiesce(&self, main: OnMain<'_>, idle: &Finally) {
        self.backend.queues.stop();
        self.drive.quiesce(main, idle);
    }

    fn busy_node(&self) -> Option<&str> {
        self.drive.busy_node()
    }

    fn unrealize(&self, main: OnMain<'_>, host: &Arc<Host>, gone: &Finally) {
        self.backend.queues.end(main, gone);
        self.drive.detach(main, host, gone);
    }
}
