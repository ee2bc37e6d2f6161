//! The clients against mocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use qapi_runtime::client::mock::Mock;
use qapi_runtime::client::{
    CallOptions, Client, ClientErrorKind, ConnectOptions, EventFilter, Transcript, blocking,
};
use qapi_runtime::message::Request;
use qapi_runtime::visit::{Members, ObjectInput, ObjectOutput, VisitError};
use qapi_runtime::{Error, Value};

const SOON: Option<Duration> = Some(Duration::from_secs(20));

/// A typed command whose result has a mandatory member.
struct QueryCpus;

#[derive(Debug, PartialEq)]
struct Cpu {
    qom_type: String,
}

impl Members for QueryCpus {
    fn read_members(_: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
        Ok(Self)
    }

    fn write_members(&self, _: &mut ObjectOutput<'_>) {}
}

impl Members for Cpu {
    fn read_members(object: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
        Ok(Self {
            qom_type: object.required("qom-type")?,
        })
    }

    fn write_members(&self, object: &mut ObjectOutput<'_>) {
        object.required("qom-type", &self.qom_type);
    }
}

impl Request for QueryCpus {
    const COMMAND: &'static str = "query-cpus-fast";
    const ALLOW_OOB: bool = false;
    type Returns = Vec<Cpu>;
}

fn value(json: &str) -> Value {
    qapi_runtime::json::Document::parse(json.as_bytes())
        .unwrap()
        .root()
        .to_value()
}

fn connect(mock: &qapi_runtime::client::mock::RunningMock) -> blocking::Client {
    blocking::Client::connect(ConnectOptions::new(mock.address())).unwrap()
}

#[test]
fn results_are_typed_and_newer_servers_survived() {
    let mock = Mock::new()
        .expect("query-cpus-fast", None)
        .reply(value("[{'qom-type': 'x', 'new': [1]}]"))
        .start()
        .unwrap();
    let client = connect(&mock);
    assert!(client.greeting().unwrap().offers_oob);
    let cpus = client.execute(&QueryCpus).unwrap();
    assert_eq!(
        cpus,
        [Cpu {
            qom_type: "x".to_owned()
        }]
    );
    assert!(mock.finish().is_empty());
}

#[test]
fn errors_tell_what_was_sent_and_what_came() {
    let mock = Mock::new()
        .expect("query-cpus-fast", None)
        .reply(value("[{'thread-id': 1}]"))
        .expect("nope", None)
        .error(&Error::command_not_found(
            "The command nope has not been found",
        ))
        .start()
        .unwrap();
    let client = connect(&mock);
    let error = client.execute(&QueryCpus).unwrap_err();
    assert_eq!(
        error.to_string(),
        "query-cpus-fast: [0].qom-type is missing"
    );
    let debug = format!("{error:?}");
    for part in [
        r#"sent:     {"execute": "query-cpus-fast", "arguments": {}, "id": 1}"#,
        r#"received: {"return": [{"thread-id": 1}], "id": 1}"#,
        r#"differs:  [0].qom-type is missing in {"thread-id": 1}"#,
    ] {
        assert!(debug.contains(part), "{debug}");
    }
    let error = client
        .execute_raw("nope", None, CallOptions::new())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "nope: The command nope has not been found (CommandNotFound)"
    );
}

/// A command that is answered only when it fails.
struct Shutdown;

impl Members for Shutdown {
    fn read_members(_: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
        Ok(Self)
    }

    fn write_members(&self, _: &mut ObjectOutput<'_>) {}
}

impl Request for Shutdown {
    const COMMAND: &'static str = "guest-shutdown";
    const ALLOW_OOB: bool = false;
    const SUCCESS_RESPONSE: bool = false;
    type Returns = ();
}

#[test]
fn silence_is_success_where_the_schema_says_so() {
    let mock = Mock::new()
        .expect("guest-shutdown", None)
        .error(&Error::generic("no"))
        .expect("guest-shutdown", None)
        .disconnect()
        .start()
        .unwrap();
    let client = connect(&mock);
    let error = client.execute(&Shutdown).unwrap_err();
    assert_eq!(error.to_string(), "guest-shutdown: no (GenericError)");
    client.execute(&Shutdown).unwrap();
}

#[test]
fn time_outs_and_the_end_of_the_server() {
    let mock = Mock::new()
        .expect("slow", None)
        .expect("fast", None)
        .reply(Value::from(1))
        .expect("last", None)
        .disconnect()
        .start()
        .unwrap();
    let client = connect(&mock);
    let options = CallOptions::new().timeout(Duration::from_millis(20));
    let error = client.execute_raw("slow", None, options).unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::TimedOut(_)));
    let one = client.execute_raw("fast", None, CallOptions::new());
    assert_eq!(one.unwrap(), Value::Int(1));
    let error = client
        .execute_raw("last", None, CallOptions::new())
        .unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::Closed));
    let expected = format!(
        "last: the server at '{}' closed the connection",
        mock.address()
    );
    assert_eq!(error.to_string(), expected);
    let error = client
        .execute_raw("later", None, CallOptions::new())
        .unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::Closed));
    assert!(client.is_closed());
}

