//! What clients know of commands whose answer did not come in time.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use qapi_runtime::client::{
    Address, CallOptions, Client, ClientError, ClientErrorKind, ConnectOptions, Outcome, Reason,
    blocking,
};
use qapi_runtime::json::Document;
use qapi_runtime::{ErrorClass, Value};
use tests::{PATIENCE, eventually};

const SHORT: Duration = Duration::from_millis(10);

fn in_short() -> CallOptions {
    CallOptions::new().timeout(SHORT)
}

/// A server that does nothing but what the test has it do.
struct Server {
    stream: BufReader<UnixStream>,
}

impl Server {
    /// A server, and the address of the socket that it serves once.
    fn start() -> (thread::JoinHandle<Self>, Address, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qmp");
        let listener = UnixListener::bind(&path).unwrap();
        let serve = move || {
            let (stream, _) = listener.accept().unwrap();
            let mut server = Self {
                stream: BufReader::new(stream),
            };
            server.send(r#"{"QMP": {"version": {}, "capabilities": []}}"#);
            let (_, id) = server.read();
            server.send(&format!(r#"{{"return": {{}}, "id": {id}}}"#));
            server
        };
        (thread::spawn(serve), Address::unix(path), folder)
    }

    /// The next command and its id.
    fn read(&mut self) -> (String, String) {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let message = Document::parse(line.as_bytes()).unwrap();
        let name = message.root().get("execute").unwrap();
        let id = message.root().get("id").unwrap();
        (name.as_str().unwrap().to_owned(), id.to_string())
    }

    fn send(&mut self, line: &str) {
        let line = format!("{line}\r\n");
        self.stream.get_ref().write_all(line.as_bytes()).unwrap();
    }
}

/// On a machine that is busy the time may be up before the command is sent.
fn was_too_slow(error: &ClientError) -> bool {
    error.outcome() == Outcome::NotSent
}

/// Whichever client it is: a command that is given up.
fn check_given_up(error: &ClientError) {
    assert!(
        matches!(error.kind(), ClientErrorKind::TimedOut(_)),
        "{error:?}"
    );
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert!(error.late_reply().is_some());
}

#[test]
fn a_late_reply_tells_what_became_of_the_command() {
    let (server, address, _folder) = Server::start();
    let client = blocking::Client::connect(ConnectOptions::new(address)).unwrap();
    let mut server = server.join().unwrap();
    let errors = ["done", "refused", "lost"].map(|name| {
        let error = loop {
            let error = client.execute_raw(name, None, in_short()).unwrap_err();
            if !was_too_slow(&error) {
                break error;
            }
        };
        check_given_up(&error);
        (error, server.read())
    });
    let [
        (done, (_, first)),
        (refused, (_, second)),
        (lost, (name, _)),
    ] = errors;
    assert_eq!(name, "lost");
    // In another order than they were sent.
    server.send(&format!(
        r#"{{"error": {{"class": "GenericError", "desc": "Node n is in use"}}, "id": {second}}}"#
    ));
    server.send(&format!(r#"{{"return": 7, "id": {first}}}"#));
    let reply = done.late_reply().unwrap();
    assert_eq!(reply.wait(PATIENCE), Outcome::Done(Value::Int(7)));
    assert_eq!(done.outcome(), Outcome::Done(Value::Int(7)));
    let Outcome::Refused(error) = refused.late_reply().unwrap().wait(PATIENCE) else {
        panic!("{refused:?}");
    };
    assert_eq!(error.class, ErrorClass::GenericError);
    assert_eq!(Reason::of(&error), Some(Reason::InUse));
    assert_eq!(lost.outcome(), Outcome::Unknown);
    drop(server);
    let outcome = lost.late_reply().unwrap().wait(PATIENCE);
    assert_eq!(outcome, Outcome::ConnectionLost);
    // The connection is over: this one was never sent.
    eventually(|| client.is_closed());
    let error = client.execute_raw("later", None, in_short()).unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent);
    assert!(error.late_reply().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_reply_can_be_waited_for_without_a_thread() {
    let (server, address, _folder) = Server::start();
    let client = Client::connect(ConnectOptions::new(address)).await.unwrap();
    let mut server = server.join().unwrap();
    let mut given_up = Vec::new();
    for name in ["done", "lost"] {
        let error = loop {
            let error = client.execute_raw(name, None, in_short()).await;
            let error = error.unwrap_err();
            if !was_too_slow(&error) {
                break error;
            }
        };
        check_given_up(&error);
        given_up.push((error, server.read()));
    }
    let (lost, _) = given_up.pop().unwrap();
    let (done, (_, id)) = given_up.pop().unwrap();
    let late = done.late_reply().unwrap().clone();
    let waiting = tokio::spawn(async move { late.settled().await });
    server.send(&format!(r#"{{"return": "x", "id": {id}}}"#));
    assert_eq!(waiting.await.unwrap(), Outcome::Done(Value::from("x")));
    assert_eq!(done.outcome(), Outcome::Done(Value::from("x")));
    drop(server);
    let outcome = lost.late_reply().unwrap().settled().await;
    assert_eq!(outcome, Outcome::ConnectionLost);
}

/// A command that waits for room, since others have no answer, is not sent when its time is up; not later either.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sent_is_told_so() {
    let (server, address, _folder) = Server::start();
    let connected = Client::connect(ConnectOptions::new(address)).await.unwrap();
    let mut server = server.join().unwrap();
    // Nothing reads, so at some point nothing more is taken.
    let large = Value::from_iter([("a".to_owned(), Value::from("x".repeat(4 << 20)))]);
    let held = connected
        .execute_raw("large", Some(&large), in_short())
        .await;
    assert_eq!(held.unwrap_err().outcome(), Outcome::Unknown);
    let unsent = connected.execute_raw("unsent", None, in_short()).await;
    let unsent = unsent.unwrap_err();
    assert_eq!(unsent.outcome(), Outcome::NotSent);
    assert!(unsent.late_reply().is_none());
    // Now the server reads: the large one becomes whole, and the next one is another one.
    let (names, read) = mpsc::channel();
    let reader = thread::spawn(move || {
        for _ in 0..2 {
            let (name, id) = server.read();
            server.send(&format!(r#"{{"return": {{}}, "id": {id}}}"#));
            names.send(name).unwrap();
        }
    });
    let next = CallOptions::new().timeout(PATIENCE);
    connected.execute_raw("next", None, next).await.unwrap();
    reader.join().unwrap();
    assert_eq!(read.iter().collect::<Vec<_>>(), ["large", "next"]);
}
