//! Servers that run in the place of schemas.

use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::process::Output;
use std::thread;

use qapi_runtime::Value;
use qapi_runtime::client::mock::Mock;
use serde_json::json;

use crate::command::{code, folder_with, stderr};
use crate::process::shell;

fn told() -> serde_json::Value {
    json!([
        {"name": "query-uptime", "meta-type": "command", "arg-type": "0", "ret-type": "1"},
        {"name": "stop", "meta-type": "command", "arg-type": "0", "ret-type": "0"},
        {"name": "0", "meta-type": "object", "members": []},
        {"name": "1", "meta-type": "object", "members": [{"name": "seconds", "type": "int"}]},
        {"name": "int", "meta-type": "builtin", "json-type": "int"}
    ])
}

/// Runs a script in which `$A` is the address of a server that tells of itself `n` times.
fn shell_with_server(n: usize, script: &str) -> Output {
    let answer: Value = serde_json::from_value(told()).expect("JSON");
    let mut mock = Mock::new();
    for _ in 0..n {
        mock = mock.expect("query-qmp-schema", None).reply(answer.clone());
    }
    let mock = mock.start().expect("a server");
    let folder = folder_with(&[("told.json", &told().to_string())]);
    let script = format!("A='{}'; {script}", mock.address());
    let output = shell(folder.path(), &script);
    assert_eq!(mock.finish(), [""; 0], "{}", stderr(&output));
    output
}

#[test]
fn a_server_is_a_schema() {
    let script = "set -e
        $G check $A
        $G dump $A > dump; grep -q 'object QueryUptimeRet' dump
        $G introspect $A > again
        $G introspect told.json | cmp - again
        $G diff told.json $A
        $G generate $A --only query-uptime --out-dir rust
        grep -q 'pub struct QueryUptimeRet' -r rust
        ! grep -q 'struct Stop' -r rust
        $G doc $A --format markdown --out-dir manual; grep -q 'query-uptime' -r manual
        echo '{ \"execute\": \"stop\", \"arguments\": { \"now\": true } }' | $G validate $A > answer
        grep -q \"Parameter 'now' is unexpected\" answer";
    let output = shell_with_server(7, script);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

/// One line, which names the address; nothing of the peer reaches the terminal as it is.
#[test]
fn what_is_no_server_is_told_in_a_line() {
    let folder = folder_with(&[]);
    let path = folder.path().join("http");
    let listener = UnixListener::bind(&path).expect("a socket");
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let said = b"HTTP/1.1 400 \x1b[31mBad Request\r\n\r\n";
        stream.write_all(said).expect("a client that reads");
    });
    for (address, reason) in [
        ("unix:nobody", "No such file or directory"),
        ("unix:http", "HTTP/1.1 400"),
        ("exec:exit 3", "before it greeted"),
        ("unix:", "the path of the socket is missing"),
        ("tcp:localhost", "the port is missing"),
    ] {
        let output = shell(folder.path(), &format!("$G check '{address}'"));
        let message = stderr(&output);
        assert_eq!(code(&output), 1, "{message}");
        assert!(message.contains(address), "{message}");
        assert!(message.contains(reason), "{address}: {message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(!message.contains('\x1b'), "{message:?}");
    }
    peer.join().expect("a peer");
}
