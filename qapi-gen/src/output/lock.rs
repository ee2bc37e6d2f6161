//! Runs into one folder take turns.

use std::path::Path;
#[cfg(any(unix, windows))]
use std::path::PathBuf;

/// A lock on a folder, as long as it is there. Where there are no such locks, or none for this folder, it locks nothing.
pub(super) struct FolderLock {
    #[cfg(unix)]
    locked: Option<(rustix::fd::OwnedFd, PathBuf)>,
    #[cfg(windows)]
    locked: Option<std::fs::File>,
    #[cfg(windows)]
    folder: PathBuf,
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

#[cfg(windows)]
impl FolderLock {
    /// Waits for whoever has it: whoever has a file in the folder that nobody else may open, and that is gone when it is closed,
    /// however its process ends.
    pub(super) fn wait_for(folder: &Path) -> Self {
        use std::fs::OpenOptions;
        use std::os::windows::fs::OpenOptionsExt as _;
        use std::time::Duration;

        const DELETE_ON_CLOSE: u32 = 0x0400_0000;
        const SHARING_VIOLATION: i32 = 32;
        // It is still being deleted.
        const ACCESS_DENIED: i32 = 5;
        const N_DENIED: usize = 100;

        let mut options = OpenOptions::new();
        options.write(true).create(true).share_mode(0);
        options.custom_flags(DELETE_ON_CLOSE);
        let path = folder.join(".qapi-gen.lock");
        let mut n_denied = 0;
        let locked = loop {
            match options.open(&path) {
                Ok(locked) => break Some(locked),
                Err(error) => match error.raw_os_error() {
                    Some(SHARING_VIOLATION) => {}
                    Some(ACCESS_DENIED) if n_denied < N_DENIED => n_denied += 1,
                    Some(_) | None => break None,
                },
            }
            // No event tells of it.
            std::thread::sleep(Duration::from_millis(10));
        };
        Self {
            locked,
            folder: folder.to_owned(),
        }
    }

    /// Whether the folder is still the one that was locked: with a file in it that is open, nobody can remove it.
    pub(super) fn holds(&self) -> bool {
        self.locked.is_some() || self.folder.exists()
    }
}

#[cfg(not(any(unix, windows)))]
impl FolderLock {
    pub(super) fn wait_for(_folder: &Path) -> Self {
        Self {}
    }

    pub(super) fn holds(&self) -> bool {
        true
    }
}
