//! The types of objects and the properties that each of them has.

use std::fmt;

use iothread::Parameter;
use qapi_runtime::Value;

use crate::keyval::ValueKind;

/// A type of objects.
#[derive(Debug)]
pub(crate) struct Type {
    pub(crate) name: &'static str,
    /// The type whose properties it has as well.
    pub(crate) base: Option<&'static Type>,
    /// Its own properties.
    pub(crate) own: &'static [Property],
}

/// A property of a type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Property {
    pub(crate) name: &'static str,
    pub(crate) value_type: ValueType,
    pub(crate) is_writable: bool,
    pub(crate) description: &'static str,
    pub(crate) initial: Initial,
    /// The value that is read of an object that was given none, if that is another one.
    pub(crate) shown: Option<Initial>,
    /// Whether objects take it, show it, and do nothing about it.
    pub(crate) is_unheeded: bool,
    /// The only values that may be given to a property that is not heeded; empty if any value may.
    pub(crate) only: &'static [&'static str],
    /// Whether objects have it and the type does not tell of it.
    pub(crate) is_of_objects: bool,
}

/// The type of a property's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueType {
    Any,
    Bool,
    BusNumber,
    CloseAction,
    GuestStatistics,
    Int,
    Int32,
    /// An object of that type, by its path.
    Link(&'static str),
    OnError,
    OnOffAuto,
    Size,
    SocketAddress,
    /// A text, as devices call it.
    Str,
    /// A text, as other objects call it.
    String,
    Uint16,
    Uint32,
    Uint64,
    VirtQueueMapping,
}

impl fmt::Display for ValueType {
    /// Its name as clients and people know it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any",
            Self::Bool => "bool",
            Self::BusNumber => "busnr",
            Self::CloseAction => "MonitorQMPCloseAction",
            Self::GuestStatistics => "guest statistics",
            Self::Int => "int",
            Self::Int32 => "int32",
            Self::Link(target) => return write!(f, "link<{target}>"),
            Self::OnError => "BlockdevOnError",
            Self::OnOffAuto => "OnOffAuto",
            Self::Size => "size",
            Self::SocketAddress => "SocketAddress",
            Self::Str => "str",
            Self::String => "string",
            Self::Uint16 => "uint16",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::VirtQueueMapping => "IOThreadVirtQueueMappingList",
        })
    }
}

/// The value that a property has unless it is given another.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Initial {
    /// None that holds for every object.
    Unset,
    Bool(bool),
    Int(i64),
    Text(&'static str),
    EmptyList,
}

impl Initial {
    /// The value itself; what is unset reads as an empty text.
    pub(crate) fn value(self) -> Value {
        match self {
            Self::Unset => Value::from(""),
            Self::Bool(value) => Value::from(value),
            Self::Int(value) => Value::from(value),
            Self::Text(text) => Value::from(text),
            Self::EmptyList => Value::Array(Vec::new()),
        }
    }
}

impl Property {
    pub(crate) const fn new(name: &'static str, value_type: ValueType) -> Self {
        Self {
            name,
            value_type,
            is_writable: true,
            description: "",
            initial: Initial::Unset,
            shown: None,
            is_unheeded: false,
            only: &[],
            is_of_objects: false,
        }
    }

    /// One that tunes an event loop.
    const fn tunes(parameter: Parameter) -> Self {
        Self::new(parameter.as_str(), ValueType::Int)
    }

    /// One that objects take, show, and do nothing about.
    pub(crate) const fn unheeded(self) -> Self {
        Self {
            is_unheeded: true,
            ..self
        }
    }

