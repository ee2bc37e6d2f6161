//! New sizes for nodes, and who learns of them.

use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use vhost::VhostBackend as _;
use vhost::vhost_user::message::VhostUserHeaderFlag;
use vhost::vhost_user::{
    Frontend, VhostUserFrontend as _, VhostUserProtocolFeatures, VhostUserVirtioFeatures,
};

use crate::guest::Guest;
use crate::harness::{Client, PATIENCE, Server};
use crate::nbd::{Nbd, info};

/// The size of a node as clients are told.
fn size(client: &mut Client, name: &str) -> u64 {
    let nodes = client.execute("query-named-block-nodes", json!({}));
    let nodes = nodes.as_array().unwrap();
    let node = nodes.iter().find(|node| node["node-name"] == name);
    node.unwrap()["image"]["virtual-size"].as_u64().unwrap()
}

fn resize(node: &str, size: i64) -> Value {
    json!({"node-name": node, "size": size})
}

fn server_with_image() -> (Server, std::path::PathBuf) {
    let server = Server::start(&["--object", "iothread,id=io0"]);
    let image = server.folder().join("image");
    std::fs::write(&image, [7; 1 << 20]).unwrap();
    let mut client = server.client();
    client.execute(
        "blockdev-add",
        json!({"driver": "file", "node-name": "f", "filename": image}),
    );
    (server, image)
}

#[test]
fn files_are_made_longer_and_shorter() {
    let (server, image) = server_with_image();
    let mut client = server.client();
    client.execute(
        "blockdev-add",
        json!({"driver": "raw", "node-name": "r", "file": "f"}),
    );
    let length = || std::fs::metadata(&image).unwrap().len();
    for (node, new, shown, on_disk) in [
        ("f", 2 << 20, 2 << 20, 2 << 20),
        ("f", 1000, 1024, 1000),
        ("f", 1, 512, 1),
        ("f", 0, 0, 0),
        ("r", (1 << 20) + 1, (1 << 20) + 512, (1 << 20) + 1),
        ("r", 1 << 20, 1 << 20, 1 << 20),
    ] {
        client.execute("block_resize", resize(node, new));
        assert_eq!(size(&mut client, node), shown);
        assert_eq!(length(), on_disk);
        // The window reaches to the end.
        assert_eq!(size(&mut client, "r"), shown);
    }
    client.execute("blockdev-del", json!({"node-name": "r"}));
    // With an offset: the file has to have room for what it skips, too.
    client.execute(
        "blockdev-add",
        json!({"driver": "raw", "node-name": "w", "file": "f", "offset": 512}),
    );
    client.execute("block_resize", resize("w", 4096));
    assert_eq!((size(&mut client, "w"), length()), (4096, 4608));
    // What is at the end now has not been there before.
    client.execute("block_resize", resize("w", 8192));
    let end = &std::fs::read(&image).unwrap()[4608..];
    assert_eq!(end, [0; 4096]);
    let hmp = |client: &mut Client, line: &str| {
        client.execute("human-monitor-command", json!({"command-line": line}))
    };
    assert_eq!(hmp(&mut client, "block_resize w 3"), "");
    assert_eq!(size(&mut client, "w"), 3 << 20);
    assert_eq!(
        hmp(&mut client, "block_resize nope 1M"),
        "Error: Cannot find device='nope' nor node-name=''\r\n"
    );
    assert_eq!(
        hmp(&mut client, "block_resize w -1"),
        "invalid size\r\nTry \"help block_resize\" for more information\r\n"
    );
}

