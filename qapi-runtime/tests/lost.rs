//! Clients whose server goes away, or that try to send what cannot be sent.
#![cfg(feature = "tokio")]
#![allow(clippy::unwrap_used, reason = "a failure ends the test")]

use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use qapi_runtime::client::{
    Address, CallOptions, Client, ClientError, ClientErrorKind, ConnectOptions, blocking,
};
use qapi_runtime::json::Document;

/// How long a client waits for an answer that may not come.
const PATIENCE: Duration = Duration::from_millis(10);

/// Rounds of what depends on who is faster.
const ROUNDS: usize = 100;

/// One connection, seen from a server of which the test decides what it does when.
struct Peer(BufReader<UnixStream>);

impl Peer {
    /// Serves a client as far as to where commands may be sent.
    fn accept(listener: &UnixListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        let mut peer = Self(BufReader::new(stream));
        peer.send(r#"{"QMP": {"version": {}, "capabilities": []}}"#);
        peer.answer();
        peer
    }

    /// Answers one command, whichever it is.
    fn answer(&mut self) {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let command = Document::parse(line.as_bytes()).unwrap();
        let id = command.root().get("id").unwrap().to_string();
        self.send(&format!(r#"{{"return": {{}}, "id": {id}}}"#));
    }

    fn send(&mut self, line: &str) {
        self.0.get_ref().write_all(line.as_bytes()).unwrap();
        self.0.get_ref().write_all(b"\r\n").unwrap();
    }
}

/// A folder with a socket, and a server behind it.
struct Scene {
    socket: PathBuf,
    server: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new(serve: impl FnOnce(UnixListener) + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("qmp");
        let listener = UnixListener::bind(&socket).unwrap();
        Self {
            socket,
            server: std::thread::spawn(move || serve(listener)),
            _folder: folder,
        }
    }

    fn options(&self) -> ConnectOptions {
        ConnectOptions::new(Address::unix(&self.socket))
    }

    fn end(self) {
        self.server.join().unwrap();
    }
}

/// A server that answers one command and stops reading without a word; then it answers one in
/// a second connection.
fn deaf() -> Scene {
    Scene::new(|listener| {
        let mut first = Peer::accept(&listener);
        first.answer();
        first.0.get_ref().shutdown(Shutdown::Read).unwrap();
        Peer::accept(&listener).answer();
    })
}

fn is_closed(error: &ClientError) -> bool {
    matches!(error.kind(), ClientErrorKind::Closed)
}

fn is_late(error: &ClientError) -> bool {
    matches!(error.kind(), ClientErrorKind::TimedOut(_))
}

/// A request that cannot be written tells of the end of the connection even if nothing that is
/// read does, and it is the only one that fails.
#[test]
fn a_failure_to_write_is_the_end_of_a_connection() {
    let scene = deaf();
    let options = scene.options().reconnect(Duration::from_secs(10));
    let client = blocking::Client::connect(options).unwrap();
    let call = |options| client.execute_raw("x", None, options);
    call(CallOptions::new()).unwrap();
    // Until the server has got to where it does not listen.
    let error = loop {
        let error = call(CallOptions::new().timeout(PATIENCE)).unwrap_err();
        if !is_late(&error) {
            break error;
        }
    };
    assert!(is_closed(&error), "{error:?}");
    call(CallOptions::new()).unwrap();
    scene.end();
}

#[tokio::test]
async fn a_failure_to_write_asynchronously_is_the_end_of_a_connection() {
    let scene = deaf();
    let options = scene.options().reconnect(Duration::from_secs(10));
    let client = Client::connect(options).await.unwrap();
    let call = |options| client.execute_raw("x", None, options);
    call(CallOptions::new()).await.unwrap();
    let error = loop {
        let error = call(CallOptions::new().timeout(PATIENCE))
            .await
            .unwrap_err();
        if !is_late(&error) {
            break error;
        }
    };
    assert!(is_closed(&error), "{error:?}");
    call(CallOptions::new()).await.unwrap();
    scene.end();
}

/// A server that answers one command of each of `n` clients and goes.
fn taciturn(n: usize) -> Scene {
    Scene::new(move |listener| {
        for _ in 0..n {
            Peer::accept(&listener).answer();
        }
    })
}

/// A server answers and goes: whatever else is being sent then, the answer arrives.
#[test]
fn an_answer_before_the_end_is_not_lost() {
    let scene = taciturn(ROUNDS);
    for _ in 0..ROUNDS {
        let client = blocking::Client::connect(scene.options()).unwrap();
        let call = || client.execute_raw("x", None, CallOptions::new());
        let answered: usize = std::thread::scope(|scope| {
            let calls = [(); 3].map(|()| scope.spawn(call));
            calls
                .into_iter()
                .map(|call| usize::from(call.join().unwrap().is_ok()))
                .sum()
        });
        assert_eq!(answered, 1);
    }
    scene.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_before_the_end_is_not_lost_asynchronously() {
    let scene = taciturn(ROUNDS);
    for _ in 0..ROUNDS {
        let client = Client::connect(scene.options()).await.unwrap();
        let call = || client.execute_raw("x", None, CallOptions::new());
        let (one, two, three) = tokio::join!(call(), call(), call());
        let answered = [one, two, three].iter().filter(|call| call.is_ok()).count();
        assert_eq!(answered, 1);
    }
    scene.end();
}

/// More descriptors than the kernel takes in one message.
fn too_many() -> CallOptions {
    (0..300).fold(CallOptions::new(), |options, _| {
        let (reader, _) = std::io::pipe().unwrap();
        options.descriptor(OwnedFd::from(reader))
    })
}

/// What never leaves the program harms no other request.
#[test]
fn a_request_that_cannot_be_sent_fails_alone() {
    let scene = taciturn(1);
    let client = blocking::Client::connect(scene.options()).unwrap();
    let error = client.execute_raw("x", None, too_many()).unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::Io(_)), "{error:?}");
    client.execute_raw("x", None, CallOptions::new()).unwrap();
    scene.end();
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_asynchronously_fails_alone() {
    let scene = taciturn(1);
    let client = Client::connect(scene.options()).await.unwrap();
    let error = client.execute_raw("x", None, too_many()).await.unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::Io(_)), "{error:?}");
    let call = client.execute_raw("x", None, CallOptions::new());
    call.await.unwrap();
    scene.end();
}
