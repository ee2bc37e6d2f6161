//! Servers of vfio-user: rust-vmm's, and some that break the protocol.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;

use libtest_mimic::Failed;
use serde_json::json;
use vfio_bindings::bindings::vfio::vfio_region_info;
use vfio_user::{DmaMapFlags, DmaUnmapFlags, Server, ServerBackend, ServerRegion};

use super::world::World;

pub(crate) const VENDOR: u16 = 0x1af4;
pub(crate) const DEVICE: u16 = 0x1234;
pub(crate) const BAR_SIZE: u64 = 4096;

/// A device that has nothing but its ids.
struct Device;

impl ServerBackend for Device {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> std::io::Result<()> {
        assert_eq!((region, offset, data.len()), (7, 0, 4));
        data[..2].copy_from_slice(&VENDOR.to_le_bytes());
        data[2..].copy_from_slice(&DEVICE.to_le_bytes());
        Ok(())
    }

    fn region_write(&mut self, _: u32, _: u64, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }

    fn dma_map(
        &mut self,
        _: DmaMapFlags,
        _: u64,
        _: u64,
        _: u64,
        _: Option<std::fs::File>,
    ) -> std::io::Result<()> {
        Ok(())
    }

    fn dma_unmap(&mut self, _: DmaUnmapFlags, _: u64, _: u64) -> std::io::Result<()> {
        Ok(())
    }

    fn reset(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    fn set_irqs(
        &mut self,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: Vec<std::fs::File>,
    ) -> std::io::Result<()> {
        Ok(())
    }
}

/// Serves one connection at a path, which it takes away some time after its client is gone.
pub(crate) fn serve(path: &Path) {
    let region = |index: u32, size: u64| ServerRegion {
        region_info: vfio_region_info {
            argsz: 32,
            flags: 3,
            index,
            size,
            ..Default::default()
        },
        sparse_areas: Vec::new(),
        mmap_fd: None,
    };
    let mut regions: Vec<_> = (0..9).map(|index| region(index, 0)).collect();
    regions[0] = region(0, BAR_SIZE);
    regions[7] = region(7, 256);
    let server = Server::new(path, true, Vec::new(), regions).expect("a server");
    std::thread::spawn(move || {
        // Ends with its client.
        let _ = server.run(&mut Device);
    });
}

/// Each server is wrong in another way. The device is refused, and nothing is left of it.
#[test]
fn servers_that_break_the_protocol() -> Result<(), Failed> {
    let world = &mut World::start()?;
    let before = world.snapshot()?;
    let message = |id: u16, size: u32, flags: u32, payload: &[u8]| {
        let mut bytes = id.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&1_u16.to_ne_bytes());
        bytes.extend_from_slice(&size.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&22_u32.to_ne_bytes());
        bytes.extend_from_slice(payload);
        bytes
    };
    let cases: [(Vec<u8>, &str); 7] = [
        // Hangs up.
        (Vec::new(), "vfio-user: Version: the server is gone"),
        // Sends a message that cannot be one.
        (
            message(0, 3, 1, &[]),
            "vfio-user: Version: the server is gone",
        ),
        (
            message(0, u32::MAX, 1, &[]),
            "vfio-user: Version: the server is gone",
        ),
        // Refuses.
        (
            message(0, 16, 1 | 32, &[]),
            "vfio-user: Version: refused by the server: Invalid argument",
        ),
        // Answers something else.
        (
            message(5, 16, 1, &[]),
            "vfio-user: Version: the server is gone",
        ),
        (
            message(0, 20, 1, &[9_u16, 0].map(u16::to_ne_bytes).concat()),
            "vfio-user: incompatible server version 9.0",
        ),
        (
            message(0, 18, 1, &[0, 0]),
            "vfio-user: reply of 18 bytes to Version",
        ),
    ];
    for (answer, text) in cases {
        let path = world.path("vfio");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        let server = std::thread::spawn(move || -> std::io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            let mut request = [0; 16];
            stream.read_exact(&mut request)?;
            let size = u32::from_ne_bytes([request[4], request[5], request[6], request[7]]);
            let mut rest = vec![0; size as usize - request.len()];
            stream.read_exact(&mut rest)?;
            stream.write_all(&answer)
        });
        let device = json!({"driver": "vfio-user-pci", "id": "d0", "socket": {"type": "unix", "path": path}});
        let refusal = world.refusal("device_add", &device)?;
        assert_eq!(refusal, text);
        server.join().expect("the server ends")?;
        assert_eq!(world.snapshot()?, before);
    }
    // One that says nothing is given up after the time that the device allows.
    let path = world.path("vfio");
    let _ = std::fs::remove_file(&path);
    let _silent = UnixListener::bind(&path)?;
    let device = json!({"driver": "vfio-user-pci", "id": "d0", "x-msg-timeout": 1,
                        "socket": {"type": "unix", "path": path}});
    let refusal = world.refusal("device_add", &device)?;
    assert_eq!(refusal, "vfio-user: Version: no reply in time");
    assert_eq!(world.snapshot()?, before);
    Ok(())
}