    /// One that may only be given these values.
    pub(crate) const fn only(self, only: &'static [&'static str]) -> Self {
        Self { only, ..self }
    }

    /// One of which another value is read than the type tells of.
    pub(crate) const fn shown(self, shown: Initial) -> Self {
        Self {
            shown: Some(shown),
            ..self
        }
    }

    /// What is read of an object that was given no value.
    pub(crate) fn unset_value(&self) -> Value {
        self.shown.unwrap_or(self.initial).value()
    }

    /// One that QEMU does not have, so that its types are described as there.
    pub(crate) const fn of_objects(self) -> Self {
        Self {
            is_of_objects: true,
            ..self
        }
    }

    /// One that is set before the object is complete, or by the object itself.
    pub(crate) const fn fixed(name: &'static str, value_type: ValueType) -> Self {
        Self {
            is_writable: false,
            ..Self::new(name, value_type)
        }
    }

    pub(crate) const fn described(self, description: &'static str) -> Self {
        Self {
            description,
            ..self
        }
    }

    pub(crate) const fn initially(self, initial: Initial) -> Self {
        Self { initial, ..self }
    }

    /// Whether its values are given as JSON on the command line.
    pub(crate) fn is_structured(&self) -> bool {
        matches!(
            self.value_type,
            ValueType::VirtQueueMapping | ValueType::SocketAddress
        )
    }

    /// The form that its values have on the command line.
    pub(crate) fn value_kind(&self) -> ValueKind {
        match self.value_type {
            ValueType::Int
            | ValueType::Int32
            | ValueType::Uint16
            | ValueType::Uint32
            | ValueType::Uint64 => ValueKind::Int,
            ValueType::Size => ValueKind::Size,
            ValueType::Bool => ValueKind::Bool,
            ValueType::Any
            | ValueType::BusNumber
            | ValueType::CloseAction
            | ValueType::GuestStatistics
            | ValueType::Link(_)
            | ValueType::OnError
            | ValueType::OnOffAuto
            | ValueType::SocketAddress
            | ValueType::Str
            | ValueType::String
            | ValueType::VirtQueueMapping => ValueKind::String,
        }
    }
}

impl Type {
    /// All properties, its own first.
    pub(crate) fn properties(&self) -> impl Iterator<Item = &'static Property> {
        self.lineage().flat_map(|it| it.own)
    }

    /// Itself, and the types that it is derived from and that have a description here.
    pub(crate) fn lineage(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |it| it.base)
    }

    /// Whether no object is of it.
    pub(crate) fn is_abstract(&self) -> bool {
        [&OBJECT, &EVENT_LOOP_BASE]
            .iter()
            .any(|it| std::ptr::eq(*it, self))
    }

    /// The types that it is derived from, the nearest first, as QEMU has them. Those without a description here only
    /// have names.
    pub(crate) fn ancestors(&self) -> Vec<&'static str> {
        let nearest: &[&str] = match self.name {
            "object" => return Vec::new(),
            "chardev-file" | "chardev-pipe" | "chardev-stdio" => &["chardev-fd", "chardev"],
            "chardev-memory" => &["chardev-ringbuf", "chardev"],
            "chardev-null" | "chardev-ringbuf" | "chardev-socket" => &["chardev"],
            "PCI" | "SCSI" | "xen-bus" => &["bus"],
            "scsi-cd" | "scsi-hd" => &["scsi-disk-base", "scsi-device", "device"],
            "vfio-user-pci" => &["pci-device", "device"],
            "virtio-balloon-device" | "virtio-blk-device" => &["virtio-device", "device"],
            "virtio-balloon-pci" => &[
                "virtio-balloon-pci-base",
                "virtio-pci",
                "pci-device",
                "device",
            ],
            "virtio-blk-pci" => &["virtio-blk-pci-base", "virtio-pci", "pci-device", "device"],
            "virtio-scsi-device" => &["virtio-scsi-common", "virtio-device", "device"],
            "virtio-scsi-pci" => &["virtio-scsi-pci-base", "virtio-pci", "pci-device", "device"],
            "xen-disk" => &["xen-block", "xen-device", "device"],
            _ => &[],
        };
        let base = self.base.map(|base| base.name);
        let base = base.filter(|name| !nearest.contains(name));
        let nearest = nearest.iter().copied().chain(base);
        nearest.chain([OBJECT.name]).collect()
    }

    /// Whether it is of that name, derived from a type of that name, or has such an interface.
    pub(crate) fn implements(&self, name: &str) -> bool {
        let is_creatable = USER_CREATABLE.iter().any(|it| std::ptr::eq(*it, self));
        name == self.name
            || self.ancestors().contains(&name)
            || (is_creatable && INTERFACES.contains(&name))
    }

    pub(crate) fn property(&self, name: &str) -> Option<&'static Property> {
        self.properties().find(|property| property.name == name)
    }
}

