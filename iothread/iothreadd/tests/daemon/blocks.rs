//! Block nodes, and descriptors passed along.

use serde_json::json;

use crate::harness::Server;

#[test]
fn files_are_opened_and_locked() {
    let server = Server::start(&[]);
    let image = server.folder().join("image");
    std::fs::write(&image, [0; 1000]).unwrap();
    let image = image.to_str().unwrap();
    let mut client = server.client();
    let raw = json!({
        "driver": "raw", "node-name": "r0",
        "file": {"driver": "file", "filename": image},
    });
    client.execute("blockdev-add", raw);
    let nodes = client.execute("query-named-block-nodes", json!({}));
    assert_eq!(nodes[0]["node-name"], "r0");
    assert_eq!(nodes[0]["file"], image);
    assert_eq!(nodes[0]["image"]["virtual-size"], 1024);
    assert_eq!(nodes[0]["children"][0]["node-name"], nodes[1]["node-name"]);
    let again = json!({"driver": "file", "node-name": "f1", "filename": image});
    // Nodes lock nothing, but their users do.
    client.execute("blockdev-add", again.clone());
    let device = |node: &str| json!({"driver": "virtio-blk-pci", "id": node, "drive": node});
    client.execute("device_add", device("r0"));
    assert_eq!(
        client.error("device_add", device("f1")),
        "Failed to get \"write\" lock"
    );
    client.execute("device_del", json!({"id": "r0"}));
    client.event();
    client.event();
    client.execute("device_add", device("f1"));
    client.execute("device_del", json!({"id": "f1"}));
    client.event();
    client.event();
    client.execute("blockdev-del", json!({"node-name": "f1"}));
    client.execute("blockdev-del", json!({"node-name": "r0"}));
    assert_eq!(
        client.execute("query-named-block-nodes", json!({})),
        json!([])
    );
    client.execute("blockdev-add", again);
    // An inactive node locks nothing, and stays inactive although a device has it.
    let inactive = json!({
        "driver": "file", "node-name": "f3", "filename": image, "active": false,
    });
    client.execute("blockdev-add", inactive);
    let device = json!({"driver": "virtio-blk-pci", "drive": "f3"});
    client.execute("device_add", device);
    let blocks = client.execute("query-block", json!({}));
    let of_inactive = &blocks[0]["inserted"];
    assert_eq!(of_inactive["node-name"], "f3");
    assert_eq!(of_inactive["active"], false);
    let missing = json!({"driver": "file", "node-name": "f2", "filename": "/nonexistent/x"});
    assert_eq!(
        client.error("blockdev-add", missing),
        "Could not open '/nonexistent/x': No such file or directory"
    );
}

#[test]
fn a_device_is_reported_with_its_node() {
    let server = Server::start(&["--object", "iothread,id=io0"]);
    let mut client = server.client();
    client.add_node("n0");
    let device = json!({"driver": "virtio-blk-pci", "id": "d0", "drive": "n0", "iothread": "io0"});
    client.execute("device_add", device.clone());
    let blocks = client.execute("query-block", json!({}));
    assert_eq!(blocks[0]["qdev"], "/machine/peripheral/d0/virtio-backend");
    assert_eq!(blocks[0]["inserted"]["node-name"], "n0");
    assert_eq!(
        client.error("device_add", device),
        "Duplicate device ID 'd0'"
    );
    client.execute("device_del", json!({"id": "d0"}));
    client.event();
    client.event();
    assert_eq!(client.execute("query-block", json!({})), json!([]));
}

/// What goes down from node to node takes some of the stack for each of them.
#[test]
fn nodes_stand_on_each_other_to_a_limit() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let bottom = json!({"driver": "null-co", "node-name": "n0", "read-zeroes": true});
    client.execute("blockdev-add", bottom);
    let above = |number: usize| {
        let (name, below) = (format!("n{number}"), format!("n{}", number - 1));
        json!({"driver": "raw", "node-name": name, "file": below})
    };
    for number in 1..=50 {
        client.execute("blockdev-add", above(number));
    }
    assert_eq!(
        client.error("blockdev-add", above(51)),
        "node 'n51' would stand on more than 50 others"
    );
    // The highest can be used.
    let device = json!({"driver": "virtio-blk-pci", "drive": "n50"});
    client.execute("device_add", device);
    let nodes = client.execute("query-named-block-nodes", json!({}));
    assert_eq!(nodes.as_array().unwrap().len(), 51);
}

#[test]
fn descriptors_are_kept() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let file = tempfile::tempfile().unwrap();
    let kept = client.exchange_with("getfd", json!({"fdname": "a"}), &file);
    assert_eq!(kept, json!({"return": {}}));
    client.execute("closefd", json!({"fdname": "a"}));
    let gone = client.error("closefd", json!({"fdname": "a"}));
    assert_eq!(gone, "File descriptor named 'a' not found");
    let none = client.error("getfd", json!({"fdname": "a"}));
    assert_eq!(none, "No file descriptor supplied via SCM_RIGHTS");
    let added = client.exchange_with("add-fd", json!({"opaque": "note"}), &file)["return"].clone();
    assert_eq!(added["fdset-id"], 0);
    let sets = server.client().execute("query-fdsets", json!({}));
    assert_eq!(
        sets,
        json!([{"fdset-id": 0, "fds": [{"fd": added["fd"], "opaque": "note"}]}])
    );
    client.execute("remove-fd", json!({"fdset-id": 0}));
    assert_eq!(client.execute("query-fdsets", json!({})), json!([]));
}

