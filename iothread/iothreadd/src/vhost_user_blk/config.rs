//! What the device is: its features and its configuration space.

use vhost::vhost_user::VhostUserVirtioFeatures;
use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH,
    VIRTIO_BLK_F_MQ, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_WRITE_ZEROES,
};
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};

/// Bytes of a sector, the unit of all addresses whatever the size of a block is.
pub(super) const SECTOR_SIZE: u64 = 512;

/// Pieces of memory that a request may have, beside header and status: what fits a queue of 128, as QEMU's have.
const MAX_SEGMENTS: u32 = 126;

/// The most sectors that are discarded, or made zeroes, by one request, as in QEMU.
pub(super) const MAX_RANGE_SECTORS: u32 = 32 << 10;

/// The size of the whole space; after what is defined come zeroes.
const SPACE_SIZE: usize = 256;

/// Where the device says, and the driver sets, whether writes may stay in a cache.
pub(super) const WRITE_CACHE_OFFSET: u32 = 32;

/// What the device is like. Only its size may change while the export exists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    /// Bytes.
    pub(super) size: u64,
    /// Bytes, a power of two.
    pub(super) block_size: u32,
    pub(super) num_queues: u16,
    pub(super) is_writable: bool,
}

const fn bit(number: u32) -> u64 {
    1 << number
}

/// Whether a feature is among those.
pub(super) const fn has(features: u64, number: u32) -> bool {
    features & bit(number) != 0
}

impl Geometry {
    /// The features on offer.
    pub(super) fn features(&self) -> u64 {
        let always = bit(VIRTIO_F_VERSION_1)
            | bit(VIRTIO_RING_F_INDIRECT_DESC)
            | bit(VIRTIO_RING_F_EVENT_IDX)
            | bit(VIRTIO_BLK_F_SEG_MAX)
            | bit(VIRTIO_BLK_F_BLK_SIZE)
            | bit(VIRTIO_BLK_F_FLUSH)
            | bit(VIRTIO_BLK_F_CONFIG_WCE)
            | bit(VIRTIO_BLK_F_MQ)
            | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
        let by_access = if self.is_writable {
            bit(VIRTIO_BLK_F_DISCARD) | bit(VIRTIO_BLK_F_WRITE_ZEROES)
        } else {
            bit(VIRTIO_BLK_F_RO)
        };
        always | by_access
    }

    /// The configuration space: `struct virtio_blk_config` of the virtio specification.
    pub(super) fn space(&self, has_write_cache: bool) -> [u8; SPACE_SIZE] {
        let alignment = u64::from(self.block_size) / SECTOR_SIZE;
        let alignment = u32::try_from(alignment).unwrap_or(1);
        let mut space = [0; SPACE_SIZE];
        let mut put = |offset: usize, bytes: &[u8]| {
            space[offset..offset + bytes.len()].copy_from_slice(bytes);
        };
        put(0, &(self.size / SECTOR_SIZE).to_le_bytes());
        put(12, &MAX_SEGMENTS.to_le_bytes());
        put(20, &self.block_size.to_le_bytes());
        put(WRITE_CACHE_OFFSET as usize, &[u8::from(has_write_cache)]);
        put(34, &self.num_queues.to_le_bytes());
        if self.is_writable {
            let max_sectors = MAX_RANGE_SECTORS.to_le_bytes();
            let one_range = 1_u32.to_le_bytes();
            put(36, &max_sectors);
            put(40, &one_range);
            put(44, &alignment.to_le_bytes());
            put(48, &max_sectors);
            put(52, &one_range);
            // Write-zeroes requests may unmap.
            put(56, &[1]);
        }
        space
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_is_laid_out_as_specified() {
        let geometry = Geometry {
            size: 3 << 20,
            block_size: 4096,
            num_queues: 2,
            is_writable: true,
        };
        let space = geometry.space(true);
        assert_eq!(space[..8], 6144_u64.to_le_bytes());
        assert_eq!(space[12..16], 126_u32.to_le_bytes());
        assert_eq!(space[20..24], 4096_u32.to_le_bytes());
        assert_eq!((space[32], space[34], space[56]), (1, 2, 1));
        assert_eq!(space[44..48], 8_u32.to_le_bytes());
        assert_eq!(geometry.space(false)[32], 0);
    }

    #[test]
    fn what_cannot_be_written_offers_nothing_that_writes() {
        let geometry = Geometry {
            size: 512,
            block_size: 512,
            num_queues: 1,
            is_writable: false,
        };
        assert!(has(geometry.features(), VIRTIO_BLK_F_RO));
        assert!(!has(geometry.features(), VIRTIO_BLK_F_DISCARD));
        assert!(!has(geometry.features(), VIRTIO_BLK_F_WRITE_ZEROES));
        assert_eq!(geometry.space(true)[36..60], [0; 24]);
    }
}
