//! Commands about several parts of the server: types, activity of nodes, exports of the older kind, addresses.

use serde_json::{Value, json};

use tests::Qmp;

use crate::harness::{Client, Server, eventually};

fn people(client: &mut Client, line: &str) -> String {
    let text = client.execute("human-monitor-command", json!({"command-line": line}));
    text.as_str().unwrap().to_owned()
}

/// The names of the nodes that are active.
fn active(client: &mut Client) -> Vec<String> {
    let nodes = client.execute("query-named-block-nodes", json!({}));
    let nodes = nodes.as_array().unwrap().iter();
    let mut names: Vec<_> = nodes
        .filter(|node| node["active"] == true)
        .map(|node| node["node-name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn set_active(client: &mut Client, node: &str, active: bool) {
    let arguments = json!({"node-name": node, "active": active});
    client.execute("blockdev-set-active", arguments);
}

/// Nodes become active from below, and inactive from above.
#[test]
fn nodes_are_activated_and_deactivated() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.add_node("n");
    for name in ["r", "s"] {
        let raw = json!({"driver": "raw", "node-name": name, "file": "n"});
        client.execute("blockdev-add", raw);
    }
    let off = |node: &str| json!({"node-name": node, "active": false});
    assert_eq!(
        client.error("blockdev-set-active", off("nope")),
        "Failed to find node with node-name='nope'"
    );
    let above = "Node has active parent node";
    assert_eq!(client.error("blockdev-set-active", off("n")), above);
    // Somebody else still stands on the node below.
    set_active(&mut client, "r", false);
    assert_eq!(active(&mut client), ["n", "s"]);
    assert_eq!(client.error("blockdev-set-active", off("n")), above);
    set_active(&mut client, "s", false);
    assert_eq!(active(&mut client), [""; 0]);
    set_active(&mut client, "r", true);
    assert_eq!(active(&mut client), ["n", "r"]);
    client.execute("blockdev-set-active", json!({"active": true}));
    assert_eq!(active(&mut client), ["n", "r", "s"]);
    client.execute("blockdev-set-active", json!({"active": false}));
    assert_eq!(active(&mut client), [""; 0]);
}

/// Devices and exports that only read put up with an inactive node; exports that write do not.
#[test]
fn exports_that_write_keep_nodes_active() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let folder = server.folder().to_owned();
    client.add_node("n");
    let device = json!({"driver": "virtio-blk-pci", "drive": "n"});
    client.execute("device_add", device);
    set_active(&mut client, "n", false);
    client.add_node("m");
    let addr = json!({"type": "unix", "data": {"path": folder.join("nbd")}});
    client.execute("nbd-server-start", json!({"addr": addr}));
    let export = |id: &str, writable: bool| json!({"type": "nbd", "id": id, "node-name": "m", "name": id, "writable": writable});
    client.execute("block-export-add", export("reads", false));
    set_active(&mut client, "m", false);
    client.execute("block-export-add", export("writes", true));
    assert_eq!(active(&mut client), ["m"]);
    let off = json!({"node-name": "m", "active": false});
    assert_eq!(
        client.error("blockdev-set-active", off),
        "Failed to inactivate node: Operation not permitted"
    );
    assert_eq!(
        client.error("blockdev-set-active", json!({"active": false})),
        "Failed to inactivate all nodes: Operation not permitted"
    );
    assert_eq!(active(&mut client), ["m"]);
}

/// An inactive node leaves its file to others.
#[test]
fn a_deactivated_node_locks_nothing() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let image = server.folder().join("image");
    std::fs::write(&image, [0; 4096]).unwrap();
    let node = |name: &str| json!({"driver": "file", "node-name": name, "filename": image});
    let device = |node: &str| json!({"driver": "virtio-blk-pci", "id": node, "drive": node});
    client.execute("blockdev-add", node("a"));
    client.execute("device_add", device("a"));
    let second = Server::start(&[]);
    let mut other = second.client();
    other.execute("blockdev-add", node("b"));
    let locked = "Failed to get \"write\" lock";
    assert_eq!(other.error("device_add", device("b")), locked);
    set_active(&mut client, "a", false);
    other.execute("device_add", device("b"));
    let on = json!({"node-name": "a", "active": true});
    assert_eq!(client.error("blockdev-set-active", on.clone()), locked);
    assert_eq!(active(&mut client), [""; 0]);
    set_active(&mut other, "b", false);
    client.execute("blockdev-set-active", on);
}

