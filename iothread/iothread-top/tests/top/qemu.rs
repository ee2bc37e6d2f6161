//! QEMUs that run today.

use std::collections::BTreeSet;
use std::path::Path;

use libtest_mimic::Failed;
use rustix::process::Signal;
use serde_json::{Value, json};
use tests::{Qmp, Server, Suite, Tool, eventually};

use super::exporter::Exporter;
use super::many::Rounds;
use super::{address, text_of};

pub(crate) fn add(suite: Suite) -> Suite {
    let old = Tool::Program("qemu-system-x86_64");
    suite
        .with("derived-holders-are-the-command-lines", old, |qemu| {
            derived_holders_are_the_command_lines(qemu, Age::Old)
        })
        .with(
            "derived-holders-are-the-command-lines-of-10",
            Tool::QemuTen,
            |qemu| derived_holders_are_the_command_lines(qemu, Age::New),
        )
        .with("deleted-threads-are-shown", old, deleted_threads_are_shown)
        .with("others-get-their-turn", old, others_get_their_turn)
        .with(
            "others-get-their-turn-at-10",
            Tool::QemuTen,
            others_get_their_turn,
        )
        .with(
            "a-monitor-that-is-kept-is-busy",
            old,
            a_monitor_that_is_kept_is_busy,
        )
        .with("three-who-watch-are-busy-or-alive", old, three_who_watch)
        .with(
            "three-who-watch-10-are-busy-or-alive",
            Tool::QemuTen,
            three_who_watch,
        )
}

/// Which QEMU it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// 7.2: it knows no mappings.
    Old,
    /// 10.0.
    New,
}

/// A guest that does not run, on a machine with PCI.
const STOPPED: [&str; 5] = ["-machine", "pc", "-accel", "tcg", "-S"];

/// Options for so many IOThreads, `io0` and so on.
pub(crate) fn iothreads(count: usize) -> Vec<String> {
    let options = (0..count).map(|it| ["-object".to_owned(), format!("iothread,id=io{it}")]);
    options.flatten().collect()
}

/// A guest that does not run, with these options beside.
pub(crate) fn start(qemu: &Path, options: &[String]) -> Server {
    let options = options.iter().map(String::as_str);
    let all: Vec<&str> = STOPPED.into_iter().chain(options).collect();
    Server::start_qemu(qemu, &all).unwrap()
}

/// An option with a device, as JSON: lists have no other form.
pub(crate) fn device(properties: Value) -> [String; 2] {
    ["-device".to_owned(), properties.to_string()]
}

/// An option with a node that needs no file.
pub(crate) fn node(name: &str) -> [String; 2] {
    ["-blockdev".to_owned(), format!("null-co,node-name={name}")]
}

/// The only guest of a look.
pub(crate) fn guest(address: &str) -> Value {
    let text = text_of(&["--once", "--json", "-d", "0.1", "--deadline", "30", address]);
    let round: Value = serde_json::from_str(&text).unwrap();
    round["guests"][0].clone()
}

/// Which holder with which disks is on which thread.
fn held(guest: &Value) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    for thread in guest["threads"].as_array().unwrap() {
        let id = thread["id"].as_str().unwrap();
        assert_eq!(thread["from"], "derived", "{thread}");
        let holders = thread["holders"].as_array().unwrap();
        if holders.is_empty() {
            held.insert(format!("{id}:"));
        }
        for holder in holders {
            assert_eq!(holder["kind"], "qom-object");
            let disks = holder["disks"].as_array().into_iter().flatten();
            let disks: Vec<String> = disks
                .map(|disk| {
                    let text = |name: &str| disk[name].as_str().unwrap().to_owned();
                    format!(" {}={}@{}", text("device"), text("node"), text("file"))
                })
                .collect();
            let name = holder["name"].as_str().unwrap();
            let queues = holder["queues"].as_array().map_or(String::new(), |queues| {
                let numbers: Vec<String> = queues.iter().map(Value::to_string).collect();
                format!(" [{}]", numbers.join(","))
            });
            held.insert(format!("{id}: {name}{queues}{}", disks.concat()));
        }
    }
    held
}

