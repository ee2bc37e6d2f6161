//! The server as its clients see it.
#![allow(clippy::unwrap_used, reason = "a failure ends the test")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::time::Duration;

/// The server in a folder of its own; killed when dropped.
struct Server {
    child: Child,
    folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_thermostat"))
            .arg(folder.path().join("qmp.sock"))
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    fn connect(&mut self) -> BufReader<UnixStream> {
        loop {
            match UnixStream::connect(self.folder.path().join("qmp.sock")) {
                Ok(stream) => return BufReader::new(stream),
                Err(_) => {
                    let status = self.child.try_wait().unwrap();
                    assert!(status.is_none(), "the server ended: {status:?}");
                    std::thread::park_timeout(Duration::from_millis(1));
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a command and gives what comes back on the next line.
fn execute(client: &mut BufReader<UnixStream>, command: &str) -> String {
    writeln!(client.get_ref(), "{command}").unwrap();
    read(client)
}

fn read(client: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    client.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn three_commands_and_an_event() {
    let mut server = Server::start();
    let mut client = server.connect();
    assert!(read(&mut client).starts_with(r#"{"QMP": "#));
    let reply = execute(&mut client, r#"{"execute": "qmp_capabilities"}"#);
    assert_eq!(reply, r#"{"return": {}}"#);
    let reply = execute(
        &mut client,
        r#"{"execute": "add-room", "arguments": {"name": "kitchen"}}"#,
    );
    assert_eq!(reply, r#"{"return": {}}"#);
    let command = r#"{"execute": "set-target", "arguments": {"celsius": 21.5, "mode": "heat"}}"#;
    let event = execute(&mut client, command);
    assert!(event.ends_with(r#""event": "TARGET_CHANGED", "data": {"celsius": 21.5}}"#));
    assert_eq!(read(&mut client), r#"{"return": {}}"#);
    let reply = execute(&mut client, r#"{"execute": "query-status"}"#);
    let expected = r#"{"return": {"mode": "heat", "target": 21.5, "rooms": ["kitchen"]}}"#;
    assert_eq!(reply, expected);
}

/// The schema has the command, and the dispatcher answers it by itself.
#[test]
fn the_interface_describes_itself() {
    let mut server = Server::start();
    let mut client = server.connect();
    read(&mut client);
    execute(&mut client, r#"{"execute": "qmp_capabilities"}"#);
    let reply = execute(&mut client, r#"{"execute": "query-qmp-schema"}"#);
    assert!(reply.starts_with(r#"{"return": [{"#), "{reply}");
    for name in ["set-target", "TARGET_CHANGED", "query-qmp-schema"] {
        let member = format!(r#""name": "{name}""#);
        assert!(reply.contains(&member), "{name}: {reply}");
    }
}

#[test]
fn mistakes_are_answered() {
    let mut server = Server::start();
    let mut client = server.connect();
    read(&mut client);
    execute(&mut client, r#"{"execute": "qmp_capabilities"}"#);
    for (command, text) in [
        (
            r#"{"execute": "set-target", "arguments": {"celsius": "warm"}}"#,
            "Invalid parameter type for 'celsius', expected: number",
        ),
        (
            r#"{"execute": "set-target", "arguments": {"celsius": 99}}"#,
            "the temperature is out of range",
        ),
        (
            r#"{"execute": "set-target", "arguments": {"celsius": 20, "mode": "dry"}}"#,
            "Parameter 'mode' does not accept value 'dry'",
        ),
        (r#"{"execute": "add-room"}"#, "Parameter 'name' is missing"),
    ] {
        let reply = execute(&mut client, command);
        let expected = format!(r#"{{"error": {{"class": "GenericError", "desc": "{text}"}}}}"#);
        assert_eq!(reply, expected);
    }
}
