//! The same script about block nodes and exports against live QEMUs and against `iothreadd`.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libtest_mimic::Failed;
use serde_json::{Value, json};
use tests::{Qmp, Server, Suite, Tool, replace};

pub(crate) fn add(suite: Suite) -> Suite {
    let old = Tool::Program("qemu-system-x86_64");
    let new = Tool::QemuTen;
    suite.with("nodes-and-exports-as-qemu", old, as_qemu).with(
        "nodes-and-exports-as-qemu-10",
        new,
        as_qemu,
    )
}

/// One step of the script. "@" in arguments stands for the peer's folder.
enum Step {
    Command(&'static str, Value),
    /// Connects to an export as an NBD client.
    Connect(&'static str),
    /// Waits until that client is disconnected.
    ExpectEnd,
}

fn script() -> Vec<Step> {
    let command = Step::Command;
    let plain = |name| Step::Command(name, json!({}));
    let monitor = |line: &str| command("human-monitor-command", json!({"command-line": line}));
    let node = |options: Value| command("blockdev-add", options);
    let file = |name: &str, image: &str| {
        node(json!({"driver": "file", "node-name": name, "filename": format!("@/{image}")}))
    };
    let del_node = |name: &str| command("blockdev-del", json!({"node-name": name}));
    let start = |path: &str| {
        let address = json!({"type": "unix", "data": {"path": path}});
        command("nbd-server-start", json!({"addr": address}))
    };
    let inet = |host: &str, port: &str| {
        let address = json!({"type": "inet", "data": {"host": host, "port": port}});
        command("nbd-server-start", json!({"addr": address}))
    };
    let export = |id: &str, node: &str, more: Value| {
        let mut options = json!({"type": "nbd", "id": id, "node-name": node, "name": id});
        for (name, value) in more.as_object().into_iter().flatten() {
            options[name] = value.clone();
        }
        command("block-export-add", options)
    };
    let del = |id: &str| command("block-export-del", json!({"id": id}));
    let del_in =
        |id: &str, mode: &str| command("block-export-del", json!({"id": id, "mode": mode}));
    let place = |node: &str, thread: Value, force: bool| {
        command(
            "x-blockdev-set-iothread",
            json!({"node-name": node, "iothread": thread, "force": force}),
        )
    };
    let iothread = |id: &str| command("object-add", json!({"qom-type": "iothread", "id": id}));
    let exports = || plain("query-block-exports");
    let nodes = || plain("query-named-block-nodes");
    vec![
        iothread("io0"),
        iothread("io1"),
        // Nodes, good and bad.
        file("f0", "a"),
        file("f0", "a"),
        file("9", "a"),
        file("", "a"),
        file("n123456789012345678901234567890", "a"),
        file("n1234567890123456789012345678901", "a"),
        file("none", "none"),
        node(json!({"driver": "file", "node-name": "x", "filename": ""})),
        node(json!({"driver": "file", "node-name": "x", "filename": "@"})),
        node(json!({"driver": "file", "node-name": "x", "filename": "/dev/null"})),
        node(json!({"driver": "file", "filename": "@/a"})),
        node(json!({"driver": "nope", "node-name": "x"})),
        node(json!({"driver": "file", "node-name": "x", "filename": "@/a", "force-share": true})),
        node(
            json!({"driver": "file", "node-name": "x", "filename": "@/a", "detect-zeroes": "unmap"}),
        ),
        node(json!({"driver": "null-co", "node-name": "null", "size": 4096, "read-zeroes": true})),
        node(json!({"driver": "null-co", "node-name": "x", "latency-ns": u64::MAX})),
        node(json!({"driver": "raw", "node-name": "r0", "file": "f0"})),
        node(
            json!({"driver": "raw", "node-name": "r1", "read-only": true, "cache": {"no-flush": true},
                    "file": {"driver": "file", "node-name": "rf1", "filename": "@/b"}}),
        ),
        node(
            json!({"driver": "raw", "node-name": "r2", "offset": 512, "size": 1024,
                    "file": {"driver": "file", "node-name": "rf2", "filename": "@/c"}}),
        ),
        node(json!({"driver": "raw", "node-name": "r3", "file": "nope"})),
        node(json!({"driver": "raw", "node-name": "r3", "file": "f0", "offset": 2_000_000})),
        node(
            json!({"driver": "raw", "node-name": "r3", "file": "f0", "offset": 0, "size": 2_000_000}),
        ),
        node(json!({"driver": "raw", "node-name": "r3", "file": "f0", "offset": 0, "size": 100})),
        nodes(),
        monitor("info block"),
        monitor("info block -n"),
        monitor("info block -v r2"),
        monitor("info block nope"),
        // The server.
        plain("nbd-server-stop"),
        monitor("nbd_server_stop"),
        export("e0", "f0", json!({})),
        start("@/none/x"),
        start(&format!("/{}", "x".repeat(200))),
        inet("127.0.0.1", "abc"),
        inet("192.0.2.1", "0"),
        command(
            "nbd-server-start",
            json!({"addr": {"type": "fd", "data": {"str": "nope"}}}),
        ),
        monitor("nbd_server_start nonsense"),
        monitor("nbd_server_start"),
        monitor("help nbd_server_start"),
        monitor("help nbd_server_stop"),
        monitor("help nbd_server_add"),
        monitor("help nbd_server_remove"),
        monitor("help info block"),
        start("@/nbd"),
        start("@/other"),
        // Exports, good and bad.
        export("", "f0", json!({})),
        export("0", "f0", json!({})),
        export("e", "nope", json!({})),
        export("e", "f0", json!({"iothread": "nope"})),
        export("e", "r1", json!({"writable": true})),
        export("e", "f0", json!({"name": "x".repeat(4097)})),
        export("e", "f0", json!({"description": "x".repeat(4097)})),
        export("e0", "f0", json!({"writable": true})),
        export("e0", "f0", json!({})),
        export("e1", "f0", json!({"name": "e0"})),
        export("e1", "r0", json!({"name": "", "writable": true})),
        export("e2", "r1", json!({"description": "read-only"})),
        exports(),
        del_node("f0"),
        del_node("r0"),
        del_node("rf1"),
        del_node("nope"),
        place("f0", json!("io0"), false),
        place("f0", json!("nope"), false),
        place("nope", json!("nope"), false),
        del("nope"),
        del("e1"),
        del("e1"),
        // Clients.
        Step::Connect("e0"),
        del("e0"),
        del_in("e0", "safe"),
        del_in("e0", "nope"),
        del_in("e0", "hard"),
        Step::ExpectEnd,
        exports(),
        del_in("e0", "hard"),
        // Places.
        export("a", "null", json!({"iothread": "io0"})),
        export("b", "null", json!({"iothread": "io1"})),
        export(
            "c",
            "null",
            json!({"iothread": "io1", "fixed-iothread": true}),
        ),
        export(
            "d",
            "null",
            json!({"iothread": "io0", "fixed-iothread": true}),
        ),
        export("d", "null", json!({"iothread": "io0"})),
        export("f", "null", json!({})),
        place("null", json!("io0"), true),
        exports(),
        del("c"),
        place("null", json!("io0"), true),
        place("null", Value::Null, true),
        // The end of the server takes the exports with it.
        plain("nbd-server-stop"),
        exports(),
        start("@/nbd"),
        monitor("nbd_server_add"),
        monitor("nbd_server_add nope"),
        monitor("nbd_server_add null"),
        monitor("nbd_server_add -w r0 w"),
        exports(),
        monitor("nbd_server_remove nope"),
        monitor("nbd_server_remove w"),
        exports(),
        monitor("nbd_server_stop"),
        exports(),
        // And nodes can go, in one order.
        del_node("f0"),
        del_node("r0"),
        del_node("f0"),
        del_node("r1"),
        del_node("r2"),
        del_node("null"),
        del_node("n123456789012345678901234567890"),
        nodes(),
    ]
}

fn as_qemu(qemu: &Path) -> Result<(), Failed> {
    let reference = Server::start_qemu(qemu, &["-machine", "none"])?;
    let daemon = Server::start_iothreadd(&[]);
    let mut theirs = Peer::new(reference.socket(), reference.folder())?;
    let mut ours = Peer::new(daemon.socket(), daemon.folder())?;
    for step in script() {
        let [their_answer, our_answer] = [theirs.carry_out(&step)?, ours.carry_out(&step)?];
        if let Step::Command(name, arguments) = &step
            && their_answer != our_answer
        {
            let text = format!("{name} {arguments}\n  QEMU: {their_answer}\n  ours: {our_answer}");
            return Err(text.into());
        }
    }
    Ok(())
}

/// One side of the comparison.
struct Peer {
    qmp: Qmp,
    folder: PathBuf,
    client: Option<UnixStream>,
}

impl Peer {
    fn new(socket: &Path, folder: &Path) -> Result<Self, Failed> {
        for image in ["a", "b", "c"] {
            std::fs::write(folder.join(image), vec![1; 1 << 20])?;
        }
        Ok(Self {
            qmp: Qmp::open(socket)?,
            folder: folder.to_owned(),
            client: None,
        })
    }

    fn carry_out(&mut self, step: &Step) -> Result<Value, Failed> {
        match step {
            Step::Connect(export) => {
                self.client = Some(connect(&self.folder.join("nbd"), export)?);
                Ok(Value::Null)
            }
            Step::ExpectEnd => {
                if let Some(mut client) = self.client.take() {
                    let mut rest = Vec::new();
                    client.read_to_end(&mut rest)?;
                }
                // What the end brings about has come about when this is answered.
                self.command("query-name", &json!({}))?;
                Ok(Value::Null)
            }
            Step::Command(name, arguments) => self.command(name, arguments),
        }
    }

    /// The reply and the events around it.
    fn command(&mut self, name: &str, arguments: &Value) -> Result<Value, Failed> {
        let folder = self.folder.display().to_string();
        let arguments = replace(arguments, "@", &folder);
        let reply = self.qmp.exchange(name, &arguments)?;
        // QEMU's threads need a moment to disconnect clients, after the reply.
        let waits = name == "block-export-del" && reply.get("return").is_some();
        if waits && self.qmp.events.is_empty() {
            let event = self.qmp.event()?;
            self.qmp.events.push(event);
        }
        let mut events: Vec<String> = self
            .qmp
            .events
            .drain(..)
            .map(|event| format!("{} {}", event["event"], event["data"]))
            .collect();
        // QEMU 7.2 ends exports in another order than later ones.
        events.sort();
        let reply = normalize(replace(&reply, &folder, "@"));
        Ok(json!([reply, events]))
    }
}

/// Takes away what differs on purpose or by version.
fn normalize(mut reply: Value) -> Value {
    let nodes = match reply.get_mut("return") {
        Some(Value::Array(nodes)) => nodes,
        Some(Value::String(text)) => {
            // Newer than 10.0: a title, and four lines below it.
            if let Some(start) = text.find("Block limits:\r\n") {
                let limits: usize = text[start..]
                    .split_inclusive("\r\n")
                    .take(5)
                    .map(str::len)
                    .sum();
                text.replace_range(start..start + limits, "");
            }
            return reply;
        }
        Some(_) | None => return reply,
    };
    for node in nodes.iter_mut().filter_map(Value::as_object_mut) {
        // Newer than 7.2, and than 10.0.
        node.remove("active");
        node.remove("children");
        if let Some(image) = node.get_mut("image").and_then(Value::as_object_mut) {
            image.remove("format-specific");
            image.remove("limits");
        }
        // A number that QEMU draws.
        if let Some(Value::String(name)) = node.get_mut("node-name")
            && name.starts_with('#')
        {
            *name = "#".to_owned();
        }
    }
    reply
}

/// Connects to an export.
fn connect(socket: &Path, export: &str) -> Result<UnixStream, Failed> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.read_exact(&mut [0; 18])?;
    let length = u32::try_from(export.len())?;
    let go = [
        &3_u32.to_be_bytes(),
        &b"IHAVEOPT"[..],
        &7_u32.to_be_bytes(),
        &(length + 6).to_be_bytes(),
        &length.to_be_bytes(),
        export.as_bytes(),
        &[0, 0],
    ];
    stream.write_all(&go.concat())?;
    loop {
        let mut head = [0; 20];
        stream.read_exact(&mut head)?;
        let number = |range: std::ops::Range<usize>| {
            let bytes = head[range].try_into().unwrap_or_default();
            u32::from_be_bytes(bytes)
        };
        let (kind, length) = (number(12..16), number(16..20));
        stream.read_exact(&mut vec![0; length as usize])?;
        match kind {
            1 => return Ok(stream),
            3 => {}
            _ => return Err(format!("export {export}: reply {kind:#x}").into()),
        }
    }
}
