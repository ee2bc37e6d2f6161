//! Logs of character devices: files that get a copy of what a device is sent.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::harness::{Client, PATIENCE, Server, eventually};

fn backend(kind: &str, mut data: Value, log: &Path) -> Value {
    data["logfile"] = json!(log);
    json!({"type": kind, "data": data})
}

fn add(client: &mut Client, id: &str, backend: Value) {
    client.execute("chardev-add", json!({"id": id, "backend": backend}));
}

/// A monitor sends to the device.
fn add_monitor(client: &mut Client, chardev: &str) {
    let id = format!("of-{chardev}");
    let object = json!({"qom-type": "monitor-qmp", "id": id, "chardev": chardev});
    client.execute("object-add", object);
}

fn delete_monitor(client: &mut Client, chardev: &str) {
    client.execute("object-del", json!({"id": format!("of-{chardev}")}));
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

fn ring(client: &mut Client, id: &str) -> String {
    let read = json!({"device": id, "size": 65536});
    client
        .execute("ringbuf-read", read)
        .as_str()
        .unwrap()
        .to_owned()
}

/// What the client of a socket reads is what the log has, and what it sends is not in there.
#[test]
fn a_socket_has_a_log() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let (path, log) = (server.folder().join("c"), server.folder().join("log"));
    let addr = json!({"type": "unix", "data": {"path": path}});
    add(
        &mut client,
        "c",
        backend("socket", json!({"addr": addr}), &log),
    );
    add_monitor(&mut client, "c");
    assert_eq!(text(&log), "");
    let mut all = String::new();
    for id in ["first", "second"] {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let command = format!(r#"{{"execute": "qmp_capabilities", "id": "{id}"}}"#);
        (&stream).write_all(command.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        for _ in 0..2 {
            reader.read_line(&mut all).unwrap();
        }
        assert!(
            all.ends_with(&format!("{{\"return\": {{}}, \"id\": \"{id}\"}}\r\n")),
            "{all}"
        );
        // The copy is made after the bytes have been sent.
        eventually(|| text(&log) == all);
    }
}

/// The same on the side that connects, for a file and for FIFOs.
#[test]
fn every_stream_has_a_log() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let at = |name: &str| server.folder().join(name);
    let listener = std::os::unix::net::UnixListener::bind(at("peer")).unwrap();
    let addr = json!({"type": "unix", "data": {"path": at("peer")}});
    let connects = backend(
        "socket",
        json!({"addr": addr, "server": false}),
        &at("log-socket"),
    );
    add(&mut client, "socket", connects);
    let out = json!({"out": at("out")});
    add(&mut client, "file", backend("file", out, &at("log-file")));
    fifo(&at("fifo.in"));
    fifo(&at("fifo.out"));
    let device = json!({"device": at("fifo")});
    add(
        &mut client,
        "pipe",
        backend("pipe", device, &at("log-pipe")),
    );
    for id in ["socket", "file", "pipe"] {
        add_monitor(&mut client, id);
    }
    let mut of_socket = String::new();
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = BufReader::new(stream);
    stream.read_line(&mut of_socket).unwrap();
    let mut of_pipe = String::new();
    let pipe = std::fs::File::open(at("fifo.out")).unwrap();
    BufReader::new(pipe).read_line(&mut of_pipe).unwrap();
    for greeting in [&of_socket, &of_pipe] {
        assert!(greeting.starts_with("{\"QMP\": "), "{greeting}");
    }
    eventually(|| text(&at("log-socket")) == of_socket);
    eventually(|| text(&at("log-pipe")) == of_pipe);
    eventually(|| text(&at("out")) == of_pipe && text(&at("log-file")) == of_pipe);
}

/// What disappears or stays in memory is in the log, if a user of the device has sent it.
#[test]
fn devices_without_a_stream_have_logs() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let at = |name: &str| server.folder().join(name);
    for kind in ["ringbuf", "memory"] {
        add(&mut client, kind, backend(kind, json!({}), &at(kind)));
        client.execute("ringbuf-write", json!({"device": kind, "data": "hello"}));
        assert_eq!(text(&at(kind)), "");
        assert_eq!(ring(&mut client, kind), "hello");
        add_monitor(&mut client, kind);
        assert_eq!(text(&at(kind)), ring(&mut client, kind));
        assert!(text(&at(kind)).starts_with("{\"QMP\": "));
    }
    add(&mut client, "null", backend("null", json!({}), &at("null")));
    add_monitor(&mut client, "null");
    eventually(|| text(&at("null")).starts_with("{\"QMP\": "));
}

