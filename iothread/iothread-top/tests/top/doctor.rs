//! The doctor: each rule with a guest that it finds something in, and one that is well.

use std::path::Path;

use libtest_mimic::Failed;
use serde_json::{Value, json};
use tests::{Qmp, Server, Suite, Tool, eventually};

use super::guests::{Disks, start_at, start_iothreadd};
use super::qemu::{device, iothreads, node, start};
use super::{address, text_of, top};

pub(crate) fn add(suite: Suite) -> Suite {
    let old = Tool::Program("qemu-system-x86_64");
    let load = Tool::Program("qemu-img");
    suite
        .always("codes-are-explained", codes_are_explained)
        .always(
            "a-guest-that-does-not-answer-is-no-finding",
            a_guest_that_does_not_answer,
        )
        .with(
            "a-fleet-on-few-processors-is-found",
            Tool::SecondProcessor,
            |_| a_fleet_on_few_processors(),
        )
        .with("threads-without-work-are-found", old, threads_without_work)
        .with(
            "a-mapping-of-unused-threads-is-found",
            Tool::QemuTen,
            a_mapping_of_unused_threads,
        )
        .with("a-deleted-thread-is-found", old, a_deleted_thread)
        .with(
            "a-property-that-means-nothing-is-found",
            old,
            a_property_that_means_nothing,
        )
        .with("a-saturated-thread-is-found", load, a_saturated_thread)
        .with_all(
            "threads-that-share-a-processor-are-found",
            [load, Tool::SecondProcessor],
            |[load, _]| threads_that_share_a_processor(load),
        )
        .with(
            "a-host-has-exactly-its-faults",
            old,
            a_host_has_exactly_its_faults,
        )
}

/// The findings at these addresses: code, guest and subjects.
pub(crate) fn findings(addresses: &[&str]) -> Vec<String> {
    let fixed = ["doctor", "--json", "-d", "0.5", "--deadline", "30"];
    let output = top(&[&fixed[..], addresses].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["unexamined"], json!([]), "{text}");
    let findings = report["findings"].as_array().unwrap();
    let is_well = findings.is_empty();
    assert_eq!(
        output.status.code(),
        Some(if is_well { 0 } else { 1 }),
        "{text}"
    );
    let told = |finding: &Value| {
        for member in ["title", "evidence", "remedy"] {
            assert!(!finding[member].as_str().unwrap().is_empty(), "{finding}");
        }
        let subjects = finding["subjects"].as_array().unwrap();
        let subjects: Vec<&str> = subjects.iter().map(|it| it.as_str().unwrap()).collect();
        format!(
            "{} {}",
            finding["code"].as_str().unwrap(),
            subjects.join(" ")
        )
    };
    findings.iter().map(told).collect()
}

fn codes_are_explained() -> Result<(), Failed> {
    let list = text_of(&["explain"]);
    for line in list.lines() {
        let code = line.split_whitespace().next().unwrap();
        let text = text_of(&["explain", code]);
        assert!(
            text.starts_with(&format!("{code}: ")) && text.lines().count() > 3,
            "{text}"
        );
    }
    assert!(list.lines().count() >= 10, "{list}");
    assert_eq!(top(&["explain", "IO99"]).status.code(), Some(2));
    Ok(())
}

fn a_guest_that_does_not_answer() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let nobody = folder.path().join("none");
    let nobody = nobody.to_str().unwrap();
    let output = top(&["doctor", "-d", "0.1", nobody]);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout)?;
    assert!(
        text.contains("was not examined: gone: No such file"),
        "{text}"
    );
    // What else is found counts more.
    let server = start_iothreadd(&["--object", "iothread,id=io0"])?;
    let output = top(&[
        "doctor",
        "-d",
        "0.1",
        "--deadline",
        "30",
        nobody,
        &address(&server),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout)?;
    assert!(
        text.contains("IO01") && text.contains("io0 of 1 IOThread has no holder"),
        "{text}"
    );
    let well = top(&[
        "doctor",
        "-d",
        "0.1",
        "--deadline",
        "30",
        "--allow",
        "IO01",
        &address(&server),
    ]);
    assert_eq!(well.status.code(), Some(0));
    Ok(())
}

