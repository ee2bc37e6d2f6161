//! A disk that hangs: what waits for it waits alone.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::fuse_disk::{FuseDisk, Writes};
use crate::harness::{Client, Server, eventually, program};
use crate::nbd::{FLUSH, Nbd, READ};

/// A server with a node on a disk that can hang.
struct Fixture {
    server: Server,
    client: Client,
    disk: FuseDisk,
}

impl Fixture {
    fn new() -> Option<Self> {
        let disk = FuseDisk::mount(1 << 20, Writes::Through)?;
        let server = Server::start(&["--object", "iothread,id=io0", "--object", "iothread,id=io1"]);
        let mut client = server.client();
        client.execute("blockdev-add", node(&disk));
        let socket = server.folder().join("nbd");
        let address = json!({"type": "unix", "data": {"path": socket}});
        client.execute("nbd-server-start", json!({"addr": address}));
        Some(Self {
            server,
            client,
            disk,
        })
    }

    /// A server beside a disk that it has nothing on.
    fn on(disk: FuseDisk) -> Self {
        let server = Server::start(&[]);
        Self {
            client: server.client(),
            server,
            disk,
        }
    }

    fn export(&mut self, id: &str, more: &Value) -> Nbd {
        let mut export =
            json!({"type": "nbd", "id": id, "name": id, "node-name": "n0", "writable": true});
        for (name, value) in more.as_object().unwrap() {
            export[name] = value.clone();
        }
        self.client.execute("block-export-add", export);
        Nbd::open(&self.server.folder().join("nbd"), id)
    }

    /// Whatever else there is to be done is done, for this client and for others.
    fn check_that_all_goes_on(&mut self, name: &str) {
        let mut other = self.server.client();
        for client in [&mut self.client, &mut other] {
            let thread = format!("t-{name}");
            client.execute("object-add", json!({"qom-type": "iothread", "id": thread}));
            client.add_node(name);
            let device =
                json!({"driver": "virtio-blk-pci", "id": name, "drive": name, "iothread": thread});
            client.execute("device_add", device);
            client.execute("device_del", json!({"id": name}));
            while client.event()["data"]["device"] != json!(name) {}
            client.execute("blockdev-del", json!({"node-name": name}));
            client.execute("object-del", json!({"id": thread}));
        }
    }

    fn exports(&mut self) -> Value {
        self.client.execute("query-block-exports", json!({}))
    }

    /// Waits for an event about these data.
    fn wait_for(&mut self, event: &str, data: &Value) {
        loop {
            let next = self.client.event();
            if next["event"] == event && next["data"] == *data {
                return;
            }
        }
    }
}

fn node(disk: &FuseDisk) -> Value {
    json!({"driver": "file", "node-name": "n0", "filename": disk.path(), "locking": "off"})
}

/// An export is told to go, and the rest goes on until the disk answers.
fn check_export(mut it: Fixture, mut nbd: Option<Nbd>, read: u64) {
    assert_eq!(it.exports()[0]["shutting-down"], true);
    let holder = json!({"type": "block-export", "export-id": "e"});
    for thread in ["io0", "io1"] {
        assert_eq!(it.client.holders(thread), std::slice::from_ref(&holder));
    }
    let arguments = json!({"id": "e", "mode": "hard"});
    let error = it.client.error("block-export-del", arguments);
    assert_eq!(error, "Export 'e' is already shutting down");
    let error = it.client.error("blockdev-del", json!({"node-name": "n0"}));
    assert_eq!(error, "Node n0 is in use");
    it.check_that_all_goes_on("other");

    it.disk.resume();
    if let Some(nbd) = &mut nbd {
        assert_eq!(nbd.simple(), (read, 0));
        assert_eq!(nbd.bytes(4096), [0; 4096]);
        assert!(nbd.is_closed());
    }
    it.wait_for("BLOCK_EXPORT_DELETED", &json!({"id": "e"}));
    assert_eq!(it.exports(), json!([]));
    for thread in ["io0", "io1"] {
        assert_eq!(it.client.holders(thread), [] as [Value; 0]);
        it.client.execute("object-del", json!({"id": thread}));
    }
    it.client
        .execute("blockdev-del", json!({"node-name": "n0"}));
}

