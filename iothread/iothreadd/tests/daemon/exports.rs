//! Exports: what they take, what they give back, and in which order.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Client, Server, eventually};
use crate::nbd::{self, Nbd};

/// A server with two IOThreads, a file of a mebibyte, and the NBD server running.
struct Fixture {
    server: Server,
    client: Client,
    image: PathBuf,
}

impl Fixture {
    fn new() -> Self {
        let server = Server::start(&["--object", "iothread,id=io0", "--object", "iothread,id=io1"]);
        let mut client = server.client();
        let image = server.folder().join("image");
        std::fs::write(&image, vec![7; 1 << 20]).unwrap();
        let node = json!({"driver": "file", "node-name": "n0", "filename": image});
        client.execute("blockdev-add", node);
        let mut fixture = Self {
            server,
            client,
            image,
        };
        fixture.start_nbd();
        fixture
    }

    fn socket(&self) -> PathBuf {
        self.server.folder().join("nbd")
    }

    fn start_nbd(&mut self) {
        let address = json!({"type": "unix", "data": {"path": self.socket()}});
        self.client
            .execute("nbd-server-start", json!({"addr": address}));
    }

    fn export(&mut self, id: &str, more: Value) -> Value {
        self.client.exchange("block-export-add", options(id, more))
    }

    fn export_ok(&mut self, id: &str, more: Value) {
        assert_eq!(self.export(id, more), json!({"return": {}}));
    }

    fn export_error(&mut self, id: &str, more: Value) -> String {
        let reply = self.export(id, more);
        reply["error"]["desc"].as_str().unwrap().to_owned()
    }

    fn delete(&mut self, id: &str, mode: &str) {
        let arguments = json!({"id": id, "mode": mode});
        self.client.execute("block-export-del", arguments);
        self.expect_deleted(id);
    }

    fn expect_deleted(&mut self, id: &str) {
        let event = self.client.event();
        assert_eq!(event["event"], "BLOCK_EXPORT_DELETED");
        assert_eq!(event["data"], json!({"id": id}));
    }

    /// Whether the server has the image open.
    fn has_image_open(&self) -> bool {
        let descriptors = format!("/proc/{}/fd", self.server.id());
        let mut descriptors = std::fs::read_dir(descriptors).unwrap();
        // One that was closed meanwhile is not looked at.
        descriptors
            .any(|it| std::fs::read_link(it.unwrap().path()).is_ok_and(|it| it == self.image))
    }

    fn holders(&mut self) -> [Vec<Value>; 2] {
        ["io0", "io1"].map(|thread| self.client.holders(thread))
    }

    /// The kernel's numbers of the IOThreads.
    fn thread_ids(&mut self) -> [u64; 2] {
        let threads = self.client.execute("query-iothreads", json!({}));
        [0, 1].map(|index| threads[index]["thread-id"].as_u64().unwrap())
    }

    /// How many bytes each of the IOThreads has written so far.
    fn written(&mut self) -> [u64; 2] {
        let pid = self.server.id();
        self.thread_ids().map(|thread| {
            let path = format!("/proc/{pid}/task/{thread}/io");
            let text = std::fs::read_to_string(path).unwrap();
            let line = text.lines().find_map(|it| it.strip_prefix("wchar: "));
            line.unwrap().parse().unwrap()
        })
    }

    /// What the threads have written since `before`, once it is so much together: a client may have read it before the
    /// kernel counts it.
    #[track_caller]
    fn written_since(&mut self, before: [u64; 2], together: u64) -> [u64; 2] {
        let mut since = [0, 0];
        eventually(|| {
            let now = self.written();
            since = [now[0] - before[0], now[1] - before[1]];
            since.iter().sum::<u64>() >= together
        });
        since
    }
}

fn options(id: &str, more: Value) -> Value {
    let mut options = json!({"type": "nbd", "id": id, "node-name": "n0", "name": id});
    for (name, value) in more.as_object().unwrap() {
        options[name] = value.clone();
    }
    options
}

fn holder(export: &str) -> Value {
    json!({"type": "block-export", "export-id": export})
}

const NOBODY: [Vec<Value>; 2] = [Vec::new(), Vec::new()];

