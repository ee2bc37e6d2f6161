//! Connections of clients.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::OFlags;

use super::super::PeerCredentials;
use super::kernel::{abstract_address, stream_socket};
use super::passing::{inherited, peer_credentials};
use super::path;

/// A connection that is open.
pub(crate) struct Handle {
    pub(super) input: OwnedFd,
    /// Where the direction to the peer has a descriptor of its own.
    pub(super) output: Option<OwnedFd>,
}

impl From<OwnedFd> for Handle {
    fn from(descriptor: OwnedFd) -> Self {
        Self {
            input: descriptor,
            output: None,
        }
    }
}

impl From<TcpStream> for Handle {
    fn from(stream: TcpStream) -> Self {
        OwnedFd::from(stream).into()
    }
}

impl Handle {
    /// Who is at the other end, where that can be told.
    pub(crate) fn credentials(&self) -> Option<PeerCredentials> {
        peer_credentials(&self.input).ok()
    }

    /// The descriptor, unless there are two.
    pub(crate) fn into_descriptor(self) -> io::Result<OwnedFd> {
        match self.output {
            None => Ok(self.input),
            Some(_) => Err(super::super::unsupported(
                "this connection has two descriptors",
            )),
        }
    }
}

/// Connects to a unix socket without waiting for room in the queue of those who are to be accepted.
pub(crate) fn connect_unix(path: &Path) -> io::Result<Handle> {
    let socket = stream_socket()?;
    path::connect(&socket, path)?;
    Ok(socket.into())
}

/// The same by an abstract name.
pub(crate) fn connect_abstract(name: &[u8]) -> io::Result<Handle> {
    let address = abstract_address(name)?;
    let socket = stream_socket()?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket.into())
}

/// Takes a descriptor that the program was started with.
pub(crate) fn inherit(number: i32) -> io::Result<Handle> {
    Ok(inherited(number)?.into())
}

/// Opens what `-chardev pipe` of QEMU has open: NAME.in to write and NAME.out to read, or else one file for both directions.
pub(crate) fn connect_pipe(name: &Path) -> io::Result<Handle> {
    let beside = |end: &str| {
        let mut path = name.as_os_str().to_owned();
        path.push(end);
        PathBuf::from(path)
    };
    let mut options = std::fs::File::options();
    options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
    // A FIFO that nobody reads cannot be opened to write; it is opened first, so that the other one has its writer.
    let output = match options.write(true).open(beside(".in")) {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let file = options.read(true).open(name)?;
            return match file.metadata()?.file_type().is_fifo() {
                false => Ok(OwnedFd::from(file).into()),
                true => Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "a FIFO has one direction: NAME.in and NAME.out are expected",
                )),
            };
        }
        Err(error) => return Err(error),
    };
    let input = options.write(false).read(true).open(beside(".out"))?;
    Ok(Handle {
        input: input.into(),
        output: Some(output.into()),
    })
}

/// Has the shell start a command whose standard streams are one socket.
pub(crate) fn execute(command: &str) -> io::Result<(Handle, Child)> {
    let (ours, theirs) = UnixStream::pair()?;
    let (input, output) = (OwnedFd::from(theirs.try_clone()?), OwnedFd::from(theirs));
    let child = Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(output))
        .spawn()?;
    Ok((OwnedFd::from(ours).into(), child))
}
