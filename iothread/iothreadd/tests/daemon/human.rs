//! The human monitor, on its own socket and through QMP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;

use serde_json::json;

use crate::harness::{PATIENCE, Server};

/// Reads up to and including the next prompt.
fn until_prompt(stream: &mut UnixStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"(iothreadd) ") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{text:?}");
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn a_session_on_a_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hmp");
    let option = format!("unix:{}", path.display());
    let mut server = Server::start(&["--monitor", &option, "--name", "pool"]);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(until_prompt(&mut stream).starts_with("iothreadd "));
    let mut ask = |line: &str| {
        stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        until_prompt(&mut stream)
    };
    assert_eq!(ask("info name"), "pool\r\n(iothreadd) ");
    assert_eq!(ask("info status"), "VM status: running\r\n(iothreadd) ");
    assert_eq!(ask("object_add iothread,id=io0"), "(iothreadd) ");
    let threads = ask("info iothreads");
    assert!(threads.starts_with("io0:\r\n  thread_id="), "{threads}");
    assert!(threads.contains("  holders=none\r\n"), "{threads}");
    let internal = ask("info iothreads -i");
    assert!(
        internal.contains("  holders=[monitor: compat_monitor0]\r\n"),
        "{internal}"
    );
    assert!(ask("help").contains("info [subcommand]"));
    assert_eq!(ask("nope"), "unknown command: 'nope'\r\n(iothreadd) ");
    assert_eq!(ask(""), "(iothreadd) ");
    stream.write_all(b"quit\n").unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(server.wait().code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn devices_come_and_go() {
    let server = Server::start(&["--object", "iothread,id=io0"]);
    let mut client = server.client();
    client.add_node("n0");
    let mut hmp =
        |line: &str| client.execute("human-monitor-command", json!({"command-line": line}));
    assert_eq!(
        hmp("device_add virtio-blk-pci,id=d0,drive=n0,num-queues=2,iothread=io0"),
        ""
    );
    let threads = hmp("info iothreads");
    let holder = "  holders=[qom-path: /machine/peripheral/d0/virtio-backend]\r\n";
    assert!(threads.as_str().unwrap().contains(holder), "{threads}");
    assert_eq!(hmp("device_del nope"), "Error: Device 'nope' not found\r\n");
    assert_eq!(hmp("device_del d0"), "");
    assert_eq!(client.event()["event"], "DEVICE_DELETED");
}

#[test]
fn every_line_that_was_sent_is_executed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hmp");
    let _server = Server::start(&["--monitor", &format!("unix:{}", path.display())]);
    let prompts = |text: &str| text.matches("(iothreadd) ").count();
    // The answers are far more than what the server keeps for a client that does not read.
    for count in [1, 800, 5000] {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all("help\n".repeat(count).as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(prompts(&text), 1 + count);
        assert_eq!(text.matches("info [subcommand]").count(), count);
    }
    // A line that does not end does, the lines before it notwithstanding.
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let lines = "help\n".repeat(1000) + &"x".repeat(4096);
    stream.write_all(lines.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(prompts(&text), 1001);
    assert!(text.ends_with("(iothreadd) line too long\r\n"));
}

/// What commands take, one word after the other, and what they print about lines that do not fit.
#[test]
fn what_was_printed_is_sent_before_the_end() {
    const N_LINES: usize = 2500;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hmp");
    let option = format!("unix:{}", path.display());
    let mut server = Server::start(&["--monitor", &option, "--object", "iothread,id=io0"]);
    let mut client = server.client();
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // More than a socket takes, and less than what makes the server wait.
    let lines = "info iothreads\n".repeat(N_LINES) + "quit\n";
    stream.write_all(lines.as_bytes()).unwrap();
    assert_eq!(client.event()["event"], "SHUTDOWN");
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text.matches("thread_id=").count(), N_LINES);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn arguments_are_words_flags_and_numbers() {
    let server = Server::start(&["--object", "iothread,id=io0", "--chardev", "ringbuf,id=r"]);
    let mut client = server.client();
    let read_only = json!({"driver": "null-co", "node-name": "m", "read-only": true});
    client.execute("blockdev-add", read_only);
    let mut ask = |line: &str| {
        let text = client.execute("human-monitor-command", json!({"command-line": line}));
        text.as_str().unwrap().replace("\r\n", "\n")
    };
    let hint = |topic: &str| format!("Try \"help {topic}\" for more information\n");
    let too_many = "extraneous characters at the end of line\n";
    for (line, text, topic) in [
        (
            "ringbuf_write r a b",
            format!("ringbuf_write: {too_many}"),
            "ringbuf_write",
        ),
        (
            "ringbuf_write r",
            "ringbuf_write: string expected\n".into(),
            "ringbuf_write",
        ),
        (
            "ringbuf_read r",
            "unexpected end of expression\n".into(),
            "ringbuf_read",
        ),
        (
            "ringbuf_read r x",
            "invalid char 'x' in expression\n".into(),
            "ringbuf_read",
        ),
        (
            "nbd_server_remove a b",
            format!("nbd_server_remove: {too_many}"),
            "nbd_server_remove",
        ),
        (
            "nbd_server_start -n x",
            "nbd_server_start: unsupported option -n\n".into(),
            "nbd_server_start",
        ),
        (
            "nbd_server_add m x y",
            format!("nbd_server_add: {too_many}"),
            "nbd_server_add",
        ),
        ("info block a b", format!("block: {too_many}"), "info block"),
        (
            "info block -x",
            "block: unsupported option -x\n".into(),
            "info block",
        ),
        (
            "qom-get /objects",
            "qom-get: string expected\n".into(),
            "qom-get",
        ),
        (
            "qom-get /objects type x",
            format!("qom-get: {too_many}"),
            "qom-get",
        ),
        ("q x", format!("quit|q: {too_many}"), "q"),
        (
            "device_add virtio-scsi-pci,id=1",
            String::new(),
            "device_add",
        ),
    ] {
        assert_eq!(ask(line), format!("{text}{}", hint(topic)), "{line}");
    }
    for (line, text) in [
        ("ringbuf_write r \"hello world\"", ""),
        ("ringbuf_read r 2+3", "hello\n"),
        ("ringbuf_read r 0x10", " world\n"),
        ("qom-get \"/objects\" \"type\"", "\"container\"\n"),
        ("qom-list", "/\n"),
        ("qom-set /objects/io0 poll-max-ns 5", ""),
        ("qom-get /objects/io0 poll-max-ns", "5\n"),
        ("qom-set -j /objects/io0 poll-max-ns 6", ""),
        ("qom-get /objects/io0 poll-max-ns", "6\n"),
        (
            "qom-set /objects/io0 poll-max-ns x",
            "Error: Parameter 'poll-max-ns' expects an int64 value\n",
        ),
        (
            "object_add iothread,id=x,nope=1",
            "Error: Parameter 'nope' is unexpected\n",
        ),
        ("object_add =", "Error: Invalid parameter ''\n"),
        (
            "object_add iothread,id",
            "Error: Expected '=' after parameter 'id'\n",
        ),
        (
            "chardev-add null,id=q,x=1",
            "Invalid parameter 'x'\nError: Parsing chardev args failed\n",
        ),
        (
            "nbd_server_add nope",
            "Error: Cannot find device='nope' nor node-name='nope'\n",
        ),
        ("nbd_server_add m", "Error: NBD server not running\n"),
        ("nbd_server_start 127.0.0.1:0", ""),
        // What is read-only is exported so, whatever was asked for.
        ("nbd_server_add -w m", ""),
        ("nbd_server_stop", ""),
    ] {
        assert_eq!(ask(line), text, "{line}");
    }
}

/// A listener that takes no connection, because as many as it has room for wait to be accepted.
fn full_listener() -> (std::net::TcpListener, Vec<TcpStream>) {
    use rustix::net::{AddressFamily, SocketType};
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    rustix::net::bind(&socket, &any).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let listener = std::net::TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    // The kernel drops what is too much, and the client tries again after a second.
    let moment = std::time::Duration::from_millis(100);
    while let Ok(stream) = TcpStream::connect_timeout(&address, moment) {
        waiting.push(stream);
    }
    (listener, waiting)
}

#[test]
fn a_slow_peer_holds_up_one_session_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hmp");
    let option = format!("unix:{}", path.display());
    let _server = Server::start(&["--monitor", &option]);
    let connect = || {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        until_prompt(&mut stream);
        stream
    };
    let (mut slow, mut other) = (connect(), connect());
    let (listener, _waiting) = full_listener();
    let port = listener.local_addr().unwrap().port();
    let lines = format!("chardev-add socket,id=c,host=127.0.0.1,port={port}\ninfo name\n");
    slow.write_all(lines.as_bytes()).unwrap();
    other.write_all(b"info status\n").unwrap();
    assert_eq!(
        until_prompt(&mut other),
        "VM status: running\r\n(iothreadd) "
    );
    let accepting = std::thread::spawn(move || {
        loop {
            if listener.accept().is_err() {
                break;
            }
        }
    });
    // Two prompts: of the device, and of the name that nobody has given.
    assert_eq!(until_prompt(&mut slow), "(iothreadd) ");
    assert_eq!(until_prompt(&mut slow), "(iothreadd) ");
    drop(accepting);
}
