//! A QMP server in a process of its own.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// A server in a folder of its own that listens on `qmp.sock` there; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    socket: PathBuf,
    /// Goes away with the server.
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts the command that `command` makes for the path of a socket, and waits until it
    /// listens there.
    ///
    /// # Errors
    ///
    /// The program cannot be started, or ends.
    pub fn start(command: impl FnOnce(&Path) -> Command) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("qmp.sock");
        let mut command = command(&socket);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let mut server = Self {
            child,
            socket,
            folder,
        };
        // The path appears before the socket listens.
        while UnixStream::connect(&server.socket).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{program} ended: {status}");
            }
            std::thread::yield_now();
        }
        Ok(server)
    }

    /// Starts a QEMU that has these arguments beside its monitor, and prints nothing.
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub fn start_qemu(program: &Path, arguments: &[&str]) -> Result<Self> {
        Self::start(|socket| {
            let mut command = Command::new(program);
            command
                .args(["-nodefaults", "-display", "none"])
                .args(arguments)
                .arg("-qmp")
                .arg(format!("unix:{},server=on,wait=off", socket.display()))
                .stderr(Stdio::null());
            command
        })
    }

    /// The path of its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The folder that goes away with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The number of its process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it in the middle of whatever it does.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    ///
    /// It ends, but not well.
    pub fn wait(&mut self) -> Result<()> {
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
