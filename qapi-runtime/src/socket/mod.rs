//! Unix sockets that listen, and whose path is whose.
//!
//! One policy for all servers. At a path where
//!
//! - somebody listens, nothing changes: [`BindError::InUse`], for a second server and for a second attempt of the same one;
//! - a socket is left over without a listener, the new one takes its place;
//! - anything else is, a symbolic link included, nothing changes: [`BindError::NotASocket`].
//!
//! Servers that start at the same time look and bind one after the other: they hold a lock (`flock`) on the folder meanwhile,
//! which is over in microseconds. A user who may read a folder may lock it, and must not keep a server from starting: after
//! [`LOCK_PATIENCE`] it goes on without the lock.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use crate::system::{self, abstract_address, stream_socket};

/// The longest path that fits an address of a unix socket: 108 bytes on Linux, 103 elsewhere.
pub const MAX_PATH: usize = system::MAX_PATH;

/// How long the lock of a folder is waited for.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Connections that wait to be accepted: a thousand clients may come at once. The kernel has a limit of its own.
const BACKLOG: i32 = 4096;

/// A socket that cannot be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// More than [`MAX_PATH`] bytes.
    PathTooLong {
        /// The path.
        path: PathBuf,
    },
    /// Somebody listens there.
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// Something is there that is not a socket.
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// What the system refuses.
    System {
        /// The path, or the abstract name with `@` in front.
        address: String,
        /// Why.
        source: io::Error,
    },
}

impl BindError {
    fn system(path: &Path, source: io::Error) -> Self {
        Self::System {
            address: path.display().to_string(),
            source,
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PathTooLong { path } => write!(
                f,
                "UNIX socket path '{}' is too long: at most {MAX_PATH} bytes are possible",
                path.display()
            ),
            Self::InUse { path } => {
                write!(
                    f,
                    "socket '{}' is in use by a running server",
                    path.display()
                )
            }
            Self::NotASocket { path } => {
                write!(
                    f,
                    "cannot listen on '{}': a file that is not a socket is there",
                    path.display()
                )
            }
            Self::System { address, source } => {
                write!(f, "cannot listen on '{address}': {source}")
            }
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { source, .. } => Some(source),
            Self::PathTooLong { .. } | Self::InUse { .. } | Self::NotASocket { .. } => None,
        }
    }
}

impl From<BindError> for io::Error {
    fn from(error: BindError) -> Self {
        let kind = match &error {
            BindError::PathTooLong { .. } => io::ErrorKind::InvalidInput,
            BindError::InUse { .. } => io::ErrorKind::AddrInUse,
            BindError::NotASocket { .. } => io::ErrorKind::AlreadyExists,
            BindError::System { source, .. } => source.kind(),
        };
        Self::new(kind, error)
    }
}

/// Listens at a path, with these mode bits if any are given: they are in force before anybody can connect. The socket does
/// not block and is closed when a program is executed.
///
/// It may take up to [`LOCK_PATIENCE`] if somebody keeps the folder locked.
///
/// # Errors
///
/// See [`BindError`]; the module says what happens to a path that is taken.
pub fn listen_path(path: &Path, mode: Option<u32>) -> Result<(OwnedFd, SocketFile), BindError> {
    if path.as_os_str().len() > MAX_PATH {
        return Err(BindError::PathTooLong {
            path: path.to_owned(),
        });
    }
    let system = |source: io::Error| BindError::system(path, source);
    let _lock = lock_folder(path);
    remove_stale(path)?;
    let socket = stream_socket().map_err(system)?;
    let refused = |error| match error {
        // Somebody who does not hold the lock was faster.
        Errno::ADDRINUSE | Errno::EXIST => BindError::InUse {
            path: path.to_owned(),
        },
        error => system(error.into()),
    };
    let bound = system::bind(&socket, path).map_err(refused)?;
    // Clients cannot connect before `listen`.
    if let Some(mode) = mode {
        let permissions = std::fs::Permissions::from_mode(mode);
        if let Err(error) = std::fs::set_permissions(bound.path(), permissions) {
            bound.give_up();
            return Err(system(error));
        }
    }
    bound.settle(path).map_err(refused)?;
    // From here on the file goes away with this value, also if the rest fails.
    let file = SocketFile {
        path: path.to_owned(),
        identity: Identity::of(path),
    };
    match rustix::net::listen(&socket, BACKLOG) {
        Ok(()) => Ok((socket, file)),
        Err(error) => {
            // The lock is held already.
            file.forget_unlocked();
            Err(system(error.into()))
        }
    }
}

/// Listens on an abstract name (Linux), which is free as soon as its listener is gone. The socket does not block and is
/// closed when a program is executed.
///
/// # Errors
///
/// See [`BindError`].
pub fn listen_abstract(name: &[u8]) -> Result<OwnedFd, BindError> {
    let listen = || -> io::Result<OwnedFd> {
        let socket = stream_socket()?;
        rustix::net::bind(&socket, &abstract_address(name)?)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(socket)
    };
    listen().map_err(|source| {
        let address = format!("@{}", String::from_utf8_lossy(name));
        match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse {
                path: address.into(),
            },
            _ => BindError::System { address, source },
        }
    })
}

/// Connects a socket to a path of at most [`MAX_PATH`] bytes.
///
/// # Errors
///
/// `ENAMETOOLONG` for a longer one, and what the system refuses.
pub fn connect_path(socket: &OwnedFd, path: &Path) -> io::Result<()> {
    Ok(system::connect(socket, path)?)
}

/// Removes a socket whose listener is gone.
fn remove_stale(path: &Path) -> Result<(), BindError> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BindError::system(path, error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(BindError::NotASocket {
                path: path.to_owned(),
            });
        }
        Ok(_) => {}
    }
    let probe = stream_socket().map_err(|error| BindError::system(path, error))?;
    match system::connect(&probe, path) {
        Err(Errno::CONNREFUSED) => match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(BindError::system(path, error))
            }
            Ok(()) | Err(_) => Ok(()),
        },
        Err(Errno::NOENT) => Ok(()),
        // This does not tell whether it is alive, so it stays.
        Err(error @ (Errno::ACCESS | Errno::PERM)) => Err(BindError::system(path, error.into())),
        // A queue that is full (EAGAIN) and a socket of another type (EPROTOTYPE) belong to somebody, too.
        Ok(()) | Err(_) => Err(BindError::InUse {
            path: path.to_owned(),
        }),
    }
}

/// Locks the folder of a path; `None` if that is not possible, or not in time.
fn lock_folder(path: &Path) -> Option<OwnedFd> {
    let folder = system::folder_of(path);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty()).ok()?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(folder),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(_) => return None,
        }
    }
}

/// What tells a file from another one that has come to its path. Numbers of inodes are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    created: Option<SystemTime>,
}

impl Identity {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::symlink_metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            created: metadata.created().ok(),
        })
    }
}

/// The file of a socket that listens. Dropping it removes the file, unless another one is there by then.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// `None` once it is removed.
    identity: Option<Identity>,
}

impl SocketFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it now. The socket listens on until it is closed, but is not found any more.
    pub fn remove(&mut self) {
        if self.identity.is_some() {
            let _lock = lock_folder(&self.path);
            self.remove_unlocked();
        }
    }

    fn remove_unlocked(&mut self) {
        let identity = self.identity.take();
        if identity.is_some() && Identity::of(&self.path) == identity {
            // If it was removed meanwhile, nothing is left to do; where the folder may no longer be written to, it
            // is a socket that is left over, which the next server replaces.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    fn forget_unlocked(mut self) {
        self.remove_unlocked();
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}