/// The commands that came before `block-export-add`.
#[test]
fn nbd_exports_of_the_older_kind() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.add_node("n");
    let read_only = json!({"driver": "null-co", "node-name": "ro", "read-only": true});
    client.execute("blockdev-add", read_only);
    let missing = "Cannot find device='nope' nor node-name='nope'";
    assert_eq!(
        client.error("nbd-server-add", json!({"device": "nope"})),
        missing
    );
    assert_eq!(
        client.error("nbd-server-add", json!({"device": "n"})),
        "NBD server not running"
    );
    let addr = json!({"type": "unix", "data": {"path": server.folder().join("nbd")}});
    client.execute("nbd-server-start", json!({"addr": addr}));
    assert_eq!(
        client.error("nbd-server-add", json!({"device": "nope"})),
        missing
    );
    client.execute("nbd-server-add", json!({"device": "n"}));
    let named = json!({"device": "n", "name": "x", "description": "hello", "writable": true});
    client.execute("nbd-server-add", named);
    client.execute("nbd-server-add", json!({"device": "ro", "writable": true}));
    for (arguments, text) in [
        (
            json!({"device": "n"}),
            "Block export id 'n' is already in use",
        ),
        (
            json!({"device": "n", "name": ""}),
            "Invalid block export id",
        ),
        (
            json!({"device": "n", "name": "1 a"}),
            "Invalid block export id",
        ),
    ] {
        assert_eq!(client.error("nbd-server-add", arguments), text);
    }
    let exports = client.execute("query-block-exports", json!({}));
    assert_eq!(exports.as_array().unwrap().len(), 3);
    for arguments in [
        json!({"name": "n"}),
        json!({"name": "x", "mode": "hard"}),
        json!({"name": "ro", "mode": "safe"}),
    ] {
        client.execute("nbd-server-remove", arguments.clone());
        let event = client.event();
        assert_eq!(event["data"]["id"], arguments["name"]);
    }
    for name in ["n", ""] {
        assert_eq!(
            client.error("nbd-server-remove", json!({ "name": name })),
            format!("Export '{name}' is not found")
        );
    }
}

#[test]
fn types_are_listed_with_their_ancestors() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let mut list = |implements: &str, with_abstract: bool| {
        let arguments = json!({"implements": implements, "abstract": with_abstract});
        let types = client.execute("qom-list-types", arguments);
        let types = types.as_array().unwrap().iter();
        types
            .map(|it| {
                let parent = it["parent"].as_str().unwrap_or_default();
                let name = it["name"].as_str().unwrap();
                assert_eq!(it.get("abstract").is_some(), it["abstract"] == true);
                format!("{name} < {parent}")
            })
            .collect::<Vec<_>>()
    };
    let loops = ["iothread < event-loop-base", "main-loop < event-loop-base"];
    assert_eq!(list("event-loop-base", false), loops);
    assert_eq!(
        list("event-loop-base", true),
        ["event-loop-base < object", loops[0], loops[1]]
    );
    assert_eq!(list("nope", true), [""; 0]);
    assert_eq!(list("scsi-hd", false), ["scsi-hd < scsi-disk-base"]);
    assert_eq!(list("chardev-fd", false).len(), 3);
    assert_eq!(
        list("user-creatable", false),
        [
            "colo-compare < object",
            loops[0],
            loops[1],
            "monitor-qmp < object"
        ]
    );
    let devices = list("device", false);
    assert!(devices.contains(&"virtio-blk-pci < virtio-blk-pci-base".to_owned()));
    let all = client.execute("qom-list-types", json!({}));
    let all = all.as_array().unwrap();
    assert!(all.len() > devices.len());
    // Each of them has properties.
    for it in all {
        client.execute("qom-list-properties", json!({"typename": it["name"]}));
    }
}

