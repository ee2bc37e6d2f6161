//! Addresses of unix sockets in the file system.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::SocketAddrUnix;

use super::kernel::{LongName, MAX_PATH, MAX_SHORT_PATH};

/// Whether a path fits with the zero byte at its end.
fn is_short(path: &Path) -> bool {
    path.as_os_str().len() <= MAX_SHORT_PATH
}

/// The folder of a path.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// A socket that is bound, maybe under another name.
pub(crate) struct Bound {
    other_name: Option<LongName>,
    path: PathBuf,
}

/// Binds a socket to a path of at most [`MAX_PATH`] bytes. The file may have another name until [`Bound::settle`].
pub(crate) fn bind(socket: &OwnedFd, path: &Path) -> Result<Bound, Errno> {
    if is_short(path) {
        rustix::net::bind(socket, &SocketAddrUnix::new(path)?)?;
        return Ok(Bound {
            other_name: None,
            path: path.to_owned(),
        });
    }
    let (other_name, path) = LongName::bind(socket, path)?;
    Ok(Bound {
        other_name: Some(other_name),
        path,
    })
}

impl Bound {
    /// Where the file is now.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name.
    ///
    /// # Errors
    ///
    /// Among others `EXIST`: something is there. No file is left.
    pub(crate) fn settle(self, path: &Path) -> Result<(), Errno> {
        match self.other_name {
            Some(other_name) => other_name.settle(path),
            None => Ok(()),
        }
    }

    /// Removes the file.
    pub(crate) fn give_up(self) {
        // What cannot be removed stays as a socket without a listener.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Connects a socket to a path of at most [`MAX_PATH`] bytes.
pub(crate) fn connect(socket: &OwnedFd, path: &Path) -> Result<(), Errno> {
    if is_short(path) {
        return rustix::net::connect(socket, &SocketAddrUnix::new(path)?);
    }
    if path.as_os_str().len() > MAX_PATH {
        return Err(Errno::NAMETOOLONG);
    }
    LongName::connect(socket, path)
}
