//! Where clients and mocks stop: what they cannot reach, take or wait for.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use qapi_runtime::client::mock::Mock;
use qapi_runtime::client::{
    Address, CallOptions, Client, ClientError, ClientErrorKind, ConnectOptions, blocking,
};
use qapi_runtime::codegen::{Command, Handler, Table};
use qapi_runtime::dispatch::{BoxFuture, CommandInfo};
use qapi_runtime::json::Limits;
use qapi_runtime::visit::Input;
use qapi_runtime::{Error, Value};

/// How long a client waits for an answer that must come.
const LONG: Duration = Duration::from_secs(20);

/// Errors of connecting say where to.
#[tokio::test]
async fn errors_of_connecting_name_the_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowhere");
    // A port that nobody listens on any more.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = port.local_addr().unwrap().to_string();
    drop(port);
    for (address, kind) in [
        (Address::unix(&path), ErrorKind::NotFound),
        (
            Address::Abstract(b"qapi-runtime-nowhere".to_vec()),
            ErrorKind::ConnectionRefused,
        ),
        (Address::Tcp(tcp), ErrorKind::ConnectionRefused),
        (Address::Tcp("no-port".to_owned()), ErrorKind::InvalidInput),
    ] {
        let options = ConnectOptions::new(address.clone());
        let blocking = blocking::Client::connect(options.clone()).err().unwrap();
        let asynchronous = Client::connect(options).await.err().unwrap();
        for error in [blocking, asynchronous] {
            let text = error.to_string();
            let start = format!("cannot connect to '{address}': ");
            assert!(
                text.starts_with(&start) && text.len() > start.len(),
                "{text}"
            );
            let ClientErrorKind::Io(error) = error.kind() else {
                panic!("{error:?}");
            };
            assert_eq!(error.kind(), kind, "{text}");
        }
    }
}

/// A reply that is larger than the client takes is the end of the connection, and the error says why.
#[tokio::test]
async fn replies_are_taken_up_to_a_limit() {
    let limits = Limits {
        token_size: 1000,
        ..Limits::REPLY
    };
    let serve = || {
        let script = Mock::new()
            .expect("x", None)
            .reply(Value::from("y".repeat(500)));
        let script = script
            .expect("x", None)
            .reply(Value::from("y".repeat(2000)));
        script.start().unwrap()
    };
    let check = |result: Result<Value, ClientError>| {
        let error = result.unwrap_err();
        assert!(
            matches!(error.kind(), ClientErrorKind::Protocol(_)),
            "{error:?}"
        );
        assert!(
            error.to_string().contains("JSON token size limit exceeded"),
            "{error}"
        );
    };
    let call = || CallOptions::new().timeout(LONG);
    let mock = serve();
    let options = ConnectOptions::new(mock.address()).reply_limits(limits);
    let client = blocking::Client::connect(options).unwrap();
    client.execute_raw("x", None, call()).unwrap();
    check(client.execute_raw("x", None, call()));
    let mock = serve();
    let options = ConnectOptions::new(mock.address()).reply_limits(limits);
    let client = Client::connect(options).await.unwrap();
    client.execute_raw("x", None, call()).await.unwrap();
    check(client.execute_raw("x", None, call()).await);
    let mock = serve();
    let client = blocking::Client::connect(ConnectOptions::new(mock.address())).unwrap();
    client.execute_raw("x", None, call()).unwrap();
    client.execute_raw("x", None, call()).unwrap();
    drop(client);
    assert!(mock.finish().is_empty());
}

/// A handler that is a future may wait for the very program that stops the mock.
#[test]
fn a_mock_stops_although_a_handler_does_not_end() {
    fn wait(begun: Arc<AtomicBool>, _: &mut Input<'_>) -> Result<BoxFuture, Error> {
        begun.store(true, Ordering::SeqCst);
        Ok(Box::pin(std::future::pending()))
    }
    static COMMANDS: [Command<AtomicBool>; 1] = [Command {
        info: CommandInfo::new("wait"),
        call: Handler::Async(wait),
    }];
    let begun = Arc::new(AtomicBool::new(false));
    let service = Arc::new(Table::new(&COMMANDS, Arc::clone(&begun)));
    let mock = Mock::with_service(service).start().unwrap();
    let client = blocking::Client::connect(ConnectOptions::new(mock.address())).unwrap();
    let call = {
        let client = client.clone();
        std::thread::spawn(move || client.execute_raw("wait", None, CallOptions::new()))
    };
    tests::eventually(|| begun.load(Ordering::SeqCst));
    assert!(mock.finish().is_empty());
    let error = call.join().unwrap().unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::Closed), "{error:?}");
}