#[test]
fn what_cannot_be_resized_is_refused() {
    let (server, image) = server_with_image();
    let mut client = server.client();
    for node in [
        json!({"driver": "null-co", "node-name": "n", "size": 4096}),
        json!({"driver": "raw", "node-name": "w", "file": "f", "offset": 0, "size": 4096}),
        json!({"driver": "file", "node-name": "ro", "filename": image, "read-only": true}),
        json!({"driver": "file", "node-name": "idle", "filename": image, "active": false}),
        json!({"driver": "host_device", "node-name": "hd", "filename": "/dev/null"}),
    ] {
        client.execute("blockdev-add", node);
    }
    let kept = "Permission conflict on node 'f': permissions 'resize' are both required by an unnamed \
                block device (uses node 'f' as 'root' child) and unshared by node 'w' (uses node 'f' \
                as 'file' child).";
    let too_large = "offset(9223372036854775807) exceeds maximum(9223372035781033984)";
    for (arguments, text) in [
        (json!({"size": 1}), "Cannot find device='' nor node-name=''"),
        (
            resize("nope", 1),
            "Cannot find device='' nor node-name='nope'",
        ),
        (
            json!({"device": "a", "node-name": "b", "size": 1}),
            "Cannot find device='a' nor node-name='b'",
        ),
        (
            json!({"device": "f", "size": 1}),
            "Cannot find device='f' nor node-name=''",
        ),
        (resize("f", -1), "Parameter 'size' expects a >0 size"),
        (resize("f", 0), kept),
        (
            resize("n", 8192),
            "Image format driver does not support resize",
        ),
        (resize("n", i64::MAX), too_large),
        (resize("w", 8192), "Cannot resize fixed-size raw disks"),
        (resize("w", 4096), "Cannot resize fixed-size raw disks"),
        (resize("ro", 4096), "Image is read-only"),
        (
            resize("idle", 4096),
            "Permission 'resize' unavailable on inactive node",
        ),
        (resize("hd", 4096), "Cannot grow device files"),
    ] {
        assert_eq!(client.error("block_resize", arguments), text);
    }
    client.execute("block_resize", resize("hd", 0));
    client.execute("blockdev-del", json!({"node-name": "w"}));
    assert_eq!(
        client.error("block_resize", resize("f", 1 << 62)),
        "Could not resize file: File too large"
    );
    // All is as before, and it may be named twice.
    assert_eq!(size(&mut client, "f"), 1 << 20);
    client.execute(
        "block_resize",
        json!({"device": "f", "node-name": "f", "size": 4096}),
    );
    assert_eq!(size(&mut client, "f"), 4096);
}

/// A device in use does not prevent it, and its requests go on.
#[test]
fn disks_are_resized_while_they_are_used() {
    let (server, _) = server_with_image();
    let mut client = server.client();
    let device = json!({"driver": "virtio-blk-pci", "id": "d", "drive": "f", "iothread": "io0"});
    client.execute("device_add", device);
    client.execute("block_resize", resize("f", 100));
    let notify = json!({
        "path": "/machine/peripheral/d/virtio-backend", "property": "x-notify", "value": 0,
    });
    client.execute("qom-set", notify);
    let queues = json!({
        "path": "/machine/peripheral/d/virtio-backend", "property": "x-queues",
    });
    crate::harness::eventually(|| client.execute("qom-get", queues.clone())[0]["requests"] == 1);
    client.execute("block_resize", resize("f", 1 << 21));
    assert_eq!(size(&mut client, "f"), 1 << 21);
}

/// The size that an NBD client is told.
fn nbd_size(server: &Server) -> u64 {
    let mut nbd = Nbd::haggle(&server.folder().join("nbd"));
    nbd.ask(6, &info("e", &[]));
    loop {
        let reply = nbd.option_reply();
        // Information about the export itself.
        if reply.kind == 3 && reply.data[..2] == [0, 0] {
            return u64::from_be_bytes(reply.data[2..10].try_into().unwrap());
        }
        assert_eq!(reply.kind, 3);
    }
}

