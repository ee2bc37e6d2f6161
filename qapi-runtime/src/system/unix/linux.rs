//! What only Linux has.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials as PeerCredentialsOption;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, linkat, open, renameat_with, unlinkat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use rustix::net::{bind, connect, socket_with, sockopt};

use super::super::PeerCredentials;
use super::Handle;
use super::path::folder_of;
use crate::address::Address;

/// The longest path that fits an address of a unix socket.
pub(crate) const MAX_PATH: usize = 108;

/// The longest that fits with the zero byte at its end.
pub(super) const MAX_SHORT_PATH: usize = MAX_PATH - 1;

/// A peer that is gone is an error, not a signal.
pub(super) const SENDING: SendFlags = SendFlags::NOSIGNAL;

/// Never waits; descriptors are closed when a program is executed.
pub(super) const RECEIVING: RecvFlags = RecvFlags::CMSG_CLOEXEC.union(RecvFlags::DONTWAIT);

/// A unix socket that does not block and is closed when a program is executed.
pub(crate) fn stream_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let family = AddressFamily::UNIX;
    Ok(socket_with(family, SocketType::STREAM, flags, None)?)
}

/// Has a descriptor that was received closed when a program is executed, where [`RECEIVING`] does not say so.
pub(super) fn close_on_exec(_received: &OwnedFd) -> io::Result<()> {
    Ok(())
}

/// Has the kernel send no signal where a peer is gone, if [`SENDING`] does not say so.
pub(super) fn no_signal(_socket: BorrowedFd<'_>) {}

/// The family of a socket.
pub(crate) fn family_of(descriptor: &OwnedFd) -> Result<AddressFamily, Errno> {
    sockopt::socket_domain(descriptor)
}

/// Whether a socket listens.
pub(crate) fn listens(socket: &OwnedFd) -> Result<bool, Errno> {
    sockopt::socket_acceptconn(socket)
}

/// Who is at the other end of a unix socket (SO_PEERCRED).
pub(super) fn credentials_of(socket: BorrowedFd<'_>) -> io::Result<PeerCredentials> {
    // rustix has no way to say that there is no process.
    let credentials = getsockopt(&socket, PeerCredentialsOption)?;
    Ok(PeerCredentials {
        process: u32::try_from(credentials.pid()).ok().filter(|pid| *pid > 0),
        user: credentials.uid(),
        group: credentials.gid(),
    })
}

/// The address of an abstract name.
pub(crate) fn abstract_address(name: &[u8]) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new_abstract_name(name)?)
}

/// A file of the kernel below /proc; empty if it is not there.
pub(crate) fn proc_file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new("/proc").join(name)).unwrap_or_default()
}

/// Connects to a port of a machine.
pub(crate) fn connect_vsock(cid: u32, port: u32, patience: Duration) -> io::Result<Handle> {
    use nix::sys::socket::{self as vsock, SockFlag, SockType, VsockAddr};

    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = vsock::socket(vsock::AddressFamily::Vsock, SockType::Stream, flags, None)?;
    let address = VsockAddr::new(cid, port);
    match vsock::connect(socket.as_raw_fd(), &address) {
        Ok(()) => return Ok(socket.into()),
        Err(nix::errno::Errno::EINPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let mut polled = [PollFd::new(&socket, PollFlags::OUT)];
    let timeout = Timespec::try_from(patience).ok();
    if poll(&mut polled, timeout.as_ref())? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    sockopt::socket_error(&socket)??;
    Ok(socket.into())
}

/// Listens at a name of this machine: an abstract one, which is gone with its listener.
pub(super) fn listen_at(name: &str) -> io::Result<(UnixListener, Address)> {
    let address = SocketAddr::from_abstract_name(name)?;
    let listener = UnixListener::bind_addr(&address)?;
    Ok((listener, Address::Abstract(name.into())))
}

/// Removes what is left of a listener that is gone.
pub(super) fn clear(_address: &Address) {}

/// The name by which a path of 108 bytes is reached.
///
/// The kernel takes 108 bytes, but a text that ends with a zero byte has room for one less. So a socket is bound to a short name
/// in the folder that is changed afterwards, and connected to that of an open descriptor.
pub(super) struct LongName {
    folder: OwnedFd,
    name: String,
}

impl LongName {
    /// Binds a socket to a name beside the path, which is what comes back with it.
    pub(super) fn bind(socket: &OwnedFd, path: &Path) -> Result<(Self, PathBuf), Errno> {
        /// Tells the names of one process apart.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(folder_of(path), flags, Mode::empty())?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!(".socket-{}-{number}", std::process::id());
        let temporary = name_of(&folder).join(&name);
        bind(socket, &SocketAddrUnix::new(&temporary)?)?;
        Ok((Self { folder, name }, temporary))
    }

    /// Gives the file its name. No file is left if that fails.
    pub(super) fn settle(self, path: &Path) -> Result<(), Errno> {
        let Self { folder, name } = self;
        let target = path.file_name().ok_or(Errno::INVAL)?;
        let settled = match renameat_with(&folder, &name, &folder, target, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            // A sandbox refuses the call, or the file system does not know the flag. A link does not replace anything either.
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {
                linkat(&folder, &name, &folder, target, AtFlags::empty())
            }
            Err(error) => Err(error),
        };
        // What cannot be removed stays as a socket without a listener.
        let _ = unlinkat(&folder, &name, AtFlags::empty());
        settled
    }

    /// Connects a socket to the path.
    pub(super) fn connect(socket: &OwnedFd, path: &Path) -> Result<(), Errno> {
        let file = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        connect(socket, &SocketAddrUnix::new(name_of(&file))?)
    }
}

/// What an open descriptor is called.
fn name_of(descriptor: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_raw_fd()))
}
