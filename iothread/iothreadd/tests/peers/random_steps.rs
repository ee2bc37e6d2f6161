//! Random commands about objects, nodes, exports, devices, monitors, descriptors, and for people.

use serde_json::{Value, json};
use tests::Random;

/// A command, or what a client of a character device does. "@" in arguments stands for the peer's folder.
pub(crate) struct Step {
    pub(crate) command: &'static str,
    pub(crate) arguments: Value,
    pub(crate) brings_descriptor: bool,
}

/// A client connects to the character device `id`, and says something if it `speaks`.
pub(crate) const CONNECT: &str = "connect to chardev";
/// That client hangs up.
pub(crate) const HANG_UP: &str = "hang up";

/// Makes a command and its arguments.
type Maker = fn(&mut Random) -> (&'static str, Value);

/// Makes one of them.
pub(crate) fn some_step(random: &mut Random) -> Step {
    let make: [Maker; 7] = [object, node, export, device, chardev, descriptor, people];
    let (command, arguments) = make[random.below(make.len())](random);
    let takes_one = matches!(command, "getfd" | "add-fd");
    Step {
        command,
        arguments,
        brings_descriptor: takes_one && !random.once_in(4),
    }
}

fn one_of(random: &mut Random, names: &[&str]) -> String {
    let name = random.pick(names).copied();
    name.unwrap_or_default().to_owned()
}

fn thread(random: &mut Random) -> String {
    one_of(random, &["o0", "o1", "o2", "nope"])
}

/// A thread as commands name it that look for it.
fn link(random: &mut Random) -> Value {
    let names = [
        "o0",
        "o1",
        "o2",
        "o0",
        "/objects/o1",
        "objects/o2",
        "nope",
        "/chardevs/c0",
    ];
    json!(one_of(random, &names))
}

fn property(random: &mut Random) -> String {
    let names = [
        "poll-max-ns",
        "aio-max-batch",
        "poll-max-ns",
        "aio-max-batch",
        "thread-pool-min",
        "thread-pool-max",
        "nope",
        "type",
    ];
    one_of(random, &names)
}

fn node_name(random: &mut Random) -> String {
    one_of(random, &["n0", "n1", "n2", "n3", "nope"])
}

fn number(random: &mut Random) -> i64 {
    let numbers = [-1, 0, 1, 2, 8, 63, 1000, 65536];
    random.pick(&numbers).copied().unwrap_or_default()
}

fn one_of_numbers(random: &mut Random, numbers: &[i64]) -> Value {
    json!(random.pick(numbers))
}

fn maybe(random: &mut Random, arguments: &mut Value, name: &str, value: Value) {
    if random.once_in(3) {
        arguments[name] = value;
    }
}

fn object(random: &mut Random) -> (&'static str, Value) {
    let id = one_of(random, &["o0", "o1", "o2", "type", "1", "a b"]);
    match random.below(9) {
        0..=2 => {
            let kinds = ["iothread", "iothread", "iothread", "main-loop", "nope"];
            let mut arguments = json!({"qom-type": one_of(random, &kinds), "id": id});
            // One at a time: which of several mistakes is told first is not promised.
            let value = json!(number(random));
            let name = property(random);
            let has_it = !["nope", "type"].contains(&name.as_str());
            if has_it {
                maybe(random, &mut arguments, &name, value);
            }
            ("object-add", arguments)
        }
        3 => ("object-del", json!({"id": thread(random)})),
        4 => {
            let path = format!("/objects/{}", thread(random));
            let property = property(random);
            let value = json!(number(random));
            (
                "qom-set",
                json!({"path": path, "property": property, "value": value}),
            )
        }
        5 => {
            let path = one_of(
                random,
                &[
                    "/objects/o0",
                    "o1",
                    "/objects",
                    "/chardevs",
                    "/machine/peripheral/d0",
                    "d1",
                ],
            );
            let property = match random.once_in(2) {
                true => property(random),
                false => one_of(
                    random,
                    &["o0", "iothread", "drive", "num-queues", "hotplugged"],
                ),
            };
            ("qom-get", json!({"path": path, "property": property}))
        }
        6 => ("query-iothreads", json!({})),
        7 => {
            let path = one_of(
                random,
                &[
                    "/objects",
                    "/objects/o0",
                    "/chardevs",
                    "/machine/peripheral",
                    "x",
                ],
            );
            ("qom-list", json!({"path": path}))
        }
        _ => {
            let mut arguments = json!({"qom-type": "monitor-qmp", "id": "m0"});
            arguments["chardev"] = json!(one_of(random, &["c0", "c1", "nope"]));
            ("object-add", arguments)
        }
    }
}

fn node(random: &mut Random) -> (&'static str, Value) {
    let name = node_name(random);
    match random.below(8) {
        0..=2 => {
            let mut arguments = match random.below(4) {
                0 => json!({"driver": "raw", "file": node_name(random)}),
                1 => json!({"driver": "file", "filename": "@/image"}),
                _ => json!({"driver": "null-co", "size": 1 << 20}),
            };
            arguments["node-name"] = json!(name);
            maybe(random, &mut arguments, "read-only", json!(true));
            maybe(random, &mut arguments, "active", json!(false));
            maybe(random, &mut arguments, "discard", json!("unmap"));
            maybe(random, &mut arguments, "detect-zeroes", json!("on"));
            maybe(random, &mut arguments, "cache", json!({"no-flush": true}));
            ("blockdev-add", arguments)
        }
        3 => ("blockdev-del", json!({"node-name": name})),
        4 => ("query-named-block-nodes", json!({})),
        5 => {
            let thread = match random.once_in(2) {
                true => Value::Null,
                false => link(random),
            };
            (
                "x-blockdev-set-iothread",
                json!({"node-name": name, "iothread": thread}),
            )
        }
        6 => {
            let mut arguments = json!({"active": random.once_in(2)});
            if !random.once_in(4) {
                arguments["node-name"] = json!(name);
            }
            ("blockdev-set-active", arguments)
        }
        _ => ("query-block", json!({})),
    }
}

fn export(random: &mut Random) -> (&'static str, Value) {
    let id = one_of(random, &["e0", "e1", "e2", ""]);
    match random.below(10) {
        0 | 1 => {
            let addr = json!({"type": "unix", "data": {"path": "@/nbd"}});
            ("nbd-server-start", json!({"addr": addr}))
        }
        2 => match random.once_in(3) {
            true => ("nbd-server-stop", json!({})),
            false => ("query-block-exports", json!({})),
        },
        3 | 4 => {
            let mut arguments = json!({"type": "nbd", "id": id, "node-name": node_name(random)});
            arguments["name"] = json!(id);
            maybe(random, &mut arguments, "writable", json!(true));
            maybe(random, &mut arguments, "allow-inactive", json!(true));
            let thread = link(random);
            maybe(random, &mut arguments, "iothread", thread);
            maybe(random, &mut arguments, "fixed-iothread", json!(true));
            ("block-export-add", arguments)
        }
        8 | 9 => {
            let path = format!("@/vhost-{id}");
            let mut arguments = json!({
                "type": "vhost-user-blk", "id": id, "node-name": node_name(random),
                "addr": {"type": "unix", "path": path},
            });
            maybe(random, &mut arguments, "writable", json!(true));
            let size = one_of_numbers(random, &[0, 512, 4096, 513, 256]);
            maybe(random, &mut arguments, "logical-block-size", size);
            let count = one_of_numbers(random, &[0, 1, 4]);
            maybe(random, &mut arguments, "num-queues", count);
            let thread = link(random);
            maybe(random, &mut arguments, "iothread", thread);
            ("block-export-add", arguments)
        }
        5 => ("block-export-del", json!({"id": id})),
        6 => {
            let mut arguments = json!({"device": node_name(random)});
            maybe(random, &mut arguments, "name", json!(id));
            maybe(random, &mut arguments, "writable", json!(true));
            ("nbd-server-add", arguments)
        }
        _ => (
            "nbd-server-remove",
            json!({"name": one_of(random, &["e0", "n0", "n1"])}),
        ),
    }
}

fn device(random: &mut Random) -> (&'static str, Value) {
    let id = one_of(random, &["d0", "d1", "d2", "1"]);
    match random.below(6) {
        0..=3 => {
            let drivers = [
                "virtio-blk-pci",
                "virtio-scsi-pci",
                "scsi-hd",
                "scsi-cd",
                "nope",
            ];
            let driver = one_of(random, &drivers);
            let mut arguments = json!({"driver": driver, "id": id});
            if driver != "virtio-scsi-pci" {
                let node = json!(node_name(random));
                maybe(random, &mut arguments, "drive", node);
            }
            let thread = link(random);
            maybe(random, &mut arguments, "iothread", thread);
            if driver == "virtio-blk-pci" && random.once_in(4) {
                let mapping = json!([{"iothread": link(random)}, {"iothread": link(random)}]);
                arguments["num-queues"] = one_of_numbers(random, &[1, 2]);
                arguments["iothread-vq-mapping"] = mapping;
            }
            ("device_add", arguments)
        }
        4 => (
            "device_del",
            json!({"id": one_of(random, &["d0", "d1", "d2", "nope"])}),
        ),
        _ => ("query-block", json!({})),
    }
}

fn chardev(random: &mut Random) -> (&'static str, Value) {
    let id = one_of(random, &["c0", "c1", "c2", "compat_monitor0"]);
    let backends = [
        json!({"type": "null", "data": {}}),
        json!({"type": "ringbuf", "data": {"size": 4096}}),
        json!({"type": "ringbuf", "data": {"size": 3}}),
        json!({"type": "file", "data": {"out": "@/out"}}),
        json!({"type": "file", "data": {"out": "@/none/out"}}),
        json!({"type": "socket", "data": {"wait": false,
            "addr": {"type": "inet", "data": {"host": "127.0.0.1", "port": "nope"}}}}),
        json!({"type": "socket", "data": {"server": false,
            "addr": {"type": "unix", "data": {"path": "@/nobody"}}}}),
        json!({"type": "null", "data": {"logfile": "@/log"}}),
        json!({"type": "ringbuf", "data": {"logfile": "@/none/log"}}),
        json!({"type": "socket", "data": {"wait": false,
            "addr": {"type": "unix", "data": {"path": format!("@/{id}.sock")}}}}),
        json!({"type": "socket", "data": {"wait": false,
            "addr": {"type": "unix", "data": {"path": format!("@/{id}.sock")}}}}),
    ];
    let backend = random.pick(&backends).cloned().unwrap_or_default();
    match random.below(13) {
        0 | 1 => ("chardev-add", json!({"id": id, "backend": backend})),
        2 => (
            "chardev-change",
            json!({"id": id, "backend": backends[random.below(2)]}),
        ),
        3 => ("chardev-remove", json!({"id": id})),
        4 => ("ringbuf-write", json!({"device": id, "data": "hello"})),
        5 => (
            "ringbuf-read",
            json!({"device": id, "size": number(random)}),
        ),
        6 => ("chardev-send-break", json!({"id": id})),
        7 | 8 => (CONNECT, json!({"id": id, "speaks": random.once_in(2)})),
        9 => (HANG_UP, json!({"id": id})),
        10 => (
            "yank",
            json!({"instances": [{"type": "chardev", "id": one_of(random, &["c0", "nope"])}]}),
        ),
        _ => ("query-chardev", json!({})),
    }
}

fn descriptor(random: &mut Random) -> (&'static str, Value) {
    let name = one_of(random, &["f0", "f1", "1"]);
    match random.below(7) {
        0 => ("getfd", json!({"fdname": name})),
        1 => ("closefd", json!({"fdname": name})),
        2 => {
            let mut arguments = json!({"opaque": name});
            let set = json!(number(random));
            maybe(random, &mut arguments, "fdset-id", set);
            ("add-fd", arguments)
        }
        3 => ("remove-fd", json!({"fdset-id": number(random)})),
        4 => ("query-fdsets", json!({})),
        5 => {
            let addr = json!({"type": "fd", "data": {"str": name}});
            ("nbd-server-start", json!({"addr": addr}))
        }
        _ => {
            let addr = json!({"type": "fd", "data": {"str": name}});
            let backend = json!({"type": "socket", "data": {"addr": addr, "server": false}});
            ("chardev-add", json!({"id": "c2", "backend": backend}))
        }
    }
}

fn people(random: &mut Random) -> (&'static str, Value) {
    let lines = [
        "info block",
        "info block -n",
        "info block -v n0",
        "info block n1",
        "info block d0",
        "info iothreads",
        "info chardev",
        "info name",
        "info nope",
        "object_add iothread,id=o1",
        "object_add iothread,id=o1,nope=1",
        "object_add iothread,id=o2,thread-pool-max=8",
        "object_add main-loop,id=o2,thread-pool-min=x",
        "object_del o1",
        "qom-get /objects/o0 type",
        "qom-get /objects",
        "qom-set /objects/o0 poll-max-ns 5",
        "qom-list /objects/o0",
        "qom-get d0 iothread",
        "qom-set /objects/o1 thread-pool-min 1",
        "qom-get /objects/o1 thread-pool-min",
        "nbd_server_add n0",
        "nbd_server_add -w n1 e0",
        "nbd_server_remove e0",
        "nbd_server_remove -f n0",
        "nbd_server_start unix:@/nbd",
        "nbd_server_stop",
        "chardev-add null,id=c0",
        "chardev-add ringbuf,id=c1,x=1",
        "chardev-change c0 ringbuf",
        "chardev-add null,id=c1,logfile=@/log,logappend=on",
        "chardev-add null,id=c1,logfile=@/none/log",
        "chardev-remove c0",
        "ringbuf_write c1 hello",
        "ringbuf_read c1 100",
        "device_add virtio-blk-pci,id=d0,drive=n0",
        "device_add nope",
        "device_add virtio-scsi-pci,id=d1,iothread=o0",
        "device_add virtio-blk-pci,id=d2,drive=n1,num-queues=x",
        "qom-list \"/objects",
        "nope x",
    ];
    let line = random.pick(&lines).copied().unwrap_or_default();
    ("human-monitor-command", json!({"command-line": line}))
}
