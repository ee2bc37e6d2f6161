//! QMP monitors as objects, and the devices that they are on.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use crate::descriptors::n_open;
use crate::harness::{Client, Server, eventually, run, values};

fn socket(path: &Path) -> Value {
    let addr = json!({"type": "unix", "data": {"path": path}});
    json!({"type": "socket", "data": {"addr": addr, "wait": false}})
}

fn add_chardev(client: &mut Client, id: &str, backend: Value) {
    client.execute("chardev-add", json!({"id": id, "backend": backend}));
}

fn monitor(id: &str, chardev: &str) -> Value {
    json!({"qom-type": "monitor-qmp", "id": id, "chardev": chardev})
}

fn children(client: &mut Client, path: &str) -> Vec<(String, String)> {
    let list = client.execute("qom-list", json!({"path": path}));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = list.as_array().unwrap().iter();
    list.map(|it| (text(&it["name"]), text(&it["type"])))
        .filter(|(name, _)| name != "type")
        .collect()
}

fn get(client: &mut Client, path: &str, property: &str) -> Value {
    client.execute("qom-get", json!({"path": path, "property": property}))
}

const SELF: &str = "Cannot delete the current QMP monitor";

/// Each `--qmp` is an object, and has a device of its own.
#[test]
fn monitors_of_options_are_objects() {
    let server = Server::start(&[]);
    let mut client = server.client();
    assert_eq!(
        children(&mut client, "/objects"),
        [(
            "compat_monitor0".to_owned(),
            "child<monitor-qmp>".to_owned()
        )]
    );
    assert_eq!(
        children(&mut client, "/chardevs"),
        [(
            "compat_monitor0".to_owned(),
            "child<chardev-socket>".to_owned()
        )]
    );
    let path = "/objects/compat_monitor0";
    for (property, value) in [
        ("type", json!("monitor-qmp")),
        ("chardev", json!("compat_monitor0")),
        ("pretty", json!(false)),
        ("close-action", json!("none")),
    ] {
        assert_eq!(get(&mut client, path, property), value, "{property}");
    }
    let device = "/chardevs/compat_monitor0";
    assert_eq!(get(&mut client, device, "connected"), true);
    let taken = json!({"qom-type": "iothread", "id": "compat_monitor0"});
    assert_eq!(
        client.error("object-add", taken),
        "attempt to add duplicate property 'compat_monitor0' to object (type 'container')"
    );
    assert_eq!(
        client.error("object-add", monitor("m", "compat_monitor0")),
        "chardev 'compat_monitor0' is already in use"
    );
    let current = json!({"id": "compat_monitor0"});
    assert_eq!(client.error("object-del", current), SELF);
    client.execute("query-name", json!({}));
}

/// An object that an option makes may have the name, since monitors are made last.
#[test]
fn a_monitor_whose_name_is_taken_does_not_start() {
    let arguments = ["--object", "iothread,id=compat_monitor0", "--qmp", "stdio"];
    let output = run(&arguments, b"");
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    let text = "attempt to add duplicate property 'compat_monitor0' to object (type 'container')";
    assert!(said.contains(text), "{said}");
}

#[test]
fn the_standard_streams_are_a_device() {
    let commands = br#"{"execute": "qmp_capabilities"}
        {"execute": "qom-list", "arguments": {"path": "/chardevs"}}
        {"execute": "qom-list", "arguments": {"path": "/chardevs/compat_monitor0"}}"#;
    let output = run(&["--qmp", "stdio"], commands);
    let replies = values(&output.stdout);
    let device = json!({"name": "compat_monitor0", "type": "child<chardev-stdio>"});
    let listed = replies[2]["return"].as_array().unwrap();
    assert!(listed.contains(&device), "{listed:?}");
    let only = json!([{"name": "type", "type": "string"}]);
    assert_eq!(replies[3]["return"], only);
}

/// A second monitor can be deleted, and its device and path go with it.
#[test]
fn another_monitor_of_an_option_can_be_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other");
    let option = format!("unix:{}", path.display());
    let server = Server::start(&["--qmp", &option]);
    let mut client = server.client();
    let mut other = Client::connect(&path);
    other.execute("qmp_capabilities", json!({}));
    assert_eq!(children(&mut client, "/objects").len(), 2);
    client.execute("object-del", json!({"id": "compat_monitor0"}));
    assert_eq!(other.receive(), None);
    assert!(!path.exists());
    let left = children(&mut client, "/objects");
    assert_eq!(left[0].0, "compat_monitor1");
    assert_eq!(children(&mut client, "/chardevs").len(), 1);
    let yanks = client.execute("query-yank", json!({}));
    assert_eq!(yanks, json!([{"type": "chardev", "id": "compat_monitor1"}]));
    let again = json!({"qom-type": "iothread", "id": "compat_monitor0"});
    client.execute("object-add", again);
}

