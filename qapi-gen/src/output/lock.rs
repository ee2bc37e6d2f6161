//! Runs into one folder take turns.

use std::path::Path;
#[cfg(unix)]
use std::path::PathBuf;

/// A lock on a folder, as long as it is there. Where there are no such locks, or none for this folder, it locks nothing.
pub(super) struct FolderLock {
    #[cfg(unix)]
    locked: Option<(rustix::fd::OwnedFd, PathBuf)>,
}

#[cfg(unix)]
impl FolderLock {
    /// Waits until it is free.
    pub(super) fn wait_for(folder: &Path) -> Self {
        use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};

        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let locked = open(folder, flags, Mode::empty()).ok().and_then(|file| {
            let result = rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive));
            result.is_ok().then(|| (file, folder.to_owned()))
        });
        Self { locked }
    }

    /// Whether the folder is still the one that was locked: who has it may have removed it.
    pub(super) fn holds(&self) -> bool {
        let Some((file, folder)) = &self.locked else {
            return true;
        };
        let identity = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
        let (locked, now) = (rustix::fs::fstat(file), rustix::fs::stat(folder));
        matches!((locked, now), (Ok(locked), Ok(now)) if identity(locked) == identity(now))
    }
}

#[cfg(not(unix))]
impl FolderLock {
    pub(super) fn wait_for(_folder: &Path) -> Self {
        Self {}
    }

    pub(super) fn holds(&self) -> bool {
        true
    }
}