fn derived_holders_are_the_command_lines(qemu: &Path, age: Age) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let image = folder.path().join("image");
    std::fs::File::create(&image)?.set_len(1 << 20)?;
    let image = image.display();
    let mut options = iothreads(4);
    options.extend([
        "-name".to_owned(),
        "guest=vm0".to_owned(),
        "-blockdev".to_owned(),
        format!("raw,node-name=n0,file.driver=file,file.filename={image}"),
        // One without an IOThread, and one without a name.
        "-drive".to_owned(),
        "if=virtio,driver=null-co,read-zeroes=on".to_owned(),
    ]);
    options.extend(node("n1"));
    options.extend(device(
        json!({"driver": "virtio-blk-pci", "id": "blk0", "drive": "n0", "iothread": "io0"}),
    ));
    options.extend(device(
        json!({"driver": "virtio-scsi-pci", "id": "scsi0", "iothread": "io1"}),
    ));
    options.extend(device(
        json!({"driver": "scsi-hd", "id": "hd0", "bus": "scsi0.0", "drive": "n1"}),
    ));
    options.extend(device(json!({
        "driver": "virtio-balloon-pci", "id": "balloon0", "free-page-hint": true, "iothread": "io2"
    })));
    let mut expected = vec![
        format!("io0: /machine/peripheral/blk0/virtio-backend /machine/peripheral/blk0=n0@{image}"),
        "io1: /machine/peripheral/scsi0/virtio-backend /machine/peripheral/hd0=n1@null-co://"
            .to_owned(),
        "io2: /machine/peripheral/balloon0/virtio-backend".to_owned(),
        "io3:".to_owned(),
    ];
    if age == Age::New {
        options.extend(node("n2"));
        options.extend(device(json!({
            "driver": "virtio-blk-pci", "id": "blk2", "drive": "n2", "num-queues": 3,
            "iothread-vq-mapping": [{"iothread": "io3"}, {"iothread": "io0"}]
        })));
        options.extend(device(json!({
            "driver": "virtio-scsi-pci", "id": "scsi1", "num_queues": 2,
            "iothread-vq-mapping": [{"iothread": "io1", "vqs": [1]}, {"iothread": "io2", "vqs": [0]}]
        })));
        let blk2 = "/machine/peripheral/blk2";
        let disk = format!("{blk2}=n2@null-co://");
        expected.pop();
        expected.extend([
            format!("io3: {blk2}/virtio-backend [0,2] {disk}"),
            format!("io0: {blk2}/virtio-backend [1] {disk}"),
            "io1: /machine/peripheral/scsi1/virtio-backend [1]".to_owned(),
            "io2: /machine/peripheral/scsi1/virtio-backend [0]".to_owned(),
        ]);
    }
    let server = start(qemu, &options);
    let guest = guest(&address(&server));
    assert_eq!(guest["guest"], "vm0");
    assert_eq!(
        held(&guest),
        expected.into_iter().collect::<BTreeSet<_>>(),
        "{guest}"
    );
    let threads = guest["threads"].as_array().unwrap();
    let ids: Vec<&Value> = threads.iter().map(|it| &it["id"]).collect();
    assert_eq!(ids, ["io0", "io1", "io2", "io3"]);
    for thread in threads {
        assert!(thread["usage"]["cpu"].is_number(), "{thread}");
    }
    // Exports have IOThreads, too, and QEMU does not tell them.
    let mut client = Qmp::open(server.socket())?;
    let socket = folder.path().join("nbd").display().to_string();
    let at = json!({"addr": {"type": "unix", "data": {"path": socket}}});
    client.execute("nbd-server-start", at)?;
    let export = json!({"type": "nbd", "id": "e0", "node-name": "n0", "iothread": "io3"});
    client.execute("block-export-add", export)?;
    drop(client);
    let guest = self::guest(&address(&server));
    let note = "the server does not tell the IOThreads of its exports, which are 1";
    assert_eq!(guest["notes"], json!([note]), "{guest}");
    Ok(())
}

