//! The table of subsystems.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::walk::Row;
use super::world::World;
use super::{nbd, vfio};
use crate::guest::Guest;

fn of_object(path: &str) -> Value {
    json!({"type": "qom-object", "qom-path": path})
}

fn of_backend(id: &str) -> Value {
    of_object(&format!("/machine/peripheral/{id}/virtio-backend"))
}

fn nothing(_: &mut World) -> Result<(), Failed> {
    Ok(())
}

fn add_n0(world: &mut World) -> Result<(), Failed> {
    world.add_node("n0")
}

fn delete_n0(world: &mut World) -> Result<(), Failed> {
    world.delete_node("n0")
}

fn unplug_d0(world: &mut World) -> Result<(), Failed> {
    world.unplug("d0")
}

/// Notifies the queues of a device from the first one given, and waits until each has carried out its request. Returns
/// the threads that did.
fn notify(world: &mut World, path: &str, first: usize) -> Result<Option<Vec<i64>>, Failed> {
    let count = |queues: &Value| queues.as_array().map_or(0, Vec::len);
    let before = world.property(path, "x-queues")?;
    for queue in first..count(&before) {
        let write = json!({"path": path, "property": "x-notify", "value": queue});
        world.run("qom-set", write)?;
    }
    loop {
        let queues = world.property(path, "x-queues")?;
        let is_done = |queue: &Value| queue["notifications"] == 1 && queue["requests"] != 0;
        let queues = queues.as_array().into_iter().flatten().skip(first);
        let queues: Vec<&Value> = queues.collect();
        assert!(!queues.is_empty());
        if queues.iter().all(|it| is_done(it)) {
            for queue in &queues {
                assert_eq!(queue["failures"], 0);
            }
            let thread = |queue: &&Value| queue["thread-id"].as_i64().unwrap_or_default();
            return Ok(Some(queues.iter().map(thread).collect()));
        }
    }
}

/// As `notify`, of a device without disks behind its queues.
fn notify_alone(world: &mut World, path: &str, queue: usize) -> Result<Option<Vec<i64>>, Failed> {
    let write = json!({"path": path, "property": "x-notify", "value": queue});
    world.run("qom-set", write)?;
    loop {
        let queues = world.property(path, "x-queues")?;
        if queues[queue]["notifications"] == 1 {
            return Ok(queues[queue]["thread-id"].as_i64().map(|it| vec![it]));
        }
    }
}

fn notify_d0(world: &mut World) -> Result<Option<Vec<i64>>, Failed> {
    notify(world, "/machine/peripheral/d0/virtio-backend", 0)
}

/// Mistakes about IOThreads that all devices refuse in the same way.
fn wrong_threads() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"iothread": "nope"}), "Device 'nope' not found"),
        (
            json!({"iothread": "/machine"}),
            "Invalid parameter type for 'iothread', expected: iothread",
        ),
        (
            json!({"iothread": 1}),
            "Invalid parameter type for 'iothread', expected: string",
        ),
        (json!({"bus": "nope"}), "Bus 'nope' not found"),
        (json!({"id": "a/b"}), "Invalid qdev ID 'a/b'"),
    ]
}

/// Mistakes in a mapping of two queues.
fn wrong_mappings() -> Vec<(Value, &'static str)> {
    let mapping = |list: Value| json!({ "iothread-vq-mapping": list });
    vec![
        (
            mapping(json!([{"iothread": "io0"}, {"iothread": "nope"}])),
            "IOThread \"nope\" object does not exist",
        ),
        (
            mapping(json!([{"iothread": "io0"}, {"iothread": "io0"}])),
            "duplicate IOThread name \"io0\" in iothread-vq-mapping",
        ),
        (
            mapping(json!([{"iothread": "io0", "vqs": [0, 1]}, {"iothread": "io1"}])),
            "either all items in iothread-vq-mapping must have vqs or none of them must have it",
        ),
        (
            mapping(json!([{"iothread": "io0", "vqs": [0]}, {"iothread": "io1", "vqs": [2]}])),
            "vq index 2 for IOThread \"io1\" must be less than num_queues 2 in iothread-vq-mapping",
        ),
        (
            mapping(json!([{"iothread": "io0", "vqs": [0]}, {"iothread": "io1", "vqs": [0]}])),
            "cannot assign vq 0 to IOThread \"io1\" because it is already assigned",
        ),
        (
            mapping(json!([{"iothread": "io0", "vqs": [1]}])),
            "missing vq 0 IOThread assignment in iothread-vq-mapping",
        ),
        (
            mapping(json!("io0")),
            "Invalid parameter type for 'iothread-vq-mapping', expected: array",
        ),
        (
            json!({"iothread": "io0"}),
            "iothread and iothread-vq-mapping properties cannot be set at the same time",
        ),
        (
            json!({"ioeventfd": false}),
            "ioeventfd is required for iothread",
        ),
    ]
}

