//! What a chain of descriptors asks for. Guests are not trusted: whatever a chain looks like, the outcome is a request, or
//! a status that says why there is no data.

use std::mem::take;

use rustix::io::Errno;
use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_DISCARD,
    VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
    VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP,
};
use virtio_queue::DescriptorChain;
use vm_memory::{Address, GuestAddress, GuestMemoryMmap};

use super::config::{Geometry, MAX_RANGE_SECTORS, SECTOR_SIZE};
use super::memory::{BadMemory, Memory};

/// Bytes in front of every request: its type, a word that is reserved, and the first sector.
const HEADER_SIZE: usize = 16;

/// Bytes of a range that is discarded or made zeroes: first sector, number of sectors, flags.
const RANGE_SIZE: usize = 16;

/// The most descriptors of a chain: as many as the longest queue has.
const MAX_DESCRIPTORS: usize = 1024;

/// How a request ended, as the guest is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Done,
    Failed,
    Unsupported,
}

impl Status {
    pub(super) fn to_byte(self) -> u8 {
        let status = match self {
            Self::Done => VIRTIO_BLK_S_OK,
            Self::Failed => VIRTIO_BLK_S_IOERR,
            Self::Unsupported => VIRTIO_BLK_S_UNSUPP,
        };
        u8::try_from(status).unwrap_or(u8::MAX)
    }
}

impl From<Errno> for Status {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOTSUP => Self::Unsupported,
            _ => Self::Failed,
        }
    }
}

impl From<BadMemory> for Status {
    fn from(_: BadMemory) -> Self {
        Self::Failed
    }
}

/// A piece of guest memory, all of which exists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) address: GuestAddress,
    pub(super) length: usize,
}

/// What a request is about. Places and lengths are in bytes, and within the disk.
#[derive(Debug)]
pub(super) enum Action {
    /// Into the request's memory.
    Read {
        offset: u64,
    },
    /// Out of the request's memory.
    Write {
        offset: u64,
    },
    Flush,
    /// Tells who the disk is.
    Identify,
    Discard {
        offset: u64,
        length: u64,
    },
    WriteZeroes {
        offset: u64,
        length: u64,
        may_unmap: bool,
    },
    /// Nothing is done.
    Refuse(Status),
}

/// A request.
#[derive(Debug)]
pub(super) struct GuestRequest {
    /// Tells the guest which one it is.
    pub(super) head: u16,
    /// Where the status goes; `None` if the chain has no place for it.
    pub(super) status: Option<GuestAddress>,
    pub(super) data: Vec<Segment>,
    pub(super) action: Action,
}

/// The memory of a chain.
#[derive(Default)]
struct Pieces {
    readable: Vec<Segment>,
    writable: Vec<Segment>,
    /// Whether there is anything wrong with it.
    is_broken: bool,
}

impl GuestRequest {
    /// Reads a chain.
    pub(super) fn read(
        chain: DescriptorChain<&GuestMemoryMmap>,
        memory: &Memory,
        geometry: &Geometry,
    ) -> Self {
        let head = chain.head_index();
        let mut pieces = Pieces::collect(chain, memory);
        let status = pieces.take_status();
        let mut data = Vec::new();
        let action = if pieces.is_broken || status.is_none() {
            Action::Refuse(Status::Failed)
        } else {
            match parse(&mut pieces, memory, geometry) {
                Ok(action) => {
                    data = match &action {
                        Action::Read { .. } | Action::Identify => pieces.writable,
                        Action::Write { .. } => pieces.readable,
                        Action::Flush
                        | Action::Discard { .. }
                        | Action::WriteZeroes { .. }
                        | Action::Refuse(_) => Vec::new(),
                    };
                    action
                }
                Err(status) => Action::Refuse(status),
            }
        };
        Self {
            head,
            status,
            data,
            action,
        }
    }

    /// How many bytes of the guest's memory it is about.
    pub(super) fn length(&self) -> u64 {
        length_of(&self.data)
    }
}

fn length_of(segments: &[Segment]) -> u64 {
    segments.iter().map(|it| it.length as u64).sum()
}

impl Pieces {
    fn collect(chain: DescriptorChain<&GuestMemoryMmap>, memory: &Memory) -> Self {
        let mut pieces = Self::default();
        let mut is_complete = false;
        // Of the last piece that the device may write, which has the status.
        let mut has_status = false;
        for (count, descriptor) in chain.enumerate() {
            let segment = Segment {
                address: descriptor.addr(),
                length: descriptor.len() as usize,
            };
            is_complete = !descriptor.has_next() && count < MAX_DESCRIPTORS;
            if count == MAX_DESCRIPTORS {
                break;
            }
            if segment.length == 0 {
                continue;
            }
            let is_there = memory.has(segment.address, segment.length);
            pieces.is_broken |= !is_there;
            if descriptor.is_write_only() {
                has_status = is_there;
                pieces.writable.push(segment);
            } else {
                // What the device writes comes last.
                pieces.is_broken |= !pieces.writable.is_empty();
                pieces.readable.push(segment);
            }
        }
        // Otherwise it goes round in circles, or on where no descriptor is.
        pieces.is_broken |= !is_complete;
        if !is_complete || !has_status {
            pieces.writable.clear();
        }
        pieces
    }

