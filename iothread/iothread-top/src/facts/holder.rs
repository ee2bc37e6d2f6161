//! Who has the context of an IOThread, and what is behind them.

use serde::{Deserialize, Serialize};

/// Who has the context of an IOThread.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Holder {
    /// As the server calls it: `qom-object`, `block-node`, `block-export`, `monitor`, or a kind that comes later.
    pub(crate) kind: String,
    pub(crate) name: String,
    /// The queues that run on this thread, where they are spread over several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) queues: Option<Vec<u32>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) disks: Vec<Disk>,
}

/// A disk of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Disk {
    /// The QOM path of the device that the guest has as its disk.
    pub(crate) device: String,
    pub(crate) node: String,
    /// The file at the bottom.
    pub(crate) file: Option<String>,
}

/// A device that has disks, or is told about IOThreads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Device {
    /// Its QOM path.
    pub(crate) path: String,
    /// Its QOM type, such as `virtio-blk-pci`.
    pub(crate) kind: String,
    /// The name under which it holds an IOThread.
    pub(crate) holder: String,
    pub(crate) n_queues: Option<u32>,
    pub(crate) places: Vec<Place>,
    /// Whether it has a property for IOThreads.
    pub(crate) can_move: bool,
    /// A property that was set and means nothing as the device is, and why.
    pub(crate) ignored: Option<String>,
    pub(crate) disks: Vec<Disk>,
}

/// An IOThread that a device was told to use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Place {
    pub(crate) iothread: String,
    /// The queues that run there; `None` if that is all of them.
    pub(crate) queues: Option<Vec<u32>>,
}

/// A block export.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Export {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) node: String,
}
