//! Requests of clients: their form, and whether they can be carried out.

use rustix::io::Errno;

use super::offer::{Choice, Exported};
use super::protocol::{REQUEST_MAGIC, REQUEST_SIZE, command, command_flag};
use crate::block::{MAX_EXTENTS, MAX_TRANSFER, Operation};
use crate::budgets::Allowance;

/// The least bytes of an extent, and the memory that one takes as it is found and as it is sent.
const LEAST_EXTENT: u32 = 512;
const EXTENT_SIZE: usize = 32;

/// The header of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) flags: u16,
    pub(super) command: u16,
    /// What the client calls it.
    pub(super) cookie: u64,
    pub(super) offset: u64,
    pub(super) length: u32,
}

/// A request that cannot be carried out: the error, and a text for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) error: Errno,
    pub(super) text: &'static str,
}

impl Header {
    /// Reads a header. `None` if these bytes are not a header: nothing after them can be understood.
    pub(super) fn read(bytes: &[u8; REQUEST_SIZE]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk()?;
        if u32::from_be_bytes(*magic) != REQUEST_MAGIC {
            return None;
        }
        let (flags, rest) = rest.split_first_chunk()?;
        let (command, rest) = rest.split_first_chunk()?;
        let (cookie, rest) = rest.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (length, _) = rest.split_first_chunk()?;
        Some(Self {
            flags: u16::from_be_bytes(*flags),
            command: u16::from_be_bytes(*command),
            cookie: u64::from_be_bytes(*cookie),
            offset: u64::from_be_bytes(*offset),
            length: u32::from_be_bytes(*length),
        })
    }

    pub(super) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// How many bytes of data follow it.
    pub(super) fn payload(&self) -> u32 {
        if self.command == command::WRITE {
            self.length
        } else {
            0
        }
    }

    /// How many bytes of memory it takes, if it can be carried out.
    pub(super) fn memory(&self) -> usize {
        match self.command {
            command::READ | command::WRITE => self.length as usize,
            command::BLOCK_STATUS if self.has(command_flag::REQ_ONE) => EXTENT_SIZE,
            command::BLOCK_STATUS => {
                let n_blocks = self.length.div_ceil(LEAST_EXTENT) as usize;
                n_blocks.min(MAX_EXTENTS) * EXTENT_SIZE
            }
            _ => 0,
        }
    }

    /// What the node is asked for; writes have their data first.
    pub(super) fn operation(&self, fua: bool, memory: &mut Allowance) -> Operation {
        let length = u64::from(self.length);
        match self.command {
            command::READ => Operation::Read(memory.buffer(self.length as usize)),
            command::FLUSH => Operation::Flush,
            command::TRIM => Operation::Discard { length, fua },
            command::CACHE => Operation::Cache { length },
            command::WRITE_ZEROES => Operation::WriteZeroes {
                length,
                may_unmap: !self.has(command_flag::NO_HOLE),
                only_if_fast: self.has(command_flag::FAST_ZERO),
                fua,
            },
            // The check lets nothing else pass.
            _ => Operation::BlockStatus {
                length,
                only_first: self.has(command_flag::REQ_ONE),
            },
        }
    }

    /// Whether it can be carried out, as far as its header tells.
    pub(super) fn check<E: Exported>(&self, choice: &Choice<E>) -> Result<(), Refusal> {
        let refuse = |error, text| Err(Refusal { error, text });
        let known_flags = match self.command {
            command::READ if choice.structured_replies => command_flag::FUA | command_flag::DF,
            command::WRITE_ZEROES => {
                command_flag::FUA | command_flag::NO_HOLE | command_flag::FAST_ZERO
            }
            command::BLOCK_STATUS => command_flag::FUA | command_flag::REQ_ONE,
            command::READ | command::WRITE | command::FLUSH | command::TRIM | command::CACHE => {
                command_flag::FUA
            }
            _ => return refuse(Errno::INVAL, "unknown request"),
        };
        if self.flags & !known_flags != 0 {
            return refuse(Errno::INVAL, "unsupported flags");
        }
        let writes = matches!(
            self.command,
            command::WRITE | command::WRITE_ZEROES | command::TRIM
        );
        if writes && !choice.export.is_writable() {
            return refuse(Errno::PERM, "export is read-only");
        }
        let transfers = matches!(self.command, command::READ | command::WRITE);
        if transfers && self.length as usize > MAX_TRANSFER {
            return refuse(Errno::INVAL, "request is longer than 32 MiB");
        }
        if self.command == command::BLOCK_STATUS {
            if !choice.base_allocation {
                return refuse(Errno::INVAL, "no metadata context was negotiated");
            }
            if self.length == 0 {
                return refuse(Errno::INVAL, "length must not be 0");
            }
        }
        let size = choice.export.size();
        let end = self.offset.checked_add(self.length.into());
        let fits = self.command == command::FLUSH || end.is_some_and(|end| end <= size);
        if fits {
            return Ok(());
        }
        // What would have to grow has no room; what is only looked at is not there.
        let error = if matches!(self.command, command::WRITE | command::WRITE_ZEROES) {
            Errno::NOSPC
        } else {
            Errno::INVAL
        };
        refuse(error, "request is beyond the end of the export")
    }
}