#[test]
fn an_export_holds_its_threads_until_the_event() {
    let mut it = Fixture::new();
    it.export_ok("e0", json!({"iothread": "io0"}));
    it.export_ok("e1", json!({"iothread": ["io1", "io0"]}));
    it.export_ok("e2", json!({}));
    assert_eq!(
        it.holders(),
        [vec![holder("e1"), holder("e0")], vec![holder("e1")]]
    );
    let in_use = "object 'io1' is in use, can not be deleted";
    let deletion = json!({"id": "io1"});
    assert_eq!(it.client.error("object-del", deletion.clone()), in_use);
    let exports = it.client.execute("query-block-exports", json!({}));
    let export =
        |id: &str| json!({"id": id, "type": "nbd", "node-name": "n0", "shutting-down": false});
    assert_eq!(exports, json!([export("e2"), export("e1"), export("e0")]));
    it.delete("e1", "safe");
    assert_eq!(it.holders(), [vec![holder("e0")], vec![]]);
    it.client.execute("object-del", deletion);
    it.delete("e0", "hard");
    assert_eq!(it.client.holders("io0"), [] as [Value; 0]);
    it.delete("e2", "safe");
    let gone = it.client.error("block-export-del", json!({"id": "e0"}));
    assert_eq!(gone, "Export 'e0' is not found");
    it.client
        .execute("blockdev-del", json!({"node-name": "n0"}));
}

#[test]
fn what_fails_leaves_nothing() {
    let mut it = Fixture::new();
    it.export_ok("taken", json!({"iothread": "io1", "fixed-iothread": true}));
    let before = it.holders();
    let cases = [
        ("", json!({"iothread": "io0"}), "Invalid block export id"),
        ("0", json!({"iothread": "io0"}), "Invalid block export id"),
        (
            "taken",
            json!({"iothread": "io0"}),
            "Block export id 'taken' is already in use",
        ),
        (
            "e",
            json!({"iothread": "io0", "node-name": "nope"}),
            "Cannot find device='' nor node-name='nope'",
        ),
        (
            "e",
            json!({"iothread": "nope"}),
            "iothread \"nope\" not found",
        ),
        (
            "e",
            json!({"iothread": ["io0", "nope"]}),
            "iothread \"nope\" not found",
        ),
        (
            "e",
            json!({"iothread": ["io0", "io0"]}),
            "Duplicate iothread \"io0\" in the list of iothreads",
        ),
        (
            "e",
            json!({"iothread": []}),
            "The set of I/O threads must not be empty",
        ),
        (
            "e",
            json!({"iothread": "io0", "fixed-iothread": true}),
            "Cannot change iothread of active block backend",
        ),
        (
            "e",
            json!({"iothread": "io0", "name": "taken"}),
            "NBD server already has export named 'taken'",
        ),
    ];
    for (id, more, text) in cases {
        assert_eq!(it.export_error(id, more), text);
        assert_eq!(it.holders(), before, "{text}");
    }
    let long = "x".repeat(4097);
    let text = it.export_error("e", json!({"iothread": "io0", "name": long}));
    assert_eq!(text, format!("export name '{long}' too long"));
    let text = it.export_error("e", json!({"iothread": "io0", "description": long}));
    assert_eq!(text, format!("description '{long}' too long"));
    it.client.execute("nbd-server-stop", json!({}));
    it.expect_deleted("taken");
    let text = it.export_error("e", json!({"iothread": ["io0", "io1"]}));
    assert_eq!(text, "NBD server not running");
    assert_eq!(it.holders(), NOBODY);
    // Nothing of all that has kept the node.
    it.client
        .execute("blockdev-del", json!({"node-name": "n0"}));
}

#[test]
fn a_refused_move_still_exports_and_holds() {
    let mut it = Fixture::new();
    it.export_ok("fixed", json!({"iothread": "io0", "fixed-iothread": true}));
    it.export_ok("loose", json!({"iothread": "io1"}));
    assert_eq!(it.holders(), [vec![holder("fixed")], vec![holder("loose")]]);
    let before = it.written();
    let mut client = Nbd::open(&it.socket(), "loose");
    assert_eq!(client.read(4096, 8192), vec![7; 8192]);
    let since = it.written_since(before, 8192);
    assert!(since[1] >= 8192 && since[0] < 8192, "{since:?}");
}

