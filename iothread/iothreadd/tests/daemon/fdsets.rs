//! Files that clients open, and pass along in sets of descriptors.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;
use serde_json::{Value, json};

use crate::harness::{Client, Server};

fn add(client: &mut Client, set: u32, file: &File) {
    let reply = client.exchange_with("add-fd", json!({"fdset-id": set}), file);
    assert_eq!(reply["return"]["fdset-id"], set, "{reply}");
}

fn open(path: &Path, read: bool, write: bool) -> File {
    OpenOptions::new()
        .read(read)
        .write(write)
        .open(path)
        .unwrap()
}

/// The sets that there are, each with its number of descriptors.
fn sets(client: &mut Client) -> Vec<(u64, usize)> {
    let sets = client.execute("query-fdsets", json!({}));
    let set = |set: &Value| {
        let n_descriptors = set["fds"].as_array().unwrap().len();
        (set["fdset-id"].as_u64().unwrap(), n_descriptors)
    };
    sets.as_array().unwrap().iter().map(set).collect()
}

fn node(name: &str, set: &str) -> Value {
    json!({"driver": "file", "node-name": name, "filename": format!("/dev/fdset/{set}")})
}

#[test]
fn nodes_on_sets_have_the_file_and_keep_the_set() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let image = server.folder().join("image");
    std::fs::write(&image, [7; 4096]).unwrap();
    add(&mut client, 1, &open(&image, true, true));
    client.execute("blockdev-add", node("n", "1"));
    let nodes = client.execute("query-named-block-nodes", json!({}));
    assert_eq!(nodes[0]["file"], "/dev/fdset/1");
    assert_eq!(nodes[0]["image"]["virtual-size"], 4096);
    assert_eq!(nodes[0]["ro"], false);
    client.execute("remove-fd", json!({"fdset-id": 1}));
    assert_eq!(sets(&mut client), [(1, 0)]);
    // It may be removed once more, get others, and lose them again.
    client.execute("remove-fd", json!({"fdset-id": 1}));
    add(&mut client, 1, &open(&image, true, true));
    client.execute("blockdev-add", node("m", "1"));
    client.execute("remove-fd", json!({"fdset-id": 1}));
    client.execute("blockdev-del", json!({"node-name": "n"}));
    assert_eq!(sets(&mut client), [(1, 0)]);
    client.execute("blockdev-del", json!({"node-name": "m"}));
    assert_eq!(sets(&mut client), []);
    assert_eq!(
        client.error("remove-fd", json!({"fdset-id": 1})),
        "File descriptor named 'fdset-id:1' not found"
    );
}

#[test]
fn descriptors_have_to_suit() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let image = server.folder().join("image");
    std::fs::write(&image, [7; 4096]).unwrap();
    add(&mut client, 1, &open(&image, true, false));
    assert_eq!(
        client.error("blockdev-add", node("n", "1")),
        "Failed to find file descriptor with matching flags=0x2"
    );
    let mut read_only = node("n", "1");
    read_only["read-only"] = json!(true);
    client.execute("blockdev-add", read_only.clone());
    client.execute("blockdev-del", json!({"node-name": "n"}));
    let mut either = node("n", "1");
    either["auto-read-only"] = json!(true);
    client.execute("blockdev-add", either);
    client.execute("blockdev-del", json!({"node-name": "n"}));
    // The one that suits is found among others.
    add(&mut client, 1, &open(&image, true, true));
    client.execute("blockdev-add", node("n", "1"));
    client.execute("blockdev-del", json!({"node-name": "n"}));
    let mut direct = node("n", "1");
    direct["cache"] = json!({"direct": true});
    assert_eq!(
        client.error("blockdev-add", direct.clone()),
        "Failed to find file descriptor with matching flags=0x4002"
    );
    let flags = OFlags::DIRECT.bits().cast_signed();
    let past_the_cache = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(&image);
    // Some file systems have no such way.
    if let Ok(file) = past_the_cache {
        add(&mut client, 2, &file);
        direct["filename"] = json!("/dev/fdset/2");
        client.execute("blockdev-add", direct);
        client.execute("blockdev-del", json!({"node-name": "n"}));
        assert_eq!(
            client.error("blockdev-add", node("n", "2")),
            "Failed to find file descriptor with matching flags=0x2"
        );
    }
    for (set, text) in [
        ("9", "Failed to find fdset /dev/fdset/9"),
        ("", "Could not parse fdset /dev/fdset/"),
        ("-1", "Could not parse fdset /dev/fdset/-1"),
        ("1x", "Could not parse fdset /dev/fdset/1x"),
    ] {
        assert_eq!(client.error("blockdev-add", node("n", set)), text);
    }
    read_only["filename"] = json!("/dev/fdset/ +01");
    client.execute("blockdev-add", read_only);
}

