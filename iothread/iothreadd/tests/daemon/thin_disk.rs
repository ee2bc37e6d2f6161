//! A block device of the host that promises more space than there is: a loop device on a sparse file in a small file system.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the device says that it has.
pub(crate) const PROMISED: u64 = 64 << 20;

/// A device whose writes succeed, into the host's cache, until there is no room for them.
pub(crate) struct ThinDisk {
    folder: tempfile::TempDir,
    device: PathBuf,
}

/// Runs a tool. Returns what it prints.
fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        let text = String::from_utf8_lossy(&output.stderr);
        Err(format!("{program}: {}", text.trim()))
    }
}

impl ThinDisk {
    /// Makes a device with room for `room` bytes and a little more; `None`, and a line that says so, where that cannot be done.
    pub(crate) fn new(room: u64) -> Option<Self> {
        match Self::try_new(room) {
            Ok(disk) => Some(disk),
            Err(reason) => {
                println!("skipped: a device without room: {reason}");
                None
            }
        }
    }

    fn try_new(room: u64) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={room}");
        let place = folder.path().to_str().unwrap();
        run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", place])?;
        let mut disk = Self {
            device: PathBuf::new(),
            folder,
        };
        let backing = std::fs::File::create(disk.backing()).unwrap();
        backing.set_len(PROMISED).unwrap();
        let backing = disk.backing();
        disk.device = run("losetup", &["-f", "--show", backing.to_str().unwrap()])?.into();
        Ok(disk)
    }

    fn backing(&self) -> PathBuf {
        self.folder.path().join("backing")
    }

    pub(crate) fn device(&self) -> &Path {
        &self.device
    }

    /// Gives it the room that it promises, and takes note of all failures so far.
    pub(crate) fn make_room(&self) {
        let size = format!("remount,size={}", 2 * PROMISED);
        run(
            "mount",
            &["-o", &size, self.folder.path().to_str().unwrap()],
        )
        .unwrap();
        // Who opens the device is told of those that have not been told yet.
        let device = std::fs::File::open(&self.device).unwrap();
        while device.sync_all().is_err() {}
    }

    /// What is stored, whatever the host has in its cache of the device.
    pub(crate) fn stored(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let backing = std::fs::File::open(self.backing()).unwrap();
        backing.read_exact_at(&mut bytes, offset).unwrap();
        bytes
    }
}

impl Drop for ThinDisk {
    fn drop(&mut self) {
        // A test that has failed may have left the device in use; it goes away with its last user then.
        if self.device != Path::new("") {
            let _ = run("losetup", &["-d", self.device.to_str().unwrap()]);
        }
        let _ = run("umount", &["-l", self.folder.path().to_str().unwrap()]);
    }
}