#[test]
fn connections_are_spread_over_the_threads() {
    let mut it = Fixture::new();
    it.export_ok("e", json!({"iothread": ["io0", "io1"]}));
    let before = it.written();
    let mut clients = [0, 1, 2, 3].map(|_| Nbd::open(&it.socket(), "e"));
    for client in &mut clients {
        assert_eq!(client.read(0, 65536), vec![7; 65536]);
    }
    for written in it.written_since(before, 4 * 65536) {
        assert!((131_072..196_608).contains(&written), "{written}");
    }
}

#[test]
fn an_export_without_a_thread_follows_its_node() {
    let mut it = Fixture::new();
    let node = json!([{"type": "block-node", "node-name": "n0"}]);
    let move_to = |it: &mut Fixture, thread: Value| {
        let arguments = json!({"node-name": "n0", "iothread": thread, "force": true});
        it.client.execute("x-blockdev-set-iothread", arguments);
    };
    move_to(&mut it, json!("io0"));
    it.export_ok("e", json!({}));
    assert_eq!(json!(it.holders()), json!([node, []]));
    let mut client = Nbd::open(&it.socket(), "e");
    for (thread, index) in [("io0", 0), ("io1", 1), ("io0", 0)] {
        move_to(&mut it, json!(thread));
        let before = it.written();
        for _ in 0..4 {
            assert_eq!(client.read(512, 65536), vec![7; 65536]);
        }
        let since = it.written_since(before, 4 * 65536);
        assert!(since[index] >= 4 * 65536, "{thread}: {since:?}");
        assert!(since[1 - index] < 65536, "{thread}: {since:?}");
    }
    move_to(&mut it, Value::Null);
    assert_eq!(it.holders(), NOBODY);
    assert_eq!(client.read(0, 512), [7; 512]);
    // The thread of a device is its own.
    let device = json!({"driver": "virtio-blk-pci", "id": "d", "drive": "n0", "iothread": "io1", "share-rw": true});
    it.client.execute("device_add", device);
    assert_eq!(client.read(0, 512), [7; 512]);
    assert_eq!(it.client.holders("io1").len(), 1);
    it.client.execute("device_del", json!({"id": "d"}));
    it.client.event();
    it.client.event();
    // That of an export is lent while it is there.
    it.export_ok("lender", json!({"iothread": "io1"}));
    let before = it.written();
    assert_eq!(client.read(0, 65536), vec![7; 65536]);
    assert!(it.written_since(before, 65536)[1] >= 65536);
    assert_eq!(it.holders(), [vec![], vec![holder("lender")]]);
    // Its borrowers leave with it, even if somebody keeps the node there.
    it.export_ok("fixed", json!({"iothread": "io1", "fixed-iothread": true}));
    it.delete("lender", "safe");
    assert_eq!(it.holders(), [vec![], vec![holder("fixed")]]);
    assert_eq!(client.read(0, 512), [7; 512]);
    it.delete("fixed", "safe");
    assert_eq!(it.holders(), NOBODY);
    it.client.execute("object-del", json!({"id": "io1"}));
    assert_eq!(client.read(0, 512), [7; 512]);
    it.delete("e", "hard");
    assert_eq!(it.client.holders("io0"), [] as [Value; 0]);
}

#[test]
fn clients_keep_an_export_unless_it_is_hard() {
    let mut it = Fixture::new();
    it.export_ok("e", json!({"iothread": "io0"}));
    let mut reader = Nbd::open(&it.socket(), "e");
    let mut haggler = Nbd::haggle(&it.socket());
    assert_eq!(reader.read(0, 16), [7; 16]);
    for arguments in [json!({"id": "e"}), json!({"id": "e", "mode": "safe"})] {
        assert_eq!(
            it.client.error("block-export-del", arguments),
            "export 'e' still in use"
        );
    }
    assert_eq!(it.client.holders("io0"), [holder("e")]);
    assert_eq!(reader.read(0, 16), [7; 16]);
    it.delete("e", "hard");
    assert_eq!(it.holders(), NOBODY);
    assert!(reader.is_closed());
    // Who has not chosen yet is not told until it asks.
    haggler.ask(7, &nbd::info("e", &[]));
    assert_eq!(haggler.option_reply().kind, 0x8000_0006);
    it.export_ok("e", json!({}));
    haggler.ask(7, &nbd::info("e", &[]));
    while haggler.option_reply().kind != 1 {}
    assert_eq!(haggler.read(0, 16), [7; 16]);
    it.client.execute("nbd-server-stop", json!({}));
    it.expect_deleted("e");
    assert!(haggler.is_closed());
    assert!(!it.socket().exists());
    let stopped = it.client.error("nbd-server-stop", json!({}));
    assert_eq!(stopped, "NBD server not running");
    it.start_nbd();
    it.export_ok("e", json!({}));
    assert_eq!(Nbd::open(&it.socket(), "e").read(0, 16), [7; 16]);
}