/// As with paths, a file is cut unless it is appended to.
#[test]
fn character_devices_write_to_what_is_passed() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let log = server.folder().join("log");
    let input = server.folder().join("input");
    let device = |out: &str, append: bool| {
        json!({"id": "c", "backend": {"type": "file", "data": {
            "out": format!("/dev/fdset/{out}"), "append": append,
        }}})
    };
    for (append, expected) in [(true, "before"), (false, "")] {
        std::fs::write(&log, "before").unwrap();
        add(&mut client, 1, &open(&log, false, true));
        client.execute("chardev-add", device("1", append));
        client.execute("remove-fd", json!({"fdset-id": 1}));
        assert_eq!(sets(&mut client), [(1, 0)]);
        let text = std::fs::read_to_string(&log).unwrap();
        assert_eq!(text, expected);
        client.execute("chardev-remove", json!({"id": "c"}));
        assert_eq!(sets(&mut client), []);
    }
    add(&mut client, 2, &open(&log, true, false));
    for (set, text) in [
        ("2", "'/dev/fdset/2': Permission denied"),
        ("9", "'/dev/fdset/9': No such file or directory"),
        ("x", "'/dev/fdset/x': Invalid argument"),
    ] {
        assert_eq!(
            client.error("chardev-add", device(set, false)),
            format!("Failed to add chardev 'c': Could not open {text}")
        );
    }
    // A monitor whose commands come out of a file, and whose replies go to another.
    std::fs::write(&input, "{\"execute\": \"qmp_capabilities\"}\n").unwrap();
    add(&mut client, 3, &open(&input, true, false));
    add(&mut client, 4, &open(&log, false, true));
    let backend = json!({"type": "file", "data": {"in": "/dev/fdset/3", "out": "/dev/fdset/4"}});
    client.execute("chardev-add", json!({"id": "c", "backend": backend}));
    client.execute(
        "object-add",
        json!({"qom-type": "monitor-qmp", "id": "m", "chardev": "c"}),
    );
    crate::harness::eventually(|| {
        let text = std::fs::read_to_string(&log).unwrap();
        text.contains("{\"QMP\"") && text.ends_with("{\"return\": {}}\r\n")
    });
}

/// A pipe has both directions in one descriptor.
#[test]
fn pipes_are_sockets_of_others_too() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(crate::harness::PATIENCE))
        .unwrap();
    let reply = client.exchange_with("add-fd", json!({"fdset-id": 5}), &theirs);
    assert!(reply.get("return").is_some(), "{reply}");
    drop(theirs);
    let backend = json!({"type": "pipe", "data": {"device": "/dev/fdset/5"}});
    client.execute("chardev-add", json!({"id": "p", "backend": backend}));
    client.execute(
        "object-add",
        json!({"qom-type": "monitor-qmp", "id": "m", "chardev": "p"}),
    );
    ours.write_all(b"{\"execute\": \"qmp_capabilities\"}")
        .unwrap();
    let mut text = String::new();
    while !text.contains("\"return\"") {
        let mut bytes = [0; 4096];
        let count = ours.read(&mut bytes).unwrap();
        assert!(count > 0, "{text}");
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    assert!(text.starts_with("{\"QMP\""), "{text}");
}

/// What is asked of the kernel is a hint, and what QEMU requires of the other options holds.
#[test]
fn ways_to_do_transfers_are_hints() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let image = server.folder().join("image");
    std::fs::write(&image, [7; 4096]).unwrap();
    let file = |aio: &str| {
        json!({"driver": "file", "node-name": "n", "filename": image, "aio": aio,
            "aio-max-batch": 16})
    };
    for aio in ["threads", "io_uring"] {
        client.execute("blockdev-add", file(aio));
        client.execute("blockdev-del", json!({"node-name": "n"}));
    }
    assert_eq!(
        client.error("blockdev-add", file("native")),
        "aio=native was specified, but it requires cache.direct=on, which was not specified."
    );
    assert_eq!(
        client.error("blockdev-add", file("nope")),
        "Parameter 'aio' does not accept value 'nope'"
    );
}

#[test]
fn devices_of_the_host_are_nodes() {
    let server = Server::start(&["--blockdev", "host_device,node-name=o,filename=/dev/null"]);
    let mut client = server.client();
    let image = server.folder().join("image");
    std::fs::write(&image, [7; 4096]).unwrap();
    let device = |path: &Path| json!({"driver": "host_device", "node-name": "n", "filename": path});
    for (path, text) in [
        (
            &*image,
            format!(
                "'host_device' driver requires '{}' to be either a character or block device",
                image.display()
            ),
        ),
        (
            Path::new("/nope"),
            "Could not open '/nope': No such file or directory".to_owned(),
        ),
        (
            Path::new(""),
            "The 'host_device' block driver requires a file name".to_owned(),
        ),
    ] {
        assert_eq!(client.error("blockdev-add", device(path)), text);
    }
    let mut cached = device(Path::new("/dev/null"));
    cached["cache"] = json!({});
    assert_eq!(
        client.error("blockdev-add", cached),
        "Block protocol 'host_device' doesn't support the option 'cache'"
    );
    let nodes = client.execute("query-named-block-nodes", json!({}));
    assert_eq!(nodes[0]["drv"], "host_device");
    assert_eq!(nodes[0]["image"]["format"], "host_device");
    assert_eq!(nodes[0]["image"]["format-specific"]["type"], "file");
}
