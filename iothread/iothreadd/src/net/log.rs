//! Files that get a copy of what is sent to somebody else.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::OFlags;

use crate::report::report;

/// A file that gets a copy.
pub(crate) struct Log {
    path: String,
    file: File,
    has_failed: AtomicBool,
}

impl Log {
    /// Opens a file, which is made if it does not exist, and emptied unless the copy is appended to what it has.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn open(path: &str, appends: bool) -> io::Result<Self> {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = File::options()
            .create(true)
            .write(true)
            .append(appends)
            .truncate(!appends)
            .mode(0o666)
            // The reader of a FIFO is not waited for.
            .custom_flags(flags)
            .open(path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            has_failed: AtomicBool::new(false),
        })
    }

    /// Adds bytes. What cannot be written at once is left out, since a copy does not hold up what it is a copy of.
    pub(crate) fn add(&self, bytes: &[u8]) {
        let Err(error) = (&self.file).write_all(bytes) else {
            return;
        };
        let is_first = !self.has_failed.swap(true, Ordering::Relaxed);
        if is_first && error.kind() != io::ErrorKind::WouldBlock {
            report(&format!("cannot write '{}': {error}", self.path));
        }
    }
}
