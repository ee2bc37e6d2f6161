//! Peers that are late, early or lost, and those that are not peers.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use qapi_runtime::Value;
use qapi_runtime::client::mock::Mock;
use qapi_runtime::client::{
    Address, CallOptions, Client, ClientError, ClientErrorKind, ConnectOptions, Dialect,
    EventFilter, blocking,
};
use qapi_runtime::json::{Document, Limits, Parsed, Parser};
use tests::eventually;

/// How long a client waits for an answer that may not come.
const SHORT: Duration = Duration::from_millis(50);

/// How long it waits for one that must come.
const LONG: Duration = Duration::from_secs(20);

const GREETING: &str = r#"{"QMP": {"version": {}, "capabilities": []}}"#;
const EVENT: &str = r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "EV"}"#;

/// A client, message by message.
struct Peer {
    stream: UnixStream,
    parser: Parser,
    pending: Vec<u8>,
}

impl Peer {
    /// The next message, without the byte that resets a parser.
    fn next(&mut self) -> Option<Document> {
        loop {
            self.pending.retain(|byte| *byte != 0xff);
            let mut input = &self.pending[..];
            let parsed = self.parser.feed(&mut input);
            let left = input.len();
            self.pending.drain(..self.pending.len() - left);
            match parsed {
                Parsed::Value => return Some(self.parser.take_document()),
                Parsed::Error(error) => panic!("{error}"),
                Parsed::Incomplete => {}
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.pending.extend_from_slice(&piece[..count]),
            }
        }
    }

    fn send(&mut self, text: &str) {
        // The client may be gone.
        let _ = self.stream.write_all(text.as_bytes());
    }

    /// Takes a request and answers it; the name of the command.
    fn answer(&mut self) -> Option<String> {
        let request = self.next()?;
        let id = request.root().get("id").unwrap().to_string();
        self.send(&format!("{{\"return\": {{}}, \"id\": {id}}}\r\n"));
        Some(command_of(&request))
    }

    fn answer_sync(&mut self, request: &Document) {
        let arguments = request.root().get("arguments").unwrap();
        let number = arguments.get("id").unwrap().to_string();
        self.stream.write_all(b"\xff").unwrap();
        self.send(&format!("{{\"return\": {number}}}\n"));
    }
}

fn command_of(request: &Document) -> String {
    let root = request.root();
    let command = root.get("execute").or_else(|| root.get("exec-oob"));
    command.unwrap().as_str().unwrap().to_owned()
}

/// A socket behind which a function serves one client after the other, each with its number.
struct Scene {
    socket: PathBuf,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn new(serve: impl Fn(usize, Peer) + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("qmp");
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let peer = Peer {
                    stream: stream.unwrap(),
                    parser: Parser::new(Limits::QMP),
                    pending: Vec::new(),
                };
                serve(number, peer);
            }
        });
        Self {
            socket,
            _folder: folder,
        }
    }

    fn options(&self) -> ConnectOptions {
        ConnectOptions::new(Address::unix(&self.socket))
    }
}

fn within(timeout: Duration) -> CallOptions {
    CallOptions::new().timeout(timeout)
}

fn is_late(error: &ClientError) -> bool {
    matches!(error.kind(), ClientErrorKind::TimedOut(_))
}

/// A guest agent that does not repeat ids: it loses the first command, and half of the synchronizations after it.
fn forgetful() -> Scene {
    Scene::new(|_, mut peer| {
        let (mut n_commands, mut n_syncs) = (0, 0);
        while let Some(request) = peer.next() {
            let command = command_of(&request);
            if command == "guest-sync-delimited" {
                n_syncs += 1;
                if n_syncs % 2 == 1 {
                    peer.answer_sync(&request);
                }
                continue;
            }
            n_commands += 1;
            if n_commands > 1 {
                peer.send(&format!("{{\"return\": \"{command}\"}}\n"));
            }
        }
    })
}