pub(super) fn block_node() -> Row {
    Row {
        prepare: add_n0,
        refused: vec![
            (json!({"iothread": "nope"}), "Cannot find iothread nope"),
            (
                json!({"node-name": "nope"}),
                "Failed to find node with node-name='nope'",
            ),
        ],
        command: "x-blockdev-set-iothread",
        is_unique: false,
        arguments: |_| json!({"node-name": "n0", "iothread": "io0"}),
        threads: &["io0"],
        holder: json!({"type": "block-node", "node-name": "n0"}),
        work: |_| Ok(None),
        remove: |world| {
            let place = json!({"node-name": "n0", "iothread": null});
            world.run("x-blockdev-set-iothread", place).map(drop)
        },
        clean_up: delete_n0,
    }
}

fn start_nbd(world: &mut World) -> Result<(), Failed> {
    let addr = json!({"type": "unix", "data": {"path": world.path("nbd")}});
    world.run("nbd-server-start", json!({"addr": addr}))?;
    world.add_node("n0")
}

fn stop_nbd(world: &mut World) -> Result<(), Failed> {
    world.run("nbd-server-stop", json!({}))?;
    world.delete_node("n0")
}

fn remove_export(world: &mut World) -> Result<(), Failed> {
    // The server may not have heard yet that its clients are gone.
    let arguments = json!({"id": "e0", "mode": "hard"});
    world.run("block-export-del", arguments)?;
    world.wait_for("BLOCK_EXPORT_DELETED", "id", "e0")
}

fn wrong_exports() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"iothread": "nope"}), "iothread \"nope\" not found"),
        (
            json!({"iothread": ["io0", "nope"]}),
            "iothread \"nope\" not found",
        ),
        (
            json!({"node-name": "nope"}),
            "Cannot find device='' nor node-name='nope'",
        ),
        (json!({"id": ""}), "Invalid block export id"),
    ]
}

pub(super) fn block_export() -> Row {
    Row {
        prepare: start_nbd,
        refused: wrong_exports(),
        command: "block-export-add",
        is_unique: true,
        arguments: |_| json!({"type": "nbd", "id": "e0", "node-name": "n0", "name": "e0", "iothread": "io0"}),
        threads: &["io0"],
        holder: json!({"type": "block-export", "export-id": "e0"}),
        work: |world| nbd::threads_that_serve(world, 1),
        remove: remove_export,
        clean_up: stop_nbd,
    }
}

pub(super) fn block_export_on_two() -> Row {
    Row {
        arguments: |_| json!({"type": "nbd", "id": "e0", "node-name": "n0", "name": "e0", "iothread": ["io0", "io1"]}),
        threads: &["io0", "io1"],
        work: |world| nbd::threads_that_serve(world, 4),
        ..block_export()
    }
}

/// Reads a sector through each of the two queues of `e0`. Returns the threads that have served them.
fn read_as_guest(world: &mut World) -> Result<Option<Vec<i64>>, Failed> {
    let mut guest = Guest::start(&world.path("vhost"), 2, 0);
    for queue in [0, 1] {
        assert_eq!(guest.read_disk(queue, 1, 512), [0; 512]);
    }
    let queues = world.run("x-query-block-export-queues", json!({"id": "e0"}))?;
    let queues = queues.as_array().into_iter().flatten();
    let threads = queues.filter_map(|it| it["thread-id"].as_i64());
    Ok(Some(threads.collect()))
}

