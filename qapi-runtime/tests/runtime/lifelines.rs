//! How servers are, as clients tell it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use qapi_runtime::client::{
    Address, CallOptions, Client, ClientError, ConnectOptions, LifelineState, blocking,
};
use qapi_runtime::json::Document;
use tests::{PATIENCE, eventually};

const SHORT: Duration = Duration::from_millis(50);

/// A server of one client, who gets an answer when the test says so.
struct Peer {
    socket: PathBuf,
    answer: mpsc::Sender<()>,
    _folder: tempfile::TempDir,
}

impl Peer {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("qmp");
        let listener = UnixListener::bind(&socket).unwrap();
        let (answer, answers) = mpsc::channel();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let say = |stream: &UnixStream, line: &str| {
                let mut stream = stream;
                // The client may be gone.
                let _ = stream.write_all(format!("{line}\r\n").as_bytes());
            };
            let greeting = r#"{"QMP": {"version": {}, "capabilities": []}}"#;
            say(reader.get_ref(), greeting);
            let mut line = String::new();
            let mut is_first = true;
            while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
                // It hangs up when the test has no more to say.
                if !std::mem::take(&mut is_first) && answers.recv().is_err() {
                    return;
                }
                let command = Document::parse(line.as_bytes()).unwrap();
                let id = command.root().get("id").unwrap().to_string();
                say(
                    reader.get_ref(),
                    &format!("{{\"return\": {{}}, \"id\": {id}}}"),
                );
                line.clear();
            }
        });
        Self {
            socket,
            answer,
            _folder: folder,
        }
    }

    fn options(&self) -> ConnectOptions {
        ConnectOptions::new(Address::unix(&self.socket))
    }
}

/// Goes through the states with what both clients have.
macro_rules! goes_through_all_states {
    ($peer:ident, $client:ident) => {
        let state = |patience| $client.lifeline(patience).state;
        assert_eq!(state(PATIENCE), LifelineState::Alive);
        // Nothing was asked, so nothing is late.
        assert_eq!(state(Duration::ZERO), LifelineState::Alive);
        let error = ask!($client).unwrap_err();
        assert_eq!(error.lifeline(), Some(LifelineState::Silent));
        // Its caller has given up, and there still is no answer.
        assert_eq!(state(Duration::ZERO), LifelineState::Silent);
        // It is as old as the request, which may have left after its time had begun.
        eventually(|| $client.lifeline(Duration::ZERO).age >= SHORT);
        assert_eq!(state(PATIENCE * 100), LifelineState::Alive);
        eventually(|| {
            let waited = $client.lifeline(Duration::ZERO).age;
            state(waited * 2) == LifelineState::Slow
        });
        $peer.answer.send(()).unwrap();
        // The answer comes, if late.
        eventually(|| state(PATIENCE * 100) == LifelineState::Alive);
        eventually(|| state(SHORT) == LifelineState::Slow);
        let _ = ask!($client);
        drop($peer);
        eventually(|| state(PATIENCE * 100) == LifelineState::Gone);
        let error = ask!($client).unwrap_err();
        assert_eq!(error.lifeline(), Some(LifelineState::Gone));
    };
}

fn brief() -> CallOptions {
    CallOptions::new().timeout(SHORT)
}

#[test]
fn a_blocking_client_tells_how_its_server_is() {
    macro_rules! ask {
        ($client:ident) => {
            $client.execute_raw("x", None, brief())
        };
    }
    let peer = Peer::start();
    let client = blocking::Client::connect(peer.options()).unwrap();
    goes_through_all_states!(peer, client);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_client_tells_how_its_server_is() {
    macro_rules! ask {
        ($client:ident) => {
            $client.execute_raw("x", None, brief()).await
        };
    }
    let peer = Peer::start();
    let client = Client::connect(peer.options()).await.unwrap();
    goes_through_all_states!(peer, client);
}

/// What both clients say of a server that they cannot connect to.
async fn not_connected(path: &Path) -> [ClientError; 2] {
    let options = ConnectOptions::new(Address::unix(path)).handshake_timeout(SHORT);
    let blocking = blocking::Client::connect(options.clone()).err().unwrap();
    [blocking, Client::connect(options).await.err().unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_without_a_connection_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp");
    let states = async |expected, text: &str| {
        for error in not_connected(&path).await {
            assert_eq!(error.lifeline(), expected, "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    };
    states(Some(LifelineState::Gone), "No such file").await;
    let listener = UnixListener::bind(&path).unwrap();
    states(Some(LifelineState::Silent), "no greeting").await;
    // Those that have given up were never accepted.
    while listener.set_nonblocking(true).is_ok() && listener.accept().is_ok() {}
    let first = UnixStream::connect(&path).unwrap();
    let accepted = listener.accept().unwrap();
    states(Some(LifelineState::Busy), "it serves another one").await;
    drop((first, accepted, listener));
    states(Some(LifelineState::Gone), "refused").await;

    std::fs::remove_file(&path).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // The client may be gone.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    states(None, "not a QMP server").await;
}
