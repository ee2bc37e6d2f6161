//! Servers and clients at each kind of address that this system has.

mod live;
#[cfg(windows)]
mod pipes;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use qapi_runtime::client::{
    Address, CallOptions, Client, ClientErrorKind, ConnectOptions, EventFilter, blocking,
};
use qapi_runtime::json::Document;
use qapi_runtime::server::{ListenAddress, Server};
use qapi_runtime::session::{EventMessage, SessionConfig};
use qapi_runtime::{Error, Value};
use tests::PATIENCE;

/// How long something is waited for that does not come.
const SHORT: Duration = Duration::from_millis(100);

/// A name that no other test has.
fn unique(what: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{}-{number}", std::process::id())
}

/// Where servers can listen: the two forms of each address.
fn places(folder: &tempfile::TempDir) -> Vec<(ListenAddress, Option<Address>)> {
    let tcp = ListenAddress::Tcp("127.0.0.1:0".to_owned());
    let path = folder.path().join(unique("qmp"));
    let local = match cfg!(windows) {
        true => {
            let name = unique("qapi-runtime-test");
            let address = Address::Pipe(name.clone().into());
            (ListenAddress::Pipe(name.into()), address)
        }
        false => (ListenAddress::unix(&path), Address::unix(&path)),
    };
    vec![(tcp, None), (local.0, Some(local.1))]
}

fn server() -> Server {
    let commands = Arc::new(tests::service());
    Server::new(SessionConfig::default(), move |_| commands.clone())
}

/// A server, and where clients find it.
async fn serve(listen: &ListenAddress, address: Option<Address>) -> (Server, Address) {
    let server = server();
    let bound = server.listen(listen).await.unwrap();
    let found = bound.map(|it| Address::Tcp(it.to_string()));
    (server, found.or(address).unwrap())
}

fn options(address: &Address) -> ConnectOptions {
    ConnectOptions::new(address.clone())
        .handshake_timeout(PATIENCE)
        .timeout(PATIENCE)
}

fn event() -> EventMessage {
    EventMessage::new("X", None, SystemTime::UNIX_EPOCH)
}

/// More than sockets and pipes hold.
fn long() -> Value {
    Value::from([("long", "x".repeat(1_000_000).as_str())])
}

fn not_found(error: &Error) -> bool {
    error.class.as_str() == "DeviceNotFound"
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_and_events() {
    let folder = tempfile::tempdir().unwrap();
    let long = long();
    for (listen, address) in places(&folder) {
        let (server, address) = serve(&listen, address).await;
        let instance = Value::from([("type", "migration")]);
        let yank = Value::from([("instances", Value::Array(vec![instance]))]);
        let out_of_band = || CallOptions::new().out_of_band();

        let client = Client::connect(options(&address)).await.unwrap();
        let mut events = client.listen(EventFilter::name("X"));
        let echoed = client.execute_raw("x-echo", Some(&long), CallOptions::new());
        assert_eq!(echoed.await.unwrap(), long);
        let refused = client.execute_raw("yank", Some(&yank), out_of_band()).await;
        assert!(not_found(refused.unwrap_err().server_error().unwrap()));
        server.emit(event());
        let next = tokio::time::timeout(PATIENCE, events.next()).await;
        assert_eq!(next.unwrap().unwrap().name(), "X");

        let blocking = blocking::Client::connect(options(&address)).unwrap();
        let events = blocking.listen(EventFilter::name("X"));
        let echoed = blocking.execute_raw("x-echo", Some(&long), CallOptions::new());
        assert_eq!(echoed.unwrap(), long);
        let refused = blocking.execute_raw("yank", Some(&yank), out_of_band());
        assert!(not_found(refused.unwrap_err().server_error().unwrap()));
        server.emit(event());
        assert_eq!(events.next(Some(PATIENCE)).unwrap().name(), "X");

        assert_eq!(server.n_sessions(), 2);
        assert_eq!(server.shutdown().await, 0);
        assert!(
            client
                .execute_raw("query-name", None, CallOptions::new())
                .await
                .is_err()
        );
        assert!(
            blocking
                .execute_raw("query-name", None, CallOptions::new())
                .is_err()
        );
        let error = blocking::Client::connect(options(&address)).unwrap_err();
        assert!(matches!(error.kind(), ClientErrorKind::Io(_)), "{error:?}");
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot connect to '{address}': ")),
            "{error}"
        );
    }
}

/// A second server does not take the place of one that runs.
#[tokio::test(flavor = "multi_thread")]
async fn places_that_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    for (listen, address) in places(&folder) {
        #[cfg(windows)]
        if matches!(listen, ListenAddress::Pipe(_)) && pipes::may_be_shared() {
            println!("skipped: pipes that are taken: this Windows lets two have a name");
            continue;
        }
        let (server, address) = serve(&listen, address).await;
        let again = match &address {
            Address::Tcp(address) => ListenAddress::Tcp(address.clone()),
            _ => listen,
        };
        let error = self::server().listen(&again).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse, "{error}");
        Client::connect(options(&address)).await.unwrap();
        server.shutdown().await;
    }
}