/// What a node asks of requests, in replies and for people.
#[test]
fn limits_of_nodes_are_told() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.add_node("n0");
    let image = server.folder().join("image");
    std::fs::write(&image, [0; 4096]).unwrap();
    let file = json!({"driver": "file", "node-name": "f0", "filename": image});
    client.execute("blockdev-add", file);
    for (name, below) in [("r0", "n0"), ("r1", "f0")] {
        let raw = json!({"driver": "raw", "node-name": name, "file": below});
        client.execute("blockdev-add", raw);
    }
    let nodes = client.execute("query-named-block-nodes", json!({}));
    let limits = |name: &str| {
        let nodes = nodes.as_array().unwrap();
        let node = nodes.iter().find(|node| node["node-name"] == name);
        let limits = &node.unwrap()["image"]["limits"];
        (
            limits["request-alignment"].as_u64().unwrap(),
            limits["min-mem-alignment"].as_u64().unwrap(),
            limits["max-iov"].as_u64().unwrap(),
        )
    };
    assert_eq!(limits("n0"), (1, 512, 1024));
    assert_eq!(limits("f0"), (1, 1, 1024));
    assert_eq!(limits("r0"), (1, 512, 1024));
    assert_eq!(limits("r1"), (1, 1, 1024));
    let shown = client.execute(
        "human-monitor-command",
        json!({"command-line": "info block -v n0"}),
    );
    let expected = "Block limits:\r\n    request alignment: 1\r\n    min mem alignment: 512\r\n    \
                    opt mem alignment: ";
    assert!(shown.as_str().unwrap().contains(expected), "{shown}");
}

/// A drive for optical disks has a tray, with or without a disk.
#[test]
fn drives_have_trays() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.add_node("n0");
    client.execute(
        "device_add",
        json!({"driver": "virtio-scsi-pci", "id": "s0"}),
    );
    for device in [
        json!({"driver": "scsi-cd", "id": "empty"}),
        json!({"driver": "scsi-cd", "id": "full", "drive": "n0"}),
    ] {
        client.execute("device_add", device);
    }
    let blocks = client.execute("query-block", json!({}));
    assert_eq!(
        blocks[0],
        json!({
            "device": "", "qdev": "empty", "type": "unknown", "removable": true, "locked": false,
            "tray_open": false, "io-status": "ok",
        })
    );
    assert_eq!(blocks[1]["qdev"], "full");
    assert_eq!(blocks[1]["tray_open"], false);
    let info = json!({"command-line": "info block"});
    let shown = client.execute("human-monitor-command", info);
    let tray = "    Removable device: not locked, tray closed\r\n";
    assert_eq!(
        shown,
        format!(
            "empty: [not inserted]\r\n    Attached to:      empty\r\n{tray}\r\n\
             n0: null-co:// (null-co)\r\n    Attached to:      full\r\n{tray}    \
             Cache mode:       writeback\r\n"
        )
    );
    client.execute("device_del", json!({"id": "s0"}));
    for _ in 0..4 {
        client.event();
    }
    assert_eq!(client.execute("query-block", json!({})), json!([]));
}

/// Options for the cache that say nothing are refused, as in QEMU.
#[test]
fn a_cache_needs_options() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let null = json!({"driver": "null-co", "node-name": "n0", "cache": {}});
    assert_eq!(
        client.error("blockdev-add", null),
        "Block protocol 'null-co' doesn't support the option 'cache'"
    );
    let raw = json!({
        "driver": "raw", "node-name": "r0", "cache": {}, "file": {"driver": "null-co"},
    });
    assert_eq!(
        client.error("blockdev-add", raw),
        "Block format 'raw' does not support the option 'cache'"
    );
    let below = json!({"driver": "null-co", "cache": {}});
    let below = json!({"driver": "raw", "node-name": "r0", "file": below});
    assert_eq!(
        client.error("blockdev-add", below),
        "Block protocol 'null-co' doesn't support the option 'cache'"
    );
    assert_eq!(
        client.execute("query-named-block-nodes", json!({})),
        json!([])
    );
}

/// A device may be told where on the PCI bus it goes.
#[test]
fn places_on_the_pci_bus() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let device = |addr: serde_json::Value| json!({"driver": "virtio-scsi-pci", "addr": addr});
    for addr in [
        json!("1f"),
        json!("06.7"),
        json!("0x2"),
        json!("0x8.0x1"),
        json!(" 9"),
        json!(-1),
        json!(255),
    ] {
        client.execute("device_add", device(addr));
    }
    for addr in ["20", "6.8", "x", "", "6.", "9 "] {
        assert_eq!(
            client.error("device_add", device(json!(addr))),
            format!("Property 'virtio-scsi-pci.addr' doesn't take value '{addr}'")
        );
    }
    assert_eq!(
        client.error("device_add", device(json!(256))),
        "Parameter 'addr' expects a value between -1 and 255"
    );
    assert_eq!(
        client.error("device_add", device(json!(true))),
        "Invalid parameter type for 'addr', expected int or str"
    );
}