#[test]
fn stopping_removes_the_newest_first() {
    let mut it = Fixture::new();
    for id in ["a", "b", "c"] {
        it.export_ok(id, json!({"iothread": "io0"}));
    }
    let again = json!({"addr": {"type": "unix", "data": {"path": "/nonexistent/x"}}});
    assert_eq!(
        it.client.error("nbd-server-start", again.clone()),
        "NBD server already running"
    );
    it.client.execute("nbd-server-stop", json!({}));
    for id in ["c", "b", "a"] {
        it.expect_deleted(id);
    }
    assert_eq!(it.holders(), NOBODY);
    assert_eq!(
        it.client.error("nbd-server-start", again),
        "Failed to bind socket to /nonexistent/x: No such file or directory"
    );
}

#[test]
fn the_server_listens_where_it_is_told() {
    let mut it = Fixture::new();
    it.client.execute("nbd-server-stop", json!({}));
    let inet = |host: &str, port: &str| json!({"addr": {"type": "inet", "data": {"host": host, "port": port}}});
    for (address, text) in [
        (
            inet("127.0.0.1", "abc"),
            "address resolution failed for 127.0.0.1:abc: Servname not supported for ai_socktype",
        ),
        (
            inet("192.0.2.1", "0"),
            "Failed to bind socket: Cannot assign requested address",
        ),
        (
            json!({"addr": {"type": "fd", "data": {"str": "nope"}}}),
            "File descriptor named 'nope' has not been found",
        ),
    ] {
        assert_eq!(it.client.error("nbd-server-start", address), text);
    }
    // A port that is free now; somebody may take it in between.
    let port = loop {
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let address = inet("127.0.0.1", &port.to_string());
        let reply = it.client.exchange("nbd-server-start", address);
        if reply["return"] == json!({}) {
            break port;
        }
        let text = &reply["error"]["desc"];
        assert_eq!(text, "Failed to bind socket: Address already in use");
    };
    it.export_ok("e", json!({}));
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut greeting = [0; 18];
    std::io::Read::read_exact(&mut stream, &mut greeting).unwrap();
    assert_eq!(&greeting[..8], b"NBDMAGIC");
}

#[test]
fn one_connection_more_than_allowed_waits() {
    let mut it = Fixture::new();
    it.client.execute("nbd-server-stop", json!({}));
    let address = json!({"type": "unix", "data": {"path": it.socket()}});
    let options = json!({"addr": address, "max-connections": 1});
    it.client.execute("nbd-server-start", options);
    it.export_ok("e", json!({"iothread": "io0"}));
    let mut first = Nbd::haggle(&it.socket());
    first.ask(7, &nbd::info("e", &[]));
    loop {
        let reply = first.option_reply();
        if reply.kind == 1 {
            break;
        }
        if reply.data[..2] == [0, 0] {
            // It is not to be shared between connections.
            let flags = u16::from_be_bytes(reply.data[10..12].try_into().unwrap());
            assert_eq!(flags & 1 << 8, 0);
        }
    }
    let path = it.socket();
    let second = std::thread::spawn(move || Nbd::open(&path, "e").read(0, 4));
    assert_eq!(first.read(0, 4), [7; 4]);
    first.request(nbd::DISC, 0, 0, 0);
    assert_eq!(second.join().unwrap(), [7; 4]);
}

