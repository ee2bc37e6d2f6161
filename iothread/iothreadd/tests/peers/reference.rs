//! The same commands given to a live QEMU and to the program.

use std::path::Path;

use libtest_mimic::Failed;
use serde_json::{Value, json};
use tests::{Qmp, Server, Suite, Tool};

pub(crate) fn add(suite: Suite) -> Suite {
    let qemu = Tool::Program("qemu-system-x86_64");
    suite.with("objects-are-as-in-qemu", qemu, objects).with(
        "nodes-and-devices-are-as-in-qemu",
        qemu,
        nodes_and_devices,
    )
}

/// What differs on purpose: numbers of threads; holders, and the weight, which QEMU 7.2 does not have; and the defaults
/// of growth and shrinking, which QEMU reported as 0 up to 10.x.
const DIFFERENT: [&str; 5] = [
    "thread-id",
    "holders",
    "poll-weight",
    "poll-grow",
    "poll-shrink",
];

/// A reply without what differs on purpose; threads sorted, since QEMU's order is that of a hash table.
fn comparable(mut reply: Value) -> Value {
    match reply.get_mut("return") {
        Some(Value::Array(threads)) => {
            for thread in threads.iter_mut().filter_map(Value::as_object_mut) {
                thread.retain(|member, _| !DIFFERENT.contains(&member.as_str()));
            }
            threads.sort_by_key(|thread| thread["id"].to_string());
        }
        Some(Value::String(text)) => {
            let is_same = |line: &&str| {
                let name = line.trim().split('=').next().unwrap_or_default();
                !DIFFERENT.contains(&name.replace('_', "-").as_str())
            };
            let lines: Vec<&str> = text.split_inclusive("\r\n").filter(is_same).collect();
            // One thread is a line that is not indented, and what follows.
            let mut threads: Vec<String> = Vec::new();
            for line in lines {
                match threads.last_mut() {
                    Some(thread) if line.starts_with(' ') => thread.push_str(line),
                    Some(_) | None => threads.push(line.to_owned()),
                }
            }
            threads.sort();
            *text = threads.concat();
        }
        _ => {}
    }
    if let Some(Value::String(text)) = reply.pointer_mut("/error/desc") {
        // The words of QEMU before 10.0.
        *text = text.replace("is not a hotpluggable device", "is not a device");
    }
    reply
}

/// Gives the commands to both, and compares every reply.
fn compare(qemu: &Path, machine: &[&str], commands: Vec<(&str, Value)>) -> Result<(), Failed> {
    let reference = Server::start_qemu(qemu, &[machine, &["-S"]].concat())?;
    let daemon = Server::start_iothreadd(&[]);
    let mut theirs = Qmp::open(reference.socket())?;
    let mut ours = Qmp::open(daemon.socket())?;
    for (command, arguments) in commands {
        let expected = comparable(theirs.exchange(command, &arguments)?);
        let received = comparable(ours.exchange(command, &arguments)?);
        if received != expected {
            let text = format!("{command} {arguments}\n  QEMU: {expected}\n  ours: {received}");
            return Err(text.into());
        }
    }
    Ok(())
}

fn objects(qemu: &Path) -> Result<(), Failed> {
    let add = |id: &str, member: &str, value: Value| {
        let mut object = json!({"qom-type": "iothread", "id": id});
        if !member.is_empty() {
            object[member] = value;
        }
        ("object-add", object)
    };
    let set = |property: &str, value: Value| {
        let arguments = json!({"path": "/objects/io0", "property": property, "value": value});
        ("qom-set", arguments)
    };
    let get = |path: &str, property: &str| ("qom-get", json!({"path": path, "property": property}));
    let human = |line: &str| ("human-monitor-command", json!({"command-line": line}));
    let commands = vec![
        ("query-iothreads", json!({})),
        human("info iothreads"),
        add("io0", "", Value::Null),
        add("io0", "", Value::Null),
        add("io1", "poll-max-ns", json!(0)),
        add("io2", "aio-max-batch", json!(16)),
        add("1x", "", Value::Null),
        add("x y", "", Value::Null),
        add("io3", "poll-max-ns", json!(-1)),
        add("io3", "poll-grow", json!("2")),
        add("io3", "thread-pool-max", json!(0)),
        add("io3", "nope", json!(1)),
        ("query-iothreads", json!({})),
        human("info iothreads"),
        set("poll-max-ns", json!(77)),
        set("poll-max-ns", json!(-5)),
        set("poll-max-ns", json!("x")),
        set("poll-max-ns", json!(1.5)),
        set("thread-pool-min", json!(100)),
        set("type", json!("x")),
        set("nope", json!(1)),
        get("/objects/io0", "poll-max-ns"),
        get("/objects/io0", "nope"),
        get("/objects/nope", "x"),
        get("/objects", "io1"),
        get("io0", "type"),
        ("qom-list", json!({"path": "nope"})),
        ("qom-list", json!({"path": ""})),
        ("qom-list-properties", json!({"typename": "nope"})),
        ("object-del", json!({"id": "io1"})),
        ("object-del", json!({"id": "io1"})),
        ("query-iothreads", json!({})),
        human("info iothreads"),
        human("info name"),
        human("nope"),
        human("info nope"),
        human("object_add iothread,id=io0"),
        human("object_del nope"),
        human("object_del \"a\\\"b\" "),
        human("object_del \"a\"b"),
        human("object_del \"a\\nb\""),
        human("object_del a b"),
        human("object_del"),
        human("object_add iothread,id=x y"),
        human("device_add"),
        human("device_add nope,id=x y"),
        human("device_del a b"),
        human(" info  nope x"),
        human("info/x name"),
        human("\tfoo/bar baz"),
        human("/"),
        human("quit x"),
        human("quit/x"),
        human("info name/x"),
        human("help nope"),
        human("help info nope"),
        human("help device_del x"),
        human(" "),
        (
            "human-monitor-command",
            json!({"command-line": "info name", "cpu-index": 0}),
        ),
        ("query-qmp-schema", json!({"x": 1})),
        ("query-name", json!({"": 1})),
        ("qom-list-properties", json!({"typename": "object"})),
        get("", "type"),
        get("io", "type"),
        ("device_del", json!({"id": ""})),
        ("device_del", json!({"id": "/machine"})),
        ("getfd", json!({"fdname": "x"})),
        ("closefd", json!({"fdname": "x"})),
        ("remove-fd", json!({"fdset-id": 3})),
        ("remove-fd", json!({"fdset-id": 3, "fd": 4})),
        ("query-fdsets", json!({})),
        (
            "yank",
            json!({"instances": [{"type": "chardev", "id": "x"}]}),
        ),
        ("query-yank", json!({})),
    ];
    compare(qemu, &["-machine", "none"], commands)
}

