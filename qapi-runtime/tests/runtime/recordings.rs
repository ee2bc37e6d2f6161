//! Recorded sessions with a QEMU, played against a session; skipped where they are absent.

use qapi_runtime::Value;
use qapi_runtime::dispatch::Service;
use qapi_runtime::json::Document;
use qapi_runtime::session::{Session, SessionConfig};
use tests::service;

/// The values in a stream of replies.
fn replies(mut text: &[u8]) -> Vec<Value> {
    let mut parser = qapi_runtime::json::Parser::default();
    let mut values = Vec::new();
    loop {
        match parser.feed(&mut text) {
            qapi_runtime::json::Parsed::Value => values.push(parser.document().root().to_value()),
            qapi_runtime::json::Parsed::Incomplete => return values,
            qapi_runtime::json::Parsed::Error(error) => panic!("{error}"),
        }
    }
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars()
        .map(|char| u8::try_from(u32::from(char)).unwrap())
        .collect()
}

/// Plays one recording in pieces of `piece` bytes; the first difference.
fn play(recording: &Value, service: &dyn Service, piece: usize) -> Result<(), String> {
    let mut session = Session::new(SessionConfig::default());
    session.consume_output(session.output().len());
    let strings = |key: &str| -> Vec<Vec<u8>> {
        recording
            .get(key)
            .unwrap()
            .as_array()
            .unwrap()
            .iter()
            .map(|text| latin1(text.as_str().unwrap()))
            .collect()
    };
    for (send, expected) in strings("send").iter().zip(strings("recv")) {
        for part in send.chunks(piece) {
            let mut input = part;
            assert!(session.advance(&mut input, service, |_| true).is_none());
            assert!(input.is_empty());
        }
        let got = replies(session.output());
        session.consume_output(session.output().len());
        let expected = replies(&expected);
        if got != expected {
            let first = got
                .iter()
                .zip(&expected)
                .find(|(got, expected)| got != expected);
            return Err(format!(
                "sent {:?}: {} replies for {}, first difference {first:?}",
                String::from_utf8_lossy(&send[..send.len().min(200)]),
                got.len(),
                expected.len(),
            ));
        }
    }
    Ok(())
}

/// Plays the sessions of a QEMU that need no server with objects and block nodes, and that `is_chosen` takes by their
/// text.
fn check_sessions(version: &str, is_chosen: impl Fn(&str) -> bool) {
    let Some(shared) = tests::Tool::Shared.for_test("recorded sessions are answered alike") else {
        return;
    };
    let path = shared
        .join("qemu")
        .join(version)
        .join("transcripts/protocol.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let service = service();
    let mut failures = Vec::new();
    let mut n_played = 0;
    for line in text.lines().filter(|line| is_chosen(line)) {
        let recording = Document::parse(line.as_bytes()).unwrap().root().to_value();
        let name = recording.get("name").unwrap().as_str().unwrap().to_owned();
        let of_subsystems = ["obj", "monitor-", "set-iothread", "export-"];
        if of_subsystems.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        n_played += 1;
        for piece in [usize::MAX, 7, 1] {
            if let Err(difference) = play(&recording, &service, piece) {
                failures.push(format!("{name}, pieces of {piece}: {difference}"));
            }
        }
    }
    assert!(n_played > 0);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn sessions_of_qemu_11_1_are_answered_alike() {
    check_sessions("11.1.3", |_| true);
}

/// Texts and recovery of the JSON parser are those of QEMU 11.
#[test]
fn sessions_of_qemu_10_0_are_answered_alike_but_for_json_errors() {
    check_sessions("10.0.13", |line| {
        // QEMU 10 waits for a bracket to be closed before it tells what is wrong.
        !line.contains("JSON parse error") && !line.contains("\"json-mismatch\"")
    });
}
