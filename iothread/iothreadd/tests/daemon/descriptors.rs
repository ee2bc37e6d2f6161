//! Descriptors that clients pass along, and how long the server keeps them.

use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::harness::{Client, Server, eventually, send_with};

/// How many descriptors the server has open.
fn n_open(server: &Server) -> usize {
    let folder = format!("/proc/{}/fd", server.id());
    std::fs::read_dir(folder).unwrap().count()
}

/// Sends text with the client's own socket beside it.
fn pass_itself(client: &Client, text: &str) {
    send_with(client.stream(), text.as_bytes(), client.stream());
}

/// The session of a client that passes its own socket along ends with the client, whatever the bytes are.
#[test]
fn a_socket_that_is_passed_to_itself_keeps_no_session() {
    let server = Server::start(&[]);
    let mut watcher = server.client();
    let before = n_open(&server);
    for text in [
        " ",
        r#"{"execute": "query-name"}"#,
        r#"{"execute": "query-block"}"#,
        r#"{"execute": "blockdev-del", "arguments": {"node-name": "x"}} {"execute": "query-block"}"#,
        r#"{"execute": "getfd", "arguments": {"fdname": "1"}}"#,
        r#"{"execute": "getfd"}"#,
        "}",
        // The rest of these never comes; descriptors wait for it, but not for ever.
        "{",
        r#"{"execute": "getfd", "arguments": {"fdname": "#,
    ] {
        for oob in [false, true] {
            let mut client = Client::connect(&server.socket());
            let enable: &[&str] = if oob { &["oob"] } else { &[] };
            client.execute("qmp_capabilities", json!({"enable": enable}));
            pass_itself(&client, text);
        }
        // Before negotiation.
        pass_itself(&Client::connect(&server.socket()), text);
    }
    eventually(|| n_open(&server) <= before);
    assert_eq!(watcher.execute("query-fdsets", json!({})), json!([]));
}

/// A client that has left does not keep others out.
#[test]
fn sessions_that_pass_themselves_lock_nobody_out() {
    let server = Server::start(&[]);
    let pid = rustix::process::Pid::from_raw(server.id().cast_signed());
    let few = rustix::process::Rlimit {
        current: Some(64),
        maximum: Some(64),
    };
    rustix::process::prlimit(pid, rustix::process::Resource::Nofile, few).unwrap();
    for _ in 0..100 {
        let mut client = server.client();
        pass_itself(&client, r#"{"execute": "query-name"}"#);
        client.reply();
    }
    let mut at_once = [(); 9].map(|()| server.client());
    for client in &mut at_once {
        assert_eq!(client.execute("query-name", json!({})), json!({}));
    }
}

/// A descriptor is for the commands in whose bytes it came.
#[test]
fn a_later_command_finds_no_descriptor() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let none = json!("No file descriptor supplied via SCM_RIGHTS");
    let desc = |reply: Value| reply["error"]["desc"].clone();
    client.exchange_with("query-name", json!({}), &ours);
    assert_eq!(desc(client.exchange("getfd", json!({"fdname": "a"}))), none);
    client.exchange_with("getfd", json!({"fdname": "a"}), &ours);
    assert_eq!(desc(client.exchange("add-fd", json!({}))), none);
    client.execute("closefd", json!({"fdname": "a"}));
}

/// It waits for a command that comes in pieces, and for one that waits for its turn.
#[test]
fn a_descriptor_waits_for_its_command() {
    let server = Server::start(&[]);
    let mut client = Client::connect(&server.socket());
    client.execute("qmp_capabilities", json!({"enable": ["oob"]}));
    let (ours, _theirs) = UnixStream::pair().unwrap();
    send_with(client.stream(), br#"{"execute": "getfd", "#, &ours);
    // The first piece is read by itself: this is answered after it.
    assert_eq!(server.client().execute("query-name", json!({})), json!({}));
    client.send(r#""arguments": {"fdname": "a"}}"#);
    assert_eq!(client.reply(), json!({"return": {}}));
    let slow = r#"{"execute": "query-block"}"#;
    let text =
        format!(r#"{slow} {slow} {slow} {{"execute": "getfd", "arguments": {{"fdname": "b"}}}}"#);
    send_with(client.stream(), text.as_bytes(), &ours);
    for _ in 0..3 {
        assert_eq!(client.reply(), json!({"return": []}));
    }
    assert_eq!(client.reply(), json!({"return": {}}));
    for name in ["a", "b"] {
        client.execute("closefd", json!({"fdname": name}));
    }
}

/// A command that waits keeps no client that has left.
#[test]
fn a_client_that_leaves_during_a_command_is_gone() {
    let server = Server::start(&[]);
    let mut watcher = server.client();
    let before = n_open(&server);
    let mut client = server.client();
    let address = json!({"type": "unix", "data": {"path": server.folder().join("c")}});
    let backend =
        json!({"type": "socket", "data": {"addr": address, "server": true, "wait": true}});
    let command = json!({"execute": "chardev-add", "arguments": {"id": "c", "backend": backend}});
    client.send(&command.to_string());
    eventually(|| server.folder().join("c").exists());
    drop(client);
    // The device is there, and waits on.
    eventually(|| n_open(&server) <= before + 1);
    let devices = watcher.execute("query-chardev", json!({}));
    assert_eq!(devices.as_array().unwrap().len(), 2, "{devices}");
}