pub(super) fn vhost_user_export() -> Row {
    let mut refused = wrong_exports();
    refused.push((
        json!({"addr": {"type": "unix", "path": "/nonexistent/x"}}),
        "Failed to bind socket to /nonexistent/x: No such file or directory",
    ));
    Row {
        prepare: add_n0,
        refused,
        arguments: |world| {
            let addr = json!({"type": "unix", "path": world.path("vhost")});
            json!({"type": "vhost-user-blk", "id": "e0", "node-name": "n0", "addr": addr,
                   "num-queues": 2, "iothread": ["io0", "io1"]})
        },
        threads: &["io0", "io1"],
        work: read_as_guest,
        clean_up: delete_n0,
        ..block_export()
    }
}

pub(super) fn virtio_blk() -> Row {
    let mut refused = wrong_threads();
    refused.extend([
        (
            json!({"drive": "nope"}),
            "Property 'virtio-blk-device.drive' can't find value 'nope'",
        ),
        (json!({"drive": null}), "drive property not set"),
        (
            json!({"num-queues": 0}),
            "num-queues property must be larger than 0",
        ),
        (
            json!({"queue-size": 3}),
            "invalid queue-size property (3), must be a power of 2 (max 1024)",
        ),
        (
            json!({"ioeventfd": false}),
            "ioeventfd is required for iothread",
        ),
        (json!({"x": 1}), "Property 'virtio-blk-pci.x' not found"),
    ]);
    Row {
        prepare: add_n0,
        refused,
        command: "device_add",
        is_unique: true,
        arguments: |_| json!({"driver": "virtio-blk-pci", "id": "d0", "drive": "n0", "iothread": "io0"}),
        threads: &["io0"],
        holder: of_backend("d0"),
        work: notify_d0,
        remove: unplug_d0,
        clean_up: delete_n0,
    }
}

pub(super) fn virtio_blk_mapping() -> Row {
    Row {
        refused: wrong_mappings(),
        arguments: |_| {
            let mapping = json!([{"iothread": "io1", "vqs": [0]}, {"iothread": "io0", "vqs": [1]}]);
            json!({"driver": "virtio-blk-pci", "id": "d0", "drive": "n0", "num-queues": 2,
                   "iothread-vq-mapping": mapping})
        },
        threads: &["io0", "io1"],
        ..virtio_blk()
    }
}

/// Plugs a disk into the controller, which goes with it.
fn scsi_work(world: &mut World) -> Result<Option<Vec<i64>>, Failed> {
    let disk = json!({"driver": "scsi-hd", "id": "h0", "bus": "d0.0", "drive": "n0"});
    for (wrong, text) in [
        (json!({"drive": null}), "drive property not set"),
        (
            json!({"drive": "nope"}),
            "Property 'scsi-hd.drive' can't find value 'nope'",
        ),
        (json!({"lun": 20000}), "bad scsi device lun: 20000"),
        (
            json!({"bus": "pci.0"}),
            "Device 'scsi-hd' can't go on PCI bus",
        ),
        (json!({"id": "d0"}), "Duplicate device ID 'd0'"),
    ] {
        let mut arguments = disk.clone();
        for (name, value) in wrong.as_object().into_iter().flatten() {
            match value {
                Value::Null => drop(arguments.as_object_mut().and_then(|it| it.remove(name))),
                value => arguments[name] = value.clone(),
            }
        }
        assert_eq!(world.refusal("device_add", &arguments)?, text);
    }
    let holders = world.holders()?;
    world.run("device_add", disk)?;
    // Disks hold nothing: they are where their controller is.
    assert_eq!(world.holders()?, holders);
    let in_use = world.refusal("blockdev-del", &json!({"node-name": "n0"}))?;
    assert_eq!(in_use, "Node n0 is in use");
    let path = "/machine/peripheral/d0/virtio-backend";
    // Control and events are on the main loop.
    let main = i64::from(world.server.process_id());
    for queue in 0..2 {
        assert_eq!(notify_alone(world, path, queue)?, Some(vec![main]));
    }
    notify(world, path, 2)
}

pub(super) fn virtio_scsi() -> Row {
    let mut refused = wrong_threads();
    refused.extend([
        (
            json!({"num_queues": 0}),
            "Invalid number of queues (= 0), must be a positive integer less than 1022.",
        ),
        (
            json!({"num_queues": 1023}),
            "Invalid number of queues (= 1023), must be a positive integer less than 1022.",
        ),
        (
            json!({"ioeventfd": false}),
            "ioeventfd is required for iothread",
        ),
        (
            json!({"drive": "n0"}),
            "Property 'virtio-scsi-pci.drive' not found",
        ),
    ]);
    Row {
        prepare: add_n0,
        refused,
        command: "device_add",
        is_unique: true,
        arguments: |_| json!({"driver": "virtio-scsi-pci", "id": "d0", "num_queues": 2, "iothread": "io0"}),
        threads: &["io0"],
        holder: of_backend("d0"),
        work: scsi_work,
        remove: unplug_d0,
        clean_up: delete_n0,
    }
}

