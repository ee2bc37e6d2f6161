//! The types of objects and the properties that each of them has.

use crate::keyval::ValueKind;

/// A type of objects.
#[derive(Debug)]
pub(crate) struct Type {
    pub(crate) name: &'static str,
    pub(crate) properties: &'static [Property],
}

/// A property of a type.
#[derive(Debug)]
pub(crate) struct Property {
    pub(crate) name: &'static str,
    /// The QAPI type of its values, or `link<...>`.
    pub(crate) value_type: &'static str,
    pub(crate) is_writable: bool,
    pub(crate) description: &'static str,
}

impl Property {
    const fn new(name: &'static str, value_type: &'static str) -> Self {
        Self {
            name,
            value_type,
            is_writable: true,
            description: "",
        }
    }

    const fn read_only(self) -> Self {
        Self {
            is_writable: false,
            ..self
        }
    }

    const fn described(self, description: &'static str) -> Self {
        Self {
            description,
            ..self
        }
    }

    /// The form that its values have on the command line.
    pub(crate) fn value_kind(&self) -> ValueKind {
        match self.value_type {
            "int" | "uint16" | "uint32" | "uint64" => ValueKind::Int,
            "size" => ValueKind::Size,
            "bool" => ValueKind::Bool,
            _ => ValueKind::String,
        }
    }
}

impl Type {
    pub(crate) fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties
            .iter()
            .find(|property| property.name == name)
    }
}

/// Objects that only have others below them.
pub(crate) static CONTAINER: Type = Type {
    name: "container",
    properties: &[],
};

/// What devices are plugged into.
pub(crate) static MACHINE: Type = Type {
    name: "iothreadd-machine",
    properties: &[],
};

/// Every type that a user can create objects of, in the order of the schema.
pub(crate) static USER_CREATABLE: [&Type; 4] = [&COLO_COMPARE, &IOTHREAD, &MAIN_LOOP, &MONITOR_QMP];

/// A packet comparison.
pub(crate) static COLO_COMPARE: Type = Type {
    name: "colo-compare",
    properties: &[
        Property::new("primary_in", "string"),
        Property::new("secondary_in", "string"),
        Property::new("outdev", "string"),
        Property::new("iothread", "string"),
        Property::new("compare_timeout", "uint64"),
        Property::new("expired_scan_cycle", "uint32"),
        Property::new("max_queue_size", "uint32"),
        Property::new("vnet_hdr_support", "bool"),
    ],
};

/// An IOThread.
pub(crate) static IOTHREAD: Type = Type {
    name: "iothread",
    properties: &[
        Property::new("poll-max-ns", "int"),
        Property::new("poll-grow", "int"),
        Property::new("poll-shrink", "int"),
        Property::new("poll-weight", "int"),
        Property::new("aio-max-batch", "int"),
        Property::new("thread-pool-min", "int"),
        Property::new("thread-pool-max", "int"),
    ],
};

/// The parameters of the main loop.
pub(crate) static MAIN_LOOP: Type = Type {
    name: "main-loop",
    properties: &[
        Property::new("aio-max-batch", "int"),
        Property::new("thread-pool-min", "int"),
        Property::new("thread-pool-max", "int"),
    ],
};

/// A QMP monitor.
pub(crate) static MONITOR_QMP: Type = Type {
    name: "monitor-qmp",
    properties: &[
        Property::new("chardev", "string"),
        Property::new("pretty", "bool"),
        Property::new("close-action", "MonitorCloseAction"),
    ],
};

/// A disk on the PCI bus.
pub(crate) static VIRTIO_BLK_PCI: Type = Type {
    name: "virtio-blk-pci",
    properties: &[
        Property::new("drive", "str")
            .read_only()
            .described("Node name or ID of a block device to use as a backend"),
        Property::new("iothread", "link<iothread>").read_only(),
        Property::new("iothread-vq-mapping", "IOThreadVirtQueueMappingList")
            .read_only()
            .described("IOThread virtqueue mapping list [{\"iothread\":\"<id>\", \"vqs\":[1,2,3,...]},...]"),
        Property::new("num-queues", "uint16").read_only(),
        Property::new("queue-size", "uint16").read_only(),
        Property::new("serial", "str").read_only(),
        Property::new("share-rw", "bool").read_only().described("on/off"),
        Property::new("ioeventfd", "bool").read_only().described("on/off"),
        Property::new("realized", "bool").read_only(),
        Property::new("hotpluggable", "bool").read_only(),
    ],
};

/// The part of a disk that holds IOThreads.
pub(crate) static VIRTIO_BLK_DEVICE: Type = Type {
    name: "virtio-blk-device",
    properties: &[
        Property::new("x-queues", "any")
            .read_only()
            .described("Per queue: the IOThread, the thread that ran its handler last, and how many notifications came"),
        Property::new("x-notify", "uint16")
            .described("Writing the index of a queue notifies it, as a guest does"),
    ],
};

/// All types, for `qom-list-properties`.
pub(crate) fn find(name: &str) -> Option<&'static Type> {
    [&CONTAINER, &MACHINE, &VIRTIO_BLK_PCI, &VIRTIO_BLK_DEVICE]
        .into_iter()
        .chain(USER_CREATABLE)
        .find(|known| known.name == name)
}
