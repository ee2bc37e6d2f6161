//! The guest's memory: the files that the client has passed, mapped.

use std::fs::File;
use std::sync::Arc;

use vhost::vhost_user::message::VhostUserMemoryRegion;
use vm_memory::{Bytes, GuestAddress, GuestMemory, GuestMemoryMmap, GuestRegionMmap, Permissions};

/// The most pieces that the memory may consist of.
pub(super) const MAX_REGIONS: usize = 509;

/// The memory at one time; a client that changes it makes a new one, and requests keep the one that they came with.
#[derive(Clone, Default)]
pub(super) struct Memory {
    guest: GuestMemoryMmap,
    regions: Vec<Region>,
}

/// Where a piece is for the guest, and where for the client, which gives the addresses of queues.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Region {
    guest_address: u64,
    client_address: u64,
    size: u64,
}

/// Memory that cannot be used like this.
#[derive(Debug)]
pub(super) struct BadMemory;

impl From<&VhostUserMemoryRegion> for Region {
    fn from(region: &VhostUserMemoryRegion) -> Self {
        Self {
            guest_address: region.guest_phys_addr,
            client_address: region.user_addr,
            size: region.memory_size,
        }
    }
}

fn map(region: &VhostUserMemoryRegion, file: File) -> Result<Arc<GuestRegionMmap>, BadMemory> {
    // On the platforms that this runs on every size fits.
    usize::try_from(region.memory_size).map_err(|_| BadMemory)?;
    // Touching memory beyond the end of its file would end the process. Devices do not tell how long they are.
    let metadata = file.metadata().map_err(|_| BadMemory)?;
    let end = region.mmap_offset.checked_add(region.memory_size);
    if metadata.is_file() && end.is_none_or(|end| end > metadata.len()) {
        return Err(BadMemory);
    }
    let mapping = region.mmap_region(file).map_err(|_| BadMemory)?;
    let address = GuestAddress(region.guest_phys_addr);
    let mapped = GuestRegionMmap::new(mapping, address).ok_or(BadMemory)?;
    Ok(Arc::new(mapped))
}

impl Memory {
    /// Maps all pieces of a memory.
    pub(super) fn new(
        regions: &[VhostUserMemoryRegion],
        files: Vec<File>,
    ) -> Result<Self, BadMemory> {
        let mut memory = Self::default();
        for (region, file) in regions.iter().zip(files) {
            memory = memory.with(region, file)?;
        }
        Ok(memory)
    }

    /// Adds a piece; it must not overlap another.
    pub(super) fn with(
        &self,
        region: &VhostUserMemoryRegion,
        file: File,
    ) -> Result<Self, BadMemory> {
        if self.regions.len() == MAX_REGIONS {
            return Err(BadMemory);
        }
        let mapped = map(region, file)?;
        let guest = self.guest.insert_region(mapped).map_err(|_| BadMemory)?;
        let mut regions = self.regions.clone();
        regions.push(region.into());
        Ok(Self { guest, regions })
    }

    /// Takes a piece away.
    pub(super) fn without(&self, region: &VhostUserMemoryRegion) -> Result<Self, BadMemory> {
        let gone = Region::from(region);
        let index = self.regions.iter().position(|it| *it == gone);
        let mut regions = self.regions.clone();
        regions.remove(index.ok_or(BadMemory)?);
        let address = GuestAddress(gone.guest_address);
        let (guest, _) = self
            .guest
            .remove_region(address, gone.size)
            .map_err(|_| BadMemory)?;
        Ok(Self { guest, regions })
    }

    /// Where the guest has what the client has at `address`.
    pub(super) fn guest_address(&self, address: u64) -> Option<GuestAddress> {
        self.regions.iter().find_map(|region| {
            let offset = address.checked_sub(region.client_address)?;
            // The sum was checked when the piece was mapped.
            (offset < region.size).then(|| GuestAddress(region.guest_address + offset))
        })
    }

    /// What queues work on.
    pub(super) fn guest(&self) -> &GuestMemoryMmap {
        &self.guest
    }

    /// Whether all of a range is there.
    pub(super) fn has(&self, address: GuestAddress, length: usize) -> bool {
        self.guest
            .check_range(address, length, Permissions::ReadWrite)
    }

    pub(super) fn read(&self, address: GuestAddress, bytes: &mut [u8]) -> Result<(), BadMemory> {
        self.guest.read_slice(bytes, address).map_err(|_| BadMemory)
    }

    pub(super) fn write(&self, address: GuestAddress, bytes: &[u8]) -> Result<(), BadMemory> {
        self.guest
            .write_slice(bytes, address)
            .map_err(|_| BadMemory)
    }
}
