//! Connections of clients.

use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::TcpStream;
use std::os::windows::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::windows::named_pipe::{ClientOptions, NamedPipeServer, ServerOptions};

use super::super::PeerCredentials;
#[cfg(any(feature = "client-async", feature = "server"))]
use super::super::Transport;
use super::super::{NO_ABSTRACT_NAMES, NO_VSOCK, unsupported};
use super::local::{Local, Pipes};
use super::{NO_UNIX_SOCKETS, path_of_pipe};
use crate::parking::run_until;

/// All instances of a pipe are in use (ERROR_PIPE_BUSY).
const BUSY: i32 = 231;

/// A connection that is open.
pub(crate) enum Handle {
    Tcp(TcpStream),
    Local(Local),
}

impl From<TcpStream> for Handle {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl Handle {
    /// Nobody is told who is at the other end.
    pub(crate) fn credentials(&self) -> Option<PeerCredentials> {
        None
    }
}

#[cfg(any(feature = "client-async", feature = "server"))]
impl TryFrom<Handle> for Transport {
    type Error = io::Error;

    fn try_from(handle: Handle) -> io::Result<Self> {
        Ok(match handle {
            Handle::Tcp(stream) => {
                stream.set_nonblocking(true)?;
                Self::Tcp(stream.try_into()?)
            }
            Handle::Local(local) => Self::Local(local),
        })
    }
}

pub(crate) fn connect_unix(_path: &Path) -> io::Result<Handle> {
    Err(unsupported(NO_UNIX_SOCKETS))
}

pub(crate) fn connect_abstract(_name: &[u8]) -> io::Result<Handle> {
    Err(unsupported(NO_ABSTRACT_NAMES))
}

pub(crate) fn connect_vsock(_cid: u32, _port: u32, _patience: Duration) -> io::Result<Handle> {
    Err(unsupported(NO_VSOCK))
}

pub(crate) fn inherit(_number: i32) -> io::Result<Handle> {
    Err(unsupported(
        "programs are started without descriptors on Windows",
    ))
}

/// Connects to a named pipe without waiting for one of its instances to be free.
pub(crate) fn connect_pipe(name: &Path) -> io::Result<Handle> {
    match ClientOptions::new().open(path_of_pipe(name)?) {
        Ok(pipe) => Ok(Handle::Local(Pipes::Client(pipe).into())),
        // As of a socket whose queue is full.
        Err(error) if error.raw_os_error() == Some(BUSY) => {
            Err(io::Error::new(io::ErrorKind::WouldBlock, error))
        }
        Err(error) => Err(error),
    }
}

/// Has the shell start a command whose standard input and output are pipes.
pub(crate) fn execute(command: &str) -> io::Result<(Handle, Child)> {
    let (input, its_input) = pipe(File::options().read(true))?;
    let (output, its_output) = pipe(File::options().write(true))?;
    let child = Command::new("cmd")
        .args(["/D", "/S", "/C"])
        // The shell takes away the outer quotes and leaves the rest as it is.
        .raw_arg(format!("\"{command}\""))
        .stdin(Stdio::from(its_input))
        .stdout(Stdio::from(its_output))
        .spawn()?;
    Ok((
        Handle::Local(Pipes::Command { input, output }.into()),
        child,
    ))
}

/// A pipe with a name that nobody can know, and its other end for a program that blocks.
fn pipe(other: &std::fs::OpenOptions) -> io::Result<(NamedPipeServer, File)> {
    // The keys of a hasher are random.
    let number = RandomState::new().build_hasher().finish();
    let name = format!(
        r"\\.\pipe\qapi-runtime-command-{}-{number:016x}",
        std::process::id()
    );
    let ours = ServerOptions::new()
        .first_pipe_instance(true)
        .max_instances(1)
        .create(&name)?;
    let theirs = other.open(&name)?;
    // The other end is there, so this is over at once.
    run_until(ours.connect(), None).expect("it runs until it is over")?;
    Ok((ours, theirs))
}