/// A session does not delete its own monitor, neither directly nor through the human monitor.
#[test]
fn the_current_monitor_stays() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let path = server.folder().join("mon");
    add_chardev(&mut client, "c", socket(&path));
    client.execute("object-add", monitor("m", "c"));
    let mut own = Client::connect(&path);
    own.execute("qmp_capabilities", json!({}));
    assert_eq!(own.error("object-del", json!({"id": "m"})), SELF);
    let line = json!({"command-line": "object_del m"});
    assert_eq!(
        own.execute("human-monitor-command", line),
        format!("Error: {SELF}\r\n")
    );
    own.execute("query-name", json!({}));
    // Somebody else does.
    client.execute("object-del", json!({"id": "m"}));
    assert_eq!(own.receive(), None);
}

/// How a device is called, and whether its user is ready to receive.
fn state(client: &mut Client, id: &str) -> (String, bool) {
    let devices = client.execute("query-chardev", json!({}));
    let devices = devices.as_array().unwrap();
    let device = devices.iter().find(|it| it["label"] == id).unwrap();
    let name = device["filename"].as_str().unwrap();
    (name.to_owned(), device["frontend-open"] == true)
}

/// The client of a monitor that is deleted reads the end. The device has it until it hangs up, whatever it does until then.
#[test]
fn clients_of_a_deleted_monitor_are_dismissed() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let path = server.folder().join("mon");
    add_chardev(&mut client, "c", socket(&path));
    let before = n_open(&server);
    let name = format!("unix:{},server=on", path.display());
    let gone = (format!("disconnected:{name}"), false);
    for says in [
        &[] as &[u8],
        b"{\"execute\": \"query-name\"}",
        &[b' '; 1 << 22],
    ] {
        client.execute("object-add", monitor("m", "c"));
        let mut own = Client::connect(&path);
        own.execute("qmp_capabilities", json!({}));
        client.execute("object-del", json!({"id": "m"}));
        assert_eq!(own.receive(), None);
        assert_eq!(state(&mut client, "c"), (name.clone(), false));
        // More than there is room for where nobody reads.
        own.stream().write_all(says).unwrap();
        assert_eq!(state(&mut client, "c"), (name.clone(), false));
        drop(own);
        eventually(|| state(&mut client, "c") == gone);
    }
    eventually(|| n_open(&server) == before);
    client.execute("chardev-remove", json!({"id": "c"}));
}

/// The next monitor on a device has nothing to do with clients of the one before, and is not held up by them.
#[test]
fn a_monitor_does_not_wait_for_clients_that_were_dismissed() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let path = server.folder().join("mon");
    add_chardev(&mut client, "c", socket(&path));
    client.execute("object-add", monitor("m", "c"));
    let mut dismissed = Client::connect(&path);
    client.execute("object-del", json!({"id": "m"}));
    assert_eq!(dismissed.receive(), None);
    let mut object = monitor("m", "c");
    // It would go with the first client that leaves.
    object["close-action"] = json!("delete");
    client.execute("object-add", object);
    let mut own = Client::connect(&path);
    own.execute("qmp_capabilities", json!({}));
    assert_eq!(children(&mut client, "/objects").len(), 2);
    assert_eq!(dismissed.receive(), None);
}

/// With `close-action=delete` the monitor and its device go with the client.
#[test]
fn a_monitor_goes_with_its_client() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let path = server.folder().join("mon");
    add_chardev(&mut client, "c", socket(&path));
    let mut object = monitor("m", "c");
    object["close-action"] = json!("delete");
    client.execute("object-add", object);
    let mut own = Client::connect(&path);
    own.execute("qmp_capabilities", json!({}));
    assert_eq!(children(&mut client, "/objects").len(), 2);
    drop(own);
    eventually(|| children(&mut client, "/objects").len() == 1);
    eventually(|| children(&mut client, "/chardevs").len() == 1);
    assert!(UnixStream::connect(&path).is_err());
}

