//! Addresses of unix sockets in the file system.
//!
//! The kernel takes 108 bytes, but a text that ends with a zero byte has room for one less. A path of 108 bytes is reached by
//! another name: for binding one in its folder that is changed afterwards, for connecting that of an open descriptor.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, open, renameat_with, unlinkat};
use rustix::io::Errno;
use rustix::net::SocketAddrUnix;

/// The longest path that fits an address of a unix socket.
pub const MAX_PATH: usize = 108;

/// Whether a path fits with the zero byte at its end.
fn is_short(path: &Path) -> bool {
    path.as_os_str().len() < MAX_PATH
}

/// What an open descriptor is called.
fn name_of(descriptor: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))
}

/// The folder of a path.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// A socket that is bound, maybe under another name.
pub(super) struct Bound {
    /// What is to be renamed, and in which folder.
    temporary: Option<(OwnedFd, String)>,
    path: PathBuf,
}

/// Binds a socket to a path of at most [`MAX_PATH`] bytes. The file may have another name until [`Bound::settle`].
pub(super) fn bind(socket: &OwnedFd, path: &Path) -> Result<Bound, Errno> {
    /// Tells the names of one process apart.
    static COUNT: AtomicU64 = AtomicU64::new(0);
    if is_short(path) {
        rustix::net::bind(socket, &SocketAddrUnix::new(path)?)?;
        return Ok(Bound {
            temporary: None,
            path: path.to_owned(),
        });
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = open(folder_of(path), flags, Mode::empty())?;
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!(".socket-{}-{number}", std::process::id());
    let temporary = name_of(&folder).join(&name);
    rustix::net::bind(socket, &SocketAddrUnix::new(&temporary)?)?;
    Ok(Bound {
        path: temporary,
        temporary: Some((folder, name)),
    })
}

impl Bound {
    /// Where the file is now.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name.
    ///
    /// # Errors
    ///
    /// Among others `EXIST`: something is there. No file is left.
    pub(super) fn settle(self, path: &Path) -> Result<(), Errno> {
        let Some((folder, name)) = self.temporary else {
            return Ok(());
        };
        let target = path.file_name().ok_or(Errno::INVAL)?;
        let settled = renameat_with(&folder, &name, &folder, target, RenameFlags::NOREPLACE);
        settled.inspect_err(|_| {
            // What cannot be removed stays as a socket without a listener.
            let _ = unlinkat(&folder, &name, AtFlags::empty());
        })
    }

    /// Removes the file.
    pub(super) fn give_up(self) {
        // As above.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Connects a socket to a path of at most [`MAX_PATH`] bytes.
pub(super) fn connect(socket: &OwnedFd, path: &Path) -> Result<(), Errno> {
    if is_short(path) {
        return rustix::net::connect(socket, &SocketAddrUnix::new(path)?);
    }
    if path.as_os_str().len() > MAX_PATH {
        return Err(Errno::NAMETOOLONG);
    }
    let file = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    rustix::net::connect(socket, &SocketAddrUnix::new(name_of(&file))?)
}