#[test]
fn an_export_that_is_removed_waits_alone() {
    let Some(mut it) = Fixture::new() else {
        return;
    };
    let mut nbd = it.export("e", &json!({"iothread": ["io0", "io1"]}));
    it.disk.hang();
    let read = nbd.request(READ, 0, 0, 4096);
    it.disk.wait_for_held(1);
    let arguments = json!({"id": "e", "mode": "hard"});
    it.client.execute("block-export-del", arguments);
    check_export(it, Some(nbd), read);
}

#[test]
fn an_export_whose_clients_have_left_waits_alone() {
    let Some(mut it) = Fixture::new() else {
        return;
    };
    let mut nbd = it.export("e", &json!({"iothread": ["io0", "io1"]}));
    it.disk.hang();
    let read = nbd.request(READ, 0, 0, 4096);
    it.disk.wait_for_held(1);
    drop(nbd);
    let arguments = json!({"id": "e", "mode": "hard"});
    it.client.execute("block-export-del", arguments);
    check_export(it, None, read);
}

#[test]
fn an_nbd_server_that_is_stopped_keeps_nobody() {
    let Some(mut it) = Fixture::new() else {
        return;
    };
    let mut nbd = it.export("e", &json!({"iothread": ["io0", "io1"]}));
    it.disk.hang();
    let read = nbd.request(READ, 0, 0, 4096);
    it.disk.wait_for_held(1);
    it.client.execute("nbd-server-stop", json!({}));
    let again = it.server.folder().join("again");
    let address = json!({"type": "unix", "data": {"path": again}});
    it.client
        .execute("nbd-server-start", json!({"addr": address}));
    check_export(it, Some(nbd), read);
}

#[test]
fn a_node_moves_although_its_disk_hangs() {
    let Some(mut it) = Fixture::new() else {
        return;
    };
    it.client.execute(
        "x-blockdev-set-iothread",
        json!({"node-name": "n0", "iothread": "io0"}),
    );
    let mut nbd = it.export("e", &json!({}));
    it.disk.hang();
    let read = nbd.request(READ, 0, 0, 4096);
    it.disk.wait_for_held(1);
    let arguments = json!({"node-name": "n0", "iothread": "io1", "force": true});
    it.client.execute("x-blockdev-set-iothread", arguments);
    it.check_that_all_goes_on("other");
    it.disk.resume();
    assert_eq!(nbd.simple(), (read, 0));
    nbd.bytes(4096);
    eventually(|| it.client.holders("io0").is_empty());
    assert_eq!(it.client.holders("io1").len(), 1);
}

/// Adds a device, lets it wait for the disk, and removes it.
fn check_device(device: &Value, queue: &str, controller: Option<&Value>) {
    let Some(mut it) = Fixture::new() else {
        return;
    };
    for device in controller.into_iter().chain([device]) {
        it.client.execute("device_add", device.clone());
    }
    it.disk.hang();
    let index = if controller.is_some() { 2 } else { 0 };
    let notify = json!({"path": queue, "property": "x-notify", "value": index});
    it.client.execute("qom-set", notify);
    it.disk.wait_for_held(1);
    let before = it.client.holders("io0");
    assert_eq!(before.len(), 1);
    // A controller takes what is on its bus along.
    let leaving = controller.unwrap_or(device)["id"].clone();
    it.client.execute("device_del", json!({"id": leaving}));
    let error = it.client.error("device_del", json!({"id": leaving}));
    let id = leaving.as_str().unwrap();
    assert_eq!(
        error,
        format!("Device {id} is already in the process of unplug")
    );
    it.check_that_all_goes_on("other");
    assert_eq!(it.client.holders("io0"), before);
    let error = it.client.error("blockdev-del", json!({"node-name": "n0"}));
    assert_eq!(error, "Node n0 is in use");

    it.disk.resume();
    let path = format!("/machine/peripheral/{id}");
    it.wait_for("DEVICE_DELETED", &json!({"device": leaving, "path": path}));
    assert_eq!(it.client.holders("io0"), [] as [Value; 0]);
    it.client.execute("object-del", json!({"id": "io0"}));
    it.client
        .execute("blockdev-del", json!({"node-name": "n0"}));
}