    /// Takes the status off: the last byte that the device may write.
    fn take_status(&mut self) -> Option<GuestAddress> {
        let last = self.writable.last_mut()?;
        last.length -= 1;
        let address = last.address.checked_add(last.length as u64)?;
        if last.length == 0 {
            self.writable.pop();
        }
        Some(address)
    }

    /// Takes the first bytes off what the device may read; they may be in several pieces.
    fn take_front<const N: usize>(&mut self, memory: &Memory) -> Result<[u8; N], Status> {
        let mut bytes = [0; N];
        let mut filled = 0;
        let mut rest = take(&mut self.readable).into_iter();
        while filled < N {
            let mut segment = rest.next().ok_or(Status::Failed)?;
            let count = segment.length.min(N - filled);
            memory.read(segment.address, &mut bytes[filled..filled + count])?;
            filled += count;
            if count < segment.length {
                segment.address = segment.address.unchecked_add(count as u64);
                segment.length -= count;
                self.readable.push(segment);
            }
        }
        self.readable.extend(rest);
        Ok(bytes)
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let bytes = bytes[offset..].first_chunk();
    u32::from_le_bytes(*bytes.expect("the offset is a constant within the size"))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let bytes = bytes[offset..].first_chunk();
    u64::from_le_bytes(*bytes.expect("the offset is a constant within the size"))
}

fn parse(pieces: &mut Pieces, memory: &Memory, geometry: &Geometry) -> Result<Action, Status> {
    let header: [u8; HEADER_SIZE] = pieces.take_front(memory)?;
    let kind = u32_at(&header, 0);
    let sector = u64_at(&header, 8);
    match kind {
        VIRTIO_BLK_T_IN => {
            let offset = check_range(geometry, sector, length_of(&pieces.writable))?;
            Ok(Action::Read { offset })
        }
        VIRTIO_BLK_T_OUT if !geometry.is_writable => Err(Status::Failed),
        VIRTIO_BLK_T_OUT => {
            let offset = check_range(geometry, sector, length_of(&pieces.readable))?;
            Ok(Action::Write { offset })
        }
        VIRTIO_BLK_T_FLUSH => Ok(Action::Flush),
        VIRTIO_BLK_T_GET_ID => Ok(Action::Identify),
        VIRTIO_BLK_T_DISCARD | VIRTIO_BLK_T_WRITE_ZEROES if !geometry.is_writable => {
            Err(Status::Failed)
        }
        VIRTIO_BLK_T_DISCARD => {
            let Range {
                offset,
                length,
                flags,
            } = take_range(pieces, memory, geometry)?;
            if flags != 0 {
                return Err(Status::Unsupported);
            }
            Ok(Action::Discard { offset, length })
        }
        VIRTIO_BLK_T_WRITE_ZEROES => {
            let Range {
                offset,
                length,
                flags,
            } = take_range(pieces, memory, geometry)?;
            if flags & !VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP != 0 {
                return Err(Status::Unsupported);
            }
            Ok(Action::WriteZeroes {
                offset,
                length,
                may_unmap: flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP != 0,
            })
        }
        _ => Err(Status::Unsupported),
    }
}

struct Range {
    offset: u64,
    length: u64,
    flags: u32,
}

/// Takes the only range of a request; more than one were not offered.
fn take_range(pieces: &mut Pieces, memory: &Memory, geometry: &Geometry) -> Result<Range, Status> {
    if length_of(&pieces.readable) != RANGE_SIZE as u64 {
        return Err(Status::Unsupported);
    }
    let range: [u8; RANGE_SIZE] = pieces.take_front(memory)?;
    let sectors = u32_at(&range, 8);
    if sectors > MAX_RANGE_SECTORS {
        return Err(Status::Failed);
    }
    let length = u64::from(sectors) * SECTOR_SIZE;
    Ok(Range {
        offset: check_range(geometry, u64_at(&range, 0), length)?,
        length,
        flags: u32_at(&range, 12),
    })
}

/// Where a range begins, in bytes, if it is within the disk and consists of whole blocks.
fn check_range(geometry: &Geometry, sector: u64, length: u64) -> Result<u64, Status> {
    let block_size = u64::from(geometry.block_size);
    let offset = sector.checked_mul(SECTOR_SIZE).ok_or(Status::Failed)?;
    let end = offset.checked_add(length).ok_or(Status::Failed)?;
    let capacity = geometry.size / SECTOR_SIZE * SECTOR_SIZE;
    if end > capacity || !offset.is_multiple_of(block_size) || !length.is_multiple_of(block_size) {
        return Err(Status::Failed);
    }
    Ok(offset)
}
