//! A server in a process of its own.

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::panics;

/// A server in a folder of its own that listens on `qmp` there; killed when dropped.
///
/// Dropping it fails if it has told of a panic that was not announced.
#[derive(Debug)]
pub struct Server {
    child: Child,
    socket: PathBuf,
    said: Arc<Mutex<Vec<String>>>,
    /// Takes what it says on its standard error stream.
    reader: Option<JoinHandle<()>>,
    is_panic_expected: bool,
    /// Goes away with the server.
    folder: tempfile::TempDir,
}

/// What becomes of the lines that a server says.
#[derive(Clone, Copy)]
enum Voice {
    /// They belong to the test's output.
    Heard,
    /// They are of interest only when it does not start.
    Low,
}

impl Server {
    /// Starts the command that `command` makes for the path of a socket, and waits until it
    /// listens there.
    ///
    /// # Errors
    ///
    /// The program cannot be started, or ends.
    pub fn start(command: impl FnOnce(&Path) -> Command) -> Result<Self> {
        Self::start_in(tempfile::tempdir()?, command)
    }

    /// As [`Server::start`], in a folder that is there already.
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub fn start_in(
        folder: tempfile::TempDir,
        command: impl FnOnce(&Path) -> Command,
    ) -> Result<Self> {
        Self::start_with(Voice::Heard, folder, command)
    }

    fn start_with(
        voice: Voice,
        folder: tempfile::TempDir,
        command: impl FnOnce(&Path) -> Command,
    ) -> Result<Self> {
        let socket = folder.path().join("qmp");
        let mut command = command(&socket);
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let said = Arc::default();
        let stderr = child.stderr.take().context("no pipe")?;
        let reader = listen(stderr, voice, Arc::clone(&said));
        let mut server = Self {
            child,
            socket,
            said,
            reader: Some(reader),
            is_panic_expected: false,
            folder,
        };
        // The path appears before the socket listens.
        while UnixStream::connect(&server.socket).is_err() {
            if let Some(status) = server.child.try_wait()? {
                let said = server.said().join("\n");
                bail!("{program} ended: {status}\n{said}");
            }
            std::thread::park_timeout(std::time::Duration::from_millis(1));
        }
        Ok(server)
    }

    /// Starts a QEMU that has these arguments beside its monitor, and prints nothing.
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub fn start_qemu(program: &Path, arguments: &[&str]) -> Result<Self> {
        Self::start_with(Voice::Low, tempfile::tempdir()?, |socket| {
            let mut command = Command::new(program);
            command
                .args(["-nodefaults", "-display", "none"])
                .args(arguments)
                .arg("-qmp")
                .arg(format!("unix:{},server=on,wait=off", socket.display()));
            command
        })
    }

    /// From now on it may panic.
    pub fn expect_panic(&mut self) {
        self.is_panic_expected = true;
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

    /// What it has said so far on its standard error stream, all of it once it has ended.
    #[must_use]
    pub fn said(&mut self) -> Vec<String> {
        if matches!(self.child.try_wait(), Ok(Some(_)))
            && let Some(reader) = self.reader.take()
        {
            // It only reads lines.
            let _ = reader.join();
        }
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.clone()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let id = Pid::from_raw(self.process_id().cast_signed()).context("no process")?;
        Ok(kill_process(id, signal)?)
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
    /// The system does not say.
    pub fn wait_for_status(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    ///
    /// It ends, but not well.
    pub fn wait(&mut self) -> Result<()> {
        let status = self.wait_for_status()?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

/// Collects the lines of a stream until it ends.
fn listen(stderr: ChildStderr, voice: Voice, said: Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).split(b'\n') {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line).into_owned();
            if matches!(voice, Voice::Heard) {
                eprintln!("{line}");
            }
            said.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        }
    })
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let said = self.said();
        let panic = said.iter().find(|line| panics::is_told_by(line));
        if let Some(line) = panic
            && !self.is_panic_expected
            && !std::thread::panicking()
        {
            panic!("the server panicked, and the test did not announce it: {line}");
        }
    }
}
