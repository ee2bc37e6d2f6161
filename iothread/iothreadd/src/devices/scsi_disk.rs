//! Disks of a SCSI controller: `scsi-hd` and `scsi-cd`.

use std::sync::Arc;

use iothread::OnMain;
use qapi_runtime::{Error, Value};

use super::bus::{Address, Bus, ScsiBus, WantedAddress};
use super::device::Device;
use super::drive::{self, Drive};
use super::plug::Plug;
use super::properties::Properties;
use super::unheeded::{BLOCK, GEOMETRY, ONLY_SCSI_CD, ONLY_SCSI_HD, SCSI, join, show_geometry};
use crate::block::Medium;
use crate::finally::Finally;
use crate::host::Host;
use crate::qom::types::{DEVICE, Initial, Property, Type, ValueType};

const DRIVE: Property = Property::fixed("drive", ValueType::Str)
    .described("Node name or ID of a block device to use as a backend");
/// A place that is left open.
const ANY: Initial = Initial::Int(4_294_967_295);

const CHANNEL: Property = Property::fixed("channel", ValueType::Uint32).initially(Initial::Int(0));
const TARGET: Property = Property::fixed("scsi-id", ValueType::Uint32).initially(ANY);
const LUN: Property = Property::fixed("lun", ValueType::Uint32).initially(ANY);
const SHARE_RW: Property = Property::fixed("share-rw", ValueType::Bool)
    .described("on/off")
    .initially(Initial::Bool(false));
const SERIAL: Property = Property::fixed("serial", ValueType::Str);
const VENDOR: Property = Property::fixed("vendor", ValueType::Str).shown(Initial::Text("QEMU"));
const PRODUCT: Property = Property::fixed("product", ValueType::Str);
const VERSION: Property = Property::fixed("ver", ValueType::Str).shown(Initial::Text("2.5+"));

/// In what units guests are told that blocks can be discarded, in bytes.
const DISCARD_GRANULARITY: u32 = 4096;

/// A hard disk.
pub(super) static SCSI_HD: Type = Type {
    name: "scsi-hd",
    base: Some(&DEVICE),
    own: &join::<10, 29, 39>(
        [
            DRIVE,
            CHANNEL,
            TARGET,
            LUN,
            SHARE_RW,
            Property::fixed("removable", ValueType::Bool)
                .described("on/off")
                .initially(Initial::Bool(false)),
            SERIAL,
            VENDOR,
            PRODUCT.shown(Initial::Text("QEMU HARDDISK")),
            VERSION,
        ],
        join::<12, 17, 29>(BLOCK, join::<6, 11, 17>(GEOMETRY, join(SCSI, ONLY_SCSI_HD))),
    ),
};

/// A drive for optical disks, which need not have one.
pub(super) static SCSI_CD: Type = Type {
    name: "scsi-cd",
    base: Some(&DEVICE),
    own: &join::<9, 23, 32>(
        [
            DRIVE,
            CHANNEL,
            TARGET,
            LUN,
            SHARE_RW,
            SERIAL,
            VENDOR,
            PRODUCT.shown(Initial::Text("QEMU CD-ROM")),
            VERSION,
        ],
        join::<12, 11, 23>(BLOCK, join(SCSI, ONLY_SCSI_CD)),
    ),
};

/// A disk on a bus. Its requests come through the queues of the controller.
struct ScsiDisk {
    properties: Properties,
    bus: Arc<ScsiBus>,
    address: Address,
    content: Content,
}

/// What is in a drive.
enum Content {
    Drive(Drive),
    /// Only a drive for optical disks may be empty; the path that tells it apart.
    Nothing(String),
}

pub(super) fn realize(
    main: OnMain<'_>,
    plug: &Plug<'_>,
    mut properties: Properties,
    moved: &Finally,
) -> Result<Arc<dyn Device>, Error> {
    let Bus::Scsi(bus) = plug.bus else {
        return Err(Error::generic("a SCSI disk needs a SCSI bus"));
    };
    let object_type = properties.object_type();
    let node = drive::node_of(plug.host, &properties, object_type.name)?;
    if node.is_none() && std::ptr::eq(object_type, &SCSI_HD) {
        return Err(Error::generic("drive property not set"));
    }
    let wanted = WantedAddress {
        channel: properties.get("channel")?,
        target: properties.get("scsi-id")?,
        lun: properties.get("lun")?,
    };
    let address = bus.add(wanted, plug.position, object_type.name)?;
    properties.set("channel", Value::from(address.channel));
    properties.set("scsi-id", Value::from(address.target));
    properties.set("lun", Value::from(address.lun));
    if !properties.is_given("discard_granularity") {
        properties.set("discard_granularity", Value::from(DISCARD_GRANULARITY));
    }
    if let Some(size) = node.as_deref().and_then(|node| plug.host.blocks.size(node))
        && std::ptr::eq(object_type, &SCSI_HD)
    {
        show_geometry(&mut properties, size);
    }
    let path = plug.path();
    let user = plug.position.id().unwrap_or(&path);
    let medium = match std::ptr::eq(object_type, &SCSI_CD) {
        true => Medium::Optical,
        false => Medium::Disk,
    };
    let attach = |node| {
        let drive = Drive::new(plug.host, node, user, medium, &properties)?;
        drive.attach(main, plug.host, bus.home.as_ref(), &bus.disks, moved)?;
        Ok(drive)
    };
    let drive = node.map(attach).transpose();
    let content = match drive {
        Ok(Some(drive)) => Content::Drive(drive),
        Ok(None) => {
            plug.host.blocks.add_empty_drive(user);
            Content::Nothing(user.to_owned())
        }
        Err(error) => {
            bus.remove(address);
            return Err(error);
        }
    };
    Ok(Arc::new(ScsiDisk {
        properties,
        bus: Arc::clone(bus),
        address,
        content,
    }))
}

impl Device for ScsiDisk {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn quiesce(&self, main: OnMain<'_>, idle: &Finally) {
        match &self.content {
            Content::Drive(drive) => drive.quiesce(main, idle),
            Content::Nothing(_) => {}
        }
    }

    fn busy_node(&self) -> Option<&str> {
        match &self.content {
            Content::Drive(drive) => drive.busy_node(),
            Content::Nothing(_) => None,
        }
    }

    fn unrealize(&self, main: OnMain<'_>, host: &Arc<Host>, gone: &Finally) {
        match &self.content {
            Content::Drive(drive) => drive.detach(main, host, gone),
            Content::Nothing(path) => host.blocks.remove_empty_drive(path),
        }
        self.bus.remove(self.address);
    }
}
