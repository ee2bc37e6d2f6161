//! Character devices, monitors on them, and connections that are shut down by name.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, PATIENCE, Server, eventually};

fn socket(path: &Path, server: bool) -> Value {
    let addr = json!({"type": "unix", "data": {"path": path}});
    json!({"type": "socket", "data": {"addr": addr, "server": server}})
}

fn add(client: &mut Client, id: &str, backend: Value) {
    client.execute("chardev-add", json!({"id": id, "backend": backend}));
}

/// The entry of a device in query-chardev.
fn info(client: &mut Client, id: &str) -> Value {
    let list = client.execute("query-chardev", json!({}));
    let list = list.as_array().unwrap();
    let found = list.iter().find(|it| it["label"] == id);
    found.cloned().unwrap_or(Value::Null)
}

/// Waits until a device is described in this way.
#[track_caller]
fn wait_for(client: &mut Client, id: &str, filename: &str) {
    eventually(|| info(client, id)["filename"] == filename);
}

fn monitor(name: &str) -> Value {
    json!({"type": "monitor", "monitor-name": name})
}

fn monitor_holders(client: &mut Client) -> Value {
    client.execute("x-query-internal-iothreads", json!({}))[0]["holders"].clone()
}

#[test]
fn a_device_has_one_peer_at_a_time() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let path = server.folder().join("c");
    let name = format!("unix:{},server=on", path.display());
    add(&mut client, "c0", socket(&path, true));
    wait_for(&mut client, "c0", &format!("disconnected:{name}"));
    let first = UnixStream::connect(&path).unwrap();
    wait_for(&mut client, "c0", &name);
    // The second waits until the first is gone: whom the yank disconnects is the first.
    let second = UnixStream::connect(&path).unwrap();
    let yank = json!({"instances": [{"type": "chardev", "id": "c0"}]});
    client.execute("yank", yank.clone());
    assert_eq!((&first).read(&mut [0]).unwrap(), 0);
    // It may be noticed later that the first is gone, and after that the second comes.
    second
        .set_read_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    eventually(|| {
        client.execute("yank", yank.clone());
        (&second).read(&mut [0]).is_ok()
    });
    wait_for(&mut client, "c0", &format!("disconnected:{name}"));
    client.execute("chardev-remove", json!({"id": "c0"}));
    assert!(!path.exists());
    let gone = client.exchange("yank", yank);
    assert_eq!(gone["error"]["desc"], "Instance not found");
}

/// A peer is gone once it has closed its side, whatever it has sent before, and not before that.
#[test]
fn peers_may_leave_with_words() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let path = server.folder().join("c");
    let name = format!("unix:{},server=on", path.display());
    add(&mut client, "c0", socket(&path, true));
    for words in ["", "hello"] {
        let mut peer = UnixStream::connect(&path).unwrap();
        peer.write_all(words.as_bytes()).unwrap();
        wait_for(&mut client, "c0", &name);
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        // Something else has its turn on the main loop.
        client.execute("query-block", json!({}));
        assert_eq!(info(&mut client, "c0")["filename"], name);
        drop(peer);
        wait_for(&mut client, "c0", &format!("disconnected:{name}"));
    }
    // What was said before a user was there is for that user.
    let mut peer = UnixStream::connect(&path).unwrap();
    let commands = br#"{"execute": "qmp_capabilities", "id": 1}"#;
    peer.write_all(commands).unwrap();
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    wait_for(&mut client, "c0", &name);
    client.execute(
        "object-add",
        json!({"qom-type": "monitor-qmp", "id": "m", "chardev": "c0"}),
    );
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut replies = String::new();
    peer.read_to_string(&mut replies).unwrap();
    assert!(
        replies.ends_with("{\"return\": {}, \"id\": 1}\r\n"),
        "{replies}"
    );
}

