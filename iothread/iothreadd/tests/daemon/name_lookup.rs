//! Names of hosts are looked up without keeping the main loop: name servers answer when they like.

use std::io::Read;
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Client, PATIENCE, eventually};

/// A server whose name server does not answer.
struct Fixture {
    process: Child,
    folder: tempfile::TempDir,
    names: UdpSocket,
}

impl Fixture {
    /// One at this address; `None`, and a line that says so, where that cannot be done.
    fn new(name_server: &str) -> Option<Self> {
        let names = match UdpSocket::bind((name_server, 53)) {
            Ok(names) => names,
            Err(error) => {
                println!("skipped: a name server that does not answer: {error}");
                return None;
            }
        };
        names.set_read_timeout(Some(PATIENCE)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let resolver = folder.path().join("resolv.conf");
        std::fs::write(&resolver, format!("nameserver {name_server}\n")).unwrap();
        let qmp = folder.path().join("qmp");
        let script = "mount --bind \"$1\" /etc/resolv.conf && exec \"$2\" --qmp \"unix:$3\"";
        let mut process = Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(&resolver)
            .arg(env!("CARGO_BIN_EXE_iothreadd"))
            .arg(&qmp)
            .stdin(Stdio::null())
            .spawn()
            .ok()?;
        let mut has_ended = false;
        eventually(|| {
            has_ended = process.try_wait().unwrap().is_some();
            has_ended || UnixStream::connect(&qmp).is_ok()
        });
        if has_ended {
            println!("skipped: a name server that does not answer: mounts cannot be private");
            return None;
        }
        Some(Self {
            process,
            folder,
            names,
        })
    }

    fn client(&self) -> Client {
        let mut client = Client::connect(&self.folder.path().join("qmp"));
        client.execute("qmp_capabilities", json!({}));
        client
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A command waits for the name server alone. A line for people has its error in what it prints.
fn check(name_server: &str, command: &str, arguments: impl Fn(&Value) -> Value) {
    let Some(mut it) = Fixture::new(name_server) else {
        return;
    };
    let mut waiting = it.client();
    let mut other = it.client();
    let address = json!({"type": "inet", "data": {"host": "nobody-answers.example", "port": "0"}});
    let request = json!({"execute": command, "arguments": arguments(&address)});
    waiting.send(&request.to_string());
    it.names.recv(&mut [0; 512]).unwrap();
    other.execute("object-add", json!({"qom-type": "iothread", "id": "io0"}));
    other.execute("object-del", json!({"id": "io0"}));
    waiting.stream().set_nonblocking(true).unwrap();
    let nothing_yet = waiting.stream().read(&mut [0]).unwrap_err();
    assert_eq!(nothing_yet.kind(), std::io::ErrorKind::WouldBlock);
    waiting.stream().set_nonblocking(false).unwrap();
    // Nobody is there any more.
    it.names = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let reply = waiting.reply();
    let text = match reply.get("return") {
        Some(printed) => printed.as_str(),
        None => reply["error"]["desc"].as_str(),
    };
    let text = text.unwrap();
    assert!(
        text.contains("address resolution failed for nobody-answers.example:0"),
        "{text}"
    );
}

#[test]
fn an_nbd_server_waits_for_a_name_alone() {
    check(
        "127.9.9.53",
        "nbd-server-start",
        |address| json!({"addr": address}),
    );
}

#[test]
fn a_character_device_waits_for_a_name_alone() {
    check("127.9.9.54", "chardev-add", |address| {
        let data = json!({"addr": address, "server": true, "wait": false});
        json!({"id": "c0", "backend": {"type": "socket", "data": data}})
    });
}

#[test]
fn lines_of_people_wait_for_a_name_alone() {
    for (name_server, line) in [
        ("127.9.9.55", "nbd_server_start nobody-answers.example:0"),
        (
            "127.9.9.56",
            "chardev-add socket,id=c0,host=nobody-answers.example,port=0,server=on,wait=off",
        ),
        (
            "127.9.9.57",
            "chardev-add socket,id=c0,host=nobody-answers.example,port=0,server=off",
        ),
    ] {
        check(
            name_server,
            "human-monitor-command",
            |_| json!({"command-line": line}),
        );
    }
}