#[test]
fn devices_that_are_removed_wait_alone() {
    let blk = json!({"driver": "virtio-blk-pci", "id": "d", "drive": "n0", "iothread": "io0"});
    check_device(&blk, "/machine/peripheral/d/virtio-backend", None);
    let controller = json!({"driver": "virtio-scsi-pci", "id": "s", "iothread": "io0"});
    let disk = json!({"driver": "scsi-hd", "id": "d", "drive": "n0"});
    let queue = "/machine/peripheral/s/virtio-backend";
    check_device(&disk, queue, Some(&controller));
}

#[test]
fn a_file_that_is_not_opened_keeps_its_command_alone() {
    let Some(disk) = FuseDisk::mount(1 << 20, Writes::Through) else {
        return;
    };
    let mut it = Fixture::on(disk);
    let add = |name: &str| {
        let mut options = node(&it.disk);
        options["node-name"] = json!(name);
        json!({"execute": "blockdev-add", "arguments": options}).to_string()
    };
    let (first, second) = (add("n0"), add("n1"));
    it.disk.hang();
    let mut waiting = it.server.client();
    let mut also_waiting = it.server.client();
    waiting.send(&first);
    also_waiting.send(&second);
    it.disk.wait_for_held(2);
    it.check_that_all_goes_on("other");
    // The first one has the name.
    it.client.add_node("n1");
    it.disk.resume();
    assert_eq!(waiting.reply(), json!({"return": {}}));
    assert_eq!(
        also_waiting.reply()["error"]["desc"],
        "Duplicate nodes with node-name='n1'"
    );
    for name in ["n0", "n1"] {
        it.client
            .execute("blockdev-del", json!({"node-name": name}));
    }
    assert_eq!(
        it.client.execute("query-named-block-nodes", json!({})),
        json!([])
    );
}

#[test]
fn a_character_device_waits_for_its_file_alone() {
    let Some(disk) = FuseDisk::mount(1 << 20, Writes::Through) else {
        return;
    };
    let mut it = Fixture::on(disk);
    let backends = [
        json!({"type": "file", "data": {"out": it.disk.path(), "append": true}}),
        json!({"type": "null", "data": {"logfile": it.disk.path(), "logappend": true}}),
    ];
    for (index, backend) in backends.iter().enumerate() {
        let mut waiting = it.server.client();
        it.disk.hang();
        let arguments = json!({"id": "c0", "backend": backend});
        waiting.send(&json!({"execute": "chardev-add", "arguments": arguments}).to_string());
        it.disk.wait_for_held(1);
        it.check_that_all_goes_on(&format!("other-{index}"));
        it.disk.resume();
        assert_eq!(waiting.reply(), json!({"return": {}}));
        it.client.execute("chardev-remove", json!({"id": "c0"}));
    }
}

/// A server of which nobody waits for the end.
struct Ending {
    process: Child,
    stderr: BufReader<std::process::ChildStderr>,
}

impl Ending {
    /// Starts one that has a thread.
    fn new() -> (Self, Client, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let qmp = folder.path().join("qmp");
        let mut process = program()
            .args(["--object", "iothread,id=io0", "--qmp"])
            .arg(format!("unix:{}", qmp.display()))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        eventually(|| std::os::unix::net::UnixStream::connect(&qmp).is_ok());
        let mut client = Client::connect(&qmp);
        client.execute("qmp_capabilities", json!({}));
        (Self { process, stderr }, client, folder)
    }