/// What is changed of a monitor in use holds for sessions that begin, and for clients that leave.
#[test]
fn a_monitor_in_use_can_be_changed() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let path = server.folder().join("mon");
    add_chardev(&mut client, "c", socket(&path));
    let mut object = monitor("m", "c");
    object["pretty"] = json!(true);
    client.execute("object-add", object);
    let set = |property: &str, value: Value| json!({"path": "/objects/m", "property": property, "value": value});
    client.execute("qom-set", set("pretty", json!(false)));
    assert_eq!(get(&mut client, "/objects/m", "pretty"), false);
    assert_eq!(
        client.error("qom-set", set("pretty", json!("no"))),
        "Invalid parameter type for 'pretty', expected: boolean"
    );
    assert_eq!(
        client.error("qom-set", set("close-action", json!("no"))),
        "Parameter 'close-action' does not accept value 'no'"
    );
    let mut other = BufReader::new(UnixStream::connect(&path).unwrap());
    let mut greeting = String::new();
    other.read_line(&mut greeting).unwrap();
    assert!(greeting.starts_with("{\"QMP\""), "{greeting}");
    client.execute("qom-set", set("close-action", json!("delete")));
    assert_eq!(get(&mut client, "/objects/m", "close-action"), "delete");
    drop(other);
    eventually(|| children(&mut client, "/objects").len() == 1);
    eventually(|| children(&mut client, "/chardevs").len() == 1);
}

/// A monitor says hello on a device that nobody answers from, without capabilities.
#[test]
fn monitors_on_every_kind_of_device() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let file = server.folder().join("out");
    for (id, backend) in [
        ("ringbuf", json!({"type": "ringbuf", "data": {}})),
        ("memory", json!({"type": "memory", "data": {}})),
        ("null", json!({"type": "null", "data": {}})),
        ("file", json!({"type": "file", "data": {"out": file}})),
    ] {
        add_chardev(&mut client, id, backend);
        // It stays although there is nothing to read.
        let mut object = monitor("m", id);
        object["close-action"] = json!("delete");
        client.execute("object-add", object);
        let devices = client.execute("query-chardev", json!({}));
        let devices = devices.as_array().unwrap();
        let device = devices.iter().find(|it| it["label"] == id).unwrap();
        assert_eq!(device["frontend-open"], true, "{id}");
        assert_eq!(
            client.error("chardev-remove", json!({ "id": id })),
            format!("Chardev '{id}' is busy")
        );
        if ["ringbuf", "memory"].contains(&id) {
            let read = json!({"device": id, "size": 1000});
            let text = client.execute("ringbuf-read", read.clone());
            let text = text.as_str().unwrap();
            assert!(text.ends_with("}\r\n"), "{text}");
            let greeting: Value = serde_json::from_str(text).unwrap();
            assert_eq!(greeting["QMP"]["capabilities"], json!([]));
            // What is written there is kept, and not carried out.
            let quit = r#"{"execute": "quit"}"#;
            client.execute("ringbuf-write", json!({"device": id, "data": quit}));
            assert_eq!(client.execute("ringbuf-read", read), quit);
        }
        if id == "file" {
            eventually(|| {
                let text = std::fs::read_to_string(&file).unwrap();
                text.starts_with("{\"QMP\": ") && text.ends_with('\n')
            });
        }
        client.execute("object-del", json!({"id": "m"}));
        client.execute("chardev-remove", json!({ "id": id }));
    }
    // A file to read from is a session that ends with it.
    let commands = server.folder().join("in");
    let run = r#"{"execute": "qmp_capabilities"} {"execute": "query-name", "id": "last"}"#;
    std::fs::write(&commands, run).unwrap();
    let out = server.folder().join("replies");
    let backend = json!({"type": "file", "data": {"out": out, "in": commands}});
    add_chardev(&mut client, "f", backend);
    client.execute("object-add", monitor("m", "f"));
    eventually(|| {
        let text = std::fs::read_to_string(&out).unwrap();
        text.contains("\"id\": \"last\"}")
    });
}

#[test]
fn what_a_monitor_cannot_be_on() {
    let server = Server::start(&[]);
    let mut client = server.client();
    add_chardev(&mut client, "r", json!({"type": "ringbuf", "data": {}}));
    client.execute("object-add", monitor("m", "r"));
    for (chardev, text) in [
        ("nope", "chardev \"nope\" not found"),
        ("", "chardev \"\" not found"),
        ("r", "chardev 'r' is already in use"),
    ] {
        let reply = client.exchange("object-add", monitor("m2", chardev));
        assert_eq!(
            reply["error"],
            json!({"class": "GenericError", "desc": text})
        );
    }
    assert_eq!(children(&mut client, "/objects").len(), 2);
}
