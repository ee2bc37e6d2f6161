//! A live QEMU.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use libtest_mimic::Failed;

/// A QEMU without a machine, in a folder of its own; killed when dropped.
#[derive(Debug)]
pub struct Qemu {
    child: Child,
    folder: tempfile::TempDir,
}

impl Qemu {
    /// Starts it, and waits until its QMP socket is there.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn start(program: &Path) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("qmp.sock");
        let child = Command::new(program)
            .args(["-machine", "none", "-nodefaults", "-display", "none"])
            .arg("-qmp")
            .arg(format!("unix:{},server=on,wait=off", socket.display()))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut qemu = Self { child, folder };
        while !qemu.socket().exists() {
            if let Some(status) = qemu.child.try_wait()? {
                return Err(format!("QEMU ended: {status}").into());
            }
            std::thread::yield_now();
        }
        Ok(qemu)
    }

    /// The path of its QMP socket. Between the file and listening there is a moment.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("qmp.sock")
    }

    /// The folder that goes away with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
