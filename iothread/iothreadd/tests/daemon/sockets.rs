//! Where the server listens, and where it refuses to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;

use crate::harness::{Client, PATIENCE, Server, eventually, program, run};

/// The message of a server that does not start.
fn refusal(arguments: &[&str], code: i32) -> String {
    let output = run(arguments, b"");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_stale_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(folder.path().join("qmp")).unwrap());
    let server = Server::start_in(folder, &[]);
    assert_eq!(server.client().execute("query-name", json!({})), json!({}));
}

#[test]
fn a_live_socket_is_refused() {
    let server = Server::start(&[]);
    let path = server.socket();
    let message = refusal(&["--qmp", &format!("unix:{}", path.display())], 1);
    assert!(message.contains(path.to_str().unwrap()), "{message}");
    // It is as it was.
    assert_eq!(server.client().execute("query-name", json!({})), json!({}));
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "data").unwrap();
    let message = refusal(&["--qmp", &format!("unix:{}", path.display())], 1);
    assert!(message.contains(path.to_str().unwrap()), "{message}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
}

#[test]
fn paths_that_cannot_be_are_named() {
    let long = format!("/tmp/{}", "x".repeat(120));
    for path in [long.as_str(), "/nonexistent/qmp", "/proc/qmp"] {
        let message = refusal(&["--qmp", &format!("unix:{path}")], 1);
        assert!(message.contains(path), "{message}");
        let message = refusal(&["--monitor", &format!("unix:{path}")], 1);
        assert!(message.contains(path), "{message}");
    }
}

#[test]
fn wrong_options_are_usage_errors() {
    for option in [
        "nope",
        "unix:",
        "tcp:host",
        "stdio,x=y",
        "unix:/tmp/x,mode=8",
    ] {
        let message = refusal(&["--qmp", option], 2);
        assert!(message.contains(option), "{message}");
    }
    refusal(&["--nope"], 2);
    refusal(&["--compat", "unstable-input=maybe"], 2);
    refusal(&["--qmp", "stdio", "--monitor", "stdio"], 1);
}

#[test]
fn the_mode_is_that_of_the_option() {
    let folder = tempfile::tempdir().unwrap();
    let second = folder.path().join("second");
    let option = format!("unix:{},mode=0601", second.display());
    let mut server = Server::start(&["--qmp", &option]);
    let mode = std::fs::metadata(&second).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o601);
    server.signal("TERM");
    server.wait();
    assert!(!second.exists());
}