#[test]
fn events_reach_the_listeners_that_want_them() {
    let mock = Mock::new()
        .expect("go", None)
        .event("STOP", None)
        .event("DEVICE_DELETED", Some(value("{'device': 'a'}")))
        .event("DEVICE_DELETED", Some(value("{'device': 'b'}")))
        .reply(Value::from(1))
        .start()
        .unwrap();
    let client = connect(&mock);
    let all = client.listen(EventFilter::all());
    let one = client.listen(EventFilter::name("DEVICE_DELETED").with_member("device", "b"));
    client.execute_raw("go", None, CallOptions::new()).unwrap();
    let names: Vec<_> = (0..3)
        .map(|_| all.next(SOON).unwrap().name().to_owned())
        .collect();
    assert_eq!(names, ["STOP", "DEVICE_DELETED", "DEVICE_DELETED"]);
    let event = one.next(SOON).unwrap();
    assert_eq!(event.data().to_string(), r#"{"device": "b"}"#);
    assert!(one.try_next().is_none());
    let error = client
        .wait_for_event(EventFilter::name("RESUME"), Some(Duration::from_millis(10)))
        .unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::TimedOut(_)));
    client.close();
    assert!(matches!(
        all.next(None).unwrap_err().kind(),
        ClientErrorKind::Closed
    ));
}

#[test]
fn lost_connections_are_made_again() {
    let mock = Mock::new()
        .expect("one", None)
        .disconnect()
        .expect("two", None)
        .reply(Value::from(2))
        .event("STOP", None)
        .start()
        .unwrap();
    let options = ConnectOptions::new(mock.address()).reconnect(Duration::from_secs(10));
    let (options, n_connections) = counting(options);
    let client = blocking::Client::connect(options).unwrap();
    assert_eq!(n_connections.load(Ordering::SeqCst), 1);
    let stopped = client.listen(EventFilter::name("STOP"));
    let error = client
        .execute_raw("one", None, CallOptions::new())
        .unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::Closed));
    // Whether this finds the connection lost or made again, it is sent on the new one or fails.
    let two = loop {
        match client.execute_raw("two", None, CallOptions::new()) {
            Ok(two) => break two,
            Err(error) => assert!(matches!(error.kind(), ClientErrorKind::Closed), "{error:?}"),
        }
    };
    assert_eq!(two, Value::Int(2));
    stopped.next(SOON).unwrap();
    assert_eq!(n_connections.load(Ordering::SeqCst), 2);
}

#[test]
fn many_threads_share_a_client() {
    let mock = Mock::with_service(Arc::new(tests::service()))
        .start()
        .unwrap();
    let client = connect(&mock);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let client = &client;
            scope.spawn(move || {
                for index in 0..200 {
                    let arguments = value(&format!("{{'thread': {thread}, 'index': {index}}}"));
                    let echo = client.execute_raw("x-echo", Some(&arguments), CallOptions::new());
                    assert_eq!(echo.unwrap(), arguments);
                }
            });
        }
    });
}

#[test]
fn recordings_can_be_replayed() {
    let transcript = Arc::new(Transcript::new());
    {
        let mock = Mock::with_service(Arc::new(tests::service()))
            .start()
            .unwrap();
        let options = ConnectOptions::new(mock.address()).record(Arc::clone(&transcript));
        let client = blocking::Client::connect(options).unwrap();
        let arguments = value("{'a': 1}");
        client
            .execute_raw("x-echo", Some(&arguments), CallOptions::new())
            .unwrap();
        client
            .execute_raw("nope", None, CallOptions::new())
            .unwrap_err();
    }
    let transcript = Transcript::parse(&transcript.to_text()).unwrap();
    let mock = Mock::replay(&transcript).start().unwrap();
    let client = connect(&mock);
    let arguments = value("{'a': 1}");
    let echo = client.execute_raw("x-echo", Some(&arguments), CallOptions::new());
    assert_eq!(echo.unwrap(), arguments);
    let error = client
        .execute_raw("other", None, CallOptions::new())
        .unwrap_err();
    assert!(error.server_error().is_some());
    let mismatches = mock.finish();
    assert_eq!(mismatches.len(), 1);
    assert!(
        mismatches[0].starts_with("expected nope, got"),
        "{mismatches:?}"
    );
}

