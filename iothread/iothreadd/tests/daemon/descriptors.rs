//! Descriptors that clients pass along, and how long the server keeps them.

use std::io::Read as _;
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};

use crate::harness::{Client, PATIENCE, Server, eventually, send_with};

/// How many descriptors the server has open.
pub(crate) fn n_open(server: &Server) -> usize {
    let folder = format!("/proc/{}/fd", server.id());
    std::fs::read_dir(folder).unwrap().count()
}

/// Sends text with the client's own socket beside it.
fn pass_itself(client: &Client, text: &str) {
    send_with(client.stream(), text.as_bytes(), client.stream());
}

/// Sends text with two descriptors beside it.
fn send_both(stream: &UnixStream, text: &[u8], first: &UnixStream, second: &UnixStream) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let both = [first.as_fd(), second.as_fd()];
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&both)));
    let text = [std::io::IoSlice::new(text)];
    sendmsg(stream, &text, &mut ancillary, SendFlags::NOSIGNAL).unwrap();
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

/// Some clients send descriptors beside a blank, and the command in a message of its own.
#[test]
fn a_descriptor_beside_a_blank_is_for_the_next_command() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    send_with(client.stream(), b" ", &ours);
    client.execute("getfd", json!({"fdname": "a"}));
    send_with(client.stream(), b"\n", &ours);
    client.execute("query-name", json!({}));
    assert_eq!(
        client.error("getfd", json!({"fdname": "b"})),
        "No file descriptor supplied via SCM_RIGHTS"
    );
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

/// The first descriptor of a message is for the command; the others are closed.
#[test]
fn only_the_first_descriptor_of_a_message_counts() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (also_ours, also_theirs) = UnixStream::pair().unwrap();
    let text = r#"{"execute": "getfd", "arguments": {"fdname": "a"}}
        {"execute": "getfd", "arguments": {"fdname": "b"}}"#;
    send_both(client.stream(), text.as_bytes(), &ours, &also_ours);
    drop((ours, also_ours));
    assert_eq!(client.reply(), json!({"return": {}}));
    let none = "No file descriptor supplied via SCM_RIGHTS";
    assert_eq!(client.reply()["error"]["desc"], none);
    assert_eq!(client.error("getfd", json!({"fdname": "c"})), none);
    // The second one is closed, the first one is kept.
    also_theirs.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!((&also_theirs).read(&mut [0]).unwrap(), 0);
    theirs.set_nonblocking(true).unwrap();
    let kept = (&theirs).read(&mut [0]).unwrap_err();
    assert_eq!(kept.kind(), std::io::ErrorKind::WouldBlock);
}

fn of_descriptor(name: &str, server: bool) -> Value {
    let addr = json!({"type": "fd", "data": {"str": name}});
    json!({"type": "socket", "data": {"addr": addr, "server": server}})
}

fn filename(client: &mut Client, label: &str) -> Value {
    let devices = client.execute("query-chardev", json!({}));
    let devices = devices.as_array().unwrap();
    let device = devices.iter().find(|it| it["label"] == label);
    device.unwrap()["filename"].clone()
}

/// Devices on descriptors are named by the addresses of the sockets.
#[test]
fn devices_on_descriptors_have_names() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let (ours, theirs) = UnixStream::pair().unwrap();
    client.exchange_with("getfd", json!({"fdname": "s"}), &ours);
    drop(ours);
    client.execute(
        "chardev-add",
        json!({"id": "c", "backend": of_descriptor("s", false)}),
    );
    assert_eq!(filename(&mut client, "c"), "unix:");
    drop(theirs);
    eventually(|| filename(&mut client, "c") == "disconnected:fd:s");
    let path = server.folder().join("listening");
    let listener = UnixListener::bind(&path).unwrap();
    client.exchange_with("getfd", json!({"fdname": "t"}), &listener);
    let mut backend = of_descriptor("t", true);
    backend["data"]["wait"] = json!(false);
    client.execute("chardev-add", json!({"id": "d", "backend": backend}));
    assert_eq!(
        filename(&mut client, "d"),
        format!("disconnected:unix:{},server=on", path.display())
    );
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    client.exchange_with("getfd", json!({"fdname": "u"}), &tcp);
    let mut backend = of_descriptor("u", true);
    backend["data"]["wait"] = json!(false);
    client.execute("chardev-add", json!({"id": "e", "backend": backend}));
    assert_eq!(
        filename(&mut client, "e"),
        format!("disconnected:tcp:{},server=on", tcp.local_addr().unwrap())
    );
}

#[test]
fn descriptors_that_are_no_sockets_are_refused() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let file = tempfile::tempfile().unwrap();
    let (connected, _theirs) = UnixStream::pair().unwrap();
    let fd = |name: &str| json!({"type": "fd", "data": {"str": name}});
    let modern = |name: &str| json!({"type": "fd", "str": name});
    client.add_node("n0");
    let export = json!({
        "type": "vhost-user-blk", "id": "e", "node-name": "n0", "addr": modern("u"),
    });
    for (command, arguments, prefix) in [
        ("nbd-server-start", json!({"addr": fd("u")}), ""),
        (
            "chardev-add",
            json!({"id": "c", "backend": of_descriptor("u", true)}),
            "Failed to add chardev 'c': ",
        ),
        (
            "chardev-add",
            json!({"id": "c", "backend": of_descriptor("u", false)}),
            "Failed to add chardev 'c': ",
        ),
        ("block-export-add", export, ""),
    ] {
        client.exchange_with("getfd", json!({"fdname": "u"}), &file);
        let text = client.error(command, arguments.clone());
        assert_eq!(text, format!("{prefix}File descriptor 'u' is not a socket"));
        // It is used up.
        let gone = "File descriptor named 'u' not found";
        assert_eq!(client.error("closefd", json!({"fdname": "u"})), gone);
        if arguments["backend"] == of_descriptor("u", false) {
            continue;
        }
        client.exchange_with("getfd", json!({"fdname": "u"}), &connected);
        assert_eq!(
            client.error(command, arguments),
            format!("{prefix}Failed to listen on fd socket: Invalid argument")
        );
    }
}
