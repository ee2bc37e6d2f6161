//! Monitors and other hosts.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::harness::{PATIENCE, Server, program, run};

/// The message of a server that does not start.
#[track_caller]
fn refusal(arguments: &[&str]) -> String {
    let output = run(arguments, b"");
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

const CHARDEV: &str = "socket,id=c,host=0.0.0.0,port=0,server=on,wait=off";

#[test]
fn a_monitor_that_other_hosts_could_reach_is_refused() {
    let cases: [&[&str]; 6] = [
        &["--qmp", "tcp:0.0.0.0:0"],
        &["--qmp", "tcp:[::]:0"],
        &["--monitor", "tcp:0.0.0.0:0"],
        &["--monitor", "tcp:[::ffff:0.0.0.0]:0"],
        &[
            "--chardev",
            CHARDEV,
            "--object",
            "monitor-qmp,id=m,chardev=c",
        ],
        &[
            "--chardev",
            "socket,id=c,host=,port=0,server=on,wait=off",
            "--object",
            "monitor-qmp,id=m,chardev=c",
        ],
    ];
    for arguments in cases {
        let message = refusal(arguments);
        assert!(
            message.contains("--allow-remote"),
            "{arguments:?}: {message}"
        );
    }
}

/// The lines that a server writes before it serves.
fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let stderr = child.stderr.take().unwrap();
    BufReader::new(stderr).lines().map(Result::unwrap)
}

/// A program that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(arguments: &[&str]) -> Killed {
    let mut command = program();
    let child = command
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    Killed(child.spawn().unwrap())
}

fn greeting(address: &str) -> String {
    let mut line = String::new();
    let stream = TcpStream::connect(address).unwrap();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn other_hosts_are_let_in_with_a_warning() {
    for (option, expected) in [("--qmp", "{\"QMP\": "), ("--monitor", "iothreadd ")] {
        let mut child = spawn(&["--allow-remote", option, "tcp:0.0.0.0:0"]);
        let mut lines = lines(&mut child.0);
        let warning = lines.next().unwrap();
        assert!(warning.starts_with("iothreadd: warning: "), "{warning}");
        let line = lines.next().unwrap();
        let (_, port) = line.rsplit_once(':').unwrap();
        let greeting = greeting(&format!("127.0.0.1:{port}"));
        assert!(greeting.starts_with(expected), "{greeting}");
    }
}

#[test]
fn the_loopback_interface_needs_no_permission() {
    for address in [
        "tcp:127.0.0.1:0",
        "tcp:127.8.9.10:0",
        "tcp:localhost:0",
        "tcp::0",
    ] {
        let mut child = spawn(&["--qmp", address]);
        let line = lines(&mut child.0).next().unwrap();
        let (_, bound) = line.rsplit_once("listening on tcp:").unwrap();
        let greeting = greeting(bound);
        assert!(greeting.starts_with("{\"QMP\": "), "{address}: {greeting}");
    }
}

#[test]
fn a_monitor_on_a_device_that_listens_for_other_hosts() {
    let server = Server::start(&["--chardev", CHARDEV]);
    let mut client = server.client();
    let monitor = json!({"qom-type": "monitor-qmp", "id": "m", "chardev": "c"});
    let message = client.error("object-add", monitor);
    assert!(message.contains("--allow-remote"), "{message}");
    let threads = client.execute("x-query-internal-iothreads", json!({}));
    assert_eq!(threads[0]["holders"].as_array().unwrap().len(), 1);
    // The device is free for others, and an NBD server is not concerned.
    client.execute("chardev-remove", json!({"id": "c"}));
    let inet = json!({"type": "inet", "data": {"host": "0.0.0.0", "port": "0"}});
    client.execute("nbd-server-start", json!({"addr": inet}));
    let local = json!({"type": "inet", "data": {"host": "127.0.0.1", "port": "0"}});
    let backend = json!({"type": "socket", "data": {"addr": local, "wait": false}});
    client.execute("chardev-add", json!({"id": "d", "backend": backend}));
    let monitor = json!({"qom-type": "monitor-qmp", "id": "m", "chardev": "d"});
    client.execute("object-add", monitor);
}

#[test]
fn a_monitor_on_a_device_with_permission() {
    let server = Server::start(&["--allow-remote", "--chardev", CHARDEV]);
    let mut client = server.client();
    let monitor = json!({"qom-type": "monitor-qmp", "id": "m", "chardev": "c"});
    client.execute("object-add", monitor);
}

/// Starts a server with a socket as its descriptor 3, and as its standard streams.
fn with_socket(socket: std::os::fd::OwnedFd, option: &str) -> std::process::Output {
    let program = program();
    let script = match option {
        "stdio" => "exec \"$0\" --qmp stdio >&0",
        _ => "exec 3<&0 </dev/null; exec \"$0\" --qmp fd:3",
    };
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(program.get_program());
    command
        .stdin(socket)
        .stderr(Stdio::piped())
        .output()
        .unwrap()
}

#[test]
fn sockets_of_others_are_looked_at_too() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let output = with_socket(listener.into(), "fd");
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("--allow-remote"), "{message}");

    // An address of this machine that is not of the loopback interface; nothing is sent for it.
    let own = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    let own = match own {
        Ok(own) if !own.ip().is_loopback() && !own.ip().is_unspecified() => own.ip(),
        Ok(_) | Err(_) => {
            println!("skipped: no address that is not of the loopback interface");
            return;
        }
    };
    for option in ["fd", "stdio"] {
        let listener = TcpListener::bind((own, 0)).unwrap();
        let _near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        let output = with_socket(far.into(), option);
        assert_eq!(output.status.code(), Some(1), "{option}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("--allow-remote"), "{option}: {message}");
    }
}