/// What all types are made from; no object is of it.
pub(crate) static OBJECT: Type = Type {
    name: "object",
    base: None,
    own: &[],
};

/// Objects that only have others below them.
pub(crate) static CONTAINER: Type = Type {
    name: "container",
    base: None,
    own: &[],
};

/// What devices are plugged into.
pub(crate) static MACHINE: Type = Type {
    name: "iothreadd-machine",
    base: None,
    own: &[],
};

/// What types have in common that are otherwise unrelated; these have no properties.
pub(crate) const INTERFACES: [&str; 1] = ["user-creatable"];

/// Every type that a user can create objects of, in the order of the schema.
pub(crate) static USER_CREATABLE: [&Type; 4] = [&COLO_COMPARE, &IOTHREAD, &MAIN_LOOP, &MONITOR_QMP];

/// A packet comparison.
pub(crate) static COLO_COMPARE: Type = Type {
    name: "colo-compare",
    base: None,
    own: &[
        Property::fixed("primary_in", ValueType::String),
        Property::fixed("secondary_in", ValueType::String),
        Property::fixed("outdev", ValueType::String),
        Property::fixed("iothread", ValueType::Link("iothread")),
        Property::fixed("notify_dev", ValueType::String),
        Property::new("compare_timeout", ValueType::Uint64),
        Property::new("expired_scan_cycle", ValueType::Uint32),
        Property::new("max_queue_size", ValueType::Uint32),
        Property::fixed("vnet_hdr_support", ValueType::Bool),
        Property::fixed("x-counts", ValueType::Any)
            .described("Packets by what became of them, and the thread that compares")
            .of_objects(),
    ],
};

/// What the threads of event loops have in common; no object is of it.
pub(crate) static EVENT_LOOP_BASE: Type = Type {
    name: "event-loop-base",
    base: None,
    own: &[
        Property::tunes(Parameter::AioMaxBatch),
        Property::tunes(Parameter::ThreadPoolMin),
        Property::tunes(Parameter::ThreadPoolMax),
    ],
};

/// An IOThread.
pub(crate) static IOTHREAD: Type = Type {
    name: "iothread",
    base: Some(&EVENT_LOOP_BASE),
    own: &[
        Property::tunes(Parameter::PollMaxNs),
        Property::tunes(Parameter::PollGrow),
        Property::tunes(Parameter::PollShrink),
        Property::tunes(Parameter::PollWeight),
    ],
};

/// The parameters of the main loop.
pub(crate) static MAIN_LOOP: Type = Type {
    name: "main-loop",
    base: Some(&EVENT_LOOP_BASE),
    own: &[],
};

/// A QMP monitor.
pub(crate) static MONITOR_QMP: Type = Type {
    name: "monitor-qmp",
    base: None,
    own: &[
        Property::fixed("chardev", ValueType::String),
        Property::new("pretty", ValueType::Bool),
        Property::new("close-action", ValueType::CloseAction),
    ],
};

/// What every device has.
pub(crate) static DEVICE: Type = Type {
    name: "device",
    base: None,
    own: &[
        Property::fixed("parent_bus", ValueType::Link("bus")),
        Property::fixed("realized", ValueType::Bool),
        Property::fixed("hotplugged", ValueType::Bool),
        Property::fixed("hotpluggable", ValueType::Bool),
    ],
};

/// The types that every tree has.
pub(super) fn general() -> impl Iterator<Item = &'static Type> {
    [&OBJECT, &CONTAINER, &MACHINE, &EVENT_LOOP_BASE]
        .into_iter()
        .chain(USER_CREATABLE)
}