pub(super) fn virtio_scsi_mapping() -> Row {
    Row {
        refused: wrong_mappings(),
        arguments: |_| {
            let mapping = json!([{"iothread": "io0"}, {"iothread": "io1"}]);
            json!({"driver": "virtio-scsi-pci", "id": "d0", "num_queues": 2, "iothread-vq-mapping": mapping})
        },
        threads: &["io0", "io1"],
        ..virtio_scsi()
    }
}

pub(super) fn virtio_balloon() -> Row {
    let mut refused = wrong_threads();
    refused.extend([(
        json!({"free-page-hint": 3}),
        "Invalid parameter type for 'free-page-hint', expected: boolean",
    )]);
    Row {
        prepare: nothing,
        refused,
        command: "device_add",
        is_unique: true,
        arguments: |_| json!({"driver": "virtio-balloon-pci", "id": "d0", "free-page-hint": true, "iothread": "io0"}),
        threads: &["io0"],
        holder: of_backend("d0"),
        work: |world| {
            let second = json!({"driver": "virtio-balloon-pci", "id": "d1"});
            let refusal = world.refusal("device_add", &second)?;
            assert_eq!(refusal, "Only one balloon device is supported");
            notify_alone(world, "/machine/peripheral/d0/virtio-backend", 3)
        },
        remove: unplug_d0,
        clean_up: nothing,
    }
}

pub(super) fn xen_disk() -> Row {
    let mut refused = wrong_threads();
    refused.extend([
        (json!({"vdev": null}), "vdev property not set"),
        (json!({"vdev": "nope"}), "invalid virtual disk specifier"),
        (json!({"drive": null}), "drive property not set"),
        (
            json!({"drive": "nope"}),
            "Property 'xen-disk.drive' can't find value 'nope'",
        ),
        (
            json!({"bus": "pci.0"}),
            "Device 'xen-disk' can't go on PCI bus",
        ),
    ]);
    Row {
        prepare: add_n0,
        refused,
        command: "device_add",
        is_unique: true,
        arguments: |_| json!({"driver": "xen-disk", "id": "d0", "vdev": "xvda", "drive": "n0", "iothread": "io0"}),
        threads: &["io0"],
        holder: of_object("/machine/peripheral/d0"),
        work: |world| notify(world, "/machine/peripheral/d0", 0),
        remove: unplug_d0,
        clean_up: delete_n0,
    }
}

pub(super) fn xen_disk_on_its_own() -> Row {
    Row {
        refused: vec![
            (json!({"vdev": "nope"}), "invalid virtual disk specifier"),
            (json!({"drive": null}), "drive property not set"),
        ],
        arguments: |_| json!({"driver": "xen-disk", "id": "d0", "vdev": "51712", "drive": "n0"}),
        threads: &["xvda"],
        ..xen_disk()
    }
}

const COLO_DEVICES: [&str; 4] = ["pri", "sec", "out", "note"];

