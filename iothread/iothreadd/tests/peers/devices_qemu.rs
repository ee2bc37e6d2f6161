//! The same script about devices, character devices and comparisons of packets against live QEMUs and against
//! `iothreadd`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use libtest_mimic::Failed;
use serde_json::{Value, json};
use tests::{Qmp, Server, Suite, Tool, replace};

/// How long events may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn add(suite: Suite) -> Suite {
    let old = Tool::Program("qemu-system-x86_64");
    suite
        .with("devices-as-qemu", old, |qemu| as_qemu(qemu, Age::Old))
        .with("devices-as-qemu-10", Tool::QemuTen, |qemu| {
            as_qemu(qemu, Age::New)
        })
}

/// Which QEMU is compared with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    /// 7.2: it knows no mappings, and takes the values of properties as texts.
    Old,
    /// 10.0.
    New,
}

/// One step of the script. "@" in arguments stands for the peer's folder.
enum Step {
    Command(&'static str, Value),
    /// One that only newer QEMUs answer as we do.
    Newer(&'static str, Value),
    /// Waits for so many events.
    Events(usize),
    /// Resets QEMU's guest, which has not been started, and so lets go of its devices on PCI.
    Reset,
}

fn device(properties: Value) -> Step {
    Step::Command("device_add", properties)
}

fn newer_device(properties: Value) -> Step {
    Step::Newer("device_add", properties)
}

fn unplug(id: &str) -> Step {
    Step::Command("device_del", json!({"id": id}))
}

fn get(path: &str, property: &str) -> Step {
    Step::Command("qom-get", json!({"path": path, "property": property}))
}

fn human(line: &str) -> Step {
    Step::Command("human-monitor-command", json!({"command-line": line}))
}

fn plain(name: &'static str) -> Step {
    Step::Command(name, json!({}))
}

fn scsi() -> Vec<Step> {
    let with = |id: &str, name: &str, value: Value| {
        let mut properties = json!({"driver": "virtio-scsi-pci", "id": id});
        properties[name] = value;
        properties
    };
    let mapping = |id: &str, list: Value| {
        let mut properties = with(id, "iothread-vq-mapping", list);
        properties["num_queues"] = json!(2);
        newer_device(properties)
    };
    let disk = |id: &str, node: &str, more: Value| {
        let mut properties = json!({"driver": "scsi-hd", "id": id, "bus": "s0.0", "drive": node});
        for (name, value) in more.as_object().into_iter().flatten() {
            properties[name] = value.clone();
        }
        device(properties)
    };
    let s0 = "/machine/peripheral/s0";
    vec![
        device(with("s0", "iothread", json!("nope"))),
        device(with("s0", "iothread", json!("ml"))),
        device(with("s0", "num_queues", json!(0))),
        device(with("s0", "num_queues", json!(2000))),
        device(with("s0", "num_queues", json!(70000))),
        newer_device(with("s0", "num_queues", json!("x"))),
        device(with("s0", "bogus", json!(3))),
        device(with("s0", "bus", json!("nope"))),
        device(
            json!({"driver": "virtio-scsi-pci", "id": "s0", "iothread": "io0", "ioeventfd": false}),
        ),
        device(json!({"driver": "scsi-hd", "drive": "n0"})),
        device(with("s0", "iothread", json!("io0"))),
        device(with("s0", "iothread", json!("io0"))),
        mapping("s1", json!([{"iothread": "io0"}, {"iothread": "io1"}])),
        mapping(
            "s2",
            json!([{"iothread": "io0", "vqs": [0]}, {"iothread": "io1", "vqs": [1]}]),
        ),
        mapping(
            "s3",
            json!([{"iothread": "io0", "vqs": [2]}, {"iothread": "io1", "vqs": [1]}]),
        ),
        mapping(
            "s3",
            json!([{"iothread": "io0", "vqs": [0]}, {"iothread": "io1", "vqs": [0]}]),
        ),
        mapping("s3", json!([{"iothread": "io0", "vqs": [0]}])),
        mapping(
            "s3",
            json!([{"iothread": "io0", "vqs": [0]}, {"iothread": "io1"}]),
        ),
        mapping("s3", json!([{"iothread": "io0"}, {"iothread": "io0"}])),
        mapping("s3", json!([{"iothread": "io0"}, {"iothread": "nope"}])),
        mapping("s3", json!("x")),
        newer_device(
            json!({"driver": "virtio-scsi-pci", "id": "s3", "iothread": "io0", "num_queues": 2,
                   "iothread-vq-mapping": [{"iothread": "io0"}]}),
        ),
        newer_device(
            json!({"driver": "virtio-scsi-pci", "id": "s3", "ioeventfd": false, "num_queues": 2,
                   "iothread-vq-mapping": [{"iothread": "io0"}]}),
        ),
        get(s0, "num_queues"),
        get(s0, "virtqueue_size"),
        get(s0, "iothread"),
        get(s0, "type"),
        get(s0, "hotplugged"),
        get(s0, "virtio-backend"),
        get(s0, "nope"),
        Step::Newer(
            "qom-get",
            json!({"path": "/machine/peripheral/s1", "property": "iothread-vq-mapping"}),
        ),
        // Disks.
        device(json!({"driver": "scsi-hd", "id": "h0", "bus": "nope.0", "drive": "n0"})),
        device(json!({"driver": "scsi-hd", "id": "h0", "bus": "pci.0", "drive": "n0"})),
        device(json!({"driver": "virtio-blk-pci", "id": "b0", "bus": "s0.0", "drive": "n0"})),
        device(json!({"driver": "scsi-hd", "id": "h0", "bus": "s0.0"})),
        disk("h0", "nope", json!({})),
        disk("h0", "n0", json!({"lun": 20000})),
        disk("h0", "n0", json!({"scsi-id": 300})),
        disk("h0", "n0", json!({"channel": 1})),
        disk("h0", "n0", json!({})),
        disk("h0", "n1", json!({})),
        disk("h1", "n0", json!({})),
        disk("h1", "n1", json!({"scsi-id": 0, "lun": 0})),
        disk("h1", "ro", json!({})),
        device(json!({"driver": "scsi-cd", "id": "c0", "bus": "s0.0", "drive": "ro"})),
        device(json!({"driver": "scsi-cd", "id": "c1", "bus": "s0.0"})),
        disk("h2", "n1", json!({"scsi-id": 7, "lun": 5})),
        get("/machine/peripheral/h0", "scsi-id"),
        get("/machine/peripheral/c0", "scsi-id"),
        get("/machine/peripheral/h2", "lun"),
        get("/machine/peripheral/h2", "parent_bus"),
        get("/machine/peripheral/h2", "drive"),
        get("/machine/peripheral/h2", "share-rw"),
        plain("query-block"),
        Step::Command("blockdev-del", json!({"node-name": "n1"})),
        Step::Command(
            "x-blockdev-set-iothread",
            json!({"node-name": "n1", "iothread": null}),
        ),
        Step::Command(
            "x-blockdev-set-iothread",
            json!({"node-name": "n1", "iothread": "io1", "force": true}),
        ),
        unplug("h2"),
        Step::Events(1),
        unplug("h2"),
        unplug("/machine/peripheral/s0/virtio-backend"),
        // Its disks go first, the latest of them before the others.
        unplug("s0"),
        Step::Reset,
        Step::Events(6),
        plain("query-block"),
        device(with("s0", "iothread", json!("io1"))),
        unplug("s0"),
        Step::Reset,
        Step::Events(2),
    ]
}

fn others() -> Vec<Step> {
    let balloon = |more: Value| {
        let mut properties = json!({"driver": "virtio-balloon-pci", "id": "b0"});
        for (name, value) in more.as_object().into_iter().flatten() {
            properties[name] = value.clone();
        }
        device(properties)
    };
    let anonymous = "/machine/peripheral-anon";
    vec![
        balloon(json!({"iothread": "nope"})),
        balloon(json!({"iothread": "ml"})),
        newer_device(json!({"driver": "virtio-balloon-pci", "id": "b0", "free-page-hint": 3})),
        device(json!({"driver": "nope"})),
        device(json!({"id": "x"})),
        device(json!({"driver": "virtio-blk-pci", "id": "v0", "drive": "n0", "iothread": "io0"})),
        device(json!({"driver": "virtio-blk-pci", "id": "v1", "drive": "n0", "iothread": "io0"})),
        unplug("v0"),
        Step::Reset,
        Step::Events(2),
        device(json!({"driver": "virtio-blk-pci", "drive": "n0"})),
        Step::Command("qom-list", json!({"path": anonymous})),
        unplug(&format!("{anonymous}/device[0]")),
        Step::Reset,
        Step::Events(2),
        unplug("nope"),
        unplug("/nope"),
        Step::Newer("device_del", json!({"id": "/machine/peripheral"})),
        human("device_add virtio-scsi-pci,id=s0"),
        human("device_add virtio-scsi-pci,id=s0"),
        human("device_add nope"),
        human("device_add"),
        human("qom-get /machine/peripheral/s0 num_queues"),
        human("qom-list /machine/peripheral"),
        human("device_del nope"),
        human("device_del"),
        human("device_del s0"),
        Step::Reset,
        Step::Events(2),
        // A balloon that was refused stays QEMU's only one, and one that is unplugged ends QEMU 10 at the next reset.
        balloon(json!({"free-page-hint": true, "iothread": "io0"})),
        balloon(json!({})),
        device(json!({"driver": "virtio-balloon-pci", "id": "b1"})),
        device(json!({"driver": "virtio-balloon-pci", "id": "b1", "free-page-hint": true})),
    ]
}

fn chardev(id: &str, kind: &str, data: Value) -> Step {
    let backend = json!({"type": kind, "data": data});
    Step::Command("chardev-add", json!({"id": id, "backend": backend}))
}

fn socket(id: &str, path: &str, more: Value) -> Step {
    let mut data = json!({"addr": {"type": "unix", "data": {"path": path}}});
    for (name, value) in more.as_object().into_iter().flatten() {
        data[name] = value.clone();
    }
    chardev(id, "socket", data)
}

fn inet(id: &str, host: &str, port: &str, server: bool) -> Step {
    let address = json!({"type": "inet", "data": {"host": host, "port": port}});
    chardev(id, "socket", json!({"addr": address, "server": server}))
}

fn chardevs() -> Vec<Step> {
    let remove = |id: &str| Step::Command("chardev-remove", json!({"id": id}));
    let change = |id: &str| {
        Step::Command(
            "chardev-change",
            json!({"id": id, "backend": {"type": "null", "data": {}}}),
        )
    };
    let yank = |instance: Value| Step::Command("yank", json!({"instances": [instance]}));
    let long = format!("/{}", "x".repeat(200));
    vec![
        plain("query-chardev"),
        plain("query-yank"),
        chardev("c0", "null", json!({})),
        chardev("c0", "null", json!({})),
        chardev("1bad", "null", json!({})),
        chardev("c1", "nope", json!({})),
        Step::Command(
            "chardev-add",
            json!({"id": "c1", "backend": {"type": "null"}}),
        ),
        chardev("c1", "socket", json!({})),
        socket("c1", "/nonexistent/x", json!({"server": true})),
        socket("c1", "/nonexistent/x", json!({"server": false})),
        socket("c1", &long, json!({"server": true})),
        socket("c1", &long, json!({"server": false})),
        socket("c1", "@/c1", json!({"server": false, "wait": false})),
        socket("s1", "@/s1", json!({"server": true, "wait": false})),
        socket("s2", "@/s1", json!({"server": false})),
        socket("s3", "@/none", json!({"server": true, "wait": false})),
        inet("i1", "127.0.0.1", "0", true),
        inet("i2", "127.0.0.1", "1", false),
        inet("i2", "127.0.0.1", "nope", false),
        inet("i2", "127.0.0.1", "nope", true),
        chardev("f1", "file", json!({"out": "/nonexistent/x"})),
        chardev("f1", "file", json!({"out": "@/out"})),
        chardev("p1", "pipe", json!({"device": "/nonexistent/p"})),
        chardev("r1", "ringbuf", json!({"size": 1000})),
        chardev("r1", "ringbuf", json!({"size": 1024})),
        chardev("m1", "memory", json!({})),
        chardev(
            "fd",
            "socket",
            json!({"addr": {"type": "fd", "data": {"str": "nope"}}}),
        ),
        Step::Command("ringbuf-write", json!({"device": "r1", "data": "hello"})),
        Step::Command(
            "ringbuf-write",
            json!({"device": "r1", "data": "IHlvdQ==", "format": "base64"}),
        ),
        Step::Command("ringbuf-read", json!({"device": "r1", "size": 7})),
        Step::Command(
            "ringbuf-read",
            json!({"device": "r1", "size": 100, "format": "base64"}),
        ),
        Step::Command("ringbuf-read", json!({"device": "r1", "size": 0})),
        Step::Command("ringbuf-read", json!({"device": "c0", "size": 1})),
        Step::Command("ringbuf-read", json!({"device": "nope", "size": 1})),
        Step::Command("ringbuf-write", json!({"device": "nope", "data": ""})),
        Step::Command("chardev-send-break", json!({"id": "c0"})),
        Step::Command("chardev-send-break", json!({"id": "nope"})),
        change("c0"),
        change("nope"),
        chardev("compat_monitor0", "null", json!({})),
        change("compat_monitor0"),
        remove("compat_monitor0"),
        change("s1"),
        plain("query-chardev"),
        plain("query-yank"),
        yank(json!({"type": "chardev", "id": "nope"})),
        yank(json!({"type": "block-node", "node-name": "nope"})),
        Step::Command("yank", json!({"instances": []})),
        remove("nope"),
        human("chardev-add null,id=h1"),
        human("chardev-add null"),
        human("chardev-add nope,id=h4"),
        human("chardev-add socket,id=h4,path=a,host=b"),
        human("chardev-add socket,id=h4,host=b"),
        human("chardev-add file,id=h4"),
        human("chardev-add pipe,id=h4"),
        human("chardev-add ringbuf,id=h4,size=4k"),
        human("chardev-remove h1"),
        human("chardev-remove h1"),
        human("chardev-remove"),
        human("ringbuf_write h4 hello"),
        human("ringbuf_read h4 100"),
        human("ringbuf_read nope 100"),
        human("chardev-remove h4"),
        remove("s2"),
        remove("s1"),
        remove("s3"),
        remove("i1"),
        remove("f1"),
        remove("r1"),
        remove("m1"),
        remove("1bad"),
        remove("c0"),
        plain("query-chardev"),
    ]
}

/// A comparison that is wrong ends QEMU, so only good ones are made.
fn colo() -> Vec<Step> {
    let set = |property: &str, value: Value| {
        let arguments = json!({"path": "/objects/cmp", "property": property, "value": value});
        Step::Command("qom-set", arguments)
    };
    let mut steps: Vec<Step> = ["p", "s", "o", "n"]
        .into_iter()
        .map(|id| socket(id, &format!("@/{id}"), json!({"server": true})))
        .collect();
    steps.extend([
        Step::Command(
            "object-add",
            json!({"qom-type": "colo-compare", "id": "cmp"}),
        ),
        Step::Command(
            "object-add",
            json!({"qom-type": "colo-compare", "id": "cmp", "primary_in": "p", "secondary_in": "s",
                   "outdev": "o", "notify_dev": "n", "iothread": "io0"}),
        ),
        plain("query-chardev"),
        plain("query-yank"),
    ]);
    for property in [
        "primary_in",
        "secondary_in",
        "outdev",
        "notify_dev",
        "iothread",
        "compare_timeout",
        "expired_scan_cycle",
        "max_queue_size",
        "vnet_hdr_support",
        "type",
        "nope",
    ] {
        steps.push(get("/objects/cmp", property));
    }
    steps.extend([
        set("compare_timeout", json!(5)),
        get("/objects/cmp", "compare_timeout"),
        set("compare_timeout", json!(0)),
        set("expired_scan_cycle", json!(0)),
        set("max_queue_size", json!(0)),
        set("compare_timeout", json!("x")),
        set("nope", json!(1)),
        Step::Command("chardev-remove", json!({"id": "p"})),
        Step::Command(
            "chardev-change",
            json!({"id": "p", "backend": {"type": "null", "data": {}}}),
        ),
        Step::Command("object-del", json!({"id": "cmp"})),
        Step::Command("object-del", json!({"id": "cmp"})),
        plain("query-chardev"),
        Step::Command("chardev-remove", json!({"id": "p"})),
        plain("query-yank"),
    ]);
    steps
}

fn script() -> Vec<Step> {
    let node = |name: &str, read_only: bool| {
        let options = json!({"driver": "null-co", "node-name": name, "read-only": read_only});
        Step::Command("blockdev-add", options)
    };
    let object =
        |kind: &str, id: &str| Step::Command("object-add", json!({"qom-type": kind, "id": id}));
    let mut steps = vec![
        object("iothread", "io0"),
        object("iothread", "io1"),
        object("main-loop", "ml"),
        node("n0", false),
        node("n1", false),
        node("ro", true),
    ];
    steps.extend(scsi());
    steps.extend(others());
    steps.extend(chardevs());
    steps.extend(colo());
    steps
}

fn as_qemu(qemu: &Path, age: Age) -> Result<(), Failed> {
    let reference = Server::start_qemu(qemu, &["-machine", "pc", "-accel", "tcg", "-S"])?;
    let server = Server::start_iothreadd(&[]);
    let mut theirs = Peer::new(&reference)?;
    let mut ours = Peer::new(&server)?;
    let mut differences = Vec::new();
    for step in script() {
        let (name, arguments) = match &step {
            Step::Newer(..) if age == Age::Old => continue,
            Step::Command(name, arguments) | Step::Newer(name, arguments) => (*name, arguments),
            Step::Reset => {
                theirs
                    .qmp
                    .execute("system_reset", json!({}))
                    .context("reset")?;
                continue;
            }
            Step::Events(count) => {
                let [their_events, our_events] = [theirs.events(*count)?, ours.events(*count)?];
                if their_events != our_events {
                    differences.push(format!("QEMU: {their_events}\nours: {our_events}"));
                }
                continue;
            }
        };
        let their_answer = theirs.command(name, arguments)?;
        let our_answer = ours.command(name, arguments)?;
        if their_answer != our_answer {
            differences.push(format!(
                "{name} {arguments}\n  QEMU: {their_answer}\n  ours: {our_answer}"
            ));
        }
    }
    match differences.is_empty() {
        true => Ok(()),
        false => Err(differences.join("\n").into()),
    }
}

/// One side of the comparison.
struct Peer {
    qmp: Qmp,
    folder: PathBuf,
}

impl Peer {
    fn new(server: &Server) -> Result<Self, Failed> {
        Ok(Self {
            qmp: Qmp::open(server.socket())?,
            folder: server.folder().to_owned(),
        })
    }

    /// The next events about devices.
    fn events(&mut self, count: usize) -> Result<Value, Failed> {
        let mut events = Vec::new();
        let start = Instant::now();
        while events.len() < count {
            if start.elapsed() > PATIENCE {
                return Err(format!("{events:?}, and no more").into());
            }
            // QEMU 10 forgets about what is to be freed later, unless it is kept busy.
            self.qmp.exchange("query-status", &json!({}))?;
            let news = self.qmp.events.drain(..);
            let news = news.filter(|event| event["event"] != "RESET");
            events.extend(news.map(|event| json!([event["event"], event["data"]])));
        }
        Ok(Value::Array(events))
    }

    fn command(&mut self, name: &str, arguments: &Value) -> Result<Value, Failed> {
        let folder = self.folder.display().to_string();
        let arguments = replace(arguments, "@", &folder);
        let reply = self.qmp.exchange(name, &arguments);
        let reply = reply.with_context(|| format!("{name} {arguments}"))?;
        Ok(normalize(name, replace(&reply, &folder, "@")))
    }
}

/// Takes away what differs on purpose or by version:
///
/// - QEMU lists character devices, and the children of an object, in the order of a hash table;
/// - a port is whichever was free;
/// - the name of a connection that was called is empty in 7.2;
/// - whether a disk can be removed, and its tray opened, is not known here;
/// - what `query-block` tells of a node is compared elsewhere.
fn normalize(command: &str, mut reply: Value) -> Value {
    let Some(returned) = reply.get_mut("return") else {
        return reply;
    };
    match (command, returned) {
        ("query-chardev", Value::Array(list)) => {
            for device in list.iter_mut() {
                if let Some(Value::String(name)) = device.get_mut("filename") {
                    *name = normalize_filename(name);
                }
            }
            list.sort_by_key(|device| device["label"].to_string());
        }
        ("qom-list", Value::Array(list)) => list.sort_by_key(|it| it["name"].to_string()),
        ("query-block", Value::Array(list)) => {
            for device in list.iter_mut() {
                let inserted = &device["inserted"];
                *device = json!({
                    "qdev": device["qdev"], "node": inserted["node-name"], "ro": inserted["ro"],
                });
            }
            // An empty drive has no node that it could be listed with.
            list.retain(|device| !device["node"].is_null());
            list.sort_by_key(|device| device["qdev"].to_string());
        }
        ("human-monitor-command", Value::String(text)) => {
            let mut lines: Vec<&str> = text.split_inclusive("\r\n").collect();
            lines.sort_unstable();
            *text = lines.concat();
        }
        (_, _) => {}
    }
    reply
}

fn normalize_filename(name: &str) -> String {
    if name == "unix:" || name == "unix:@/s1" {
        return "unix:@/s1".to_owned();
    }
    match name.split_once("127.0.0.1:") {
        Some((start, rest)) => {
            let end = rest.find(',').unwrap_or(rest.len());
            format!("{start}127.0.0.1:PORT{}", &rest[end..])
        }
        None => name.to_owned(),
    }
}
