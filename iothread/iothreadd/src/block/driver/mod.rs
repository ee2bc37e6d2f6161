//! Where nodes have their blocks from.

mod direct;
mod durability;
mod file;
mod file_io;
mod lock;
mod null;
mod raw;
mod resize;

use qapi_runtime::Error;

pub(super) use self::file::{Discards, File, FileAnswer, FileKind, OpenOptions};
pub(super) use self::null::Null;
pub(super) use self::raw::Raw;
use super::access::Access;

/// The unit in which sizes are counted.
pub(in crate::block) const SECTOR: u64 = 512;

/// The data of a node.
pub(super) enum Driver {
    Null(Null),
    File(File),
    Raw(Raw),
}

impl Driver {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Null(_) => "null-co",
            Self::File(file) => file.driver_name(),
            Self::Raw(_) => "raw",
        }
    }

    /// The size, above a node of `below` bytes.
    pub(super) fn size(&self, below: impl FnOnce() -> u64) -> u64 {
        match self {
            Self::Null(null) => null.size,
            Self::File(file) => file.size(),
            Self::Raw(raw) => raw.size(below()),
        }
    }

    pub(super) fn is_read_only(&self) -> bool {
        match self {
            Self::File(file) => file.is_read_only(),
            Self::Null(_) | Self::Raw(_) => false,
        }
    }

    /// The bytes that it takes up on the host.
    pub(super) fn allocated(&self) -> Option<u64> {
        match self {
            Self::Null(_) => Some(0),
            Self::File(file) => file.allocated(),
            Self::Raw(_) => None,
        }
    }
}

/// What drivers say about the nodes around theirs.
impl Driver {
    /// Whether the node below has to keep its size.
    pub(super) fn fixes_size_below(&self) -> bool {
        match self {
            Self::Raw(raw) => raw.is_bounded(),
            Self::Null(_) | Self::File(_) => false,
        }
    }

    /// Tells other processes what is done with the image.
    pub(super) fn lock(&self, access: Access) -> Result<(), Error> {
        match self {
            Self::File(file) => file.lock(access),
            Self::Null(_) | Self::Raw(_) => Ok(()),
        }
    }

    /// What it asks of requests, above a node that asks for what `below` says.
    pub(super) fn limits(&self, below: impl FnOnce() -> Option<RequestLimits>) -> RequestLimits {
        match self {
            Self::Null(_) => RequestLimits {
                alignment: 1,
                memory_alignment: SECTOR,
            },
            Self::File(file) => file.limits(),
            // A window takes any request, and leaves the memory to the node below.
            Self::Raw(_) => RequestLimits {
                alignment: 1,
                memory_alignment: below().map_or(1, |below| below.memory_alignment),
            },
        }
    }
}

/// A size or an offset out of options.
fn not_negative(name: &str, value: i64) -> Result<u64, Error> {
    u64::try_from(value).map_err(|_| {
        Error::generic(format!(
            "Value '{value}' is out of range for parameter '{name}'"
        ))
    })
}

/// What a driver asks of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::block) struct RequestLimits {
    /// Offset and length are multiples of this.
    pub(in crate::block) alignment: u64,
    /// Memory that is not copied is aligned to this.
    pub(in crate::block) memory_alignment: u64,
}
