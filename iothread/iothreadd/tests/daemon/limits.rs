//! Limits of the host, and values beyond all reason.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use crate::harness::Server;
use crate::nbd::{Nbd, WRITE, WRITE_ZEROES};

const MIB: u64 = 1 << 20;

/// What lies beyond the limit of a file's size cannot be written, which ends no process.
#[test]
fn a_limit_of_the_size_of_files_is_an_error_of_the_request() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let image = server.folder().join("image");
    let file = std::fs::File::create(&image).unwrap();
    file.set_len(4 * MIB).unwrap();
    let limit = Rlimit {
        current: Some(MIB),
        maximum: Some(MIB),
    };
    let pid = Pid::from_raw(server.id().cast_signed());
    prlimit(pid, Resource::Fsize, limit).unwrap();
    let node = json!({"driver": "file", "node-name": "n0", "filename": image});
    client.execute("blockdev-add", node);
    let socket = server.folder().join("nbd");
    let address = json!({"type": "unix", "data": {"path": socket}});
    client.execute("nbd-server-start", json!({"addr": address}));
    let export =
        json!({"type": "nbd", "id": "e", "name": "e", "node-name": "n0", "writable": true});
    client.execute("block-export-add", export);
    let mut nbd = Nbd::open(&socket, "e");
    // The protocol has no number for EFBIG, and QEMU takes that of a full device for it.
    const ENOSPC: u32 = 28;
    nbd.request(WRITE, 0, 2 * MIB, 4096);
    nbd.send(&[1; 4096]);
    assert_eq!(nbd.simple().1, ENOSPC);
    nbd.request(WRITE, 0, 0, 4096);
    nbd.send(&[1; 4096]);
    assert_eq!(nbd.simple().1, 0);
    nbd.request(WRITE_ZEROES, 0, 4 * MIB - 4096, 4096);
    nbd.simple();
    assert_eq!(client.execute("query-name", json!({})), json!({}));
}