/// A disk with so many queues on `io0`, or without an IOThread.
fn disk(name: &str, n_queues: u32, iothread: Option<&str>) -> Vec<String> {
    let mut properties = json!({
        "driver": "virtio-blk-pci", "id": name, "drive": format!("{name}-node"), "num-queues": n_queues
    });
    if let Some(iothread) = iothread {
        properties["iothread"] = iothread.into();
    }
    [node(&format!("{name}-node")), device(properties)].concat()
}

fn threads_without_work(qemu: &Path) -> Result<(), Failed> {
    for (threads, disks, expected) in [
        (1, disk("d0", 1, Some("io0")), vec![]),
        // It could work for a queue.
        (2, disk("d0", 2, Some("io0")), vec!["IO01 io1"]),
        (1, disk("d0", 1, None), vec!["IO02 /machine/peripheral/d0"]),
        (0, disk("d0", 1, None), vec![]),
        (3, disk("d0", 1, Some("io0")), vec!["IO03 io0 io1 io2"]),
    ] {
        let server = start(qemu, &[iothreads(threads), disks].concat());
        assert_eq!(findings(&[&address(&server)]), expected);
    }
    Ok(())
}

fn a_mapping_of_unused_threads(qemu: &Path) -> Result<(), Failed> {
    for (n_queues, expected) in [(1, vec!["IO04 /machine/peripheral/d0"]), (2, vec![])] {
        let mapping = json!({
            "driver": "virtio-blk-pci", "id": "d0", "drive": "n0", "num-queues": n_queues,
            "iothread-vq-mapping": [{"iothread": "io0"}, {"iothread": "io1"}]
        });
        let options = [iothreads(2), node("n0").to_vec(), device(mapping).to_vec()].concat();
        let server = start(qemu, &options);
        assert_eq!(findings(&[&address(&server)]), expected);
    }
    Ok(())
}

fn a_deleted_thread(qemu: &Path) -> Result<(), Failed> {
    let mut options = [iothreads(1), disk("d0", 1, Some("io0"))].concat();
    options.extend(["-name".to_owned(), "vm0,debug-threads=on".to_owned()]);
    let server = start(qemu, &options);
    assert!(findings(&[&address(&server)]).is_empty());
    let mut client = Qmp::open(server.socket())?;
    client.execute("object-del", json!({"id": "io0"}))?;
    drop(client);
    assert_eq!(findings(&[&address(&server)]), ["IO08 io0"]);
    Ok(())
}

fn a_property_that_means_nothing(qemu: &Path) -> Result<(), Failed> {
    for (hint, expected) in [(false, vec!["IO10 /machine/peripheral/b0"]), (true, vec![])] {
        let balloon = json!({
            "driver": "virtio-balloon-pci", "id": "b0", "free-page-hint": hint, "iothread": "io0"
        });
        let server = start(qemu, &[iothreads(1), device(balloon).to_vec()].concat());
        let mut found = findings(&[&address(&server)]);
        // So the thread has nothing to do, which is another matter.
        found.retain(|it| !it.starts_with("IO01"));
        assert_eq!(found, expected);
    }
    Ok(())
}

fn found_in(disks: &Disks) -> Vec<String> {
    findings(&[&address(&disks.server)])
}

fn a_saturated_thread(qemu_img: &Path) -> Result<(), Failed> {
    let disks = Disks::start(["io0", "io0"]);
    assert_eq!(found_in(&disks), ["IO01 io1"]);
    let _load = ["e0", "e1", "e0", "e1"].map(|it| disks.load(qemu_img, it, 64));
    let mut seen = Vec::new();
    eventually(|| {
        seen = found_in(&disks);
        seen == ["IO07 io0"]
    });
    let text = top(&[
        "doctor",
        "-d",
        "0.5",
        "--deadline",
        "30",
        &address(&disks.server),
    ]);
    let text = String::from_utf8(text.stdout)?;
    // It may have been less busy just now.
    if text.contains("IO07") {
        assert!(
            text.contains("move one of 2 holders, such as e1, to io1: io0 would be"),
            "{text}"
        );
    }
    Ok(())
}