#[test]
fn one_that_leaves_while_another_comes_makes_room() {
    let mut it = Fixture::new();
    it.client.execute("nbd-server-stop", json!({}));
    let address = json!({"type": "unix", "data": {"path": it.socket()}});
    let options = json!({"addr": address, "max-connections": 2});
    it.client.execute("nbd-server-start", options);
    it.export_ok("e", json!({"iothread": "io0"}));
    for _ in 0..500 {
        let mut leaving = Nbd::open(&it.socket(), "e");
        let path = it.socket();
        let coming = std::thread::spawn(move || Nbd::open(&path, "e"));
        leaving.request(nbd::DISC, 0, 0, 0);
        assert_eq!(coming.join().unwrap().read(0, 4), [7; 4]);
    }
}

#[test]
fn a_client_that_dawdles_is_disconnected() {
    let mut it = Fixture::new();
    it.client.execute("nbd-server-stop", json!({}));
    let address = json!({"type": "unix", "data": {"path": it.socket()}});
    let options = json!({"addr": address, "handshake-max-seconds": 1});
    it.client.execute("nbd-server-start", options);
    it.export_ok("e", json!({}));
    let mut chosen = Nbd::open(&it.socket(), "e");
    let mut dawdler = Nbd::haggle(&it.socket());
    assert!(dawdler.is_closed());
    assert_eq!(chosen.read(0, 4), [7; 4]);
}

#[test]
fn read_only_and_writable_users_are_told_apart() {
    let mut it = Fixture::new();
    let read_only =
        json!({"driver": "file", "node-name": "ro", "filename": it.image, "read-only": true});
    it.client.execute("blockdev-add", read_only);
    assert_eq!(
        it.export_error(
            "e",
            json!({"node-name": "ro", "writable": true, "iothread": "io0"})
        ),
        "Cannot export read-only node as writable"
    );
    assert_eq!(it.holders(), NOBODY);
    it.export_ok("ro", json!({"node-name": "ro"}));
    it.export_ok("rw", json!({"writable": true}));
    let device = |id: &str, more: Value| {
        let mut device = json!({"driver": "virtio-blk-pci", "id": id, "drive": "n0"});
        for (name, value) in more.as_object().unwrap() {
            device[name] = value.clone();
        }
        device
    };
    assert_eq!(
        it.client.error("device_add", device("d", json!({}))),
        "Permission conflict on node 'n0': permissions 'write' are both required by an unnamed block device (uses \
         node 'n0' as 'root' child) and unshared by block device '/machine/peripheral/d/virtio-backend' (uses node \
         'n0' as 'root' child)."
    );
    it.delete("rw", "safe");
    // The other node of the same image is another open file, which the locks on the image know.
    it.client.execute("device_add", device("d", json!({})));
    assert_eq!(
        it.export_error("rw", json!({"writable": true, "iothread": "io0"})),
        "Permission conflict on node 'n0': permissions 'write' are both required by an unnamed block device (uses \
         node 'n0' as 'root' child) and unshared by block device '/machine/peripheral/d/virtio-backend' (uses node \
         'n0' as 'root' child)."
    );
    assert_eq!(it.holders(), NOBODY);
}

#[test]
fn another_process_is_kept_off() {
    let mut it = Fixture::new();
    it.export_ok("e", json!({"writable": true}));
    let mut other = Fixture::new();
    let node = json!({"driver": "file", "node-name": "n1", "filename": it.image});
    other.client.execute("blockdev-add", node);
    let device = json!({"driver": "virtio-blk-pci", "id": "d", "drive": "n1", "iothread": "io0"});
    assert_eq!(
        other.client.error("device_add", device.clone()),
        "Failed to get shared \"write\" lock"
    );
    assert_eq!(other.holders(), NOBODY);
    // Exports share.
    other.export_ok("e", json!({"node-name": "n1", "writable": true}));
    other.delete("e", "safe");
    it.delete("e", "safe");
    other.client.execute("device_add", device);
    assert_eq!(
        it.export_error("e", json!({"writable": true, "iothread": "io0"})),
        "Failed to get \"write\" lock"
    );
    assert_eq!(it.holders(), NOBODY);
}