/// A connection is called by its own addresses, which are not those on which the device listens.
#[test]
fn connections_are_named_by_their_addresses() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let inet = |host: &str, port: &str, server: bool| {
        let addr = json!({"type": "inet", "data": {"host": host, "port": port, "ipv6": false}});
        json!({"type": "socket", "data": {"addr": addr, "server": server}})
    };
    add(&mut client, "any", inet("", "0", true));
    let name = info(&mut client, "any")["filename"].clone();
    let port = name.as_str().unwrap();
    let port = port.strip_prefix("disconnected:tcp:0.0.0.0:").unwrap();
    let port = port.strip_suffix(",server=on").unwrap();
    let mut peer = std::net::TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    let own = peer.local_addr().unwrap();
    wait_for(
        &mut client,
        "any",
        &format!("tcp:127.0.0.1:{port},server=on <-> {own}"),
    );
    peer.write_all(b"x").unwrap();
    drop(peer);
    client.execute("chardev-remove", json!({"id": "any"}));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    add(
        &mut client,
        "out",
        inet("localhost", &port.to_string(), false),
    );
    let (peer, own) = listener.accept().unwrap();
    wait_for(
        &mut client,
        "out",
        &format!("tcp:{own} <-> 127.0.0.1:{port}"),
    );
    drop(peer);
    wait_for(
        &mut client,
        "out",
        &format!("disconnected:tcp:localhost:{port}"),
    );
    // An abstract name is not told of a connection.
    let name = format!("named-{}", server.id());
    let unix = |server: bool| {
        let addr = json!({"type": "unix", "data": {"path": name, "abstract": true, "tight": true}});
        json!({"type": "socket", "data": {"addr": addr, "server": server}})
    };
    add(&mut client, "listens", unix(true));
    add(&mut client, "connects", unix(false));
    wait_for(&mut client, "listens", "unix:,server=on");
    wait_for(&mut client, "connects", "unix:");
    let yank = json!({"instances": [{"type": "chardev", "id": "listens"}]});
    client.execute("yank", yank);
    wait_for(
        &mut client,
        "listens",
        &format!("disconnected:unix:{name},abstract=on,tight=on,server=on"),
    );
    wait_for(
        &mut client,
        "connects",
        &format!("disconnected:unix:{name},abstract=on,tight=on"),
    );
}

#[test]
fn a_device_connects_again() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let path = server.folder().join("peer");
    let mut backend = socket(&path, false);
    backend["data"]["reconnect-ms"] = json!(1);
    add(&mut client, "c0", backend);
    let name = format!("unix:{}", path.display());
    assert_eq!(
        info(&mut client, "c0")["filename"],
        format!("disconnected:{name}")
    );
    let listener = UnixListener::bind(&path).unwrap();
    for _ in 0..3 {
        let (peer, _) = listener.accept().unwrap();
        wait_for(&mut client, "c0", &name);
        drop(peer);
    }
    let (peer, _) = listener.accept().unwrap();
    client.execute("chardev-remove", json!({"id": "c0"}));
    let mut rest = Vec::new();
    (&peer).read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
}

#[test]
fn waiting_for_a_peer_keeps_one_session_only() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let path = server.folder().join("c");
    let mut backend = socket(&path, true);
    backend["data"]["wait"] = json!(true);
    let request =
        |id: &str| json!({"execute": "chardev-add", "arguments": {"id": id, "backend": backend}});
    client.send(&request("c0").to_string());
    let mut other = server.client();
    wait_for(
        &mut other,
        "c0",
        &format!("disconnected:unix:{},server=on", path.display()),
    );
    other.execute("object-add", json!({"qom-type": "iothread", "id": "io0"}));
    let peer = UnixStream::connect(&path).unwrap();
    assert_eq!(client.reply(), json!({"return": {}}));
    drop(peer);
    other.execute("chardev-remove", json!({"id": "c0"}));
    // Nobody comes, and the wait is broken off.
    client.send(&request("c1").to_string());
    wait_for(
        &mut other,
        "c1",
        &format!("disconnected:unix:{},server=on", path.display()),
    );
    let yank = json!({"instances": [{"type": "chardev", "id": "c1"}]});
    other.execute("yank", yank);
    let refused = client.reply();
    assert_eq!(
        refused["error"]["desc"],
        "Failed to add chardev 'c1': the wait for a peer was broken off"
    );
    assert_eq!(info(&mut other, "c1"), Value::Null);
    assert!(!path.exists());
}

#[test]
fn monitors_come_and_go_with_their_holders() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let path = server.folder().join("mon");
    add(&mut client, "ch1", socket(&path, true));
    let object = json!({"qom-type": "monitor-qmp", "id": "mon1", "chardev": "ch1", "pretty": true});
    client.execute("object-add", object.clone());
    let expected = json!([monitor("mon1"), monitor("compat_monitor0")]);
    assert_eq!(monitor_holders(&mut client), expected);
    assert_eq!(
        client.error("object-add", object),
        "attempt to add duplicate property 'mon1' to object (type 'container')"
    );
    let second = json!({"qom-type": "monitor-qmp", "id": "mon2", "chardev": "ch1"});
    assert_eq!(
        client.error("object-add", second),
        "chardev 'ch1' is already in use"
    );
    let missing = json!({"qom-type": "monitor-qmp", "id": "mon2", "chardev": "nope"});
    assert_eq!(
        client.error("object-add", missing),
        "chardev \"nope\" not found"
    );
    assert_eq!(monitor_holders(&mut client), expected);
    assert_eq!(
        client.error("chardev-remove", json!({"id": "ch1"})),
        "Chardev 'ch1' is busy"
    );
    // Two sessions, one after the other.
    for _ in 0..2 {
        let mut stream = BufReader::new(UnixStream::connect(&path).unwrap());
        stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        let commands = r#"{"execute":"qmp_capabilities"}{"execute":"query-iothreads","id":7}"#;
        stream.get_mut().write_all(commands.as_bytes()).unwrap();
        let answer = stream.lines().find(|line| {
            let line = line.as_ref().unwrap();
            line.contains("\"id\": 7")
        });
        assert!(answer.is_some());
    }
    let mut cut_off = UnixStream::connect(&path).unwrap();
    let mut greeting = [0; 8];
    cut_off.read_exact(&mut greeting).unwrap();
    client.execute("object-del", json!({"id": "mon1"}));
    assert_eq!(
        monitor_holders(&mut client),
        json!([monitor("compat_monitor0")])
    );
    let mut rest = Vec::new();
    cut_off.read_to_end(&mut rest).unwrap();
    client.execute("chardev-remove", json!({"id": "ch1"}));
}