    /// Starts one whose export and device wait for the disk.
    fn start(disk: &FuseDisk) -> (Self, Client, Nbd, tempfile::TempDir) {
        let (ending, mut client, folder) = Self::new();
        client.execute("blockdev-add", node(disk));
        let device = json!({"driver": "virtio-blk-pci", "id": "d", "drive": "n0", "iothread": "io0", "share-rw": true});
        client.execute("device_add", device);
        let socket = folder.path().join("nbd");
        let address = json!({"type": "unix", "data": {"path": socket}});
        client.execute("nbd-server-start", json!({"addr": address}));
        let export = json!({"type": "nbd", "id": "e", "name": "e", "node-name": "n0", "iothread": "io0",
                            "writable": true});
        client.execute("block-export-add", export);
        let mut nbd = Nbd::open(&socket, "e");
        disk.hang();
        nbd.request(FLUSH, 0, 0, 0);
        disk.wait_for_held(1);
        let notify = json!({"path": "/machine/peripheral/d/virtio-backend", "property": "x-notify", "value": 0});
        client.execute("qom-set", notify);
        disk.wait_for_held(2);
        (ending, client, nbd, folder)
    }

    /// Waits until it says what has kept it. The kernel lets it go when the disk answers.
    fn check(self, disk: &FuseDisk, nbd: &mut Nbd) {
        self.check_said(
            disk,
            &[
                "export 'e' waits for block node 'n0'",
                "device '/machine/peripheral/d' waits for block node 'n0'",
            ],
        );
        assert!(nbd.is_closed());
    }

    fn check_said(mut self, disk: &FuseDisk, expected: &[&str]) {
        let mut said = Vec::new();
        while said.len() < expected.len() {
            let mut line = String::new();
            assert_ne!(self.stderr.read_line(&mut line).unwrap(), 0, "{said:?}");
            if let Some(what) = line.trim_end().strip_prefix("iothreadd: at the end: ") {
                said.push(what.to_owned());
            }
        }
        assert_eq!(said, expected);
        disk.resume();
        assert_eq!(self.process.wait().unwrap().code(), Some(1));
    }

    fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }
}

#[test]
fn the_end_names_what_is_stuck() {
    let Some(disk) = FuseDisk::mount(1 << 20, Writes::Through) else {
        return;
    };
    let (ending, mut client, mut nbd, folder) = Ending::start(&disk);
    client.execute("quit", json!({}));
    ending.check(&disk, &mut nbd);
    for socket in ["qmp", "nbd"] {
        assert!(!folder.path().join(socket).exists());
    }
}

#[test]
fn the_second_signal_does_not_wait_for_a_disk() {
    let Some(disk) = FuseDisk::mount(1 << 20, Writes::Through) else {
        return;
    };
    let (ending, mut client, mut nbd, _folder) = Ending::start(&disk);
    ending.terminate();
    // It is ending when it says so; signals that come together are one.
    while client.event()["event"] != "SHUTDOWN" {}
    ending.terminate();
    ending.check(&disk, &mut nbd);
}

#[test]
fn the_end_does_not_wait_for_a_file_that_is_not_opened() {
    let Some(disk) = FuseDisk::mount(1 << 20, Writes::Through) else {
        return;
    };
    let (ending, mut client, _folder) = Ending::new();
    disk.hang();
    let arguments = node(&disk);
    client.send(&json!({"execute": "blockdev-add", "arguments": arguments}).to_string());
    disk.wait_for_held(1);
    ending.terminate();
    while client.event()["event"] != "SHUTDOWN" {}
    ending.terminate();
    ending.check_said(&disk, &["block node 'n0' waits for its file"]);
}
