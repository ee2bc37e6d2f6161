//! What other unix systems have in place of what only Linux has: compiled for macOS and tried nowhere yet.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::{Errno, FdFlags, fcntl_setfd, ioctl_fionbio};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType};
use rustix::net::{getpeername, getsockname, socket};

use super::super::{NO_ABSTRACT_NAMES, NO_VSOCK, PeerCredentials, unsupported};
use super::Handle;
use crate::address::Address;

/// The longest path that fits an address of a unix socket: 104 bytes with the zero byte at its end.
pub(crate) const MAX_PATH: usize = 103;

/// The longest that fits with the zero byte at its end.
pub(super) const MAX_SHORT_PATH: usize = MAX_PATH;

/// [`no_signal`] says the rest.
pub(super) const SENDING: SendFlags = SendFlags::empty();

/// Never waits; [`close_on_exec`] does the rest.
pub(super) const RECEIVING: RecvFlags = RecvFlags::DONTWAIT;

/// A unix socket that does not block and is closed when a program is executed.
pub(crate) fn stream_socket() -> io::Result<OwnedFd> {
    let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    close_on_exec(&socket)?;
    ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// Has a descriptor closed when a program is executed: another thread that executes one in the moment before hands it on.
pub(super) fn close_on_exec(descriptor: &OwnedFd) -> io::Result<()> {
    Ok(fcntl_setfd(descriptor, FdFlags::CLOEXEC)?)
}

/// Has the kernel send no signal where a peer is gone.
pub(super) fn no_signal(socket: BorrowedFd<'_>) {
    // What it fails for cannot be sent to either.
    #[cfg(target_vendor = "apple")]
    let _ = rustix::net::sockopt::set_socket_nosigpipe(socket, true);
    #[cfg(not(target_vendor = "apple"))]
    let _ = socket;
}

/// The family of a socket.
pub(crate) fn family_of(descriptor: &OwnedFd) -> Result<AddressFamily, Errno> {
    Ok(getsockname(descriptor)?.address_family())
}

/// Whether a socket listens. macOS does not tell it, but what listens has no peer.
pub(crate) fn listens(socket: &OwnedFd) -> Result<bool, Errno> {
    match getpeername(socket) {
        Ok(_) => Ok(false),
        Err(Errno::NOTCONN) => Ok(true),
        // The peer is gone.
        Err(Errno::INVAL) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Who is at the other end of a unix socket (LOCAL_PEERCRED and LOCAL_PEERPID).
#[cfg(target_vendor = "apple")]
pub(super) fn credentials_of(socket: BorrowedFd<'_>) -> io::Result<PeerCredentials> {
    use nix::sys::socket::getsockopt;
    use nix::sys::socket::sockopt::{LocalPeerCred, LocalPeerPid};

    let credentials = getsockopt(&socket, LocalPeerCred)?;
    let process = getsockopt(&socket, LocalPeerPid).ok();
    Ok(PeerCredentials {
        process: process
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|pid| *pid > 0),
        user: credentials.uid(),
        group: *credentials.groups().first().ok_or(Errno::INVAL)?,
    })
}

#[cfg(not(target_vendor = "apple"))]
pub(super) fn credentials_of(_socket: BorrowedFd<'_>) -> io::Result<PeerCredentials> {
    Err(unsupported("this system is not asked who a peer is"))
}

/// The address of an abstract name.
pub(crate) fn abstract_address(_name: &[u8]) -> io::Result<SocketAddrUnix> {
    Err(unsupported(NO_ABSTRACT_NAMES))
}

/// A file of the kernel below /proc, which no other system has.
pub(crate) fn proc_file(_name: &str) -> Vec<u8> {
    Vec::new()
}

/// Connects to a port of a machine.
pub(crate) fn connect_vsock(_cid: u32, _port: u32, _patience: Duration) -> io::Result<Handle> {
    Err(unsupported(NO_VSOCK))
}

/// Listens at a name of this machine: in a folder of its own, which nobody else may enter.
pub(super) fn listen_at(name: &str) -> io::Result<(UnixListener, Address)> {
    let folder = std::env::temp_dir().join(name);
    let made = DirBuilder::new().mode(0o700).create(&folder);
    made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => io::ErrorKind::AddrInUse.into(),
        _ => error,
    })?;
    let address = Address::Unix(folder.join("qmp"));
    let listener = UnixListener::bind(folder.join("qmp"));
    let listener = listener.inspect_err(|_| clear(&address))?;
    Ok((listener, address))
}

/// Removes what is left of a listener that is gone.
pub(super) fn clear(address: &Address) {
    if let Address::Unix(path) = address {
        // What cannot be removed is left for the system, which clears the folder for temporary files.
        let _ = std::fs::remove_file(path);
        if let Some(folder) = path.parent() {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// A name by which a path that is too long is reached, which no other system has.
pub(super) enum LongName {}

impl LongName {
    pub(super) fn bind(_socket: &OwnedFd, _path: &Path) -> Result<(Self, PathBuf), Errno> {
        Err(Errno::NAMETOOLONG)
    }

    pub(super) fn settle(self, _path: &Path) -> Result<(), Errno> {
        match self {}
    }

    pub(super) fn connect(_socket: &OwnedFd, _path: &Path) -> Result<(), Errno> {
        Err(Errno::NAMETOOLONG)
    }
}