#[test]
fn broken_servers_are_refused() {
    let mock = Mock::new()
        .expect("x", None)
        .bytes("this is not JSON\r\n")
        .start()
        .unwrap();
    let client = connect(&mock);
    let error = client
        .execute_raw("x", None, CallOptions::new())
        .unwrap_err();
    let expected = format!(
        "x: what '{}' sent is not QMP: 3:1: JSON parse error, invalid keyword 'this', it says 'this is not JSON'",
        mock.address()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn the_asynchronous_client_does_the_same() {
    let mock = Mock::with_service(Arc::new(tests::service()))
        .start()
        .unwrap();
    let client = Client::connect(ConnectOptions::new(mock.address()))
        .await
        .unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for index in 0..500 {
        let client = client.clone();
        calls.spawn(async move {
            let arguments = value(&format!("{{'index': {index}}}"));
            let echo = client
                .execute_raw("x-echo", Some(&arguments), CallOptions::new())
                .await;
            assert_eq!(echo.unwrap(), arguments);
        });
    }
    while let Some(result) = calls.join_next().await {
        result.unwrap();
    }
    let oob = CallOptions::new().out_of_band();
    let arguments = value("{'instances': []}");
    let yank = client.execute_raw("yank", Some(&arguments), oob);
    assert_eq!(yank.await.unwrap(), value("{}"));
    let _expected = tests::panics::expect("on purpose");
    let error = client
        .execute_raw("panics", None, CallOptions::new())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("internal error"));
    client.close();
    let error = client
        .execute_raw("x-echo", None, CallOptions::new())
        .await
        .unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::Closed));
}

/// Options that count how often a connection was ready.
fn counting(options: ConnectOptions) -> (ConnectOptions, Arc<AtomicU64>) {
    let n_connections = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&n_connections);
    let options = options.on_connection(move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    (options, n_connections)
}

#[tokio::test]
async fn asynchronous_events_time_outs_and_reconnection() {
    let mock = Mock::new()
        .expect("slow", None)
        .expect("go", None)
        .event("STOP", None)
        .reply(Value::from(1))
        .expect("last", None)
        .disconnect()
        .expect("again", None)
        .reply(Value::from(2))
        .start()
        .unwrap();
    let options = ConnectOptions::new(mock.address()).reconnect(Duration::from_secs(10));
    let (options, n_connections) = counting(options);
    let client = Client::connect(options).await.unwrap();
    assert_eq!(n_connections.load(Ordering::SeqCst), 1);
    let mut events = client.listen(EventFilter::name("STOP"));
    let options = CallOptions::new().timeout(Duration::from_millis(20));
    let error = client.execute_raw("slow", None, options).await.unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::TimedOut(_)));
    let raw = |command| client.execute_raw(command, None, CallOptions::new());
    assert_eq!(raw("go").await.unwrap(), Value::Int(1));
    assert_eq!(events.next().await.unwrap().name(), "STOP");
    let error = raw("last").await.unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::Closed));
    assert_eq!(raw("again").await.unwrap(), Value::Int(2));
    assert_eq!(n_connections.load(Ordering::SeqCst), 2);
    let waiting = client.wait_for_event(EventFilter::all(), Some(Duration::from_millis(10)));
    assert!(waiting.await.is_err());
    assert!(mock.finish().is_empty());
}

/// The names of mocks are predictable, and another process may have one of them.
#[cfg(target_os = "linux")]
#[test]
fn a_mock_passes_over_names_that_are_taken() {
    use qapi_runtime::client::Address;
    use qapi_runtime::client::mock::RunningMock;
    use qapi_runtime::socket::listen_abstract;

    let number = |mock: &RunningMock| {
        let Address::Abstract(name) = mock.address() else {
            panic!("not an abstract name");
        };
        let name = String::from_utf8(name).unwrap();
        let (base, number) = name.rsplit_once('-').unwrap();
        (base.to_owned(), number.parse::<u64>().unwrap())
    };
    let (base, first) = number(&Mock::new().start().unwrap());
    // Other tests take some of them meanwhile.
    let taken: Vec<_> = (first + 1..first + 100)
        .filter_map(|number| listen_abstract(format!("{base}-{number}").as_bytes()).ok())
        .collect();
    let (_, next) = number(&Mock::new().start().unwrap());
    assert!(!taken.is_empty());
    assert!(next > first);
}
