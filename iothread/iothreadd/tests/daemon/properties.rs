//! Properties of devices that are for guests: they are taken and shown, and nothing comes of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Client, Server};

/// What is told of the properties of a type, by their names.
fn listed(client: &mut Client, typename: &str) -> BTreeMap<String, Value> {
    let list = client.execute("device-list-properties", json!({"typename": typename}));
    let entry = |it: &Value| (it["name"].as_str().unwrap().to_owned(), it.clone());
    list.as_array().unwrap().iter().map(entry).collect()
}

#[test]
fn types_and_initial_values_are_listed() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for (typename, count) in [
        ("virtio-blk-pci", 79),
        ("virtio-scsi-pci", 53),
        ("virtio-balloon-pci", 52),
        ("scsi-hd", 39),
        ("scsi-cd", 32),
    ] {
        assert_eq!(listed(&mut client, typename).len(), count, "{typename}");
    }
    let blk = listed(&mut client, "virtio-blk-pci");
    for entry in [
        json!({"name": "config-wce", "type": "bool", "description": "on/off", "default-value": true}),
        json!({"name": "packed", "type": "bool", "description": "on/off", "default-value": false}),
        json!({"name": "write-cache", "type": "OnOffAuto", "description": "on/off/auto",
            "default-value": "auto"}),
        json!({"name": "vectors", "type": "uint32", "default-value": 4_294_967_295_u32}),
        json!({"name": "rombar", "type": "int32", "default-value": -1}),
        json!({"name": "bootindex", "type": "int32"}),
        json!({"name": "num-queues", "type": "uint16", "default-value": 65535}),
        json!({"name": "romfile", "type": "str"}),
        json!({"name": "werror", "type": "BlockdevOnError", "default-value": "auto",
            "description": "Error handling policy (report/ignore/enospc/stop/auto)"}),
        json!({"name": "virtio-backend", "type": "child<virtio-blk-device>"}),
        json!({"name": "addr", "type": "str", "default-value": -1,
            "description": "Slot and optional function number, example: 06.0 or 06"}),
    ] {
        assert_eq!(blk[entry["name"].as_str().unwrap()], entry);
    }
    assert_eq!(listed(&mut client, "scsi-hd")["wwn"]["type"], "uint64");
    assert_eq!(
        listed(&mut client, "virtio-scsi-pci")["hotplug"]["default-value"],
        true
    );
}

#[test]
fn values_are_taken_and_shown() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.add_node("n");
    client.add_node("m");
    let given = json!({
        "driver": "virtio-blk-pci", "id": "d", "drive": "n", "num-queues": 2, "packed": true,
        "bootindex": 3, "write-cache": "off", "logical_block_size": 4096,
        "physical_block_size": 8192, "werror": "report", "romfile": "", "addr": "06.0",
        "discard": false, "account-failed": "on",
    });
    client.execute("device_add", given.clone());
    let get = |client: &mut Client, id: &str, name: &str| {
        let path = format!("/machine/peripheral/{id}");
        client.execute("qom-get", json!({"path": path, "property": name}))
    };
    for (name, value) in given.as_object().unwrap() {
        if !["driver", "id", "addr"].contains(&name.as_str()) {
            assert_eq!(get(&mut client, "d", name), *value, "{name}");
        }
    }
    for (name, value) in [
        ("vectors", json!(3)),
        ("event_idx", json!(true)),
        ("rerror", json!("auto")),
        ("cyls", json!(2080)),
        ("heads", json!(16)),
        ("secs", json!(63)),
        ("serial", json!("")),
        ("disable-legacy", json!("off")),
        ("discard_granularity", json!(4_294_967_295_u32)),
        ("iothread-vq-mapping", json!([])),
        ("max-write-zeroes-sectors", json!(4_194_303)),
    ] {
        assert_eq!(get(&mut client, "d", name), value, "{name}");
    }
    // The list of an object has them, too.
    let list = client.execute("qom-list", json!({"path": "/machine/peripheral/d"}));
    let packed = json!({"name": "packed", "type": "bool"});
    assert!(list.as_array().unwrap().contains(&packed), "{list}");
    client.execute(
        "device_add",
        json!({"driver": "virtio-scsi-pci", "id": "s"}),
    );
    client.execute(
        "device_add",
        json!({"driver": "scsi-hd", "id": "hd", "drive": "m", "wwn": u64::MAX, "rotation_rate": 1}),
    );
    client.execute("device_add", json!({"driver": "scsi-cd", "id": "cd"}));
    client.execute(
        "device_add",
        json!({"driver": "virtio-balloon-pci", "id": "b"}),
    );
    for (id, name, value) in [
        ("s", "vectors", json!(4)),
        ("s", "hotplug", json!(true)),
        ("hd", "wwn", json!(u64::MAX)),
        ("hd", "product", json!("QEMU HARDDISK")),
        ("hd", "vendor", json!("QEMU")),
        ("hd", "discard_granularity", json!(4096)),
        ("hd", "cyls", json!(2080)),
        ("cd", "product", json!("QEMU CD-ROM")),
        ("cd", "ver", json!("2.5+")),
        ("b", "vectors", json!(2)),
        ("b", "guest-stats-polling-interval", json!(0)),
    ] {
        assert_eq!(get(&mut client, id, name), value, "{id}.{name}");
    }
    let stats = get(&mut client, "b", "guest-stats");
    assert_eq!(stats["last-update"], 0);
    assert_eq!(stats["stats"]["stat-free-memory"], json!(u64::MAX));
    client.execute(
        "qom-set",
        json!({"path": "/machine/peripheral/b", "property": "guest-stats-polling-interval", "value": 2}),
    );
    assert_eq!(get(&mut client, "b", "guest-stats-polling-interval"), 2);
}