/// What a web page can have a browser send.
fn post(body: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n\r\n{body}")
        .into_bytes()
}

/// What the first message of TLS may be like.
fn hello(text: &str) -> Vec<u8> {
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        text.as_bytes(),
    ]
    .concat()
}

/// Sends bytes in pieces of this size, and returns all that comes.
fn exchange(address: &str, bytes: &[u8], size: usize) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in bytes.chunks(size) {
        // It may be cut off before all is sent.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    let mut text = Vec::new();
    // It may be cut off in a hard way, since it does not read all.
    let _ = stream.read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn a_web_page_cannot_drive_a_monitor() {
    let mut child = spawn(&["--qmp", "tcp:127.0.0.1:0", "--monitor", "tcp:127.0.0.1:0"]);
    let mut lines = lines(&mut child.0);
    // Monitors for people come first.
    let [human, qmp] = [(); 2].map(|()| {
        let line = lines.next().unwrap();
        line.rsplit_once("tcp:").unwrap().1.to_owned()
    });
    let commands = r#"{"execute": "qmp_capabilities"} {"execute": "quit"}"#;
    for size in [1, 3, 4096] {
        let text = exchange(&qmp, &post(commands), size);
        assert_eq!(text.lines().count(), 1, "only the greeting: {text}");
        assert!(lines.next().unwrap().contains("speaks HTTP"));
        let text = exchange(&human, &post("info name\r\nquit\r\n"), size);
        assert_eq!(text.matches("(iothreadd) ").count(), 1, "{text}");
        assert!(lines.next().unwrap().contains("speaks HTTP"));
        // In the hello of TLS the page chooses the name of the host.
        let text = exchange(&qmp, &hello(commands), size);
        assert_eq!(text.lines().count(), 1, "only the greeting: {text}");
        assert!(lines.next().unwrap().contains("speaks TLS"));
        let text = exchange(&human, &hello("\r\ninfo name\r\nquit\r\n"), size);
        assert_eq!(text.matches("(iothreadd) ").count(), 1, "{text}");
        assert!(lines.next().unwrap().contains("speaks TLS"));
    }
    // It is there for others.
    assert!(child.0.try_wait().unwrap().is_none());
    assert!(greeting(&qmp).starts_with("{\"QMP\": "));
    let text = exchange(&human, b"info status\nquit\n", 4096);
    assert!(text.contains("VM status: running"), "{text}");
    assert_eq!(child.0.wait().unwrap().code(), Some(0));
}

/// No browser reaches a socket of the file system; there it is as in QEMU.
#[test]
fn what_looks_like_http_on_a_unix_socket_is_a_mistake() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send("GET ");
    let error = client.reply()["error"]["desc"].clone();
    assert!(
        error.as_str().unwrap().contains("JSON parse error"),
        "{error}"
    );
    client.send("\n");
}
