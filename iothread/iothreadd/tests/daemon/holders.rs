//! Holders come and go with devices, nodes and monitors.

use serde_json::{Value, json};

use crate::harness::{Client, Server, eventually};

fn backend(device: &str) -> Value {
    json!({"type": "qom-object", "qom-path": format!("/machine/peripheral/{device}/virtio-backend")})
}

fn start() -> (Server, Client) {
    let server = Server::start(&["--object", "iothread,id=io0", "--object", "iothread,id=io1"]);
    let client = server.client();
    (server, client)
}

fn plug(client: &mut Client, id: &str, more: Value) {
    let node = format!("node-of-{id}");
    client.add_node(&node);
    let mut device = json!({"driver": "virtio-blk-pci", "id": id, "drive": node});
    for (name, value) in more.as_object().unwrap() {
        device[name] = value.clone();
    }
    client.execute("device_add", device);
}

fn unplug(client: &mut Client, id: &str) {
    client.execute("device_del", json!({"id": id}));
    let path = format!("/machine/peripheral/{id}");
    let of_backend = client.event();
    assert_eq!(of_backend["event"], "DEVICE_DELETED");
    assert_eq!(
        of_backend["data"],
        json!({"path": format!("{path}/virtio-backend")})
    );
    let of_device = client.event();
    assert_eq!(of_device["data"], json!({"device": id, "path": path}));
}

#[test]
fn devices_hold_from_plugging_to_the_event() {
    let (_server, mut client) = start();
    plug(&mut client, "d0", json!({"iothread": "io0"}));
    plug(&mut client, "d1", json!({"iothread": "io0"}));
    assert_eq!(client.holders("io0"), [backend("d1"), backend("d0")]);
    let in_use = "object 'io0' is in use, can not be deleted";
    assert_eq!(client.error("object-del", json!({"id": "io0"})), in_use);
    unplug(&mut client, "d1");
    assert_eq!(client.holders("io0"), [backend("d0")]);
    unplug(&mut client, "d0");
    assert_eq!(client.holders("io0"), [] as [Value; 0]);
    client.execute("object-del", json!({"id": "io0"}));
    let missing = client.error("device_del", json!({"id": "d0"}));
    assert_eq!(missing, "Device 'd0' not found");
}

#[test]
fn devices_without_id_are_found_by_their_path() {
    let (_server, mut client) = start();
    client.add_node("n0");
    let device = json!({"driver": "virtio-blk-pci", "drive": "n0", "iothread": "io0"});
    client.execute("device_add", device);
    let path = "/machine/peripheral-anon/device[0]";
    let holder = json!({"type": "qom-object", "qom-path": format!("{path}/virtio-backend")});
    assert_eq!(client.holders("io0"), [holder]);
    client.execute("device_del", json!({"id": path}));
    client.event();
    assert_eq!(client.event()["data"], json!({"path": path}));
    assert_eq!(client.holders("io0"), [] as [Value; 0]);
}

#[test]
fn a_mapping_gives_each_thread_one_holder() {
    let (_server, mut client) = start();
    let mapping = json!([{"iothread": "io0", "vqs": [0, 2]}, {"iothread": "io1", "vqs": [1]}]);
    plug(
        &mut client,
        "d0",
        json!({"num-queues": 3, "iothread-vq-mapping": mapping}),
    );
    assert_eq!(client.holders("io0"), [backend("d0")]);
    assert_eq!(client.holders("io1"), [backend("d0")]);
    unplug(&mut client, "d0");
    assert_eq!(client.holders("io0"), [] as [Value; 0]);
    assert_eq!(client.holders("io1"), [] as [Value; 0]);
}

