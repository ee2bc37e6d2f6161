//! A Linux guest whose disk comes and goes under it: everything is read back, and nothing fails.
//!
//! - `machine`: the virtual machine, and what it says.
//! - `verify.rs`, `init`: programs of the guest; `pattern.rs`: what they and this have in common.

mod machine;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use self::machine::{Machine, Parts};
use crate::harness::{Client, Server};

include!("pattern.rs");

/// How often the disk is taken away in each way.
const N_ROUNDS: usize = 20;

/// How the server ends.
const ENDS: [&str; 3] = ["quit", "TERM", "HUP"];

/// A server with the disk.
struct Host {
    server: Server,
    client: Client,
    socket: PathBuf,
}

impl Host {
    fn start(folder: &Path) -> Self {
        let image = folder.join("image");
        let node = format!("driver=file,node-name=n0,filename={}", image.display());
        let server = Server::start(&[
            "--object",
            "iothread,id=io0",
            "--object",
            "iothread,id=io1",
            "--blockdev",
            &node,
        ]);
        let client = server.client();
        let mut host = Self {
            server,
            client,
            socket: folder.join("disk"),
        };
        host.export();
        host
    }

    fn export(&mut self) {
        let export = json!({
            "type": "vhost-user-blk", "id": "e0", "node-name": "n0", "writable": true, "num-queues": 2,
            "addr": {"type": "unix", "path": self.socket},
        });
        self.client.execute("block-export-add", export);
    }

    fn remove(&mut self) {
        let arguments = json!({"id": "e0", "mode": "hard"});
        self.client.execute("block-export-del", arguments);
        assert_eq!(self.client.event()["event"], "BLOCK_EXPORT_DELETED");
    }

    fn move_to(&mut self, thread: &Value) {
        let arguments = json!({"node-name": "n0", "iothread": thread, "force": true});
        self.client.execute("x-blockdev-set-iothread", arguments);
    }

    fn end(mut self, how: &str) {
        if how == "quit" {
            self.client.execute("quit", json!({}));
        } else {
            self.server.signal(how);
        }
        assert_eq!(self.server.wait().code(), Some(0), "{how}");
    }
}

#[test]
fn a_guest_loses_nothing_when_its_disk_comes_and_goes() {
    let Some(parts) = Parts::find("a Linux guest") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let size = BLOCK_SIZE * BLOCKS_PER_WORKER * N_WORKERS;
    std::fs::write(&image, vec![0; size]).unwrap();
    let mut host = Host::start(folder.path());
    let mut machine = Machine::boot(&parts, folder.path(), &host.socket);
    machine.wait_for_progress("after the start");
    for round in 0..N_ROUNDS {
        host.remove();
        host.export();
        machine.wait_for_progress(&format!("after removal {round}"));
        for thread in [json!("io1"), Value::Null, json!("io0")] {
            host.move_to(&thread);
            machine.wait_for_progress(&format!("after move {round} to {thread}"));
        }
        let how = ENDS[round % ENDS.len()];
        host.end(how);
        host = Host::start(folder.path());
        machine.wait_for_progress(&format!("after end {round}, {how}"));
    }
    let written = machine.finish();
    host.end("quit");
    assert_eq!(written.len(), BLOCKS_PER_WORKER * N_WORKERS);
    assert!(written.iter().all(|(_, number)| *number > 0));
    let contents = std::fs::read(&image).unwrap();
    for (block, number) in written {
        let found = &contents[block * BLOCK_SIZE..][..BLOCK_SIZE];
        assert!(found == pattern(block, number), "block {block}, {number}");
    }
}