#[test]
fn values_that_would_change_something_are_refused() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.add_node("n");
    let other = |name: &str, value: &str| {
        format!("Property 'virtio-blk-pci.{name}' with the value '{value}' is not supported")
    };
    for (name, value, text) in [
        ("werror", json!("stop"), other("werror", "stop")),
        ("rerror", json!("ignore"), other("rerror", "ignore")),
        (
            "account-failed",
            json!("off"),
            other("account-failed", "off"),
        ),
        ("romfile", json!("x"), other("romfile", "x")),
        (
            "backend_defaults",
            json!("on"),
            other("backend_defaults", "on"),
        ),
        (
            "werror",
            json!("x"),
            "Parameter 'werror' does not accept value 'x'".into(),
        ),
        (
            "werror",
            json!(1),
            "Invalid parameter type for 'werror', expected: string".into(),
        ),
        (
            "write-cache",
            json!("x"),
            "Parameter 'write-cache' does not accept value 'x'".into(),
        ),
        (
            "vectors",
            json!(-1),
            "Parameter 'vectors' expects uint32_t".into(),
        ),
        (
            "bootindex",
            json!(1_u64 << 31),
            "Parameter 'bootindex' expects int32_t".into(),
        ),
        (
            "packed",
            json!(1),
            "Invalid parameter type for 'packed', expected: boolean".into(),
        ),
        (
            "logical_block_size",
            json!(100),
            "parameter logical_block_size must be a power of 2 between 512 and 2097152".into(),
        ),
        (
            "logical_block_size",
            json!(4096),
            "logical_block_size > physical_block_size not supported".into(),
        ),
        (
            "min_io_size",
            json!(5),
            "min_io_size must be a multiple of logical_block_size".into(),
        ),
        ("cyls", json!(1), "heads must be between 1 and 255".into()),
        (
            "secs",
            json!(300),
            "cyls must be between 1 and 65535".into(),
        ),
        (
            "busnr",
            json!(1),
            "Property 'virtio-blk-pci.busnr' is not writable".into(),
        ),
        (
            "nope",
            json!(1),
            "Property 'virtio-blk-pci.nope' not found".into(),
        ),
        (
            "realized",
            json!(true),
            "Property 'virtio-blk-pci.realized' not found".into(),
        ),
    ] {
        let mut device = json!({"driver": "virtio-blk-pci", "id": "d", "drive": "n"});
        device[name] = value;
        assert_eq!(client.error("device_add", device), text, "{name}");
    }
    let controller = json!({"driver": "virtio-scsi-pci", "hotplug": false});
    assert_eq!(
        client.error("device_add", controller),
        "Property 'virtio-scsi-pci.hotplug' with the value 'off' is not supported"
    );
}
