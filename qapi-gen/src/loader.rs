//! Where source files come from.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::limits::MAX_FILE;
use crate::path::{Syntax, is_device, normal};

/// Reads source files: the only I/O of the front end.
pub trait Loader {
    /// The bytes of the file at `path`.
    ///
    /// # Errors
    ///
    /// Whatever keeps the file from being read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The bytes of the file at `path`, which another file names. The author of that file may read no more than they should.
    ///
    /// # Errors
    ///
    /// As [`Loader::read`], and a file that is not for those who write schemas.
    fn read_include(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read(path)
    }

    /// What two paths to the same file have in common.
    ///
    /// As in the reference it is the absolute path with `.` and `..` removed; links stay. On Windows separators, the case of drives
    /// and the prefix `\\?\` make no difference. It is for comparisons: bytes that are no UTF-8 are replaced.
    fn identity(&self, path: &Path) -> PathBuf {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        normalize(&absolute)
    }
}

fn normalize(path: &Path) -> PathBuf {
    PathBuf::from(normal(&path.to_string_lossy(), Syntax::HOST))
}

/// The file system. Only regular files of at most 64 MiB are read.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileLoader;

impl Loader for FileLoader {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        read_file(path)
    }
}

/// The file system, with includes from below one folder only.
///
/// The main file is the one that the user names, wherever it is. Links count by where they lead.
#[derive(Debug, Clone)]
pub struct RootedLoader {
    /// As the user calls it.
    name: PathBuf,
    /// Without links.
    root: PathBuf,
}

impl RootedLoader {
    /// Includes from below `root`.
    ///
    /// # Errors
    ///
    /// `root` is not a folder that can be found.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<Self> {
        let name = root.into();
        let root = fs::canonicalize(&name)?;
        if !root.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { name, root })
    }

    fn outside(&self) -> io::Error {
        let reason = format!("Outside of the include root '{}'", self.name.display());
        io::Error::new(io::ErrorKind::PermissionDenied, reason)
    }
}

impl Loader for RootedLoader {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        read_file(path)
    }

    fn read_include(&self, path: &Path) -> io::Result<Vec<u8>> {
        let resolved = match fs::canonicalize(path) {
            Ok(resolved) => resolved,
            // What is there outside is not to be told either.
            Err(error) => {
                let path = self.identity(path);
                let mut roots = [&self.root, &self.name].into_iter();
                let is_inside = roots.any(|root| path.starts_with(self.identity(root)));
                return Err(if is_inside { error } else { self.outside() });
            }
        };
        if !resolved.starts_with(&self.root) {
            return Err(self.outside());
        }
        // Links may have changed since: it must be the file that was found inside.
        let file = open_regular(path)?;
        if !is_same(&file, &resolved)? {
            return Err(self.outside());
        }
        read_up_to(file, MAX_FILE)
    }
}

/// Whether `file` is what is at `path`, which has no links.
fn is_same(file: &File, path: &Path) -> io::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;

        let (opened, found) = (file.metadata()?, fs::symlink_metadata(path)?);
        Ok((opened.dev(), opened.ino()) == (found.dev(), found.ino()))
    }
    #[cfg(not(unix))]
    {
        Ok(file.metadata()?.file_type() == fs::symlink_metadata(path)?.file_type())
    }
}

/// The bytes of a regular file of at most 64 MiB.
///
/// # Errors
///
/// Whatever keeps it from being read; also that it is another kind of file, which is not waited for, or larger.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    read_up_to(open_regular(path)?, MAX_FILE)
}

/// The text of a regular file of at most 64 MiB.
///
/// # Errors
///
/// As [`read_file`], and bytes that are not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read_file(path)?).map_err(|_| {
        let reason = "stream did not contain valid UTF-8";
        io::Error::new(io::ErrorKind::InvalidData, reason)
    })
}

/// The bytes of a file that may be a pipe, at most 64 MiB of them. A FIFO without a writer is empty.
///
/// # Errors
///
/// Whatever keeps it from being read; also that it is larger.
pub fn read_input(path: &Path) -> io::Result<Vec<u8>> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;

        use rustix::fs::OFlags;

        if fs::metadata(path)?.file_type().is_fifo() {
            let file = open_without_waiting(path)?;
            let flags = rustix::fs::fcntl_getfl(&file)?;
            rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
            return read_up_to(file, MAX_FILE);
        }
    }
    read_file(path)
}

/// Opens a regular file. A FIFO, a socket or a device is neither opened nor waited for.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let metadata = fs::metadata(path).map_err(|error| {
        let stem = path.file_stem().unwrap_or_default();
        let is_there = cfg!(windows) && error.kind() != io::ErrorKind::NotFound;
        match is_there && is_device(&stem.to_string_lossy()) {
            // Windows only says that something is wrong.
            true => not_regular(),
            false => error,
        }
    })?;
    check_kind(&metadata)?;
    // Something else may have taken its place.
    let file = open_without_waiting(path)?;
    check_kind(&file.metadata()?)?;
    Ok(file)
}

fn open_without_waiting(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;

        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        options.custom_flags(flags.bits() as i32);
    }
    options.open(path)
}

fn check_kind(metadata: &fs::Metadata) -> io::Result<()> {
    if metadata.is_file() {
        Ok(())
    } else if metadata.is_dir() {
        // In the same words on every system.
        #[cfg(unix)]
        return Err(rustix::io::Errno::ISDIR.into());
        #[cfg(not(unix))]
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "Is a directory",
        ));
    } else {
        Err(not_regular())
    }
}

fn not_regular() -> io::Error {
    io::Error::other("Not a regular file")
}

/// All bytes of `file`, but no more than `limit`.
pub(crate) fn read_up_to(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let too_large = || {
        let reason = format!("Larger than {} MiB", limit >> 20);
        io::Error::new(io::ErrorKind::FileTooLarge, reason)
    };
    let size = file.metadata()?.len();
    if size > limit {
        return Err(too_large());
    }
    // Some files do not know how large they are, others grow.
    let mut bytes = Vec::with_capacity(size as usize + 1);
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Files in memory, for tests and for schemas that a program carries with it.
#[derive(Debug, Clone, Default)]
pub struct MemoryLoader {
    files: std::collections::HashMap<PathBuf, Vec<u8>>,
}

impl MemoryLoader {
    /// No files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file.
    #[must_use]
    pub fn with(mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(normalize(&path.into()), text.into());
        self
    }
}

impl Loader for MemoryLoader {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let not_found = || io::Error::from_raw_os_error(2);
        self.files
            .get(&normalize(path))
            .cloned()
            .ok_or_else(not_found)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        normalize(path)
    }
}
