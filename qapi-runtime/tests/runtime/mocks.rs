//! Mocks that play recordings, serve several clients, and are guest agents.

use std::sync::Arc;
use std::time::Duration;

use qapi_runtime::Value;
use qapi_runtime::client::mock::Mock;
use qapi_runtime::client::{
    Address, CallOptions, Client, ClientError, ClientErrorKind, ConnectOptions, Dialect,
    EventFilter, Transcript, blocking,
};

/// How long a client waits for an answer that may not come.
const SHORT: Duration = Duration::from_millis(50);

/// How long it waits for one that must come.
const LONG: Duration = Duration::from_secs(20);

fn within(timeout: Duration) -> CallOptions {
    CallOptions::new().timeout(timeout)
}

fn is_late(error: &ClientError) -> bool {
    matches!(error.kind(), ClientErrorKind::TimedOut(_))
}

/// A session with an answer that is late, out of order and on another connection, recorded and played again.
#[test]
fn recordings_have_ids_and_connections() {
    let play = |address: Address, transcript: Option<Arc<Transcript>>| {
        let mut options = ConnectOptions::new(address).reconnect(LONG);
        if let Some(transcript) = transcript {
            options = options.record(transcript);
        }
        let client = blocking::Client::connect(options).unwrap();
        let events = client.listen(EventFilter::all());
        let call = |name: &str, timeout| {
            let answer = client.execute_raw(name, None, within(timeout));
            answer.map_err(|error| error.kind_name())
        };
        let mut seen = vec![call("slow", SHORT), call("fast", LONG), call("last", LONG)];
        let again = loop {
            match call("again", LONG) {
                Err("closed") => {}
                again => break again,
            }
        };
        seen.push(again);
        let names: Vec<_> = (0..2)
            .map(|_| events.next(Some(LONG)).unwrap().name().to_owned())
            .collect();
        (seen, names)
    };
    let mock = Mock::new()
        .expect("slow", None)
        .expect("fast", None)
        .reply_to(0, Value::from("slow"))
        .event("ONE", None)
        .reply_to(1, Value::from("fast"))
        .expect("last", None)
        .disconnect()
        .expect("again", None)
        .reply(Value::from("again"))
        .event("TWO", None)
        .start()
        .unwrap();
    let transcript = Arc::new(Transcript::new());
    let first = play(mock.address(), Some(Arc::clone(&transcript)));
    assert_eq!(
        first.0,
        [
            Err("late"),
            Ok(Value::from("fast")),
            Err("closed"),
            Ok(Value::from("again"))
        ]
    );
    assert_eq!(first.1, ["ONE", "TWO"]);
    assert!(mock.finish().is_empty());
    let transcript = Transcript::parse(&transcript.to_text()).unwrap();
    let mock = Mock::replay(&transcript).start().unwrap();
    assert_eq!(play(mock.address(), None), first);
    assert_eq!(mock.finish(), [""; 0]);
}

/// What became of a call, in a word.
trait KindName {
    fn kind_name(&self) -> &'static str;
}

impl KindName for ClientError {
    fn kind_name(&self) -> &'static str {
        match self.kind() {
            ClientErrorKind::TimedOut(_) => "late",
            ClientErrorKind::Closed => "closed",
            _ => "other",
        }
    }
}

/// Two clients at a time, of which the second one is answered first, and an event for both.
#[test]
fn a_mock_serves_several_clients_late_and_in_any_order() {
    let mock = Mock::new()
        .expect("one", None)
        .event("ASKED", None)
        .expect("two", None)
        .delay(Duration::from_millis(10))
        .reply_to(1, Value::Int(2))
        .event("ANSWERED", None)
        .reply_to(0, Value::Int(1))
        .start()
        .unwrap();
    let connect = || blocking::Client::connect(ConnectOptions::new(mock.address())).unwrap();
    let (first, second) = (connect(), connect());
    let events = [&first, &second].map(|client| client.listen(EventFilter::all()));
    let next = |events: &blocking::Events| events.next(Some(LONG)).unwrap().name().to_owned();
    std::thread::scope(|scope| {
        let one = scope.spawn(|| first.execute_raw("one", None, within(LONG)));
        assert_eq!(next(&events[1]), "ASKED");
        let two = second.execute_raw("two", None, within(LONG));
        assert_eq!(two.unwrap(), Value::Int(2));
        assert_eq!(one.join().unwrap().unwrap(), Value::Int(1));
    });
    assert_eq!(next(&events[1]), "ANSWERED");
    assert_eq!([next(&events[0]), next(&events[0])], ["ASKED", "ANSWERED"]);
    assert_eq!(mock.finish(), [""; 0]);
}

/// A guest agent played by a mock: without ids, and with a command that it loses.
#[tokio::test(flavor = "multi_thread")]
async fn a_mock_is_a_guest_agent() {
    let script = || {
        let mock = Mock::new().dialect(Dialect::GuestAgent).without_ids();
        let mock = mock.expect("guest-ping", None).reply(Value::Int(1));
        let mock = mock.expect("guest-lost", None);
        let mock = mock.expect("guest-info", None).reply(Value::Int(2));
        mock.start().unwrap()
    };
    let transcript = Arc::new(Transcript::new());
    let mock = script();
    let options = ConnectOptions::new(mock.address()).dialect(Dialect::GuestAgent);
    let client = blocking::Client::connect(options.record(Arc::clone(&transcript))).unwrap();
    let call = |name: &str, timeout| client.execute_raw(name, None, within(timeout));
    assert_eq!(call("guest-ping", LONG).unwrap(), Value::Int(1));
    assert!(is_late(&call("guest-lost", SHORT).unwrap_err()));
    assert_eq!(call("guest-info", LONG).unwrap(), Value::Int(2));
    drop(client);
    assert_eq!(mock.finish(), [""; 0]);
    // A recording of it says what it was.
    for mock in [script(), Mock::replay(&transcript).start().unwrap()] {
        let options = ConnectOptions::new(mock.address()).dialect(Dialect::GuestAgent);
        let client = Client::connect(options).await.unwrap();
        let call =
            async |name: &str, timeout| client.execute_raw(name, None, within(timeout)).await;
        assert_eq!(call("guest-ping", LONG).await.unwrap(), Value::Int(1));
        assert!(is_late(&call("guest-lost", SHORT).await.unwrap_err()));
        assert_eq!(call("guest-info", LONG).await.unwrap(), Value::Int(2));
        drop(client);
        assert_eq!(mock.finish(), [""; 0]);
    }
    // Nobody has told this one.
    let mock = Mock::new()
        .expect("guest-ping", None)
        .reply(Value::Int(1))
        .start()
        .unwrap();
    let options = ConnectOptions::new(mock.address()).dialect(Dialect::GuestAgent);
    let client = blocking::Client::connect(options).unwrap();
    let pong = client.execute_raw("guest-ping", None, within(LONG));
    assert_eq!(pong.unwrap(), Value::Int(1));
}