#[test]
fn properties_of_devices_are_listed() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let listed = client.execute("device-list-properties", json!({"typename": "scsi-hd"}));
    let names: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"drive"), "{names:?}");
    for of_all in ["type", "realized", "hotplugged", "parent_bus"] {
        assert!(!names.contains(&of_all), "{of_all}");
    }
    let no_device = "Parameter 'typename' expects a non-abstract device type";
    for (name, text) in [
        ("iothread", no_device),
        ("user-creatable", no_device),
        ("nope", "Device 'nope' not found"),
    ] {
        let arguments = json!({"typename": name});
        assert_eq!(client.error("device-list-properties", arguments), text);
    }
}

#[test]
fn people_change_devices() {
    let server = Server::start(&[]);
    let mut client = server.client();
    assert_eq!(people(&mut client, "chardev-add null,id=c"), "");
    assert_eq!(people(&mut client, "chardev-change c ringbuf"), "");
    assert!(people(&mut client, "info chardev").contains("c: filename=ringbuf\r\n"));
    let malformed = "Error: Parsing chardev args failed\r\n";
    let expected = "chardev-change: string expected\r\n\
                    Try \"help chardev-change\" for more information\r\n";
    for (line, text) in [
        ("chardev-change", expected.to_owned()),
        ("chardev-change c", expected.to_owned()),
        (
            "chardev-change x null",
            "Error: Chardev 'x' does not exist\r\n".to_owned(),
        ),
        (
            "chardev-change compat_monitor0 null",
            "Error: Chardev user does not support chardev hotswap\r\n".to_owned(),
        ),
        (
            "chardev-change c null,id=d",
            "Error: Unexpected 'id' parameter\r\n".to_owned(),
        ),
        (
            "chardev-change c nope",
            "Error: 'nope' is not a valid char driver name\r\n".to_owned(),
        ),
        (
            "chardev-change c null,x=1",
            format!("Invalid parameter 'x'\r\n{malformed}"),
        ),
        (
            "chardev-change c =",
            format!("Invalid parameter ''\r\n{malformed}"),
        ),
        (
            "chardev-add null,x=1",
            format!("Invalid parameter 'x'\r\n{malformed}"),
        ),
        (
            "chardev-add =",
            format!("Invalid parameter ''\r\n{malformed}"),
        ),
        // What a kind of device does not have is not looked at.
        ("chardev-add null,id=z,host=a", String::new()),
    ] {
        assert_eq!(people(&mut client, line), text, "{line}");
    }
}

fn listening(client: &mut Client, id: &str, addr: Value) -> String {
    let data = json!({"addr": addr, "server": true, "wait": false});
    let backend = json!({"type": "socket", "data": data});
    client.execute("chardev-add", json!({"id": id, "backend": backend}));
    filename(client, id)
}

fn filename(client: &mut Client, id: &str) -> String {
    let devices = client.execute("query-chardev", json!({}));
    let devices = devices.as_array().unwrap();
    let device = devices.iter().find(|it| it["label"] == id).unwrap();
    device["filename"].as_str().unwrap().to_owned()
}

#[test]
fn the_first_free_port_is_taken() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let first = listening(
        &mut client,
        "a",
        json!({"type": "inet", "data": {"host": "127.0.0.1", "port": "0"}}),
    );
    let port: u16 = first
        .trim_start_matches("disconnected:tcp:127.0.0.1:")
        .trim_end_matches(",server=on")
        .parse()
        .unwrap();
    let inet = |to: u16| {
        let data = json!({"host": "127.0.0.1", "port": port.to_string(), "to": to});
        json!({"type": "inet", "data": data})
    };
    let backend = |to: u16| {
        let data = json!({"addr": inet(to), "server": true, "wait": false});
        json!({"id": "b", "backend": {"type": "socket", "data": data}})
    };
    assert_eq!(
        client.error("chardev-add", backend(port)),
        "Failed to add chardev 'b': Failed to find an available port: Address already in use"
    );
    assert_eq!(
        client.error("chardev-add", backend(port - 1)),
        "Failed to add chardev 'b': Failed to create a socket: Invalid argument"
    );
    // One of so many is free, and not the one that is taken.
    let second = listening(&mut client, "b", inet(port.saturating_add(1000)));
    assert_ne!(second, first);
}