#[test]
fn tcp_and_several_monitors_at_once() {
    let mut child = program()
        .args(["--qmp", "tcp:127.0.0.1:0", "--qmp", "stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut message = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut message)
        .unwrap();
    let (_, address) = message.trim().rsplit_once("tcp:").unwrap();
    let mut greeting = String::new();
    let mut stream = BufReader::new(TcpStream::connect(address).unwrap());
    stream.read_line(&mut greeting).unwrap();
    assert!(greeting.starts_with(r#"{"QMP": "#), "{greeting}");
    // The end of the input of one monitor ends the server.
    drop(child.stdin.take());
    greeting.clear();
    assert_eq!(stream.read_line(&mut greeting).unwrap(), 0);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Starts a server whose descriptor 3 is this socket.
fn with_socket(socket: OwnedFd) -> std::process::Child {
    let program = program();
    Command::new("sh")
        .args(["-c", "exec 3<&0 </dev/null; exec \"$0\" --qmp fd:3"])
        .arg(program.get_program())
        .stdin(socket)
        .spawn()
        .unwrap()
}

/// Ends a server over a connection that is greeted.
fn greet_and_quit(stream: UnixStream) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert!(line.starts_with(r#"{"QMP": "#), "{line}");
    let commands = b"{'execute': 'qmp_capabilities'} {'execute': 'quit', 'id': 1}";
    stream.get_mut().write_all(commands).unwrap();
    let rest = std::io::read_to_string(stream).unwrap();
    assert!(rest.contains(r#"{"return": {}, "id": 1}"#), "{rest}");
    assert!(rest.contains("SHUTDOWN"), "{rest}");
}

/// Socket activation: somebody else listens, the server accepts.
#[test]
fn a_listening_socket_can_be_inherited() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    let mut child = with_socket(UnixListener::bind(&path).unwrap().into());
    let waiting = UnixStream::connect(&path).unwrap();
    greet_and_quit(UnixStream::connect(&path).unwrap());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(waiting);
    // Who has made it keeps it.
    assert!(path.exists());
}

#[test]
fn a_connected_socket_can_be_inherited() {
    let (near, far) = UnixStream::pair().unwrap();
    let mut child = with_socket(far.into());
    greet_and_quit(near);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn descriptors_that_are_no_sockets_are_refused() {
    let (reader, _writer) = std::io::pipe().unwrap();
    let status = with_socket(reader.into()).wait().unwrap();
    assert_eq!(status.code(), Some(1));
    let message = refusal(&["--qmp", "fd:999"], 1);
    assert!(message.contains("cannot use descriptor 999"), "{message}");
}

#[test]
fn names_may_be_abstract() {
    let name = format!("iothreadd-test-{}", std::process::id());
    let mut child = program()
        .args(["--qmp", &format!("unix:{name},abstract=on")])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let mut stream = None;
    eventually(|| {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        stream = UnixStream::connect_addr(&address).ok();
        stream.is_some()
    });
    greet_and_quit(stream.unwrap());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn every_listener_outlives_a_want_of_descriptors() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let monitor = format!("unix:{}", path("hmp").display());
    let server = Server::start(&["--monitor", &monitor]);
    let mut client = server.client();
    client.add_node("n0");
    let legacy = |name: &str| json!({"type": "unix", "data": {"path": path(name)}});
    client.execute("nbd-server-start", json!({"addr": legacy("nbd")}));
    let address = json!({"type": "unix", "path": path("vhost")});
    let export = json!({"type": "vhost-user-blk", "id": "e", "node-name": "n0", "addr": address});
    client.execute("block-export-add", export);
    let backend = json!({"type": "socket", "data": {"addr": legacy("chardev"), "wait": false}});
    client.execute("chardev-add", json!({"id": "c", "backend": backend}));

    let pid = rustix::process::Pid::from_raw(server.id().cast_signed());
    let limit = |limit| prlimit(pid, Resource::Nofile, limit).unwrap();
    let enough = getrlimit(Resource::Nofile);
    let none = Rlimit {
        current: Some(0),
        ..enough
    };
    limit(none);
    let paths = ["hmp", "nbd", "vhost", "chardev"].map(path);
    let connect = |path| UnixStream::connect(path).unwrap();
    let [mut human, mut nbd, mut vhost, _chardev] = paths.map(connect);
    let mut qmp = connect(server.socket());
    // The listeners have had their turn on the main loop when this has.
    assert_eq!(client.execute("query-block", json!({})), json!([]));
    limit(enough);

    // The version of the message, and no payload.
    let get_features = [1_u32, 1, 0].map(u32::to_ne_bytes).concat();
    vhost.write_all(&get_features).unwrap();
    for (stream, beginning) in [
        (&mut human, &b"iothreadd "[..]),
        (&mut nbd, b"NBDMAGIC"),
        (&mut vhost, &1_u32.to_ne_bytes()),
        (&mut qmp, b"{\"QMP\": "),
    ] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut bytes = vec![0; beginning.len()];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, beginning);
    }
    eventually(|| {
        let devices = client.execute("query-chardev", json!({}));
        let mut devices = devices.as_array().unwrap().iter();
        let device = devices.find(|it| it["label"] == "c").unwrap();
        !device["filename"]
            .as_str()
            .unwrap()
            .starts_with("disconnected:")
    });
}

/// An address of a socket has room for 108 bytes.
#[test]
fn the_longest_path() {
    // A relative path may be as long as one likes to have it, wherever the test runs.
    let folder = tempfile::tempdir().unwrap();
    let mut server = program()
        .args(["--qmp", "unix:qmp"])
        .current_dir(folder.path())
        .spawn()
        .unwrap();
    let socket = folder.path().join("qmp");
    eventually(|| UnixStream::connect(&socket).is_ok());
    let mut client = Client::connect(&socket);
    client.execute("qmp_capabilities", json!({}));
    let address = |path: &str| json!({"type": "unix", "data": {"path": path}});
    let (longest, too_long) = ("n".repeat(108), "n".repeat(109));
    let listens = |path: &str| json!({"addr": address(path), "wait": false});
    let connects = |path: &str| json!({"addr": address(path), "server": false});
    let chardev = |data| json!({"id": "c", "backend": {"type": "socket", "data": data}});
    for (command, arguments, prefix) in [
        ("nbd-server-start", json!({"addr": address(&too_long)}), ""),
        (
            "chardev-add",
            chardev(listens(&too_long)),
            "Failed to add chardev 'c': ",
        ),
        (
            "chardev-add",
            chardev(connects(&too_long)),
            "Failed to add chardev 'c': ",
        ),
    ] {
        assert_eq!(
            client.error(command, arguments),
            format!("{prefix}UNIX socket path '{too_long}' is too long")
        );
    }
    client.execute("nbd-server-start", json!({"addr": address(&longest)}));
    let found = || {
        let files = std::fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = files.map(|it| it.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(found(), [longest.as_str(), "qmp"]);
    // Somebody listens there.
    assert_eq!(
        client.error("chardev-add", chardev(listens(&longest))),
        format!(
            "Failed to add chardev 'c': Failed to bind socket to {longest}: Address already in use"
        )
    );
    client.execute("chardev-add", chardev(connects(&longest)));
    client.execute("chardev-remove", json!({"id": "c"}));
    client.execute("nbd-server-stop", json!({}));
    assert_eq!(found(), ["qmp"]);
    client.execute("chardev-add", chardev(listens(&longest)));
    assert_eq!(found(), [longest.as_str(), "qmp"]);
    server.kill().unwrap();
    server.wait().unwrap();
    // What a dead server has left is replaced.
    let output = program()
        .args(["--qmp", &format!("unix:{longest}"), "--qmp", "stdio"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(found(), ["qmp"]);
}