#[test]
fn requests_under_way_end_when_their_node_moves() {
    let mut it = Fixture::new();
    // Longer than any test may take.
    let node =
        json!({"driver": "null-co", "node-name": "slow", "latency-ns": 3_600_000_000_000_u64});
    it.client.execute("blockdev-add", node);
    let move_to = |it: &mut Fixture, thread: Value| {
        let arguments = json!({"node-name": "slow", "iothread": thread, "force": true});
        it.client.execute("x-blockdev-set-iothread", arguments);
    };
    move_to(&mut it, json!("io0"));
    it.export_ok("e", json!({"node-name": "slow"}));
    let mut client = Nbd::open(&it.socket(), "e");
    for (round, thread) in [json!("io1"), json!("io0"), Value::Null]
        .into_iter()
        .enumerate()
    {
        let cookies = [0, 1].map(|number| client.request(nbd::CACHE, 0, 512 * number, 512));
        // What is refused at once tells that those before it are under way.
        let refused = client.request(99, 0, 0, 0);
        assert_eq!(client.simple(), (refused, 22));
        move_to(&mut it, thread);
        let mut ended = [client.simple(), client.simple()];
        ended.sort_unstable();
        assert_eq!(ended, cookies.map(|it| (it, 0)), "round {round}");
    }
    it.delete("e", "hard");
    // The node has left with the command; what ended its requests may still be on its way out of the thread.
    eventually(|| it.holders() == NOBODY);
}

#[test]
fn what_fails_activates_no_node() {
    let mut it = Fixture::new();
    let mut other = Fixture::new();
    let file = json!({"driver": "file", "node-name": "n1", "filename": it.image, "active": false});
    it.client.execute("blockdev-add", file);
    let raw = json!({"driver": "raw", "node-name": "r1", "file": "n1", "active": false});
    it.client.execute("blockdev-add", raw);
    let node = json!({"driver": "file", "node-name": "n1", "filename": it.image});
    other.client.execute("blockdev-add", node);
    let device = json!({"driver": "virtio-blk-pci", "id": "d", "drive": "n1"});
    other.client.execute("device_add", device.clone());
    let activity = |it: &mut Fixture| {
        let nodes = it.client.execute("query-named-block-nodes", json!({}));
        let nodes = nodes.as_array().unwrap().iter();
        let activity = nodes.map(|node| (node["node-name"].clone(), node["active"].clone()));
        activity.filter(|it| it.0 != "n0").collect::<Vec<_>>()
    };
    let is_active = |active: bool| ["r1", "n1"].map(|name| (json!(name), json!(active)));
    let writable = json!({"node-name": "r1", "writable": true});
    for place in [Value::Null, json!("io0")] {
        let mut options = writable.clone();
        if !place.is_null() {
            options["iothread"] = place;
        }
        assert_eq!(
            it.export_error("e", options),
            "Failed to get \"write\" lock"
        );
        assert_eq!(activity(&mut it), is_active(false));
        assert_eq!(it.holders(), NOBODY);
    }
    // The user that puts up with an inactive node has no locks that would keep the other process from anything.
    it.export_ok(
        "patient",
        json!({"node-name": "r1", "writable": true, "allow-inactive": true}),
    );
    assert_eq!(
        it.export_error("e", writable.clone()),
        "Failed to get \"write\" lock"
    );
    assert_eq!(activity(&mut it), is_active(false));
    other.client.execute("device_del", json!({"id": "d"}));
    other.client.event();
    other.client.event();
    other.client.execute("device_add", device);
    other.client.execute("device_del", json!({"id": "d"}));
    other.client.event();
    other.client.event();
    it.export_ok("e", writable);
    assert_eq!(activity(&mut it), is_active(true));
}

#[test]
fn nodes_of_exports_cannot_be_deleted() {
    let mut it = Fixture::new();
    let raw = json!({"driver": "raw", "node-name": "r0", "file": "n0"});
    it.client.execute("blockdev-add", raw);
    it.export_ok("e", json!({"node-name": "r0", "iothread": "io0"}));
    let mut delete = |node: &str| it.client.error("blockdev-del", json!({"node-name": node}));
    assert_eq!(delete("r0"), "Node r0 is in use");
    assert_eq!(delete("n0"), "Block device n0 is in use");
    let moved = json!({"node-name": "r0", "iothread": "io1"});
    assert_eq!(
        it.client.error("x-blockdev-set-iothread", moved),
        "Node r0 is associated with a BlockBackend and could be in use (use force=true to override this check)"
    );
}