#[test]
fn numeric_addresses_are_numbers() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for (host, port) in [("localhost", "0"), ("127.0.0.1", "http")] {
        let data = json!({"host": host, "port": port, "numeric": true});
        let addr = json!({"type": "inet", "data": data});
        assert_eq!(
            client.error("nbd-server-start", json!({ "addr": addr })),
            format!("address resolution failed for {host}:{port}: Name or service not known")
        );
    }
    let data = json!({"host": "127.0.0.1", "port": "0", "numeric": true, "keep-alive": true});
    let addr = json!({"type": "inet", "data": data});
    client.execute("nbd-server-start", json!({ "addr": addr }));
}

/// The system tells which of the server's sockets look for peers that are silent.
#[test]
fn connections_are_kept_alive() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let inet =
        json!({"type": "inet", "data": {"host": "127.0.0.1", "port": "0", "keep-alive": true}});
    let name = listening(&mut client, "a", inet);
    let address = name
        .trim_start_matches("disconnected:tcp:")
        .trim_end_matches(",server=on");
    let (host, port) = address.split_once(':').unwrap();
    let data = json!({
        "addr": {"type": "inet", "data": {"host": host, "port": port, "keep-alive": true}},
        "server": false,
    });
    let backend = json!({"type": "socket", "data": data});
    client.execute("chardev-add", json!({"id": "b", "backend": backend}));
    eventually(|| !filename(&mut client, "a").starts_with("disconnected"));
    // Both ends of the connection are the server's: the timer of a connection that is kept alive has the number 2.
    let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", server.id())).unwrap();
    let port: u16 = port.parse().unwrap();
    let of_both = table.lines().filter(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let ends = &fields[1..3];
        let is_ours = ends.iter().any(|it| it.ends_with(&format!(":{port:04X}")));
        is_ours && fields[3] == "01" && fields[5].starts_with("02:")
    });
    assert_eq!(of_both.count(), 2, "{table}");
}

/// An abstract name that is not tight is another one.
#[test]
fn abstract_names_are_filled_up() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let name = format!("tight-{}", server.id());
    let unix = |tight: Value| {
        let mut data = json!({"path": name, "abstract": true});
        if !tight.is_null() {
            data["tight"] = tight;
        }
        json!({"type": "unix", "data": data})
    };
    let name_of = |how: &str| format!("disconnected:unix:{name},abstract=on{how},server=on");
    assert_eq!(
        listening(&mut client, "a", unix(json!(true))),
        name_of(",tight=on")
    );
    assert_eq!(listening(&mut client, "b", unix(json!(false))), name_of(""));
    for (tight, to) in [(json!(true), "a"), (json!(false), "b"), (Value::Null, "a")] {
        let data = json!({"addr": unix(tight), "server": false});
        let backend = json!({"type": "socket", "data": data});
        client.execute("chardev-add", json!({"id": "c", "backend": backend}));
        eventually(|| !filename(&mut client, to).starts_with("disconnected"));
        client.execute("chardev-remove", json!({"id": "c"}));
        eventually(|| filename(&mut client, to).starts_with("disconnected"));
    }
}

/// Clients that ask for a version of QEMU are told the one that an option names.
#[test]
fn the_version_of_an_option_is_reported() {
    let server = Server::start(&["--qemu-version", "10.2.1,package=Debian 1:10.2.1"]);
    let mut client = server.client();
    let version = json!({
        "qemu": {"micro": 1, "minor": 2, "major": 10},
        "package": "Debian 1:10.2.1",
    });
    assert_eq!(
        Qmp::connect(&server.socket()).unwrap().greeting["QMP"]["version"],
        version
    );
    assert_eq!(client.execute("query-version", json!({})), version);
}
