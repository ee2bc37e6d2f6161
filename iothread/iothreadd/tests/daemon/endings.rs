//! How the server ends, and that nobody is left without an answer.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use serde_json::json;

use crate::harness::{Server, program, run, values};

#[test]
fn end_of_input_answers_everything_first() {
    let mut input = br#"{"execute":"qmp_capabilities"}"#.to_vec();
    for id in 0..200 {
        let command = if id % 2 == 0 {
            "query-iothreads"
        } else {
            "query-named-block-nodes"
        };
        input.extend_from_slice(format!(r#"{{"execute":"{command}","id":{id}}}"#).as_bytes());
    }
    let output = run(&["--qmp", "stdio", "--object", "iothread,id=io0"], &input);
    assert_eq!(output.status.code(), Some(0));
    let messages = values(&output.stdout);
    assert_eq!(messages.len(), 202);
    assert_eq!(messages[201]["id"], 199);
    assert_eq!(messages[2]["return"][0]["holders"], json!([]));
}

#[test]
fn files_can_be_the_standard_streams() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in"), folder.path().join("out"));
    std::fs::write(
        &input,
        r#"{"execute":"qmp_capabilities"}{"execute":"query-name"}"#,
    )
    .unwrap();
    let status = program()
        .args(["--qmp", "stdio", "--name", "x"])
        .stdin(std::fs::File::open(&input).unwrap())
        .stdout(std::fs::File::create(&output).unwrap())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    let messages = values(&std::fs::read(&output).unwrap());
    assert_eq!(messages[2], json!({"return": {"name": "x"}}));
}

#[test]
fn the_thread_of_a_query_is_a_thread_of_the_process() {
    let mut child = program()
        .args(["--qmp", "stdio", "--object", "iothread,id=io0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    input
        .write_all(br#"{"execute":"qmp_capabilities"}{"execute":"query-iothreads"}"#)
        .unwrap();
    let reply = output.nth(2).unwrap().unwrap();
    let reply = values(reply.as_bytes()).remove(0);
    let thread = reply["return"][0]["thread-id"].as_i64().unwrap();
    let name = std::fs::read_to_string(format!("/proc/{}/task/{thread}/comm", child.id()));
    assert_eq!(name.unwrap(), "IO io0\n");
    drop(input);
    assert_eq!(output.count(), 0);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn signals_end_the_server_with_an_event() {
    for signal in ["TERM", "INT", "HUP"] {
        let mut server = Server::start(&["--object", "iothread,id=io0"]);
        let mut client = server.client();
        let mut not_negotiated = crate::harness::Client::connect(&server.socket());
        server.signal(signal);
        let event = client.event();
        assert_eq!(event["event"], "SHUTDOWN");
        let data = json!({"guest": false, "reason": "host-signal"});
        assert_eq!(event["data"], data);
        assert_eq!(client.receive(), None);
        assert_eq!(not_negotiated.receive(), None);
        assert_eq!(server.wait().code(), Some(0));
        assert!(!server.socket().exists());
    }
}

#[test]
fn quit_answers_and_announces_the_end_to_all() {
    let mut server = Server::start(&[]);
    let mut other = server.client();
    let mut client = server.client();
    client.send(r#"{"execute": "quit", "id": "bye"} {"execute": "query-name"}"#);
    let messages = client.rest();
    assert_eq!(messages[0], json!({"return": {}, "id": "bye"}));
    let reason = json!({"guest": false, "reason": "host-qmp-quit"});
    assert_eq!(messages.last().unwrap()["data"], reason);
    assert_eq!(other.event()["data"], reason);
    assert_eq!(other.receive(), None);
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_client_that_reads_nothing_does_not_keep_the_server() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    client.stream().set_nonblocking(true).unwrap();
    let request = r#"{"execute": "query-commands"} "#.repeat(64);
    // Until the server takes no more.
    let mut stream: &UnixStream = client.stream();
    while stream.write(request.as_bytes()).is_ok() {}
    // It is there for others meanwhile.
    assert_eq!(server.client().execute("query-name", json!({})), json!({}));
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    client.stream().set_nonblocking(false).unwrap();
    assert!(client.receive().is_some());
}
