//! Requests to files, as workers carry them out.

use rustix::fs::{Advice, FallocateFlags, SeekFrom, fadvise, fallocate, fdatasync, seek};
use rustix::io::{Errno, pread, pwrite, retry_on_intr};

use super::File;
use crate::block::io::{Extent, IoBuffer, MAX_EXTENTS, Operation, Outcome, Request};

/// How many zeroes are written at a time where the host cannot make them by itself.
const ZEROES: usize = 1 << 20;

impl File {
    /// Carries out a request of which `progress` bytes have been transferred already.
    pub(in crate::block) fn run(
        &self,
        request: Request,
        progress: usize,
        no_flush: bool,
    ) -> Outcome {
        let Request { offset, operation } = request;
        match operation {
            Operation::Read(mut buffer) => {
                let result = match &self.direct {
                    None => self.read(&mut buffer[progress..], offset + progress as u64),
                    Some(direct) => direct.read(self, &mut buffer, offset),
                };
                Outcome::new(result, buffer)
            }
            Operation::Write { data, fua } => {
                let result = match &self.direct {
                    None => self.write(&data[progress..], offset + progress as u64),
                    Some(direct) => direct.write(self, &data, offset),
                };
                Outcome::new(result.and_then(|()| self.sync_if(fua)), data)
            }
            Operation::WriteZeroes {
                length,
                may_unmap,
                only_if_fast,
                fua,
            } => {
                let result = self.write_zeroes(offset, length, may_unmap, only_if_fast);
                let result = result.and_then(|()| self.sync_if(fua));
                Outcome::new(result, IoBuffer::default())
            }
            Operation::Discard { length, fua } => {
                let result = self.discard(offset, length);
                let result = result.and_then(|()| self.sync_if(fua));
                Outcome::new(result, IoBuffer::default())
            }
            Operation::Flush => Outcome::new(self.sync_if(!no_flush), IoBuffer::default()),
            Operation::Cache { length } => {
                let length = std::num::NonZeroU64::new(length);
                // A hint, and of no use to what bypasses the cache.
                let _ = fadvise(&self.file, offset, length, Advice::WillNeed);
                Outcome::new(Ok(()), IoBuffer::default())
            }
            Operation::BlockStatus { length, only_first } => {
                match self.block_status(offset, length, only_first) {
                    Ok(extents) => Outcome {
                        result: Ok(()),
                        buffer: IoBuffer::default(),
                        extents,
                    },
                    Err(error) => Outcome::new(Err(error), IoBuffer::default()),
                }
            }
        }
    }