#[test]
fn a_monitor_can_call_its_client() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server::start(&[
        "--chardev",
        &format!("socket,id=ch1,host=127.0.0.1,port={port}"),
        "--object",
        "monitor-qmp,id=mon1,chardev=ch1",
    ]);
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut greeting = String::new();
    BufReader::new(stream).read_line(&mut greeting).unwrap();
    assert!(greeting.starts_with("{\"QMP\": "), "{greeting}");
    let mut client = server.client();
    wait_for(
        &mut client,
        "ch1",
        &format!("disconnected:tcp:127.0.0.1:{port}"),
    );
}

#[test]
fn a_monitor_can_be_on_fifos() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let device = server.folder().join("fifo");
    let path = |end: &str| server.folder().join(format!("fifo.{end}"));
    for end in ["in", "out"] {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path(end),
            rustix::fs::FileType::Fifo,
            mode,
            0,
        )
        .unwrap();
    }
    let pipe = json!({"type": "pipe", "data": {"device": device}});
    add(&mut client, "ch1", pipe);
    client.execute(
        "object-add",
        json!({"qom-type": "monitor-qmp", "id": "mon1", "chardev": "ch1"}),
    );
    let mut output = BufReader::new(std::fs::File::open(path("out")).unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.starts_with("{\"QMP\": "), "{line}");
    let command = "{\"execute\": \"qmp_capabilities\"}";
    std::fs::write(path("in"), command).unwrap();
    line.clear();
    output.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "{\"return\": {}}");
    client.execute("object-del", json!({"id": "mon1"}));
    client.execute("chardev-remove", json!({"id": "ch1"}));
}

#[test]
fn options_create_what_commands_create() {
    let server = Server::start(&[
        "--device",
        "virtio-scsi-pci,id=s0,iothread=io0",
        "--device",
        "{\"driver\": \"scsi-hd\", \"id\": \"h0\", \"bus\": \"s0.0\", \"drive\": \"n0\"}",
        "--blockdev",
        "raw,node-name=n0,file.driver=null-co,file.size=1048576",
        "--chardev",
        "ringbuf,id=r0,size=4k",
        "--object",
        "iothread,id=io0",
    ]);
    let mut client = server.client();
    assert_eq!(client.holders("io0").len(), 1);
    let blocks = client.execute("query-block", json!({}));
    assert_eq!(blocks[0]["qdev"], "h0");
    assert_eq!(blocks[0]["inserted"]["image"]["virtual-size"], 1048576);
    let write = json!({"device": "r0", "data": "hello"});
    client.execute("ringbuf-write", write);
    let read = json!({"device": "r0", "size": 100});
    assert_eq!(client.execute("ringbuf-read", read), "hello");
    let human = |client: &mut Client, line: &str| {
        let arguments = json!({"command-line": line});
        let text = client.execute("human-monitor-command", arguments);
        text.as_str().unwrap().to_owned()
    };
    let tree = human(&mut client, "info qtree -b");
    let expected = "bus: pci.0\r\n  type PCI\r\n  dev: virtio-scsi-pci, id \"s0\"\r\n    bus: s0.0\r\n      \
                    type SCSI\r\n      dev: scsi-hd, id \"h0\"\r\n";
    assert!(tree.starts_with(expected), "{tree}");
    let tree = human(&mut client, "info qtree");
    assert!(tree.contains("    num_queues = 1 (0x1)\r\n"), "{tree}");
    assert!(
        human(&mut client, "info chardev").contains("r0: filename=ringbuf\r\n"),
        "no line for the device"
    );
    assert_eq!(
        human(&mut client, "qom-get /machine/peripheral/s0 num_queues"),
        "1\r\n"
    );
    assert_eq!(human(&mut client, "chardev-remove r0"), "");
    assert_eq!(
        human(&mut client, "chardev-remove r0"),
        "Error: Chardev 'r0' not found\r\n"
    );
}
