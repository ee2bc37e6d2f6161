//! Files under nodes: what is read and written is what is in the file, whatever the way there.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Client, Server};
use crate::nbd::{BLOCK_STATUS, FLUSH, Nbd, TRIM, WRITE, WRITE_ZEROES};

/// A server whose export "e" shows an image with these contents through a node with these options.
struct Fixture {
    _server: Server,
    client: Client,
    image: PathBuf,
    socket: PathBuf,
}

impl Fixture {
    fn new(contents: &[u8], options: Value) -> Option<Self> {
        let server = Server::start(&["--object", "iothread,id=io0"]);
        let mut client = server.client();
        let image = server.folder().join("image");
        std::fs::write(&image, contents).unwrap();
        let mut node = json!({"driver": "file", "node-name": "e", "filename": image});
        for (name, value) in options.as_object().unwrap() {
            node[name] = value.clone();
        }
        let added = client.exchange("blockdev-add", node);
        if let Some(text) = added["error"]["desc"].as_str() {
            // Some file systems have no O_DIRECT.
            assert!(text.ends_with("Invalid argument"), "{text}");
            println!("skipped: transfers past the page cache: {text}");
            return None;
        }
        let socket = server.folder().join("nbd");
        let address = json!({"type": "unix", "data": {"path": socket}});
        client.execute("nbd-server-start", json!({"addr": address}));
        let export = json!({"type": "nbd", "id": "e", "node-name": "e", "iothread": "io0", "writable": true});
        client.execute("block-export-add", export);
        Some(Self {
            _server: server,
            client,
            image,
            socket,
        })
    }

    fn open(&self) -> Nbd {
        Nbd::open(&self.socket, "e")
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.image).unwrap()
    }
}

/// Writes and reads pieces of all sizes at all places, and compares with a copy in memory.
fn check_transfers(fixture: &Fixture, size: usize) {
    let mut model = fixture.bytes();
    model.resize(size, 0);
    let mut nbd = fixture.open();
    let mut state = 12_345_u64;
    let mut random = |limit: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % limit
    };
    for round in 0..200 {
        let start = random(size);
        let length = 1 + random((size - start).min(20_000));
        let range = start..start + length;
        match round % 4 {
            0 => {
                let got = nbd.read(start as u64, u32::try_from(length).unwrap());
                assert!(got == model[range], "round {round}");
            }
            1 => {
                let length = u32::try_from(length).unwrap();
                assert_eq!(nbd.exchange(WRITE_ZEROES, 2, start as u64, length), 0);
                model[range].fill(0);
            }
            _ => {
                let data = vec![u8::try_from(round).unwrap() | 1; length];
                nbd.write(start as u64, &data);
                model[range].copy_from_slice(&data);
            }
        }
    }
    assert_eq!(nbd.exchange(FLUSH, 0, 0, 0), 0);
    assert!(nbd.read(0, u32::try_from(size).unwrap()) == model);
    let mut bytes = fixture.bytes();
    assert!(bytes.len() <= size, "it has grown to {}", bytes.len());
    bytes.resize(size, 0);
    assert!(bytes == model);
}

#[test]
fn transfers_through_the_page_cache() {
    let contents = vec![3; 300_000];
    let fixture = Fixture::new(&contents, json!({})).unwrap();
    check_transfers(&fixture, 300_032);
}

#[test]
fn transfers_past_the_page_cache() {
    // 586 sectors, which are not a whole number of larger blocks.
    let contents = vec![3; 300_000];
    let options = json!({"cache": {"direct": true}});
    if let Some(fixture) = Fixture::new(&contents, options) {
        check_transfers(&fixture, 300_032);
    }
}

#[test]
fn zeroes_are_detected() {
    let options = json!({"discard": "unmap", "detect-zeroes": "unmap"});
    let mut fixture = Fixture::new(&vec![3; 1 << 20], options).unwrap();
    let allocated = |fixture: &mut Fixture| {
        let nodes = fixture.client.execute("query-named-block-nodes", json!({}));
        nodes[0]["image"]["actual-size"].as_u64().unwrap()
    };
    let before = allocated(&mut fixture);
    let mut nbd = fixture.open();
    nbd.write(0, &vec![0; 512 << 10]);
    assert!(before - allocated(&mut fixture) >= 512 << 10);
    assert_eq!(nbd.read(0, 4096), [0; 4096]);
    assert_eq!(nbd.read(512 << 10, 4096), [3; 4096]);
    nbd.write(0, &vec![0; 512]);
    assert_eq!(fixture.bytes().len(), 1 << 20);
}

