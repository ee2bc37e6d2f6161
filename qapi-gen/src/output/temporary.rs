//! Files that are not in their places yet.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempPath;

use super::{OutputError, at};

/// Puts one file in its place, whatever is there.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> Result<(), OutputError> {
    Temporary::new(path, contents)
        .and_then(|temporary| temporary.persist(path))
        .map_err(at(path, "write"))
}

/// The temporary files that there are.
static TEMPORARY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn temporary() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A complete file beside the place that it is for, under a name that cannot be foreseen; it was not there before, and is
/// gone unless it got to its place.
pub(super) struct Temporary(Option<TempPath>);

impl Temporary {
    pub(super) fn new(target: &Path, contents: &[u8]) -> io::Result<Self> {
        let (made, mut file) = Self::open(target)?;
        file.write_all(contents)?;
        Ok(made)
    }

    /// One without contents, which are the caller's to write.
    pub(super) fn open(target: &Path) -> io::Result<(Self, File)> {
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".qapi-gen-").suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;

            // As for any file; the umask takes its part.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let file = {
            let mut all = temporary();
            let file = builder.tempfile_in(folder)?;
            all.insert(file.path().to_owned());
            file
        };
        let (file, path) = file.into_parts();
        Ok((Self(Some(path)), file))
    }

    pub(super) fn persist(mut self, target: &Path) -> io::Result<()> {
        let Some(path) = self.0.take() else {
            return Ok(());
        };
        let mut all = temporary();
        all.remove(&*path);
        path.persist(target).map_err(|error| error.error)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // It is known until it is gone.
            let mut all = temporary();
            all.remove(&*path);
            drop(path);
        }
    }
}

/// Removes the temporary files of all that is being written in this process, and lets none of it go on: for a process that
/// was told to end, and does so next.
pub fn abandon() {
    let all = temporary();
    for path in &*all {
        // It may have got to its place, and there is no one left to be told anything else.
        let _ = fs::remove_file(path);
    }
    // Other threads that want to make or move one wait until the process is gone.
    std::mem::forget(all);
}