/// With names of threads they are told by these; without, by what was seen before.
fn deleted_threads_are_shown(qemu: &Path) -> Result<(), Failed> {
    let start_with = |names: &str| {
        let mut options = iothreads(2);
        options.extend(["-name".to_owned(), format!("vm0,debug-threads={names}")]);
        options.extend(node("n0"));
        options.extend(device(json!({
            "driver": "virtio-blk-pci", "id": "blk0", "drive": "n0", "iothread": "io0"
        })));
        start(qemu, &options)
    };
    let delete = |server: &Server| {
        // A monitor serves one client; others have their turn.
        let mut client = Qmp::open(server.socket()).unwrap();
        client.execute("object-del", json!({"id": "io0"})).unwrap();
    };
    let deleted = |guest: &Value| -> Vec<String> {
        let threads = guest["threads"].as_array().into_iter().flatten();
        let deleted = threads.filter(|it| it["standing"] == "deleted");
        deleted
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect()
    };

    let named = start_with("on");
    assert_eq!(guest(&address(&named))["n-unnamed"], Value::Null);
    assert!(deleted(&guest(&address(&named))).is_empty());
    delete(&named);
    let told = guest(&address(&named));
    assert_eq!(deleted(&told), ["io0"], "{told}");
    let text = text_of(&["--once", "-d", "0.1", "--deadline", "30", &address(&named)]);
    assert!(text.contains("io0 (deleted)"), "{text}");

    let unnamed = start_with("off");
    let mut rounds = Rounds::start(&[&address(&unnamed)]);
    rounds.until(|guests| {
        guests[0]["threads"]
            .as_array()
            .is_some_and(|it| it.len() == 2)
    });
    delete(&unnamed);
    rounds.until(|guests| deleted(&guests[0]) == ["io0"]);
    // Whoever looks for the first time knows only that there are threads.
    let told = guest(&address(&unnamed));
    assert!(deleted(&told).is_empty(), "{told}");
    assert!(told["n-unnamed"].as_u64().unwrap() > 0, "{told}");
    Ok(())
}

/// Those who watch leave the monitor to others between two looks, be they two. How long that takes is for the bench.
fn others_get_their_turn(qemu: &Path) -> Result<(), Failed> {
    let server = start(qemu, &iothreads(4));
    let mut rounds = Rounds::start(&[&address(&server)]);
    let exporter = Exporter::start(&[&address(&server)]);
    rounds.until(|guests| guests[0]["state"] == "alive");
    exporter.until("iothread_guest_up{");
    for _ in 0..100 {
        let mut client = Qmp::open(server.socket())?;
        client.execute("query-status", json!({}))?;
    }
    rounds.until(|guests| guests[0]["state"] == "alive");
    Ok(())
}

fn a_monitor_that_is_kept_is_busy(qemu: &Path) -> Result<(), Failed> {
    let server = start(qemu, &iothreads(1));
    let client = Qmp::open(server.socket())?;
    let mut rounds = Rounds::start(&["--hold", &address(&server)]);
    rounds.until(|guests| guests[0]["state"] == "busy");
    drop(client);
    rounds.until(|guests| guests[0]["state"] == "alive");
    let mut others = Rounds::start(&[&address(&server)]);
    others.until(|guests| guests[0]["state"] == "busy");
    Ok(())
}

/// All three want to keep the monitor. One that does not have it says why, at each look; all say so when it is stopped.
fn three_who_watch(qemu: &Path) -> Result<(), Failed> {
    let server = start(qemu, &iothreads(1));
    let client = Qmp::open(server.socket())?;
    let mut all = [(); 3].map(|()| Rounds::start(&["--hold", &address(&server)]));
    for one in &mut all {
        one.until(|guests| guests[0]["state"] == "busy");
    }
    drop(client);
    let state = |one: &mut Rounds| one.next()[0]["state"].as_str().unwrap().to_owned();
    eventually(|| all.iter_mut().any(|it| state(it) == "alive"));
    let looks = |guests: &[Value]| guests[0]["looks"].as_u64().unwrap();
    let mut n_alive = 0;
    for one in &mut all {
        // A look that had begun before may have found no client served.
        let n_before = looks(&one.next());
        one.until(|guests| {
            let state = &guests[0]["state"];
            let is_later = looks(guests) > n_before + 1;
            let is_known = state == "busy" || state == "alive" || state == "slow";
            assert!(!is_later || is_known, "{guests:?}");
            looks(guests) > n_before + 2
        });
        n_alive += usize::from(state(one) != "busy");
    }
    assert_eq!(n_alive, 1);
    server.signal(Signal::STOP)?;
    for one in &mut all {
        one.until(|guests| guests[0]["state"] == "silent");
    }
    server.signal(Signal::CONT)?;
    Ok(())
}