#[test]
fn nbd_clients_see_a_new_size_when_they_ask() {
    let (server, _) = server_with_image();
    let mut client = server.client();
    let path = server.folder().join("nbd");
    let address = json!({"type": "unix", "data": {"path": path}});
    client.execute("nbd-server-start", json!({"addr": address}));
    client.execute(
        "block-export-add",
        json!({"type": "nbd", "id": "e", "name": "e", "node-name": "f"}),
    );
    assert_eq!(nbd_size(&server), 1 << 20);
    client.execute("block_resize", resize("f", 3 << 20));
    assert_eq!(nbd_size(&server), 3 << 20);
}

/// The number of sectors, at the beginning of the configuration space.
fn capacity(guest: &mut Guest) -> u64 {
    u64::from_le_bytes(guest.config(0, 8).try_into().unwrap())
}

#[test]
fn virtual_machines_are_told_of_a_new_size() {
    let (server, _) = server_with_image();
    let mut client = server.client();
    let path = server.folder().join("vhost");
    let export = json!({
        "type": "vhost-user-blk", "id": "e", "node-name": "f", "writable": true, "iothread": "io0",
        "addr": {"type": "unix", "path": path},
    });
    client.execute("block-export-add", export);
    let mut guest = Guest::connect(&path, 1);
    let offered = guest.frontend.get_features().unwrap();
    guest.frontend.set_owner().unwrap();
    guest.frontend.set_features(offered).unwrap();
    assert_ne!(
        offered & VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits(),
        0
    );
    let features = VhostUserProtocolFeatures::CONFIG
        | VhostUserProtocolFeatures::BACKEND_REQ
        | VhostUserProtocolFeatures::REPLY_ACK;
    let offered = guest.frontend.get_protocol_features().unwrap();
    assert_eq!(offered & features, features);
    guest.frontend.set_protocol_features(features).unwrap();
    guest
        .frontend
        .set_hdr_flags(VhostUserHeaderFlag::NEED_REPLY);
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    guest
        .frontend
        .set_backend_request_fd(&theirs.as_raw_fd())
        .unwrap();
    drop(theirs);
    assert_eq!(capacity(&mut guest), 2048);
    client.execute("block_resize", resize("f", 3 << 20));
    // Request 2, of version 1 of the protocol, with an empty body.
    let mut message = [0; 12];
    ours.read_exact(&mut message).unwrap();
    assert_eq!(message[..], [2_u32, 1, 0].map(u32::to_ne_bytes).concat());
    assert_eq!(capacity(&mut guest), 3 << 11);
    // The size stays, so nobody is told; then it changes once more.
    client.execute("block_resize", resize("f", 3 << 20));
    client.execute("block_resize", resize("f", 4096));
    ours.read_exact(&mut message).unwrap();
    assert_eq!(capacity(&mut guest), 8);
    ours.set_nonblocking(true).unwrap();
    let nothing = ours.read(&mut message).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
}

/// The client's own end of its connection, kept as a channel, would keep that from ever ending.
#[test]
fn a_connection_is_no_channel() {
    let (server, _) = server_with_image();
    let mut client = server.client();
    let path = server.folder().join("vhost");
    let export = json!({
        "type": "vhost-user-blk", "id": "e", "node-name": "f", "iothread": "io0",
        "addr": {"type": "unix", "path": path},
    });
    client.execute("block-export-add", export);
    let stream = UnixStream::connect(&path).unwrap();
    let mut frontend = Frontend::from_stream(stream.try_clone().unwrap(), 1);
    let offered = frontend.get_features().unwrap();
    frontend.set_features(offered).unwrap();
    let features = VhostUserProtocolFeatures::BACKEND_REQ | VhostUserProtocolFeatures::REPLY_ACK;
    frontend.get_protocol_features().unwrap();
    frontend.set_protocol_features(features).unwrap();
    frontend.set_hdr_flags(VhostUserHeaderFlag::NEED_REPLY);
    let passed = frontend.set_backend_request_fd(&stream.as_raw_fd());
    assert!(passed.is_err());
    drop((frontend, stream));
    // The only place is free again.
    let next = Guest::connect(&path, 1);
    assert_eq!(next.frontend.get_features().unwrap(), offered);
}
