//! New sizes for files.

use std::os::unix::fs::FileTypeExt as _;
use std::sync::atomic::Ordering;

use qapi_runtime::Error;
use rustix::fs::ftruncate;
use rustix::io::retry_on_intr;

use super::File;
use super::file::size_of;
use crate::errno::reason;

impl File {
    /// Whether it can be made longer and shorter.
    fn is_regular(&self) -> bool {
        let kind = self.file.metadata().map(|it| it.file_type());
        kind.is_ok_and(|kind| !kind.is_block_device() && !kind.is_char_device())
    }

    /// From now on refuses requests for what is beyond this length.
    pub(in crate::block) fn begin_to_shrink(&self, length: u64) {
        if self.is_regular() {
            self.size.fetch_min(length, Ordering::AcqRel);
        }
    }

    /// Makes the file this long; on a worker. Requests for what is cut off are over.
    ///
    /// # Errors
    ///
    /// In QEMU's words: what the host says, or that a device does not grow.
    pub(in crate::block) fn resize(&self, length: u64) -> Result<(), Error> {
        let _alone = self.resizing.lock();
        // Past the page cache the end of the file is written in two steps.
        let _whole = self.whole_blocks.write();
        let resized = if self.is_regular() {
            retry_on_intr(|| ftruncate(&self.file, length)).map_err(|error| {
                Error::generic(format!("Could not resize file: {}", reason(&error.into())))
            })
        } else if length > size_of(&self.file).unwrap_or(0) {
            Err(Error::generic("Cannot grow device files"))
        } else {
            Ok(())
        };
        // Whatever has become of it.
        if let Ok(size) = size_of(&self.file) {
            self.size.store(size, Ordering::Release);
        }
        resized
    }
}
