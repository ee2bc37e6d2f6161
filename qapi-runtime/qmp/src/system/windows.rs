//! Windows. Clients and servers meet over TCP here, and no descriptors travel.

use std::env;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::os::windows::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use qapi_runtime::address::Address;
use qapi_runtime::client::CallOptions;
use rustix::fd::{AsSocket, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::Medium;
use crate::thread::not_started;

/// Where programs can listen here.
pub(crate) const LISTENERS: &str = "tcp:HOST:PORT";

const NO_DESCRIPTORS: &str = "Windows has no descriptors that travel";

fn unsupported(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, reason)
}

/// The file of a socket: there is none.
#[derive(Debug)]
pub(crate) enum SocketFile {}

/// Listens at an address that is not TCP: nobody does.
pub(crate) fn listen(_address: &Address) -> Option<io::Result<(OwnedFd, Option<SocketFile>)>> {
    None
}

/// Whether an error says by itself at which address nobody can listen.
pub(crate) fn has_address(_error: &io::Error) -> bool {
    false
}

/// Connects to a server whose bytes are passed on.
///
/// # Errors
///
/// Whatever keeps it from connecting, and an address that is not TCP.
pub(crate) fn open(address: &Address, patience: Duration) -> io::Result<OwnedFd> {
    let Address::Tcp(text) = address else {
        return Err(unsupported(
            "what passes bytes on connects to TCP only here",
        ));
    };
    let text = match text.strip_prefix(':') {
        Some(port) => format!("localhost:{port}"),
        None => text.clone(),
    };
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in text.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream.into());
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whether a socket listens: all are the program's own.
pub(crate) fn is_listening(_socket: &OwnedFd) -> io::Result<bool> {
    Ok(true)
}

/// The next client.
pub(crate) fn accept(listener: &OwnedFd) -> Result<OwnedFd, Errno> {
    rustix::net::accept(listener)
}

pub(crate) fn medium(_socket: &OwnedFd) -> io::Result<Medium> {
    Ok(Medium::Tcp)
}

/// Reads what is there; nothing at the end.
pub(crate) fn read(
    socket: &OwnedFd,
    _medium: Medium,
    buffer: &mut [u8],
    _descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    Ok(rustix::net::recv(socket, buffer, RecvFlags::empty())?.0)
}

/// Writes what the peer takes.
pub(crate) fn write(
    socket: &OwnedFd,
    _medium: Medium,
    bytes: &[u8],
    _descriptors: &[OwnedFd],
) -> io::Result<usize> {
    Ok(rustix::net::send(socket, bytes, SendFlags::empty())?)
}

/// Sends a descriptor along that this program was started with: there is none.
pub(crate) fn with_inherited(_call: CallOptions, _number: i32) -> io::Result<CallOptions> {
    Err(unsupported(NO_DESCRIPTORS))
}

/// Sends a file along: it cannot.
pub(crate) fn with_file(_call: CallOptions, _file: File) -> io::Result<CallOptions> {
    Err(unsupported(NO_DESCRIPTORS))
}

/// A command as people write it. What it starts ends together with it, by [`end_all`].
pub(crate) fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    // The shell has its own rules for quotes, so it gets the command as it is.
    shell.arg("/C").raw_arg(command);
    shell
}

/// Ends a shell and what it has started.
pub(crate) fn end_all(shell: &mut Child) {
    let mut end = Command::new("taskkill");
    end.args(["/F", "/T", "/PID", &shell.id().to_string()]);
    end.stdout(Stdio::null()).stderr(Stdio::null());
    // It may have ended by itself.
    let _ = end.status();
    let _ = shell.kill();
}

/// Takes Ctrl-C for this process.
pub(crate) fn on_interrupt(mut act: impl FnMut() + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let watch = move || {
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                act();
            }
        });
    };
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(watch).map(drop).map_err(not_started)
}

/// Where files are that can be made again: `%LOCALAPPDATA%`.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    let folder = env::var_os("LOCALAPPDATA").map(PathBuf::from);
    folder.filter(|path| path.is_absolute())
}

/// Where files are that are kept from run to run: `%LOCALAPPDATA%`, too.
pub(crate) fn state_folder() -> Option<PathBuf> {
    cache_folder()
}

/// What makes those who wait stop: readable from then on.
#[derive(Debug)]
pub(crate) struct Bell {
    rung: OwnedFd,
    rope: OwnedFd,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let rope = TcpStream::connect(listener.local_addr()?)?;
        let own = rope.local_addr()?;
        // Somebody else may have come in between.
        let rung = loop {
            let (stream, peer) = listener.accept()?;
            if peer == own {
                break stream;
            }
        };
        rope.set_nonblocking(true)?;
        Ok(Self {
            rung: rung.into(),
            rope: rope.into(),
        })
    }

    pub(crate) fn ring(&self) {
        // It is full if it has rung often, and readable then, too.
        let _ = rustix::net::send(&self.rope, b"!", SendFlags::empty());
    }
}

impl AsSocket for Bell {
    fn as_socket(&self) -> BorrowedFd<'_> {
        self.rung.as_socket()
    }
}
