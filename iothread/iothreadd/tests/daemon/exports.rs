//! Exports: what they take, what they give back, and in which order.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Client, Server, eventually};
use crate::nbd::{self, Nbd};

/// A server with two IOThreads, a file of a mebibyte, and the NBD server running.
pub(crate) struct Fixture {
    pub(crate) server: Server,
    pub(crate) client: Client,
    pub(crate) image: PathBuf,
}

impl Fixture {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn socket(&self) -> PathBuf {
        self.server.folder().join("nbd")
    }

    pub(crate) fn start_nbd(&mut self) {
        let address = json!({"type": "unix", "data": {"path": self.socket()}});
        self.client
            .execute("nbd-server-start", json!({"addr": address}));
    }

    pub(crate) fn export(&mut self, id: &str, more: Value) -> Value {
        self.client.exchange("block-export-add", options(id, more))
    }

    pub(crate) fn export_ok(&mut self, id: &str, more: Value) {
        assert_eq!(self.export(id, more), json!({"return": {}}));
    }

    pub(crate) fn export_error(&mut self, id: &str, more: Value) -> String {
        let reply = self.export(id, more);
        reply["error"]["desc"].as_str().unwrap().to_owned()
    }

    pub(crate) fn delete(&mut self, id: &str, mode: &str) {
        let arguments = json!({"id": id, "mode": mode});
        self.client.execute("block-export-del", arguments);
        self.expect_deleted(id);
    }

    pub(crate) fn expect_deleted(&mut self, id: &str) {
        let event = self.client.event();
        assert_eq!(event["event"], "BLOCK_EXPORT_DELETED");
        assert_eq!(event["data"], json!({"id": id}));
    }

    /// Whether the server has the image open.
    pub(crate) fn has_image_open(&self) -> bool {
        let descriptors = format!("/proc/{}/fd", self.server.id());
        let mut descriptors = std::fs::read_dir(descriptors).unwrap();
        // One that was closed meanwhile is not looked at.
        descriptors
            .any(|it| std::fs::read_link(it.unwrap().path()).is_ok_and(|it| it == self.image))
    }

    pub(crate) fn holders(&mut self) -> [Vec<Value>; 2] {
        ["io0", "io1"].map(|thread| self.client.holders(thread))
    }

    /// The kernel's numbers of the IOThreads.
    pub(crate) fn thread_ids(&mut self) -> [u64; 2] {
        let threads = self.client.execute("query-iothreads", json!({}));
        [0, 1].map(|index| threads[index]["thread-id"].as_u64().unwrap())
    }

    /// How many bytes each of the IOThreads has written so far.
    pub(crate) fn written(&mut self) -> [u64; 2] {
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
    pub(crate) fn written_since(&mut self, before: [u64; 2], together: u64) -> [u64; 2] {
        let mut since = [0, 0];
        eventually(|| {
            let now = self.written();
            since = [now[0] - before[0], now[1] - before[1]];
            since.iter().sum::<u64>() >= together
        });
        since
    }
}

pub(crate) fn options(id: &str, more: Value) -> Value {
    let mut options = json!({"type": "nbd", "id": id, "node-name": "n0", "name": id});
    for (name, value) in more.as_object().unwrap() {
        options[name] = value.clone();
    }
    options
}

pub(crate) fn holder(export: &str) -> Value {
    json!({"type": "block-export", "export-id": export})
}

pub(crate) const NOBODY: [Vec<Value>; 2] = [Vec::new(), Vec::new()];

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
