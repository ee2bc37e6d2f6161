//! Servers to look at.

use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tests::{Server, eventually};

use super::{IOTHREADD, Program};

/// A command that is `iothreadd` with these arguments.
fn iothreadd(arguments: &[&str]) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0(IOTHREADD).args(arguments);
    Ok(command)
}

/// `iothreadd` with these arguments beside its monitor.
pub(crate) fn start_iothreadd(arguments: &[&str]) -> anyhow::Result<Server> {
    let mut command = iothreadd(arguments)?;
    Server::start(|socket| {
        command
            .arg("--qmp")
            .arg(format!("unix:{}", socket.display()));
        command
    })
}

/// `iothreadd` at these sockets, once it listens at all of them.
pub(crate) fn start_at(sockets: &[&Path], arguments: &[&str]) -> anyhow::Result<Program> {
    let mut command = iothreadd(arguments)?;
    for socket in sockets {
        command
            .arg("--qmp")
            .arg(format!("unix:{}", socket.display()));
    }
    let server = Program(command.stdin(Stdio::null()).spawn()?);
    for socket in sockets {
        eventually(|| UnixStream::connect(socket).is_ok());
    }
    Ok(server)
}

/// The path of this program under its other name.
pub(crate) fn named_iothreadd(folder: &Path) -> std::io::Result<String> {
    let path = folder.join(IOTHREADD);
    std::os::unix::fs::symlink(std::env::current_exe()?, &path)?;
    Ok(path.display().to_string())
}
