//! Many clients, and clients that do not behave.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::harness::{Client, PATIENCE, Server, eventually, program, values};

#[test]
fn a_hundred_clients_at_once() {
    let server = Server::start(&["--object", "iothread,id=io0"]);
    let mut clients: Vec<_> = (0..100).map(|_| server.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&format!(
            r#"{{"execute": "query-named-block-nodes", "id": {number}}}"#
        ));
    }
    for (number, client) in clients.iter_mut().enumerate().rev() {
        assert_eq!(client.reply(), json!({"return": [], "id": number}));
    }
    clients[0].add_node("n0");
    let device = json!({"driver": "virtio-blk-pci", "id": "d0", "drive": "n0", "iothread": "io0"});
    clients[0].execute("device_add", device);
    clients[99].execute("device_del", json!({"id": "d0"}));
    for client in &mut clients {
        assert_eq!(client.event()["event"], "DEVICE_DELETED");
        assert_eq!(client.event()["data"]["device"], "d0");
    }
}

#[test]
fn events_wait_for_negotiation() {
    let server = Server::start(&["--object", "iothread,id=io0"]);
    let mut silent = Client::connect(&server.socket());
    let mut client = server.client();
    client.add_node("n0");
    let device = json!({"driver": "virtio-blk-pci", "id": "d0", "drive": "n0"});
    client.execute("device_add", device);
    client.execute("device_del", json!({"id": "d0"}));
    client.event();
    client.event();
    assert_eq!(
        silent.exchange("qmp_capabilities", json!({})),
        json!({"return": {}})
    );
    assert_eq!(
        silent.exchange("query-name", json!({})),
        json!({"return": {}})
    );
}

#[test]
fn clients_that_vanish_or_babble_harm_nobody() {
    let server = Server::start(&["--object", "iothread,id=io0"]);
    let mut client = server.client();
    for round in 0..20 {
        // In the middle of a value.
        let mut cut = server.client();
        cut.send(r#"{"execute": "query-io"#);
        drop(cut);
        // While a command runs elsewhere.
        let mut busy = server.client();
        let node = format!(
            r#"{{"execute": "blockdev-add", "arguments": {{"driver": "null-co", "node-name": "n{round}"}}}}"#
        );
        busy.send(&node.repeat(3));
        drop(busy);
        let mut babbler = UnixStream::connect(server.socket()).unwrap();
        let garbage: Vec<u8> = (0..=255_u8).cycle().take(20_000).collect();
        // It may be cut off.
        let _ = babbler.write_all(&garbage);
        drop(UnixStream::connect(server.socket()).unwrap());
        assert_eq!(client.execute("query-name", json!({})), json!({}));
    }
}

#[test]
fn a_client_that_only_stops_sending_is_answered() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send(r#"{"execute": "query-named-block-nodes"} {"execute": "query-name"}"#);
    client.stream().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(
        client.rest(),
        [json!({"return": []}), json!({"return": {}})]
    );
}

#[test]
fn bytes_may_come_one_by_one() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for byte in r#"{"execute": "query-name", "id": "slow"}"#.chars() {
        client.send(&byte.to_string());
    }
    assert_eq!(client.reply(), json!({"return": {}, "id": "slow"}));
}