/// QEMU 7.2 takes the properties of devices as texts, so their types are not compared.
fn nodes_and_devices(qemu: &Path) -> Result<(), Failed> {
    let node = |members: Value| ("blockdev-add", members);
    let raw = |name: &str, more: Value| {
        let mut members =
            json!({"driver": "raw", "node-name": name, "file": {"driver": "null-co"}});
        for (member, value) in more.as_object().into_iter().flatten() {
            members[member] = value.clone();
        }
        ("blockdev-add", members)
    };
    let place = |name: &str, thread: Value| {
        let arguments = json!({"node-name": name, "iothread": thread});
        ("x-blockdev-set-iothread", arguments)
    };
    let delete = |name: &str| ("blockdev-del", json!({"node-name": name}));
    let device = |more: Value| {
        let mut members = json!({"driver": "virtio-blk-pci", "id": "d0", "drive": "r0"});
        for (member, value) in more.as_object().into_iter().flatten() {
            members[member] = value.clone();
        }
        ("device_add", members)
    };
    let commands = vec![
        ("object-add", json!({"qom-type": "iothread", "id": "io0"})),
        node(json!({"driver": "null-co"})),
        node(json!({"driver": "null-co", "node-name": "n0"})),
        node(json!({"driver": "null-co", "node-name": "n0"})),
        node(json!({"driver": "null-co", "node-name": "1bad"})),
        node(json!({"driver": "null-co", "node-name": "x".repeat(40)})),
        node(json!({"driver": "file", "node-name": "f0", "filename": "/nonexistent/x"})),
        node(json!({"driver": "file", "node-name": "f0", "filename": "/tmp"})),
        node(json!({"driver": "file", "node-name": "f0"})),
        node(json!({"driver": "null-co", "node-name": "f0", "nope": 1})),
        node(json!({"driver": "null-co", "node-name": "f0", "detect-zeroes": "unmap"})),
        node(json!({"driver": "raw", "node-name": "r0", "file": "nope"})),
        node(json!({"driver": "raw", "node-name": "r0", "file": 1})),
        node(json!({"driver": "raw", "node-name": "r0", "file": "n0"})),
        raw("r1", json!({"offset": 512, "size": 1_u64 << 40})),
        raw("r1", json!({"offset": 1_u64 << 40})),
        raw("r1", json!({"size": 1000})),
        delete("n0"),
        delete("nope"),
        place("n0", json!("nope")),
        place("nope", json!("io0")),
        place("r0", json!("io0")),
        place("n0", Value::Null),
        place("n0", json!(1)),
        ("device_add", json!({"id": "d0"})),
        ("device_add", json!({"driver": "nope"})),
        device(json!({"drive": ""})),
        device(json!({"drive": "nope"})),
        device(json!({"nope": 1})),
        device(json!({"iothread": "nope"})),
        device(json!({"num-queues": 0})),
        device(json!({"queue-size": 3})),
        device(json!({"bus": "nope"})),
        device(json!({"iothread": "io0"})),
        device(json!({})),
        place("r0", Value::Null),
        delete("r0"),
        (
            "qom-get",
            json!({"path": "/machine/peripheral/d0", "property": "drive"}),
        ),
        (
            "qom-get",
            json!({"path": "/machine/peripheral/d0", "property": "iothread"}),
        ),
        (
            "qom-get",
            json!({"path": "/machine/peripheral/d0", "property": "virtio-backend"}),
        ),
        (
            "qom-get",
            json!({"path": "/machine/peripheral", "property": "d0"}),
        ),
        ("qom-list", json!({"path": "/machine/peripheral"})),
        ("qom-list", json!({"path": "/machine/peripheral-anon"})),
        ("device_del", json!({"id": "nope"})),
        ("device_del", json!({"id": "/nope"})),
        ("device_del", json!({"id": "d0"})),
    ];
    compare(qemu, &["-machine", "pc", "-accel", "tcg"], commands)
}