/// A log begins anew, unless it is to be continued.
#[test]
fn logs_are_emptied_or_continued() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let names = [
        "option",
        "option-on",
        "qmp",
        "qmp-on",
        "people",
        "people-on",
    ];
    for name in names {
        std::fs::write(at(name), "before\n").unwrap();
    }
    let option =
        |name: &str, more: &str| format!("ringbuf,id={name},logfile={}{more}", at(name).display());
    let server = Server::start(&[
        "--chardev",
        &option("option", ""),
        "--chardev",
        &option("option-on", ",logappend=on"),
    ]);
    let mut client = server.client();
    add(
        &mut client,
        "qmp",
        backend("ringbuf", json!({"logappend": false}), &at("qmp")),
    );
    add(
        &mut client,
        "qmp-on",
        backend("ringbuf", json!({"logappend": true}), &at("qmp-on")),
    );
    for line in [option("people", ""), option("people-on", ",logappend=on")] {
        let arguments = json!({"command-line": format!("chardev-add {line}")});
        assert_eq!(client.execute("human-monitor-command", arguments), "");
    }
    for name in names {
        add_monitor(&mut client, name);
        let greeting = ring(&mut client, name);
        let before = if name.ends_with("-on") {
            "before\n"
        } else {
            ""
        };
        assert_eq!(text(&at(name)), format!("{before}{greeting}"), "{name}");
    }
}

/// A device that is changed has the log that it is told of then.
#[test]
fn a_changed_device_has_another_log() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let at = |name: &str| server.folder().join(name);
    add(
        &mut client,
        "c",
        backend("ringbuf", json!({}), &at("first")),
    );
    add_monitor(&mut client, "c");
    delete_monitor(&mut client, "c");
    let first = text(&at("first"));
    assert_eq!(first, ring(&mut client, "c"));
    let change = |log: PathBuf| json!({"id": "c", "backend": backend("ringbuf", json!({}), &log)});
    client.execute("chardev-change", change(at("second")));
    // A change that fails changes nothing.
    let nowhere = at("none").join("log");
    assert_eq!(
        client.error("chardev-change", change(nowhere.clone())),
        format!(
            "Failed to add chardev 'c': Could not create '{}': No such file or directory",
            nowhere.display()
        )
    );
    add_monitor(&mut client, "c");
    assert_eq!(text(&at("first")), first);
    assert_eq!(text(&at("second")), ring(&mut client, "c"));
}

/// Nobody waits for the reader of a log.
#[test]
fn a_log_that_is_full_holds_nothing_up() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let (path, log) = (server.folder().join("c"), server.folder().join("log"));
    fifo(&log);
    let addr = json!({"type": "unix", "data": {"path": path}});
    let socket = backend("socket", json!({"addr": addr}), &log);
    let refused = client.error("chardev-add", json!({"id": "c", "backend": socket}));
    assert_eq!(
        refused,
        format!(
            "Failed to add chardev 'c': Could not create '{}': No such device or address",
            log.display()
        )
    );
    // With a reader it is a log, and stays one although it is not read.
    let mut options = std::fs::File::options();
    let mut reader = options.read(true).write(true).open(&log).unwrap();
    add(&mut client, "c", socket);
    add_monitor(&mut client, "c");
    let mut own = Client::connect(&path);
    own.execute("qmp_capabilities", json!({}));
    let n_bytes = rustix::pipe::fcntl_getpipe_size(&reader).unwrap();
    let mut n_sent = 0;
    while n_sent < 2 * n_bytes {
        let types = own.execute("query-qmp-schema", json!({}));
        n_sent += types.to_string().len();
    }
    let mut beginning = [0; 8];
    reader.read_exact(&mut beginning).unwrap();
    assert_eq!(&beginning, b"{\"QMP\": ");
}
