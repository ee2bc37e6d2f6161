//! A client that is older than its server, one that is newer, and servers of clients that are.

pub mod new;
pub mod old;
/// The newer schema, whose client takes what older servers answer.
pub mod tolerant;

use qapi_runtime::message::Event as _;
use qapi_runtime::json::Document;
use qapi_runtime::session::EventMessage;
use qapi_runtime::visit::{CompatPolicy, CompatOutput, Input, Mode, Output, Visit};

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
    a_tolerant_client_reads_what_is_there();
    a_tolerant_server_demands_all();
    what_was_absent_is_not_sent();
    any_schema_is_read();
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
        "'asleep' at state is not a value of State and cannot be sent"
    );
}

fn what_a_policy_hides_is_not_sent() {
    let aging = old::Aging {
        gone: 1,
        trial: Some(2),
        stays: 3,
    };
    let hide = |deprecated, unstable| CompatPolicy {
        deprecated_output: deprecated,
        unstable_output: unstable,
        ..CompatPolicy::ACCEPT
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

fn a_tolerant_client_reads_what_is_there() {
    let status: tolerant::Status = receive(OLD_STATUS).expect("readable");
    assert_eq!(status.uptime, None);
    assert_eq!(status.state, Some(tolerant::State::Idle));
    let [disk] = &status.devices.expect("there")[..] else {
        panic!("one disk");
    };
    assert_eq!(disk.name.as_deref(), Some("sda"));
    let expected = tolerant::Disk { size: Some(5), sectors: None };
    assert_eq!(disk.r#type, tolerant::DeviceTypeBranches::Disk(expected));
    // What is there has to fit.
    let error = receive::<tolerant::Status>(r#"{"uptime": "long"}"#).expect_err("no number");
    assert_eq!(error, "uptime is of the wrong type, expected: integer");
    // A struct that has become a union has no discriminator, and may have what is in a branch now.
    let limits = r#"[{"low": 1, "by": {"name": "root", "age": 5}, "next": {}}, {"more": {}}]"#;
    let limits: Vec<tolerant::Limits> = receive(limits).expect("readable");
    let [first, second] = &limits[..] else {
        panic!("{limits:?}");
    };
    assert_eq!((first.low, first.high), (Some(1), None));
    let nothing: tolerant::Limits = receive("{}").expect("readable");
    assert_eq!((nothing.low, nothing.by.is_none()), (None, true));
    assert_eq!(first.next.as_deref(), Some(&nothing));
    let by = first.by.as_deref().expect("there");
    assert_eq!(by.name.as_deref(), Some("root"));
    assert_eq!(by.kind, tolerant::OwnerKindBranches::Unknown("".into()));
    assert_eq!(second, &nothing);
    let backend: tolerant::Backend = receive("{}").expect("readable");
    assert_eq!(backend, tolerant::Backend::Unknown("".into()));
    assert_eq!(backend.tag().as_str(), "");
    for (name, data) in [("STATE_CHANGED", r#"{"state": "idle"}"#), ("LIMITED", "{}"), ("DEVICE_ADDED", "{}")] {
        let data = Document::parse(data.as_bytes()).expect("JSON");
        let event = tolerant::Event::read_event(name, &mut Input::new(&data, Mode::Lenient));
        assert_eq!(event.expect("readable").name(), name);
    }
}

/// A type that is argument and result is still demanded whole of a client.
fn a_tolerant_server_demands_all() {
    for (arguments, error) in [
        (r#"{"high": 2}"#, "Parameter 'low' is missing"),
        (r#"{"low": 1}"#, "Parameter 'high' is missing"),
        (r#"{"low": 1, "high": 2, "by": {"name": "a"}}"#, "Parameter 'by.kind' is missing"),
        (r#"{"low": 1, "high": 2, "by": {"kind": "person"}}"#, "Parameter 'by.name' is missing"),
        (
            r#"{"low": 1, "high": 2, "by": {"name": "a", "kind": "person"}}"#,
            "Parameter 'by.age' is missing",
        ),
        (
            r#"{"low": 1, "high": 2, "by": {"name": "a", "kind": ""}}"#,
            "Parameter 'kind' does not accept value ''",
        ),
    ] {
        let refused = accept::<tolerant::SetLimits>(arguments).expect_err(arguments);
        assert_eq!(refused, error);
        let refused = accept::<new::SetLimits>(arguments).expect_err(arguments);
        assert_eq!(refused, error);
    }
    let all = r#"{"low": 1, "high": 2, "by": {"name": "a", "kind": "person", "age": 3}}"#;
    let limits = accept::<tolerant::SetLimits>(all).expect("all is there").0;
    // What is only sent by clients is as it was.
    assert_eq!(limits.low, Some(1));
    let hint = tolerant::Hint { text: "x".to_owned() };
    assert_eq!(hint.text, "x");
    let state = tolerant::SetState { state: tolerant::State::Idle, force: None };
    assert!(state.write(&mut Output::new()).is_ok());
}

fn what_was_absent_is_not_sent() {
    let written = |limits: &tolerant::Limits| {
        let mut output = Output::new();
        limits.write(&mut output).expect("sendable");
        String::from_utf8_lossy(output.as_bytes()).into_owned()
    };
    let mut limits: tolerant::Limits = receive(r#"{"low": 1}"#).expect("readable");
    assert_eq!(written(&limits), r#"{"low": 1}"#);
    limits.next = Some(Box::new(receive("{}").expect("readable")));
    assert_eq!(written(&limits), r#"{"low": 1, "next": {}}"#);
    // A constructor takes what the schema demands.
    let owner = tolerant::Owner {
        name: Some("a".to_owned()),
        kind: tolerant::Person { age: Some(3) }.into(),
    };
    let limits = tolerant::Limits::new(1, 2, owner);
    assert!(written(&limits).starts_with(r#"{"low": 1, "high": 2, "by": {"#));
}

/// Without an option: before QEMU 6.2 enumerations had no `members`.
fn any_schema_is_read() {
    let answer = r#"[{"name": "0", "meta-type": "enum", "values": ["a"]}, {"name": "1", "meta-type": "object"},
        {"name": "2", "meta-type": "novelty", "x": 1}, {"more": []}]"#;
    let schema: Vec<new::SchemaInfo> = receive(answer).expect("readable");
    let values = Some(vec!["a".to_owned()]);
    let expected = new::SchemaInfoEnum { members: None, values };
    assert_eq!(schema[0].meta_type, new::SchemaInfoMetaType::Enum(expected));
    assert_eq!(schema[1].name.as_deref(), Some("1"));
    assert_eq!(schema[2].meta_type, new::SchemaInfoMetaType::Unknown("novelty".into()));
    assert_eq!(schema[3].name, None);
}