#[test]
fn an_agent_that_lost_a_command_answers_the_next_ones_rightly() {
    let scene = forgetful();
    let options = scene.options().dialect(Dialect::GuestAgent);
    let client = blocking::Client::connect(options).unwrap();
    let error = client.execute_raw("a", None, within(SHORT)).unwrap_err();
    assert!(is_late(&error), "{error:?}");
    std::thread::scope(|scope| {
        for name in ["b", "c", "d"] {
            let client = &client;
            scope.spawn(move || {
                let answer = client.execute_raw(name, None, within(LONG));
                assert_eq!(answer.unwrap(), Value::from(name));
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_lost_a_command_answers_the_next_ones_rightly_asynchronously() {
    let scene = forgetful();
    let options = scene.options().dialect(Dialect::GuestAgent);
    let client = Client::connect(options).await.unwrap();
    // Given up by dropping it, not by a time-out.
    let lost = client.execute_raw("a", None, CallOptions::new());
    tokio::time::timeout(SHORT, lost).await.unwrap_err();
    let call = async |name: &str| {
        let answer = client.execute_raw(name, None, within(LONG)).await;
        assert_eq!(answer.unwrap(), Value::from(name));
    };
    tokio::join!(call("b"), call("c"), call("d"));
}

/// A guest agent that hears nothing before its second synchronization.
fn sleepy() -> Scene {
    Scene::new(|_, mut peer| {
        peer.next();
        while let Some(request) = peer.next() {
            peer.answer_sync(&request);
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_comes_up_late_is_synchronized_until_it_answers() {
    let scene = sleepy();
    let options = || {
        let options = scene.options().dialect(Dialect::GuestAgent);
        options.handshake_timeout(LONG)
    };
    blocking::Client::connect(options()).unwrap().close();
    Client::connect(options()).await.unwrap();
}

/// Events at every moment of a connection, of which there are two.
fn talkative() -> Scene {
    Scene::new(|_, mut peer| {
        peer.send(&format!("{EVENT}{GREETING}"));
        let Some(request) = peer.next() else {
            return;
        };
        let id = request.root().get("id").unwrap().to_string();
        peer.send(&format!(
            "{EVENT}{{\"return\": {{}}, \"id\": {id}}}\r\n{EVENT}"
        ));
        peer.answer();
    })
}

#[test]
fn events_are_kept_from_the_first_word_on() {
    let scene = talkative();
    let options = scene.options().reconnect(LONG);
    let client = blocking::Client::connect(options.clone()).unwrap();
    let events = client.listen(EventFilter::all());
    let others = client.listen(EventFilter::all());
    let next = || events.next(Some(LONG)).unwrap();
    (0..3).for_each(|_| assert_eq!(next().name(), "EV"));
    assert!(others.try_next().is_none());
    // The server hangs up after the answer, and says the same on the next connection.
    client.execute_raw("x", None, within(LONG)).unwrap();
    (0..3).for_each(|_| assert_eq!(next().name(), "EV"));
    assert_eq!(events.n_missed(), 0);
    drop(client);
    let filter = EventFilter::name("EV");
    let (_client, events) = blocking::Client::connect_and_listen(options, filter).unwrap();
    (0..3).for_each(|_| assert_eq!(events.next(Some(LONG)).unwrap().name(), "EV"));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_kept_from_the_first_word_on_asynchronously() {
    let scene = talkative();
    let options = scene.options().reconnect(LONG);
    let client = Client::connect(options.clone()).await.unwrap();
    let mut events = client.listen(EventFilter::all());
    for _ in 0..3 {
        assert_eq!(events.next().await.unwrap().name(), "EV");
    }
    client.execute_raw("x", None, within(LONG)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(events.next().await.unwrap().name(), "EV");
    }
    drop(client);
    let filter = EventFilter::name("EV");
    let (_client, mut events) = Client::connect_and_listen(options, filter).await.unwrap();
    for _ in 0..3 {
        assert_eq!(events.next().await.unwrap().name(), "EV");
    }
}

/// Events that nobody listened to in time are counted.
#[test]
fn events_for_which_there_is_no_room_are_counted() {
    let scene = Scene::new(|_, mut peer| {
        peer.send(&format!("{}{GREETING}", EVENT.repeat(1030)));
        while peer.answer().is_some() {}
    });
    let client = blocking::Client::connect(scene.options()).unwrap();
    let events = client.listen(EventFilter::all());
    assert_eq!(events.n_missed(), 6);
    assert_eq!(std::iter::from_fn(|| events.try_next()).count(), 1024);
}

/// A server that negotiates and hangs up, and how often it has done so.
fn inhospitable() -> (Scene, Arc<AtomicUsize>) {
    let n_connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&n_connections);
    let scene = Scene::new(move |_, mut peer| {
        counter.fetch_add(1, Ordering::SeqCst);
        peer.send(GREETING);
        peer.answer();
    });
    (scene, n_connections)
}

/// How many connections a client may make in the time: each pause is at least half of twice the last one.
const FEW: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_up_at_once_is_not_stormed() {
    let (scene, n_connections) = inhospitable();
    let client = blocking::Client::connect(scene.options().reconnect(LONG)).unwrap();
    client
        .execute_raw("x", None, within(Duration::from_millis(500)))
        .unwrap_err();
    // Whatever becomes of the call, the connections go on.
    std::thread::sleep(Duration::from_millis(500));
    let n_blocking = n_connections.load(Ordering::SeqCst);
    assert!((2..FEW).contains(&n_blocking), "{n_blocking} connections");
    drop(client);
    let (scene, n_connections) = inhospitable();
    let _client = Client::connect(scene.options().reconnect(LONG))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let n_asynchronous = n_connections.load(Ordering::SeqCst);
    assert!(
        (2..FEW).contains(&n_asynchronous),
        "{n_asynchronous} connections"
    );
}

/// A server that answers commands in band only when one out of band has come, and how many have come by then.
fn patient() -> (Scene, Arc<AtomicUsize>) {
    let n_before = Arc::new(AtomicUsize::new(usize::MAX));
    let tells = Arc::clone(&n_before);
    let scene = Scene::new(move |_, mut peer| {
        peer.send(r#"{"QMP": {"version": {}, "capabilities": ["oob"]}}"#);
        peer.answer();
        let mut waiting = Vec::new();
        // It reads no further than a server with a queue of eight does.
        while waiting.len() < 9 {
            let Some(request) = peer.next() else {
                return;
            };
            let id = request.root().get("id").unwrap().to_string();
            if request.root().get("exec-oob").is_none() {
                waiting.push(id);
                continue;
            }
            tells.store(waiting.len(), Ordering::SeqCst);
            for id in waiting.drain(..).chain([id]) {
                peer.send(&format!("{{\"return\": {{}}, \"id\": {id}}}\r\n"));
            }
        }
    });
    (scene, n_before)
}

#[test]
fn a_command_out_of_band_passes_any_number_in_band() {
    let (scene, n_before) = patient();
    let client = blocking::Client::connect(scene.options()).unwrap();
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..12)
            .map(|_| scope.spawn(|| client.execute_raw("x", None, within(LONG))))
            .collect();
        // Until nobody can be on the way to the server any more that may be.
        eventually(|| {
            let late = client.execute_raw("y", None, within(SHORT)).unwrap_err();
            late.to_string()
                .contains("not sent, as earlier commands have no answer")
        });
        let oob = || within(LONG).out_of_band();
        client.execute_raw("yank", None, oob()).unwrap();
        assert_eq!(n_before.load(Ordering::SeqCst), 8);
        // The rest has come in the meantime, or will.
        while calls.iter().any(|call| !call.is_finished()) {
            client.execute_raw("yank", None, oob()).unwrap();
        }
        for call in calls {
            call.join().unwrap().unwrap();
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_out_of_band_passes_any_number_in_band_asynchronously() {
    let (scene, n_before) = patient();
    let client = Client::connect(scene.options()).await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let client = client.clone();
        calls.spawn(async move { client.execute_raw("x", None, within(LONG)).await });
    }
    let mut n_tries = 0;
    loop {
        let late = client.execute_raw("y", None, within(SHORT)).await;
        let late = late.unwrap_err().to_string();
        if late.contains("not sent, as earlier commands have no answer") {
            break;
        }
        n_tries += 1;
        assert!(n_tries < 100, "{late}");
    }
    let oob = async || {
        let options = within(LONG).out_of_band();
        client.execute_raw("yank", None, options).await.unwrap();
    };
    oob().await;
    assert_eq!(n_before.load(Ordering::SeqCst), 8);
    while !calls.is_empty() {
        oob().await;
        while let Some(call) = calls.try_join_next() {
            call.unwrap().unwrap();
        }
    }
}

/// What is closed is closed, at once and for all.
#[tokio::test(flavor = "multi_thread")]
async fn closing_is_seen_at_once() {
    let mock = Mock::new().start().unwrap();
    let client = blocking::Client::connect(ConnectOptions::new(mock.address())).unwrap();
    client.close();
    assert!(client.is_closed());
    let error = client.listen(EventFilter::all()).next(None).unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::Closed));
    let client = Client::connect(ConnectOptions::new(mock.address()))
        .await
        .unwrap();
    let second = client.clone();
    client.close();
    assert!(client.is_closed() && second.is_closed());
    let error = second.listen(EventFilter::all()).next().await.unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::Closed));
    let error = second.execute_raw("x", None, CallOptions::new()).await;
    assert!(matches!(error.unwrap_err().kind(), ClientErrorKind::Closed));
    assert!(mock.finish().is_empty());
}

/// Who is told that the server is gone finds the client closed.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_closed_when_it_is_told() {
    for _ in 0..50 {
        let mock = Mock::new().expect("x", None).disconnect().start().unwrap();
        let options = ConnectOptions::new(mock.address());
        let client = Client::connect(options).await.unwrap();
        client
            .execute_raw("x", None, within(LONG))
            .await
            .unwrap_err();
        assert!(client.is_closed());
        let mock = Mock::new().expect("x", None).disconnect().start().unwrap();
        let options = ConnectOptions::new(mock.address());
        let client = blocking::Client::connect(options).unwrap();
        client.execute_raw("x", None, within(LONG)).unwrap_err();
        assert!(client.is_closed());
    }
}

/// Errors of connecting by what the peer says instead of QMP.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_named_and_quoted() {
    let qmp = Dialect::Qmp;
    let agent = Dialect::GuestAgent;
    let busy = "a monitor of QEMU serves one client at a time, and another one may be connected";
    let cases: [(Dialect, &'static [u8], bool, &str); 7] = [
        (
            qmp,
            b"SSH-2.0-OpenSSH_9.2\r\n",
            true,
            "not a QMP server, it says 'SSH-2.0-OpenSSH_9.2'",
        ),
        (
            qmp,
            b"\x1b[2J\xff\n",
            true,
            r"not a QMP server, it says '\x1b[2J\xff'",
        ),
        (
            qmp,
            b"{\"return\": []}\n",
            true,
            "not a QMP server, it says '{\"return\": []}'",
        ),
        (qmp, b"", true, &format!("no greeting in 300ms ({busy})")),
        (
            qmp,
            b"{\"QMP\"",
            true,
            "no greeting in 300ms (it says '{\"QMP\"')",
        ),
        (
            qmp,
            b"",
            false,
            "the server closed the connection before it greeted",
        ),
        (
            agent,
            b"login: ",
            true,
            "no answer to guest-sync-delimited in 300ms (it says 'login:')",
        ),
    ];
    for (dialect, says, stays, expected) in cases {
        let scene = Scene::new(move |_, mut peer| {
            peer.stream.write_all(says).unwrap();
            // An end that waits for nothing would overtake what the client sends.
            while stays
                && peer
                    .stream
                    .read(&mut [0; 4096])
                    .is_ok_and(|count| count > 0)
            {}
        });
        let options = scene.options().dialect(dialect);
        let options = options.handshake_timeout(Duration::from_millis(300));
        let expected = format!(
            "cannot connect to 'unix:{}': {expected}",
            scene.socket.display()
        );
        let blocking = blocking::Client::connect(options.clone()).err().unwrap();
        assert_eq!(blocking.to_string(), expected);
        let asynchronous = Client::connect(options).await.err().unwrap();
        assert_eq!(asynchronous.to_string(), expected);
    }
}
