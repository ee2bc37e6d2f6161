//! What a Linux guest boots with: a kernel, and files in memory.

mod archive;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

pub use self::archive::Archive;
use crate::Tool;

/// Modules of a virtio disk, in the order in which they need each other.
const MODULES: [&str; 6] = [
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci.ko",
    "drivers/block/virtio_blk.ko",
];

/// The parts of a guest.
#[derive(Debug)]
pub struct GuestLinux {
    kernel: PathBuf,
    modules: PathBuf,
    /// The programs of the guest, which must need no libraries.
    busybox: PathBuf,
}

impl GuestLinux {
    /// Finds all parts; what is not here is told on behalf of `test`.
    ///
    /// # Panics
    ///
    /// When the folder that `GUEST_LINUX` names has no kernel.
    #[must_use]
    pub fn for_test(test: &str) -> Option<Self> {
        let busybox = Tool::Program("busybox").for_test(test)?;
        let root = Tool::GuestLinux.for_test(test)?;
        Some(Self::of(&root, busybox).expect("a kernel"))
    }

    fn of(root: &Path, busybox: PathBuf) -> Result<Self> {
        for file in fs::read_dir(root.join("boot"))? {
            let name = file?.file_name();
            let version = name.to_str().and_then(|it| it.strip_prefix("vmlinuz-"));
            if let Some(version) = version {
                return Ok(Self {
                    kernel: root.join("boot").join(&name),
                    modules: root.join("lib/modules").join(version).join("kernel"),
                    busybox,
                });
            }
        }
        anyhow::bail!("no kernel below {}", root.display())
    }

    /// The kernel.
    #[must_use]
    pub fn kernel(&self) -> &Path {
        &self.kernel
    }

    /// Files of a guest whose first program is the script `init`: `/bin/busybox`, and `/NAME.ko` of each module that a virtio disk
    /// needs and the kernel has not built in.
    ///
    /// # Errors
    ///
    /// A part that cannot be read.
    pub fn files(&self, init: &[u8]) -> Result<Archive> {
        let read = |path: &Path| fs::read(path).with_context(|| path.display().to_string());
        let mut archive = Archive::default();
        archive.folder("bin");
        archive.folder("dev");
        archive.device("dev/console", (5, 1));
        archive.program("bin/busybox", &read(&self.busybox)?);
        archive.program("init", init);
        for module in MODULES {
            let path = self.modules.join(module);
            if let (Some(name), true) = (path.file_name().and_then(|it| it.to_str()), path.exists())
            {
                archive.program(name, &read(&path)?);
            }
        }
        Ok(archive)
    }
}
