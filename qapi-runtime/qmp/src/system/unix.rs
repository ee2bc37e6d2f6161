//! What all systems have that are like Unix.

use std::env;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;

use qapi_runtime::address::Address;
use qapi_runtime::client::CallOptions;
use qapi_runtime::descriptor::{self, inherited};
use qapi_runtime::socket::{BindError, listen_abstract, listen_path};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

use super::{Medium, domain};
use crate::thread::not_started;

pub(crate) use qapi_runtime::client::open;
/// The file of a socket, which goes with it.
pub(crate) use qapi_runtime::socket::SocketFile;

/// Where programs can listen here.
pub(crate) const LISTENERS: &str = "unix:PATH, tcp:HOST:PORT or fd:NUMBER";

/// Listens at an address that is not TCP; `None` if only clients can use it.
pub(crate) fn listen(address: &Address) -> Option<io::Result<(OwnedFd, Option<SocketFile>)>> {
    let listening = match address {
        Address::Unix(path) => listen_path(path, None).map(|(socket, file)| (socket, Some(file))),
        Address::Abstract(name) => listen_abstract(name).map(|socket| (socket, None)),
        // A descriptor that the program was started with listens already.
        Address::Fd(number) => return Some(inherited(*number).map(|socket| (socket, None))),
        _ => return None,
    };
    Some(listening.map_err(io::Error::from))
}

/// Whether an error says by itself at which address nobody can listen.
pub(crate) fn has_address(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<BindError>())
}

/// What a descriptor is.
pub(crate) fn medium(descriptor: &OwnedFd) -> io::Result<Medium> {
    match domain(descriptor) {
        Ok(AddressFamily::INET | AddressFamily::INET6) => Ok(Medium::Tcp),
        Ok(AddressFamily::UNIX) => Ok(Medium::Unix),
        Ok(_) => Ok(Medium::OtherSocket),
        Err(Errno::NOTSOCK) => Ok(Medium::NoSocket),
        Err(error) => Err(error.into()),
    }
}

/// Reads what is there; nothing at the end.
pub(crate) fn read(
    descriptor: &OwnedFd,
    medium: Medium,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    if medium.is_socket() {
        // Of descriptors that were lost on the way the log has a smaller number.
        Ok(descriptor::receive(descriptor, buffer, descriptors)?.n_bytes)
    } else {
        Ok(rustix::io::read(descriptor, buffer)?)
    }
}

/// Writes what the peer takes, and descriptors with the first of it.
pub(crate) fn write(
    descriptor: &OwnedFd,
    medium: Medium,
    bytes: &[u8],
    descriptors: &[OwnedFd],
) -> io::Result<usize> {
    if medium.is_socket() {
        let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(|it| it.as_fd()).collect();
        descriptor::send(descriptor, bytes, &descriptors)
    } else {
        Ok(rustix::io::write(descriptor, bytes)?)
    }
}

/// Sends a descriptor along that this program was started with.
pub(crate) fn with_inherited(call: CallOptions, number: i32) -> io::Result<CallOptions> {
    Ok(call.descriptor(inherited(number)?))
}

/// Sends a file along.
pub(crate) fn with_file(call: CallOptions, file: File) -> io::Result<CallOptions> {
    Ok(call.descriptor(file.into()))
}

/// A command as people write it. What it starts ends together with it, by [`end_all`].
pub(crate) fn shell(command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).process_group(0);
    shell
}

/// Ends a shell and what it has started.
pub(crate) fn end_all(shell: &mut Child) {
    if let Some(group) = i32::try_from(shell.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Takes Ctrl-C for this process, which is SIGINT.
pub(crate) fn on_interrupt(mut act: impl FnMut() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT])?;
    let watch = move || signals.forever().for_each(|_| act());
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(watch).map(drop).map_err(not_started)
}

/// Where files are that can be made again: `$XDG_CACHE_HOME`, or `~/.cache`.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    folder("XDG_CACHE_HOME", ".cache")
}

/// Where files are that are kept from run to run: `$XDG_STATE_HOME`, or `~/.local/state`.
pub(crate) fn state_folder() -> Option<PathBuf> {
    folder("XDG_STATE_HOME", ".local/state")
}

fn folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).map(PathBuf::from);
    let is_usable = |path: &PathBuf| path.is_absolute();
    let folder = set(variable).filter(is_usable);
    folder.or_else(|| Some(set("HOME").filter(is_usable)?.join(below_home)))
}