    /// Reads; beyond the end of the file there are zeroes.
    pub(super) fn read(&self, mut buffer: &mut [u8], mut offset: u64) -> Result<(), Errno> {
        while !buffer.is_empty() {
            match retry_on_intr(|| pread(&self.file, &mut *buffer, offset)) {
                Ok(0) => {
                    buffer.fill(0);
                    break;
                }
                Ok(count) => {
                    buffer = &mut buffer[count..];
                    offset += count as u64;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn write(&self, mut data: &[u8], mut offset: u64) -> Result<(), Errno> {
        while !data.is_empty() {
            match retry_on_intr(|| pwrite(&self.file, data, offset)) {
                Ok(0) => return Err(Errno::NOSPC),
                Ok(count) => {
                    data = &data[count..];
                    offset += count as u64;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync_if(&self, wanted: bool) -> Result<(), Errno> {
        if !wanted {
            return Ok(());
        }
        self.durability
            .ensure(|| retry_on_intr(|| fdatasync(&self.file)))
    }

    fn write_zeroes(
        &self,
        offset: u64,
        length: u64,
        may_unmap: bool,
        only_if_fast: bool,
    ) -> Result<(), Errno> {
        if length == 0 {
            return Ok(());
        }
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let modes: &[FallocateFlags] = if may_unmap {
            &[hole, FallocateFlags::ZERO_RANGE]
        } else {
            &[FallocateFlags::ZERO_RANGE]
        };
        for mode in modes {
            match self.allocate(*mode, offset, length) {
                Err(Errno::INVAL) => {}
                Err(error) if is_refusal(error) => {}
                result => return result,
            }
        }
        if only_if_fast {
            return Err(Errno::OPNOTSUPP);
        }
        let zeroes = IoBuffer::new(ZEROES);
        let mut written = 0;
        while written < length {
            let count = (length - written).min(ZEROES as u64);
            let part = &zeroes[..usize::try_from(count).unwrap_or(ZEROES)];
            match &self.direct {
                None => self.write(part, offset + written)?,
                Some(direct) => direct.write(self, part, offset + written)?,
            }
            written += count;
        }
        Ok(())
    }

    fn discard(&self, offset: u64, length: u64) -> Result<(), Errno> {
        if length == 0 {
            return Ok(());
        }
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let discarded = self.allocate(hole, offset, length);
        self.note_discard(length, discarded.is_ok());
        match discarded {
            // It was a hint.
            Err(error) if is_refusal(error) => Ok(()),
            result => result,
        }
    }

    /// Lets the host change a range without data. Past the page cache that must not come between the reading and the
    /// writing of a block that is partly in the range: what was there before would be written again.
    fn allocate(&self, mode: FallocateFlags, offset: u64, length: u64) -> Result<(), Errno> {
        let _shared = self.direct.map(|_| self.whole_blocks.read());
        retry_on_intr(|| fallocate(&self.file, mode, offset, length))
    }

    /// Where the file system has data and where it has none.
    fn block_status(
        &self,
        offset: u64,
        length: u64,
        only_first: bool,
    ) -> Result<Vec<Extent>, Errno> {
        let limit = if only_first { 1 } else { MAX_EXTENTS };
        let end = offset + length;
        let mut extents = Vec::new();
        let mut position = offset;
        while position < end && extents.len() < limit {
            // The position that this sets is not used.
            let data = match retry_on_intr(|| seek(&self.file, SeekFrom::Data(position))) {
                Ok(data) => data.min(end),
                // Only a hole is left.
                Err(Errno::NXIO) => end,
                // It cannot tell, so all of it counts as data.
                Err(Errno::INVAL | Errno::OPNOTSUPP) => position,
                Err(error) => return Err(error),
            };
            let is_data = data <= position;
            let next = if is_data {
                match retry_on_intr(|| seek(&self.file, SeekFrom::Hole(position))) {
                    Ok(hole) if hole > position => hole.min(end),
                    // It was cut meanwhile, or cannot tell.
                    Ok(_) | Err(_) => end,
                }
            } else {
                data
            };
            extents.push(Extent {
                length: next - position,
                is_allocated: is_data,
                is_zero: !is_data,
            });
            position = next;
        }
        Ok(extents)
    }
}

/// Whether the file system does not know the way, or a sandbox does not allow the call. A file that may not be written refuses a
/// write, too.
fn is_refusal(error: Errno) -> bool {
    matches!(
        error,
        Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODEV | Errno::PERM
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A file that takes everything and cannot be synchronised.
    fn bottomless() -> File {
        let file = fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .unwrap();
        File::of(file, 1 << 20)
    }

    fn run(file: &File, operation: Operation, no_flush: bool) -> Result<(), Errno> {
        let request = Request {
            offset: 0,
            operation,
        };
        file.run(request, 0, no_flush).result
    }

    /// All that promises stable storage, in one way or another.
    fn promises() -> [Operation; 4] {
        [
            Operation::Flush,
            Operation::Write {
                data: IoBuffer::new(512),
                fua: true,
            },
            Operation::WriteZeroes {
                length: 512,
                may_unmap: true,
                only_if_fast: false,
                fua: true,
            },
            Operation::Discard {
                length: 512,
                fua: true,
            },
        ]
    }

    #[test]
    fn a_failure_of_any_is_remembered_for_all() {
        for first in 0..promises().len() {
            let file = bottomless();
            let mut operations = Vec::from(promises());
            let failing = operations.remove(first);
            assert_eq!(run(&file, failing, false), Err(Errno::INVAL), "{first}");
            for operation in operations.into_iter().chain(promises()) {
                assert_eq!(run(&file, operation, false), Err(Errno::IO), "{first}");
            }
            // What promises nothing goes on.
            let data = IoBuffer::new(512);
            let write = Operation::Write { data, fua: false };
            assert_eq!(run(&file, write, false), Ok(()));
            assert_eq!(run(&file, Operation::Flush, true), Ok(()));
        }
    }
}