#[test]
fn a_mapping_that_is_refused_leaves_no_holder() {
    let (_server, mut client) = start();
    client.add_node("n0");
    for (mapping, text) in [
        (
            json!([{"iothread": "io0"}, {"iothread": "nope"}]),
            "IOThread \"nope\" object does not exist",
        ),
        (
            json!([{"iothread": "io0"}, {"iothread": "io0"}]),
            "duplicate IOThread name \"io0\" in iothread-vq-mapping",
        ),
        (
            json!([{"iothread": "io0", "vqs": [0]}, {"iothread": "io1"}]),
            "either all items in iothread-vq-mapping must have vqs or none of them must have it",
        ),
        (
            json!([{"iothread": "io0", "vqs": [0, 2]}]),
            "vq index 2 for IOThread \"io0\" must be less than num_queues 2 in iothread-vq-mapping",
        ),
        (
            json!([{"iothread": "io0", "vqs": [0]}, {"iothread": "io1", "vqs": [0]}]),
            "cannot assign vq 0 to IOThread \"io1\" because it is already assigned",
        ),
        (
            json!([{"iothread": "io0", "vqs": [0]}]),
            "missing vq 1 IOThread assignment in iothread-vq-mapping",
        ),
    ] {
        let device = json!({
            "driver": "virtio-blk-pci", "id": "d0", "drive": "n0", "num-queues": 2,
            "iothread-vq-mapping": mapping,
        });
        assert_eq!(client.error("device_add", device), text);
        assert_eq!(client.holders("io0"), [] as [Value; 0]);
        assert_eq!(client.holders("io1"), [] as [Value; 0]);
    }
    // The node is as free as before.
    client.execute("blockdev-del", json!({"node-name": "n0"}));
}

#[test]
fn queues_run_on_the_thread_that_the_query_reports() {
    let (_server, mut client) = start();
    let mapping = json!([{"iothread": "io0"}, {"iothread": "io1"}]);
    plug(
        &mut client,
        "d0",
        json!({"num-queues": 4, "iothread-vq-mapping": mapping}),
    );
    let threads = client.execute("query-iothreads", json!({}));
    let path = "/machine/peripheral/d0/virtio-backend";
    for queue in 0..4 {
        let notify = json!({"path": path, "property": "x-notify", "value": queue});
        client.execute("qom-set", notify);
    }
    let query = json!({"path": path, "property": "x-queues"});
    let mut queues = Value::Null;
    eventually(|| {
        queues = client.execute("qom-get", query.clone());
        let is_done = |queue: &Value| queue["notifications"] == 1;
        queues.as_array().unwrap().iter().all(is_done)
    });
    for (index, queue) in queues.as_array().unwrap().iter().enumerate() {
        let thread = &threads[index % 2];
        assert_eq!(queue["iothread"], thread["id"]);
        assert_eq!(queue["thread-id"], thread["thread-id"]);
    }
}

#[test]
fn nodes_hold_from_one_move_to_the_next() {
    let (_server, mut client) = start();
    client.add_node("n0");
    let raw = json!({"driver": "raw", "node-name": "r0", "file": "n0"});
    client.execute("blockdev-add", raw);
    let move_to = |client: &mut Client, node: &str, thread: Value| {
        let place = json!({"node-name": node, "iothread": thread});
        client.execute("x-blockdev-set-iothread", place);
    };
    let node = |name: &str| json!({"type": "block-node", "node-name": name});
    move_to(&mut client, "r0", json!("io0"));
    assert_eq!(client.holders("io0"), [node("r0")]);
    move_to(&mut client, "r0", json!("io0"));
    assert_eq!(client.holders("io0"), [node("r0")]);
    // Both nodes move, and the one that is named holds.
    move_to(&mut client, "n0", json!("io1"));
    assert_eq!(client.holders("io0"), [] as [Value; 0]);
    assert_eq!(client.holders("io1"), [node("n0")]);
    move_to(&mut client, "n0", Value::Null);
    assert_eq!(client.holders("io1"), [] as [Value; 0]);
    move_to(&mut client, "r0", json!("io1"));
    client.execute("blockdev-del", json!({"node-name": "r0"}));
    assert_eq!(client.holders("io1"), [] as [Value; 0]);
}

