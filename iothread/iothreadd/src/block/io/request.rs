//! What a node can be asked for, and what it answers.

use rustix::io::Errno;

use super::IoBuffer;

/// The most bytes that one request may read or write, as in QEMU's NBD server.
pub(crate) const MAX_TRANSFER: usize = 32 << 20;

/// The most extents that one answer has; a caller goes on after the last one.
pub(crate) const MAX_EXTENTS: usize = 16 << 10;

/// A request to a node.
#[derive(Debug)]
pub(crate) struct Request {
    /// Where it begins, in bytes from the start of the node. Nothing to a flush.
    pub(crate) offset: u64,
    pub(crate) operation: Operation,
}

/// The kinds of request.
#[derive(Debug)]
pub(crate) enum Operation {
    /// Fills the buffer, which decides how much is read.
    Read(IoBuffer),
    /// Writes the buffer.
    Write {
        data: IoBuffer,
        /// Whether the data have to be on stable storage before it is done.
        fua: bool,
    },
    /// Makes a range read as zeroes.
    WriteZeroes {
        length: u64,
        /// Whether the range may lose its space on the host.
        may_unmap: bool,
        /// Whether to fail with `ENOTSUP` rather than to write zeroes as data.
        only_if_fast: bool,
        fua: bool,
    },
    /// Tells that the data of a range are not needed any more.
    Discard {
        length: u64,
        /// Whether that has to be on stable storage before it is done.
        fua: bool,
    },
    /// Brings all that is written to stable storage.
    Flush,
    /// Brings a range into the cache of the host, as a hint.
    Cache { length: u64 },
    /// Asks what a range consists of, at most [`MAX_EXTENTS`] extents of it.
    BlockStatus {
        length: u64,
        /// Whether one extent is enough.
        only_first: bool,
    },
}

/// A stretch of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) length: u64,
    /// Whether it has space on the host.
    pub(crate) is_allocated: bool,
    /// Whether it reads as zeroes.
    pub(crate) is_zero: bool,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) result: Result<(), Errno>,
    /// The buffer that came with the request.
    pub(crate) buffer: IoBuffer,
    /// The answer to [`Operation::BlockStatus`].
    pub(crate) extents: Vec<Extent>,
}

impl Outcome {
    pub(in crate::block) fn new(result: Result<(), Errno>, buffer: IoBuffer) -> Self {
        Self {
            result,
            buffer,
            extents: Vec::new(),
        }
    }

    /// Ends a request without having carried it out.
    pub(in crate::block) fn of(request: Request, result: Result<(), Errno>) -> Self {
        Self::new(result, request.operation.into_buffer())
    }
}

impl Operation {
    /// What it is called in the log.
    pub(in crate::block) fn name(&self) -> &'static str {
        match self {
            Self::Read(_) => "read",
            Self::Write { .. } => "write",
            Self::WriteZeroes { .. } => "write-zeroes",
            Self::Discard { .. } => "discard",
            Self::Flush => "flush",
            Self::Cache { .. } => "cache",
            Self::BlockStatus { .. } => "block-status",
        }
    }

    /// How many bytes it is about.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Read(buffer) | Self::Write { data: buffer, .. } => buffer.len() as u64,
            Self::WriteZeroes { length, .. }
            | Self::Discard { length, .. }
            | Self::Cache { length }
            | Self::BlockStatus { length, .. } => *length,
            Self::Flush => 0,
        }
    }

    /// Whether it needs a node that can be written to.
    pub(crate) fn changes_data(&self) -> bool {
        match self {
            Self::Write { .. } | Self::WriteZeroes { .. } | Self::Discard { .. } => true,
            Self::Read(_) | Self::Flush | Self::Cache { .. } | Self::BlockStatus { .. } => false,
        }
    }

    pub(in crate::block) fn into_buffer(self) -> IoBuffer {
        match self {
            Self::Read(buffer) | Self::Write { data: buffer, .. } => buffer,
            Self::WriteZeroes { .. }
            | Self::Discard { .. }
            | Self::Flush
            | Self::Cache { .. }
            | Self::BlockStatus { .. } => IoBuffer::default(),
        }
    }
}