#[test]
fn clients_that_are_disconnected_keep_nothing() {
    let mut it = Fixture::new();
    it.export_ok("e", json!({"iothread": "io0"}));
    it.export_ok("main", json!({}));
    let mut clients = ["e", "main", "e"].map(|name| Nbd::open(&it.socket(), name));
    for client in &mut clients {
        assert_eq!(client.read(0, 4), [7; 4]);
    }
    it.delete("e", "hard");
    it.client.execute("nbd-server-stop", json!({}));
    it.expect_deleted("main");
    it.client
        .execute("blockdev-del", json!({"node-name": "n0"}));
    eventually(|| !it.has_image_open());
}

#[test]
fn clients_come_in_whenever_there_is_room() {
    let mut it = Fixture::new();
    it.client.execute("nbd-server-stop", json!({}));
    let address = json!({"type": "unix", "data": {"path": it.socket()}});
    let options = json!({"addr": address, "max-connections": 2});
    it.client.execute("nbd-server-start", options);
    it.export_ok("e", json!({"iothread": ["io0", "io1"]}));
    let path = it.socket();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    assert_eq!(Nbd::open(&path, "e").read(0, 4), [7; 4]);
                }
            });
        }
    });
}

#[test]
fn a_node_inside_of_another_stays_as_long_as_it_is_used() {
    let mut it = Fixture::new();
    let names = |it: &mut Fixture| {
        let nodes = it.client.execute("query-named-block-nodes", json!({}));
        let nodes = nodes.as_array().unwrap().iter();
        nodes.map(|it| it["node-name"].clone()).collect::<Vec<_>>()
    };
    let file = json!({"driver": "file", "node-name": "inner", "filename": it.image});
    let outer = json!({"driver": "raw", "node-name": "outer", "file": file});
    let deletion = json!({"node-name": "outer"});
    it.client.execute("blockdev-add", outer.clone());
    it.export_ok("e", json!({"node-name": "inner", "iothread": "io0"}));
    it.export_ok("f", json!({"node-name": "inner"}));
    it.client.execute("blockdev-del", deletion.clone());
    assert_eq!(names(&mut it), ["inner", "n0"]);
    assert_eq!(
        it.client.error("blockdev-add", outer.clone()),
        "Duplicate nodes with node-name='inner'"
    );
    it.delete("e", "safe");
    assert_eq!(Nbd::open(&it.socket(), "f").read(0, 4), [7; 4]);
    it.delete("f", "hard");
    assert_eq!(names(&mut it), ["n0"]);
    assert_eq!(it.holders(), NOBODY);
    // With a device as the user, and a node below that was there before.
    let middle = json!({"driver": "raw", "node-name": "inner", "file": "n0"});
    let outer = json!({"driver": "raw", "node-name": "outer", "file": middle});
    it.client.execute("blockdev-add", outer);
    let device =
        json!({"driver": "virtio-blk-pci", "id": "d", "drive": "inner", "iothread": "io1"});
    it.client.execute("device_add", device);
    it.client.execute("blockdev-del", deletion);
    assert_eq!(names(&mut it), ["inner", "n0"]);
    it.client.execute("device_del", json!({"id": "d"}));
    it.client.event();
    it.client.event();
    assert_eq!(names(&mut it), ["n0"]);
    assert_eq!(it.holders(), NOBODY);
    it.client
        .execute("blockdev-del", json!({"node-name": "n0"}));
    eventually(|| !it.has_image_open());
}

#[test]
fn requests_that_the_main_loop_has_not_begun_do_not_keep_it() {
    let mut it = Fixture::new();
    it.export_ok("e", json!({"writable": true}));
    let mut client = Nbd::open(&it.socket(), "e");
    // While the loop is busy, so that it finds both in one iteration, the request first. No worker has been needed yet.
    let mut other = it.server.client();
    let request = json!({"execute": "query-qmp-schema"}).to_string();
    other.send(&request.repeat(20));
    client.request(nbd::FLUSH, 0, 0, 0);
    it.delete("e", "hard");
    it.client
        .execute("blockdev-del", json!({"node-name": "n0"}));
}