#[test]
fn a_command_overtakes_out_of_band() {
    let server = Server::start(&[]);
    let mut client = Client::connect(&server.socket());
    client.execute("qmp_capabilities", json!({"enable": ["oob"]}));
    // Commands that run on the main loop, in order; and one that does not wait for them.
    let mut text = r#"{"execute": "query-named-block-nodes", "id": 0}"#.repeat(5);
    text.push_str(r#"{"exec-oob": "query-yank", "id": 1}"#);
    client.send(&text);
    let owners = json!([{"type": "chardev", "id": "compat_monitor0"}]);
    assert_eq!(client.reply(), json!({"return": owners, "id": 1}));
    for _ in 0..5 {
        assert_eq!(client.reply(), json!({"return": [], "id": 0}));
    }
    client.send(r#"{"exec-oob": "query-name", "id": 2}"#);
    let reply = client.reply();
    assert_eq!(
        reply["error"]["desc"],
        "The command query-name does not support OOB"
    );
}

#[test]
fn a_suspended_session_holds_up_no_other() {
    let server = Server::start(&[]);
    let mut client = server.client();
    // A long list of commands that run on the main loop.
    let mut pipelined = String::new();
    for number in 0..300 {
        let node = json!({"driver": "null-co", "node-name": format!("n{number}")});
        pipelined.push_str(&json!({"execute": "blockdev-add", "arguments": node}).to_string());
    }
    client.send(&pipelined);
    let mut other = server.client();
    assert_eq!(other.execute("query-iothreads", json!({})), json!([]));
    for _ in 0..300 {
        assert_eq!(client.reply(), json!({"return": {}}));
    }
}

#[test]
fn pretty_sessions_and_policies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pretty");
    let option = format!("unix:{},pretty=on", path.display());
    let server = Server::start(&["--qmp", &option, "--compat", "unstable-input=reject"]);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream
        .write_all(br#"{"execute": "qmp_capabilities"}"#)
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("{\r\n    \"QMP\": {\r\n"), "{text}");
    assert!(
        text.ends_with("{\r\n    \"return\": {\r\n    }\r\n}\r\n"),
        "{text}"
    );
    let refused = server
        .client()
        .error("x-query-internal-iothreads", json!({}));
    assert_eq!(
        refused,
        "Unstable command x-query-internal-iothreads disabled by policy"
    );
}

#[test]
fn clients_wait_while_descriptors_are_short() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("qmp");
    let mut child = std::process::Command::new("sh")
        .arg("-c")
        .arg("ulimit -n 40; exec \"$0\" --qmp \"unix:$1\"")
        .arg(program().get_program())
        .arg(&socket)
        .spawn()
        .unwrap();
    eventually(|| {
        assert!(child.try_wait().unwrap().is_none());
        UnixStream::connect(&socket).is_ok()
    });
    // More than the server has descriptors for; those that it does not take yet wait in the kernel.
    let mut waiting: Vec<_> = (0..60)
        .map(|_| UnixStream::connect(&socket).unwrap())
        .collect();
    let mut last = waiting.pop().unwrap();
    drop(waiting);
    let mut greeting = [0; 8];
    last.set_read_timeout(Some(PATIENCE)).unwrap();
    last.read_exact(&mut greeting).unwrap();
    assert_eq!(greeting, *b"{\"QMP\": ");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A program that does not outlive the test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_is_queued_behind_a_long_reply_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("output");
    // A file takes all of a reply at once, so nothing wakes the session afterwards.
    let child = program()
        .args(["--qmp", "stdio"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::fs::File::create(&output).unwrap())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let mut input = child.0.stdin.take().unwrap();
    let enable = r#"{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}"#;
    input.write_all(enable.as_bytes()).unwrap();
    for number in 0..3000 {
        let node = json!({"driver": "null-co", "node-name": format!("n{number}")});
        let command = json!({"execute": "blockdev-add", "arguments": node});
        input.write_all(command.to_string().as_bytes()).unwrap();
    }
    let query = r#"{"execute": "query-named-block-nodes", "id": "long"}"#;
    input.write_all(query.repeat(3).as_bytes()).unwrap();
    drop(input);
    eventually(|| child.0.try_wait().unwrap().is_some());
    let replies = values(&std::fs::read(&output).unwrap());
    let is_long = |reply: &&Value| reply["id"] == "long";
    let long: Vec<_> = replies.iter().filter(is_long).collect();
    assert_eq!(long.len(), 3);
    assert!(long[0].to_string().len() > 1 << 20);
}

/// What a command emits before it returns comes before its reply, on the session that gave it; the removal of a device, which
/// begins with the reply, is announced after it. Other sessions see the same order.
#[test]
fn events_of_a_command_precede_its_reply() {
    let server = Server::start(&["--object", "iothread,id=io0"]);
    let (mut client, mut other) = (server.client(), server.client());
    client.add_node("n0");
    for round in 0..50 {
        let address = json!({"type": "unix", "data": {"path": server.folder().join("nbd")}});
        client.execute("nbd-server-start", json!({"addr": address}));
        let ids = ["a", "b", "c"].map(|name| format!("{name}{round}"));
        for id in &ids {
            let export =
                json!({"type": "nbd", "id": id, "name": id, "node-name": "n0", "iothread": "io0"});
            client.execute("block-export-add", export);
        }
        client.send(r#"{"execute": "nbd-server-stop"}"#);
        let messages: Vec<_> = (0..4).map(|_| client.receive().unwrap()).collect();
        assert_eq!(messages[3], json!({"return": {}}));
        for message in &messages[..3] {
            assert_eq!(message["event"], "BLOCK_EXPORT_DELETED");
            assert_eq!(other.event(), *message);
        }
        client.execute(
            "device_add",
            json!({"driver": "virtio-scsi-pci", "id": "d"}),
        );
        client.send(r#"{"execute": "device_del", "arguments": {"id": "d"}}"#);
        assert_eq!(client.receive().unwrap(), json!({"return": {}}));
        // Of its backend, and of itself.
        for _ in 0..2 {
            let event = client.receive().unwrap();
            assert_eq!(event["event"], "DEVICE_DELETED");
            assert_eq!(other.event(), event);
        }
    }
}