/// Threads write while another one reads.
#[tokio::test(flavor = "multi_thread")]
async fn many_threads_on_one_client() {
    let folder = tempfile::tempdir().unwrap();
    for (listen, address) in places(&folder) {
        let (server, address) = serve(&listen, address).await;
        let client = blocking::Client::connect(options(&address)).unwrap();
        let events = client.listen(EventFilter::name("X"));
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (client, server) = (&client, &server);
                scope.spawn(move || {
                    for count in 0..50 {
                        let sent = Value::from([("number", Value::Int(number * 100 + count))]);
                        let echoed = client.execute_raw("x-echo", Some(&sent), CallOptions::new());
                        assert_eq!(echoed.unwrap(), sent);
                        server.emit(event());
                    }
                });
            }
        });
        for _ in 0..200 {
            events.next(Some(PATIENCE)).unwrap();
        }
        client.close();
        assert_eq!(server.shutdown().await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let long = long();
    for (listen, address) in places(&folder) {
        let (server, address) = serve(&listen, address).await;
        let again = match &address {
            Address::Tcp(address) => ListenAddress::Tcp(address.clone()),
            _ => listen,
        };
        let lasting = || options(&address).reconnect(PATIENCE);
        let client = Client::connect(lasting()).await.unwrap();
        let blocking = blocking::Client::connect(lasting()).unwrap();
        server.shutdown().await;
        let next = self::server();
        next.listen(&again).await.unwrap();
        let echoed = client.execute_raw("x-echo", Some(&long), CallOptions::new());
        assert_eq!(echoed.await.unwrap(), long);
        let echoed = blocking.execute_raw("x-echo", Some(&long), CallOptions::new());
        assert_eq!(echoed.unwrap(), long);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_come_later() {
    let folder = tempfile::tempdir().unwrap();
    for (listen, address) in places(&folder) {
        let Some(address) = address else {
            continue;
        };
        let patient = options(&address).wait_for_socket(PATIENCE);
        let connecting = tokio::spawn(Client::connect(patient.clone()));
        let blocking = std::thread::spawn(|| blocking::Client::connect(patient));
        tokio::time::sleep(SHORT).await;
        let (server, _) = serve(&listen, Some(address)).await;
        connecting.await.unwrap().unwrap();
        blocking.join().unwrap().unwrap();
        server.shutdown().await;
    }
}

/// A peer on TCP that does what it is told to with its first client, after it has greeted.
fn peer(then: impl FnOnce(TcpStream) + Send + 'static) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap().to_string());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let greeting = br#"{"QMP": {"version": {}, "capabilities": []}}"#;
        stream.write_all(greeting).unwrap();
        then(stream);
    });
    address
}

/// Answers the negotiation and leaves the next command unread, which resets the connection.
fn resets(mut stream: TcpStream) {
    // Byte by byte, since the rest is to stay where it is.
    let mut lines = BufReader::with_capacity(1, stream.try_clone().unwrap());
    let mut line = Vec::new();
    lines.read_until(b'\n', &mut line).unwrap();
    let request = Document::parse(&line).unwrap();
    let id = request.root().get("id").unwrap();
    let answer = format!("{{\"return\": {{}}, \"id\": {id}}}\r\n");
    stream.write_all(answer.as_bytes()).unwrap();
    let is_there = stream.peek(&mut [0; 8]).unwrap() > 0;
    assert!(is_there);
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_reset() {
    let client = blocking::Client::connect(options(&peer(resets))).unwrap();
    let error = client.execute_raw("x", None, CallOptions::new());
    let error = error.unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::Closed), "{error:?}");
    let client = Client::connect(options(&peer(resets))).await.unwrap();
    let error = client.execute_raw("x", None, CallOptions::new()).await;
    let error = error.unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::Closed), "{error:?}");
    // In the middle of the handshake.
    let rude = || peer(|stream| drop(stream.peek(&mut [0; 8])));
    let error = blocking::Client::connect(options(&rude())).unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::Closed), "{error:?}");
    let error = Client::connect(options(&rude())).await.unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::Closed), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_say_nothing_more() {
    let silent = || {
        peer(|mut stream| {
            // Until the client is gone.
            let _ = stream.read_to_end(&mut Vec::new());
        })
    };
    let hasty = || options(&silent()).handshake_timeout(SHORT);
    let error = blocking::Client::connect(hasty()).unwrap_err();
    assert!(
        matches!(error.kind(), ClientErrorKind::TimedOut(_)),
        "{error:?}"
    );
    let error = Client::connect(hasty()).await.unwrap_err();
    assert!(
        matches!(error.kind(), ClientErrorKind::TimedOut(_)),
        "{error:?}"
    );
}

/// What this system lacks is an error that says so.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_system_lacks() {
    let linux = cfg!(target_os = "linux");
    let no_unix = "there are no unix sockets on Windows, but tcp: and pipe:";
    let no_abstract = "abstract names of unix sockets exist on Linux only";
    let no_fd = "programs are started without descriptors on Windows";
    for (is_here, text, why) in [
        (cfg!(unix), "unix:/nowhere/qmp", no_unix),
        (linux, "unix:x,abstract=on", no_abstract),
        (linux, "vsock:2:1", "vsock exists on Linux only"),
        (cfg!(unix), "fd:3", no_fd),
    ] {
        if is_here {
            continue;
        }
        let address: Address = text.parse().unwrap();
        let error = Client::connect(options(&address)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot connect to '{text}': {why}")
        );
        let error = blocking::Client::connect(options(&address)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot connect to '{text}': {why}")
        );
    }
    let no_pipe = "servers listen at named pipes on Windows only";
    for (is_here, listen, why) in [
        (cfg!(unix), ListenAddress::unix("/nowhere/qmp"), no_unix),
        (linux, ListenAddress::Abstract(b"x".to_vec()), no_abstract),
        (cfg!(windows), ListenAddress::Pipe("x".into()), no_pipe),
    ] {
        if !is_here {
            let error = server().listen(&listen).await.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::Unsupported, "{error}");
            assert!(error.to_string().ends_with(why), "{error}");
        }
    }
}
