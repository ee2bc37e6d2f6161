//! Recordings of QEMU's side of the protocol, played against the program.

use serde_json::Value;
use tests::Tool;

use crate::harness::run;
use qapi_runtime::Value as Message;
use qapi_runtime::json::{Limits, Parsed, Parser};

fn text_of(recording: &Value, member: &str) -> String {
    let parts = recording[member].as_array().unwrap();
    parts.iter().map(|part| part.as_str().unwrap()).collect()
}

/// The messages of a text, which nest as deep as the protocol allows; a timestamp may differ.
fn messages(mut text: &[u8]) -> Vec<Message> {
    let mut parser = Parser::new(Limits::REPLY);
    let mut messages = Vec::new();
    loop {
        match parser.feed(&mut text) {
            Parsed::Value => messages.push(parser.document().root().to_value()),
            Parsed::Incomplete => break,
            Parsed::Error(error) => panic!("{error}"),
        }
    }
    for message in &mut messages {
        if let Message::Object(members) = message {
            members.remove("timestamp");
        }
    }
    messages
}

/// Plays the sessions of a QEMU that `is_chosen` takes by their text.
fn check_sessions(version: &str, is_chosen: impl Fn(&str) -> bool) {
    let Some(shared) = Tool::Shared.find() else {
        println!("skipped: no recordings in ../shared");
        return;
    };
    let path = format!("qemu/{version}/transcripts/protocol.jsonl");
    let recordings = std::fs::read_to_string(shared.join(path)).unwrap();
    let mut n_played = 0;
    for line in recordings.lines().filter(|line| is_chosen(line)) {
        let recording: Value = serde_json::from_str(line).unwrap();
        let sent: Vec<u8> = text_of(&recording, "send")
            .chars()
            .map(|ch| u8::try_from(u32::from(ch)).unwrap())
            .collect();
        let output = run(&["--qmp", "stdio"], &sent);
        assert!(output.status.success(), "{}", recording["name"]);
        let mut received = messages(&output.stdout);
        let greeting = received.remove(0);
        assert!(greeting.get("QMP").is_some(), "{greeting}");
        let expected = messages(text_of(&recording, "recv").as_bytes());
        assert_eq!(received, expected, "{}", recording["name"]);
        n_played += 1;
    }
    println!("{n_played} sessions played");
    assert_ne!(n_played, 0);
}

#[test]
fn sessions_of_qemu_11_1_are_as_recorded() {
    check_sessions("11.1.3", |line| {
        // An IOThread that is held is not deleted here.
        !line.contains("\"export-nbd\"")
    });
}

#[test]
fn sessions_of_qemu_10_0_are_as_recorded_but_for_json_errors() {
    check_sessions("10.0.13", |line| {
        // QEMU 10 waits for a bracket to be closed before it tells what is wrong.
        !line.contains("JSON parse error") && !line.contains("\"json-mismatch\"")
    });
}