/// Lets threads of a process run on one processor only; all of them that are called `IO ...`.
fn pin(process: u32) {
    let ours = rustix::thread::sched_getaffinity(None).unwrap();
    let first = (0..).find(|it| ours.is_set(*it)).unwrap();
    let mut cpus = rustix::thread::CpuSet::new();
    cpus.set(first);
    for entry in std::fs::read_dir(format!("/proc/{process}/task")).unwrap() {
        let entry = entry.unwrap();
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap();
        if name.starts_with("IO io") {
            let id = entry.file_name().to_str().unwrap().parse().unwrap();
            let id = rustix::thread::Pid::from_raw(id);
            rustix::thread::sched_setaffinity(id, &cpus).unwrap();
        }
    }
}

fn threads_that_share_a_processor(qemu_img: &Path) -> Result<(), Failed> {
    let disks = Disks::start(["io0", "io1"]);
    let _load = ["e0", "e1"].map(|it| disks.load(qemu_img, it, 64));
    assert!(!found_in(&disks).iter().any(|it| it.starts_with("IO05")));
    pin(disks.server.process_id());
    eventually(|| {
        let found = found_in(&disks);
        let crowded = found.iter().find(|it| it.starts_with("IO05"));
        crowded.is_some_and(|it| it.contains("/io0 ") && it.ends_with("/io1"))
    });
    Ok(())
}

fn a_fleet_on_few_processors() -> Result<(), Failed> {
    let objects = ["--object", "iothread,id=io0", "--object", "iothread,id=io1"];
    let servers = [start_iothreadd(&objects)?, start_iothreadd(&objects)?];
    let addresses = servers.each_ref().map(address);
    let found = || -> Vec<String> {
        let mut found = findings(&addresses.each_ref().map(String::as_str));
        found.retain(|it| !it.starts_with("IO01"));
        found
    };
    assert!(found().is_empty());
    servers.iter().for_each(|it| pin(it.process_id()));
    let found = found();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("IO06 "), "{found:?}");
    Ok(())
}

/// Of 20 guests four have a fault each.
fn a_host_has_exactly_its_faults(qemu: &Path) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let well: Vec<_> = (0..8)
        .map(|it| path(&format!("iothreadd-{it}.qmp")))
        .collect();
    let well: Vec<&Path> = well.iter().map(|it| it.as_path()).collect();
    let _iothreadd = start_at(&well, &[])?;
    let named = |name: &str, options: Vec<String>| {
        let name = ["-name".to_owned(), format!("{name},debug-threads=on")];
        start(qemu, &[&name[..], &options].concat())
    };
    let mut servers: Vec<Server> = (0..8)
        .map(|it| {
            named(
                &format!("well{it}"),
                [iothreads(1), disk("d0", 1, Some("io0"))].concat(),
            )
        })
        .collect();
    let balloon = json!({"driver": "virtio-balloon-pci", "id": "b0", "iothread": "io0"});
    servers.push(named(
        "idle",
        [iothreads(2), disk("d0", 2, Some("io0"))].concat(),
    ));
    servers.push(named("slow", [iothreads(1), disk("d0", 1, None)].concat()));
    servers.push(named(
        "many",
        [iothreads(3), disk("d0", 1, Some("io0"))].concat(),
    ));
    let both = [
        iothreads(1),
        disk("d0", 1, Some("io0")),
        device(balloon).to_vec(),
    ]
    .concat();
    servers.push(named("odd", both));
    let mut addresses: Vec<String> = servers.iter().map(address).collect();
    addresses.push(path("*.qmp").display().to_string());
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let expected = [
        "IO01 io1",
        "IO02 /machine/peripheral/d0",
        "IO03 io0 io1 io2",
        "IO10 /machine/peripheral/b0",
    ];
    assert_eq!(findings(&addresses), expected);
    Ok(())
}
