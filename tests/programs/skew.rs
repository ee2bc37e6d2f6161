//! A client that is older than its server, one that is newer, and servers of clients that are.

pub mod new;
pub mod old;

use qapi_runtime::dispatch::Event as _;
use qapi_runtime::json::Document;
use qapi_runtime::session::EventMessage;
use qapi_runtime::visit::{Compat, CompatOutput, Input, Mode, Output, Visit};

const NEW_STATUS: &str = r#"{"label": "box", "devices": [
    {"size": 5, "sectors": 6, "name": "sda", "type": "disk"},
    {"mac": "52:54", "name": "eth", "type": "net"}],
    "backend": {"mac": "x", "kind": "net"}, "state": "asleep", "uptime": 7}"#;

const OLD_STATUS: &str = r#"{"state": "idle", "devices": [{"type": "disk", "name": "sda", "size": 5}], "label": "x"}"#;

fn main() {
    an_older_client_reads_what_it_knows();
    a_newer_client_says_what_is_missing();
    servers_refuse_what_they_do_not_know();
    what_only_a_decoder_makes_is_not_sent();
    what_a_policy_hides_is_not_sent();
}

/// Reads as a client does.
fn receive<T: Visit>(text: &str) -> Result<T, String> {
    let document = Document::parse(text.as_bytes()).expect("JSON");
    T::read(&mut Input::new(&document, Mode::Lenient)).map_err(|error| error.detail())
}

/// Reads as a server does.
fn accept<T: Visit>(text: &str) -> Result<T, String> {
    let document = Document::parse(text.as_bytes()).expect("JSON");
    T::read(&mut Input::new(&document, Mode::Strict)).map_err(|error| error.to_string())
}

fn an_older_client_reads_what_it_knows() {
    let status: old::Status = receive(NEW_STATUS).expect("readable");
    assert_eq!(status.state, old::State::Unknown("asleep".into()));
    assert_eq!(status.state.as_str(), "asleep");
    assert_eq!(status.label, "box");
    let [disk, net] = status.devices.as_slice() else {
        panic!("{status:?}");
    };
    assert_eq!(disk.r#type, old::DeviceTypeBranches::Disk(old::Disk { size: 5 }));
    assert_eq!(net.r#type, old::DeviceTypeBranches::Unknown("net".into()));
    assert_eq!(net.name, "eth");
    assert_eq!(status.backend, Some(old::Backend::Unknown("net".into())));
    // A type that became an alternate: what is not of the old kind is told with its place.
    let error = receive::<old::Status>(&NEW_STATUS.replace("\"box\"", "null"));
    assert_eq!(
        error.err().as_deref(),
        Some("label is of the wrong type, expected: string")
    );
    let data = Document::parse(br#"{"name": "sdb"}"#).expect("JSON");
    let mut data = Input::new(&data, Mode::Lenient);
    let event = old::Event::read_event("DEVICE_ADDED", &mut data).expect("readable");
    assert_eq!(event.name(), "DEVICE_ADDED");
    assert!(matches!(event, old::Event::Unknown { .. }));
    let data = Document::parse(br#"{"state": "asleep", "since": 1}"#).expect("JSON");
    let mut data = Input::new(&data, Mode::Lenient);
    let event = old::Event::read_event("STATE_CHANGED", &mut data).expect("readable");
    assert!(matches!(event, old::Event::StateChanged(_)));
}

fn a_newer_client_says_what_is_missing() {
    let error = receive::<new::Status>(OLD_STATUS).expect_err("older");
    assert_eq!(error, "devices[0].sectors is missing");
    let status = OLD_STATUS.replace("\"size\": 5", "\"size\": 5, \"sectors\": 1");
    assert_eq!(
        receive::<new::Status>(&status).expect_err("older"),
        "uptime is missing"
    );
    let data = Document::parse(br#"{"state": "idle"}"#).expect("JSON");
    let mut data = Input::new(&data, Mode::Lenient);
    let error = new::Event::read_event("STATE_CHANGED", &mut data).expect_err("older");
    assert_eq!(error.detail(), "since is missing");
}

fn servers_refuse_what_they_do_not_know() {
    assert_eq!(
        accept::<old::SetState>(r#"{"state": "asleep"}"#).expect_err("unknown value"),
        "Parameter 'state' does not accept value 'asleep'"
    );
    assert_eq!(
        accept::<old::SetState>(r#"{"state": "idle", "force": true}"#).expect_err("unknown member"),
        "Parameter 'force' is unexpected"
    );
    assert!(accept::<new::SetState>(r#"{"state": "idle"}"#).is_ok());
}

fn what_only_a_decoder_makes_is_not_sent() {
    let status: old::Status = receive(NEW_STATUS).expect("readable");
    let error = status.write(&mut Output::new()).expect_err("not sendable");
    assert_eq!(
        error.to_string(),
        "'asleep' at state is no value of State and cannot be sent"
    );
}

fn what_a_policy_hides_is_not_sent() {
    let aging = old::Aging {
        gone: 1,
        trial: Some(2),
        stays: 3,
    };
    let hide = |deprecated, unstable| Compat {
        deprecated_output: deprecated,
        unstable_output: unstable,
        ..Compat::ACCEPT
    };
    let (shown, hidden) = (CompatOutput::Accept, CompatOutput::Hide);
    for (compat, text) in [
        (hide(shown, shown), r#"{"gone": 1, "trial": 2, "stays": 3}"#),
        (hide(hidden, shown), r#"{"trial": 2, "stays": 3}"#),
        (hide(hidden, hidden), r#"{"stays": 3}"#),
    ] {
        let mut output = Output::with_buffer(Vec::new(), compat, false);
        aging.write(&mut output).expect("sendable");
        assert_eq!(String::from_utf8_lossy(output.as_bytes()), text);
    }
    let event = old::events::Aging(aging);
    let now = std::time::SystemTime::now();
    let message = EventMessage::of(&event, now, hide(shown, hidden)).expect("sendable");
    assert!(message.is_none());
    let message = EventMessage::of(&event, now, hide(hidden, shown)).expect("sendable");
    assert!(message.is_some());
}
