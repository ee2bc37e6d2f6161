//! Transfers past the page cache, which only knows whole blocks.

use std::fs;

use rustix::fs::{AtFlags, StatxFlags, statx};
use rustix::io::{Errno, retry_on_intr};

use super::File;
use crate::block::io::IoBuffer;

/// The size of a block where the host does not tell: the largest in use.
const DEFAULT_BLOCK: u64 = 4096;

/// What the host requires of transfers with O_DIRECT.
#[derive(Clone, Copy)]
pub(super) struct Direct {
    block: u64,
}

impl Direct {
    pub(super) fn of(file: &fs::File) -> Self {
        let told = retry_on_intr(|| statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN))
            .ok()
            .map(|it| u64::from(it.stx_dio_offset_align.max(it.stx_dio_mem_align)))
            .filter(|block| block.is_power_of_two() && *block <= DEFAULT_BLOCK);
        Self {
            block: told.unwrap_or(DEFAULT_BLOCK),
        }
    }

    /// The size of a block, to which memory is aligned too.
    pub(super) fn block(self) -> u64 {
        self.block
    }

    /// The range of whole blocks around a range.
    fn around(self, offset: u64, len: usize) -> (u64, usize) {
        let start = offset - offset % self.block;
        let end = (offset + len as u64).next_multiple_of(self.block);
        // A little longer than a transfer, which is limited.
        (start, usize::try_from(end - start).unwrap_or(usize::MAX))
    }

    fn is_whole(self, bytes: &[u8], offset: u64) -> bool {
        let block = usize::try_from(self.block).unwrap_or(usize::MAX);
        offset.is_multiple_of(self.block)
            && bytes.len().is_multiple_of(block)
            && bytes.as_ptr().align_offset(block) == 0
    }

    pub(super) fn read(self, file: &File, buffer: &mut [u8], offset: u64) -> Result<(), Errno> {
        if self.is_whole(buffer, offset) {
            return read_blocks(file, buffer, offset, self.block);
        }
        let (start, len) = self.around(offset, buffer.len());
        let mut around = IoBuffer::new(len);
        read_blocks(file, &mut around, start, self.block)?;
        let within = usize::try_from(offset - start).unwrap_or(0);
        buffer.copy_from_slice(&around[within..within + buffer.len()]);
        Ok(())
    }

    pub(super) fn write(self, file: &File, data: &[u8], offset: u64) -> Result<(), Errno> {
        if self.is_whole(data, offset) {
            let _shared = file.whole_blocks.read();
            return file.write(data, offset);
        }
        // What is read here and written again may not be written by others meanwhile.
        let _alone = file.whole_blocks.write();
        let (start, len) = self.around(offset, data.len());
        let mut around = IoBuffer::new(len);
        read_blocks(file, &mut around, start, self.block)?;
        let within = usize::try_from(offset - start).unwrap_or(0);
        around[within..within + data.len()].copy_from_slice(data);
        let old_end = file.file.metadata().map(|it| it.len()).unwrap_or(u64::MAX);
        file.write(&around, start)?;
        // The last block may have made the file longer than was asked for.
        let end = old_end.max(offset + data.len() as u64);
        if start + len as u64 > end {
            retry_on_intr(|| rustix::fs::ftruncate(&file.file, end))?;
        }
        Ok(())
    }
}

/// Reads whole blocks. A transfer that ends within one has met the end of the file.
fn read_blocks(
    file: &File,
    mut buffer: &mut [u8],
    mut offset: u64,
    block: u64,
) -> Result<(), Errno> {
    while !buffer.is_empty() {
        match retry_on_intr(|| rustix::io::pread(&file.file, &mut *buffer, offset)) {
            Ok(count) => {
                buffer = &mut buffer[count..];
                offset += count as u64;
                if count == 0 || !offset.is_multiple_of(block) {
                    buffer.fill(0);
                    break;
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