#[test]
fn discarding_is_up_to_the_node() {
    for (discard, freed) in [("ignore", false), ("unmap", true)] {
        let options = json!({"discard": discard});
        let mut fixture = Fixture::new(&vec![3; 1 << 20], options).unwrap();
        let mut nbd = fixture.open();
        assert_eq!(nbd.exchange(TRIM, 0, 0, 1 << 20), 0);
        let is_zero = fixture.bytes().iter().all(|byte| *byte == 0);
        assert_eq!(is_zero, freed);
        let nodes = fixture.client.execute("query-named-block-nodes", json!({}));
        let allocated = nodes[0]["image"]["actual-size"].as_u64().unwrap();
        assert_eq!(allocated < 1 << 20, freed);
    }
}

#[test]
fn a_window_shows_its_part() {
    let mut contents = vec![1; 4096];
    contents[1024..2048].fill(2);
    let mut fixture = Fixture::new(&contents, json!({})).unwrap();
    let window =
        json!({"driver": "raw", "node-name": "w", "file": "e", "offset": 1024, "size": 1024});
    fixture.client.execute("blockdev-add", window);
    let export = json!({"type": "nbd", "id": "w", "node-name": "w", "writable": true});
    fixture.client.execute("block-export-add", export);
    let mut nbd = Nbd::open(&fixture.socket, "w");
    assert_eq!(nbd.read(0, 1024), [2; 1024]);
    assert_eq!(nbd.exchange(0, 0, 1000, 25), 22);
    nbd.write(0, &[9; 1024]);
    contents[1024..2048].fill(9);
    assert!(fixture.bytes() == contents);
}

#[test]
fn null_nodes_take_their_time() {
    let server = Server::start(&["--object", "iothread,id=io0"]);
    let mut client = server.client();
    let node = json!({"driver": "null-co", "node-name": "e", "read-zeroes": true, "latency-ns": 20_000_000});
    client.execute("blockdev-add", node);
    let socket = server.folder().join("nbd");
    let address = json!({"type": "unix", "data": {"path": socket}});
    client.execute("nbd-server-start", json!({"addr": address}));
    let export =
        json!({"type": "nbd", "id": "e", "node-name": "e", "iothread": "io0", "writable": true});
    client.execute("block-export-add", export);
    let mut nbd = Nbd::open_structured(&socket, "e");
    // What takes no time overtakes what does.
    nbd.request(0, 0, 0, 4096);
    nbd.request(BLOCK_STATUS, 0, 0, 4096);
    let status = nbd.chunk();
    assert_eq!(status.kind, 5);
    assert_eq!(status.payload[4..], [0, 0, 16, 0, 0, 0, 0, 3]);
    let hole = nbd.chunk();
    assert_eq!((hole.kind, hole.done), (2, true));
    // One that is waiting does not keep the export.
    nbd.request(0, 0, 0, 4096);
    client.execute("block-export-del", json!({"id": "e", "mode": "hard"}));
    client.event();
    assert_eq!(client.holders("io0"), [] as [Value; 0]);
    client.execute("object-del", json!({"id": "io0"}));
    client.execute("blockdev-del", json!({"node-name": "e"}));
}

#[test]
fn zeroes_beside_a_write_to_the_same_block_stay() {
    let options = json!({"cache": {"direct": true}, "discard": "unmap"});
    let Some(fixture) = Fixture::new(&[3; 4096], options) else {
        return;
    };
    let mut nbd = fixture.open();
    for round in 0..300_u32 {
        nbd.write(0, &[5; 4096]);
        let data = [u8::try_from(round % 251).unwrap(); 100];
        nbd.request(WRITE, 0, 0, 100);
        nbd.send(&data);
        // To be written, and to be freed.
        let flags = if round.is_multiple_of(2) { 2 } else { 0 };
        nbd.request(WRITE_ZEROES, flags, 256, 200);
        for _ in 0..2 {
            assert_eq!(nbd.simple().1, 0);
        }
        let bytes = nbd.read(0, 512);
        assert_eq!(bytes[..100], data, "round {round}");
        assert_eq!(bytes[256..456], [0; 200], "round {round}");
        assert!(
            bytes[100..256]
                .iter()
                .chain(&bytes[456..])
                .all(|it| *it == 5)
        );
    }
}