pub(super) fn colo_compare() -> Row {
    Row {
        prepare: |world| {
            COLO_DEVICES
                .into_iter()
                .try_for_each(|it| world.add_chardev(it))
        },
        refused: vec![
            (json!({"iothread": "nope"}), "Device 'nope' not found"),
            (
                json!({"iothread": "/machine"}),
                "Invalid parameter type for 'iothread', expected: iothread",
            ),
            (json!({"iothread": null}), "Parameter 'iothread' is missing"),
            (json!({"primary_in": "nope"}), "Device 'nope' not found"),
            (
                json!({"outdev": "pri"}),
                "'indev' and 'outdev' could not be same for compare module",
            ),
            // Found when the others are taken already.
            (
                json!({"notify_dev": "out"}),
                "chardev 'out' is already in use",
            ),
            (
                json!({"max_queue_size": 0}),
                "Property 'colo-compare.max_queue_size' requires a positive value",
            ),
            (json!({"id": "1x"}), "Parameter 'id' expects an identifier"),
        ],
        command: "object-add",
        is_unique: true,
        arguments: |_| {
            json!({"qom-type": "colo-compare", "id": "cmp", "primary_in": "pri", "secondary_in": "sec",
                   "outdev": "out", "notify_dev": "note", "iothread": "io0"})
        },
        threads: &["io0"],
        holder: of_object("/objects/cmp"),
        work: |world| {
            let mut peer = UnixStream::connect(world.path("pri"))?;
            // Four bytes that are not a packet, and go through.
            peer.write_all(&[0, 0, 0, 4, 1, 2, 3, 4])?;
            loop {
                let counts = world.property("/objects/cmp", "x-counts")?;
                if counts["released"] == 1 {
                    return Ok(counts["thread-id"].as_i64().map(|it| vec![it]));
                }
            }
        },
        remove: |world| {
            let busy = world.refusal("chardev-remove", &json!({"id": "out"}))?;
            assert_eq!(busy, "Chardev 'out' is busy");
            world.run("object-del", json!({"id": "cmp"}))?;
            // The peer of before has hung up, but the device may not have heard of it.
            wait_until_disconnected(world, "pri")
        },
        clean_up: |world| {
            COLO_DEVICES
                .into_iter()
                .try_for_each(|it| world.delete_chardev(it))
        },
    }
}

fn wait_until_disconnected(world: &mut World, id: &str) -> Result<(), Failed> {
    while world.property(&format!("/chardevs/{id}"), "connected")? == true {}
    Ok(())
}

pub(crate) fn vfio_user() -> Row {
    Row {
        prepare: nothing,
        refused: vec![
            (json!({"socket": null}), "No socket specified"),
            (
                json!({"socket": {"type": "unix", "path": "/nonexistent/x"}}),
                "Failed to connect to '/nonexistent/x': No such file or directory",
            ),
            (
                json!({"socket": {"type": "inet", "host": "127.0.0.1", "port": "1"}}),
                "vfio-user-pci needs a socket of type 'unix'",
            ),
            (
                json!({"socket": {"type": "unix"}}),
                "Parameter 'socket.path' is missing",
            ),
        ],
        command: "device_add",
        is_unique: true,
        arguments: |world| {
            let path = world.new_path("vfio");
            vfio::serve(&path);
            json!({"driver": "vfio-user-pci", "id": "d0", "socket": {"type": "unix", "path": path}})
        },
        threads: &["vfio-user"],
        holder: of_object("/machine/peripheral/d0"),
        work: |world| {
            let path = "/machine/peripheral/d0";
            assert_eq!(world.property(path, "x-pci-vendor-id")?, vfio::VENDOR);
            assert_eq!(world.property(path, "x-pci-device-id")?, vfio::DEVICE);
            let regions = world.property(path, "x-regions")?;
            assert_eq!(regions[0]["size"], vfio::BAR_SIZE);
            let connection = world.property(path, "x-connection")?;
            assert_eq!(connection["connected"], true);
            Ok(connection["thread-id"].as_i64().map(|it| vec![it]))
        },
        remove: unplug_d0,
        clean_up: nothing,
    }
}

pub(crate) fn monitor() -> Row {
    Row {
        prepare: |world| world.add_chardev("ch"),
        refused: vec![
            (json!({"chardev": "nope"}), "chardev \"nope\" not found"),
            (json!({"chardev": null}), "Parameter 'chardev' is missing"),
            (
                json!({"close-action": "maybe"}),
                "Parameter 'close-action' does not accept value 'maybe'",
            ),
            (json!({"id": "1x"}), "Parameter 'id' expects an identifier"),
        ],
        command: "object-add",
        is_unique: true,
        arguments: |_| json!({"qom-type": "monitor-qmp", "id": "mon", "chardev": "ch"}),
        threads: &["mon_iothread"],
        holder: json!({"type": "monitor", "monitor-name": "mon"}),
        work: |world| {
            let mut peer = UnixStream::connect(world.path("ch"))?;
            let mut greeting = [0; 8];
            peer.read_exact(&mut greeting)?;
            assert_eq!(greeting, *b"{\"QMP\": ");
            drop(peer);
            wait_until_disconnected(world, "ch")?;
            Ok(None)
        },
        remove: |world| world.run("object-del", json!({"id": "mon"})).map(drop),
        clean_up: |world| world.delete_chardev("ch"),
    }
}
