//! The protocol without a peer.

use super::*;

fn all(core: &mut ClientCore, mut bytes: &[u8]) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(incoming) = core.receive(&mut bytes).unwrap() {
        seen.push(match incoming {
            Incoming::Ready => "ready".to_owned(),
            Incoming::Reply(id, answer) => format!("{id}: {}", answer.message.root()),
            Incoming::Event(event) => event.name().to_owned(),
        });
    }
    seen
}

fn send(core: &mut ClientCore, id: u64, out_of_band: bool) {
    let request = Encoded::new::<Value>("x", None, id, out_of_band).unwrap();
    core.sent(&request);
}

#[test]
fn negotiation_and_replies_out_of_order() {
    let mut core = ClientCore::new(Dialect::Qmp, true, 0);
    assert!(
        all(
            &mut core,
            br#"{"QMP": {"version": {}, "capabilities": ["oob"]}}"#
        )
        .is_empty()
    );
    let output = String::from_utf8(core.take_output()).unwrap();
    assert!(output.contains(r#""enable": ["oob"]"#));
    assert_eq!(
        all(&mut core, br#"{"return": {}, "id": "negotiation"}"#),
        ["ready"]
    );
    send(&mut core, 1, false);
    send(&mut core, 2, true);
    assert_eq!(
        all(
            &mut core,
            br#"{"event": "STOP", "timestamp": {}} {"return": {}, "id": 2} {"return": 7, "id": 9}
                {"id": 1, "error": {"class": "GenericError", "desc": "no"}}"#
        ),
        [
            "STOP",
            r#"2: {"return": {}, "id": 2}"#,
            r#"1: {"id": 1, "error": {"class": "GenericError", "desc": "no"}}"#,
        ]
    );
}

#[test]
fn the_agent_is_synchronized_first() {
    let mut core = ClientCore::new(Dialect::GuestAgent, false, 84);
    let number = synced(&mut core);
    let garbage = b"{\"return\": 1}\n{\"half\": ";
    assert!(all(&mut core, garbage).is_empty());
    assert_eq!(all(&mut core, &answer_to_sync(number)), ["ready"]);
    send(&mut core, 1, false);
    send(&mut core, 2, false);
    assert_eq!(
        all(&mut core, b"{\"return\": 1}\n{\"return\": 2}\n"),
        [r#"1: {"return": 1}"#, r#"2: {"return": 2}"#]
    );
}

/// The number of the synchronization that is on its way out.
fn synced(core: &mut ClientCore) -> u64 {
    let output = core.take_output();
    assert_eq!(output[0], 0xff);
    let request = Document::parse(&output[1..]).unwrap();
    let arguments = request.root().get("arguments").unwrap();
    arguments.get("id").and_then(ValueRef::as_u64).unwrap()
}

fn answer_to_sync(number: u64) -> Vec<u8> {
    let mut answer = b"\xff".to_vec();
    answer.extend_from_slice(format!("{{\"return\": {number}}}\n").as_bytes());
    answer
}

fn agent() -> ClientCore {
    let mut core = ClientCore::new(Dialect::GuestAgent, false, 1);
    let number = synced(&mut core);
    assert_eq!(all(&mut core, &answer_to_sync(number)), ["ready"]);
    core
}

#[test]
fn an_agent_without_ids_that_lost_a_request_is_synchronized_again() {
    let mut core = agent();
    assert_eq!(core.admit(false), Admission::Now);
    send(&mut core, 1, false);
    assert_eq!(core.admit(false), Admission::Full);
    core.abandoned(1, true);
    assert_eq!(core.admit(false), Admission::NotReady);
    let first = synced(&mut core);
    core.repeat_sync();
    let second = synced(&mut core);
    assert_ne!(first, second);
    // Of the lost one, and of the first attempt.
    assert!(all(&mut core, b"{\"return\": 1}\n").is_empty());
    assert!(all(&mut core, &answer_to_sync(first)).is_empty());
    // It is there, so the second answer comes in any case.
    core.repeat_sync();
    assert!(core.take_output().is_empty());
    assert_eq!(all(&mut core, &answer_to_sync(second)), ["ready"]);
    assert_eq!(core.admit(false), Admission::Now);
    send(&mut core, 2, false);
    assert_eq!(
        all(&mut core, b"{\"return\": 2}\n"),
        [r#"2: {"return": 2}"#]
    );
}

#[test]
fn an_agent_that_repeats_ids_takes_many_requests() {
    let mut core = agent();
    send(&mut core, 1, false);
    assert_eq!(
        all(&mut core, b"{\"return\": 1, \"id\": 1}\n"),
        [r#"1: {"return": 1, "id": 1}"#]
    );
    for id in 2..20 {
        assert_eq!(core.admit(false), Admission::Now);
        send(&mut core, id, false);
    }
    core.abandoned(2, true);
    assert_eq!(core.admit(false), Admission::Now);
    assert!(core.take_output().is_empty());
}

#[test]
fn at_most_eight_requests_in_band_where_others_may_overtake() {
    for (offer, is_limited) in [("'oob'", true), ("", false)] {
        let mut core = ClientCore::new(Dialect::Qmp, true, 0);
        let greeting = format!("{{'QMP': {{'version': {{}}, 'capabilities': [{offer}]}}}}");
        all(&mut core, greeting.as_bytes());
        all(&mut core, b"{'return': {}}");
        for id in 0..8 {
            assert_eq!(core.admit(false), Admission::Now);
            send(&mut core, id, false);
        }
        // The server has it, whether or not somebody waits for it.
        core.abandoned(3, true);
        let ninth = match is_limited {
            true => Admission::Full,
            false => Admission::Now,
        };
        assert_eq!(core.admit(false), ninth);
        assert_eq!(core.admit(true), Admission::Now);
        send(&mut core, 9, true);
        assert_eq!(core.admit(false), ninth);
        all(&mut core, b"{'return': {}, 'id': 3}");
        assert_eq!(core.admit(false), Admission::Now);
    }
}

#[test]
fn events_come_in_every_phase() {
    let event = "{'event': 'X', 'timestamp': {}}";
    let mut core = ClientCore::new(Dialect::Qmp, true, 0);
    let greeting = format!("{event}{{'QMP': {{}}}}{event}");
    assert_eq!(all(&mut core, greeting.as_bytes()), ["X", "X"]);
    let negotiated = format!("{{'return': {{}}}}{event}");
    assert_eq!(all(&mut core, negotiated.as_bytes()), ["ready", "X"]);
}

#[test]
fn strangers_are_quoted() {
    for (dialect, input, expected) in [
        (
            Dialect::Qmp,
            "SSH-2.0-OpenSSH_9.2\r\n",
            "not a QMP server, it says 'SSH-2.0-OpenSSH_9.2'",
        ),
        (
            Dialect::Qmp,
            r#"{"return": 1}"#,
            r#"not a QMP server, it says '{"return": 1}'"#,
        ),
        (
            Dialect::GuestAgent,
            r#"{"QMP": {}} {"error": {"class": "CommandNotFound", "desc": "?"}}"#,
            r#"not a guest agent, it says '{"error": {"class": "CommandNotFound", "desc": "?"}}'"#,
        ),
    ] {
        let mut core = ClientCore::new(dialect, true, 0);
        let mut bytes = input.as_bytes();
        let error = loop {
            match core.receive(&mut bytes) {
                Ok(incoming) => assert!(incoming.is_some(), "{input}"),
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!(error, expected);
    }
}

#[test]
fn what_is_no_qmp_is_an_error() {
    let mut core = ClientCore::new(Dialect::Qmp, true, 0);
    let mut bytes: &[u8] = b"SSH-2.0-OpenSSH\r\n";
    assert!(core.receive(&mut bytes).is_err());
    let mut core = ClientCore::new(Dialect::Qmp, true, 0);
    let mut bytes: &[u8] = b"{\"return\": 1}";
    let error = core.receive(&mut bytes).unwrap_err();
    assert!(format!("{error:?}").contains(r#"received: {"return": 1}"#));
}
