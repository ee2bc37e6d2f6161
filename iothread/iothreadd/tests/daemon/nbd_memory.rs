//! The memory that NBD clients take up, all together.

use std::thread;

use serde_json::json;

use crate::harness::Server;
use crate::nbd::{BLOCK_STATUS, Nbd, READ, WRITE};

const MIB: usize = 1 << 20;

/// The longest request.
const LONGEST: u32 = 32 << 20;

/// A server with this much memory for NBD clients, and an export "e" of zeroes.
fn start(limit: &str) -> (Server, std::path::PathBuf) {
    let limit = format!("nbd={limit}");
    let server = Server::start(&["--object", "iothread,id=io0", "--limit", &limit]);
    let mut client = server.client();
    // A request is under way for a while, so that others come meanwhile.
    let node = json!({"driver": "null-co", "node-name": "n0", "read-zeroes": true, "latency-ns": 2_000_000});
    client.execute("blockdev-add", node);
    let socket = server.folder().join("nbd");
    let address = json!({"type": "unix", "data": {"path": socket}});
    client.execute("nbd-server-start", json!({"addr": address}));
    let export = json!({"type": "nbd", "id": "e", "name": "e", "node-name": "n0", "iothread": "io0",
                        "writable": true});
    client.execute("block-export-add", export);
    (server, socket)
}

/// The most memory that a process has had so far.
fn peak(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

#[test]
fn all_clients_share_what_there_is() {
    let (server, socket) = start("64M");
    // Two of the longest at a time would be 64 MiB for each of them.
    let mut greedy: Vec<Nbd> = (0..24).map(|_| Nbd::open(&socket, "e")).collect();
    for nbd in &mut greedy {
        for _ in 0..3 {
            nbd.request(READ, 0, 0, LONGEST);
        }
    }
    // They do not read, and others have their part nevertheless.
    let mut modest = Nbd::open(&socket, "e");
    for round in 0..20 {
        assert_eq!(modest.read(round * 4096, 4096), [0; 4096]);
        modest.write(round * 4096, &[1; 4096]);
    }
    // As soon as they do, everybody is served.
    let clients = greedy.into_iter().enumerate().map(|(number, mut nbd)| {
        thread::spawn(move || {
            for _ in 0..3 {
                assert_eq!(nbd.simple().1, 0);
                nbd.skip(LONGEST.into());
            }
            if number % 4 == 0 {
                nbd.write(0, &vec![1; LONGEST as usize]);
            }
            nbd.read(0, 512);
        })
    });
    let clients: Vec<_> = clients.collect();
    for client in clients {
        client.join().unwrap();
    }
    modest.read(0, 4096);
    let peak = peak(&server);
    assert!(peak < 160 * MIB, "{} MiB", peak / MIB);
}

#[test]
fn one_request_always_fits() {
    let (_server, socket) = start("1M");
    let mut others = [Nbd::open(&socket, "e"), Nbd::open(&socket, "e")];
    for nbd in &mut others {
        nbd.request(WRITE, 0, 0, LONGEST);
        nbd.send(&vec![1; LONGEST as usize]);
        assert_eq!(nbd.simple().1, 0);
        nbd.request(READ, 0, 0, LONGEST);
        nbd.request(READ, 0, 0, 4096);
        assert_eq!(nbd.simple().1, 0);
        nbd.bytes(LONGEST as usize);
        assert_eq!(nbd.simple().1, 0);
        nbd.bytes(4096);
    }
}

/// Extents take memory, too, and those who leave give back what they had.
#[test]
fn who_leaves_gives_back_what_it_had() {
    let (_server, socket) = start("1M");
    for _ in 0..50 {
        let mut nbd = Nbd::open_structured(&socket, "e");
        nbd.request(BLOCK_STATUS, 0, 0, 1 << 29);
        nbd.request(READ, 0, 0, LONGEST);
        nbd.request(WRITE, 0, 0, LONGEST);
        nbd.send(&[1; 4096]);
    }
    assert_eq!(
        Nbd::open(&socket, "e").read(0, LONGEST).len(),
        LONGEST as usize
    );
}
