//! What clients know of what their server can do.

use qapi_runtime::Value;
use qapi_runtime::client::mock::{Mock, RunningMock};
use qapi_runtime::client::{
    CallOptions, Client, ClientError, ClientErrorKind, ConnectOptions, Outcome, blocking,
};
use tests::{PATIENCE, eventually};

fn value(json: &str) -> Value {
    let document = qapi_runtime::json::Document::parse(json.as_bytes());
    document.unwrap().root().to_value()
}

/// A server that knows one command, which is executed.
fn knowing(script: Mock, command: &str) -> Mock {
    let told = format!(
        "[{{'name': '{command}', 'meta-type': 'command', 'arg-type': '0', 'ret-type': '0'}},
          {{'name': '0', 'meta-type': 'object', 'members': [{{'name': 'a', 'type': '1'}}]}},
          {{'name': '1', 'meta-type': 'enum', 'values': ['x']}}]"
    );
    let script = script.expect("query-qmp-schema", None).reply(value(&told));
    script.expect(command, None).reply(Value::Int(1))
}

/// A server that knows another command after the connection was lost.
fn upgraded() -> Mock {
    let script = knowing(Mock::new(), "old");
    knowing(script.disconnect(), "new")
}

fn options(mock: &RunningMock) -> ConnectOptions {
    ConnectOptions::new(mock.address())
        .reconnect(PATIENCE)
        .timeout(PATIENCE)
}

fn check_unknown(error: &ClientError, path: &str) {
    let ClientErrorKind::NotKnown(unknown) = error.kind() else {
        panic!("{error:?}");
    };
    assert_eq!(unknown.path(), path);
    let command = path.split('/').next().unwrap();
    assert_eq!(
        error.to_string(),
        format!("{command}: the server does not know '{path}'")
    );
    assert_eq!(error.outcome(), Outcome::NotSent);
}

#[test]
fn a_server_is_asked_once_what_it_knows() {
    let mock = upgraded().start().unwrap();
    let client = blocking::Client::connect(options(&mock)).unwrap();
    let server = client.peer_schema().unwrap();
    assert!(server.has("old/arguments/a=x") && !server.has("new"));
    assert!(client.peer_schema().unwrap().has("old"));
    client.execute_raw("old", None, CallOptions::new()).unwrap();
    // Another server may be there after that.
    eventually(|| client.peer_schema().is_ok_and(|server| server.has("new")));
    client.execute_raw("new", None, CallOptions::new()).unwrap();
    drop(client);
    assert_eq!(mock.finish(), [""; 0]);
}

/// What the server does not know is not sent, where that is wanted; the mock would complain.
#[test]
fn what_the_server_does_not_know_is_not_sent() {
    let mock = upgraded().start().unwrap();
    let client = blocking::Client::connect(options(&mock).refuse_unknown()).unwrap();
    let call = |command: &str, arguments: &str| {
        client.execute_raw(command, Some(&value(arguments)), CallOptions::new())
    };
    check_unknown(&call("new", "{}").unwrap_err(), "new");
    check_unknown(&call("old", "{'b': 1}").unwrap_err(), "old/arguments/b");
    check_unknown(&call("old", "{'a': 'y'}").unwrap_err(), "old/arguments/a=y");
    call("old", "{'a': 'x'}").unwrap();
    eventually(|| call("new", "{'a': 'x'}").is_ok());
    drop(client);
    assert_eq!(mock.finish(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_does_not_know_is_not_sent_by_tasks() {
    let mock = knowing(Mock::new(), "old").start().unwrap();
    let client = Client::connect(options(&mock).refuse_unknown())
        .await
        .unwrap();
    let unknown = client.execute_raw("new", None, CallOptions::new()).await;
    check_unknown(&unknown.unwrap_err(), "new");
    let server = client.peer_schema().await.unwrap();
    assert!(server.has("old"));
    client
        .execute_raw("old", None, CallOptions::new())
        .await
        .unwrap();
    drop(client);
    assert_eq!(mock.finish(), [""; 0]);
}

#[test]
fn a_schema_that_is_none_is_told() {
    let script = Mock::new().expect("query-qmp-schema", None);
    let mock = script.reply(value("{}")).start().unwrap();
    let client = blocking::Client::connect(options(&mock)).unwrap();
    let error = client.peer_schema().unwrap_err();
    assert!(
        error.to_string().ends_with("what it returns is no schema"),
        "{error}"
    );
    assert_eq!(error.outcome(), Outcome::Done(value("{}")));
}