#[test]
fn a_device_takes_its_node_along() {
    let (_server, mut client) = start();
    client.add_node("n0");
    let place = json!({"node-name": "n0", "iothread": "io0"});
    client.execute("x-blockdev-set-iothread", place.clone());
    let device = json!({"driver": "virtio-blk-pci", "id": "d0", "drive": "n0", "iothread": "io1"});
    client.execute("device_add", device);
    assert_eq!(client.holders("io0"), [] as [Value; 0]);
    assert_eq!(client.holders("io1"), [backend("d0")]);
    assert_eq!(
        client.error("x-blockdev-set-iothread", place.clone()),
        "Node n0 is associated with a BlockBackend and could be in use (use force=true to override this check)"
    );
    let force = json!({"node-name": "n0", "iothread": "io0", "force": true});
    let refused = "Cannot change iothread of active block backend";
    assert_eq!(client.error("x-blockdev-set-iothread", force), refused);
    assert_eq!(client.holders("io0"), [] as [Value; 0]);
    assert_eq!(
        client.error("blockdev-del", json!({"node-name": "n0"})),
        "Node n0 is in use"
    );
    unplug(&mut client, "d0");
    client.execute("x-blockdev-set-iothread", place);
    assert_eq!(client.holders("io0").len(), 1);
}

#[test]
fn each_monitor_is_one_holder() {
    let folder = tempfile::tempdir().unwrap();
    let option = format!("unix:{},id=mine", folder.path().join("second").display());
    let server = Server::start(&["--qmp", &option]);
    let mut clients: Vec<_> = (0..3).map(|_| server.client()).collect();
    let threads = clients[0].execute("x-query-internal-iothreads", json!({}));
    assert_eq!(threads[0]["id"], "mon_iothread");
    let monitor = |name: &str| json!({"type": "monitor", "monitor-name": name});
    let expected = json!([monitor("compat_monitor0"), monitor("mine")]);
    assert_eq!(threads[0]["holders"], expected);
    assert_eq!(clients[1].execute("query-iothreads", json!({})), json!([]));
    assert_eq!(threads.as_array().unwrap().len(), 1);
}

#[test]
fn a_storm_of_plugging_leaves_exact_holders() {
    let (server, mut client) = start();
    let stays = json!({"iothread": "io1"});
    plug(&mut client, "stays", stays);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.client();
                let node = format!("n{number}");
                client.add_node(&node);
                for round in 0..50 {
                    let id = format!("d{number}-{round}");
                    let mapping = json!([{"iothread": "io0"}, {"iothread": "io1"}]);
                    let device = json!({
                        "driver": "virtio-blk-pci", "id": id, "drive": node, "num-queues": 4,
                        "iothread-vq-mapping": mapping,
                    });
                    client.execute("device_add", device);
                    assert!(client.holders("io0").contains(&backend(&id)));
                    client.execute("device_del", json!({"id": id}));
                    while client.event()["data"]["device"] != json!(id) {}
                    assert!(!client.holders("io0").contains(&backend(&id)));
                }
            });
        }
    });
    assert_eq!(client.holders("io0"), [] as [Value; 0]);
    assert_eq!(client.holders("io1"), [backend("stays")]);
}

#[test]
fn links_lead_to_iothreads_only() {
    let server = Server::start(&["--object", "main-loop,id=ml"]);
    let mut client = server.client();
    client.add_node("n0");
    for (iothread, text) in [
        ("nope", "Device 'nope' not found"),
        (
            "ml",
            "Invalid parameter type for 'iothread', expected: iothread",
        ),
    ] {
        let device = json!({"driver": "virtio-blk-pci", "drive": "n0", "iothread": iothread});
        assert_eq!(client.error("device_add", device), text);
    }
}
