//! Clients whose server goes away, or that try to send what cannot be sent.

use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use qapi_runtime::Value;
use qapi_runtime::client::{
    Address, CallOptions, Client, ClientError, ClientErrorKind, ConnectOptions, Dialect,
    EventFilter, blocking,
};
use qapi_runtime::descriptor;
use qapi_runtime::json::Document;
use qapi_runtime::message::Request;
use qapi_runtime::visit::{Members, ObjectInput, ObjectOutput, VisitError};

/// How long a client waits for an answer that may not come.
const PATIENCE: Duration = Duration::from_millis(10);

/// How long it waits for one that must come.
const LONG: Duration = Duration::from_secs(20);

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

    fn answer(&mut self) {
        assert!(self.try_answer(), "the client is gone");
    }

    /// Answers one command, whichever it is. False if no command comes any more.
    fn try_answer(&mut self) -> bool {
        let mut line = String::new();
        if self.0.read_line(&mut line).unwrap() == 0 {
            return false;
        }
        let command = Document::parse(line.as_bytes()).unwrap();
        let id = command.root().get("id").unwrap().to_string();
        self.send(&format!(r#"{{"return": {{}}, "id": {id}}}"#));
        true
    }

    fn send(&mut self, line: &str) {
        // In one piece: who has got the line may be gone.
        let line = format!("{line}\r\n");
        self.0.get_ref().write_all(line.as_bytes()).unwrap();
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

#[tokio::test(flavor = "multi_thread")]
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

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_sent_asynchronously_fails_alone() {
    let scene = taciturn(1);
    let client = Client::connect(scene.options()).await.unwrap();
    let error = client.execute_raw("x", None, too_many()).await.unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::Io(_)), "{error:?}");
    let call = client.execute_raw("x", None, CallOptions::new());
    call.await.unwrap();
    scene.end();
}

/// A server of many connections: it answers none to four commands of each, and all of the last
/// one, of which it tells.
fn fickle() -> (Scene, Arc<AtomicBool>) {
    let is_last = Arc::new(AtomicBool::new(false));
    let tells = Arc::clone(&is_last);
    let scene = Scene::new(move |listener| {
        for n_answers in (0..5).cycle().take(ROUNDS) {
            let mut peer = Peer::accept(&listener);
            (0..n_answers).for_each(|_| peer.answer());
        }
        let mut last = Peer::accept(&listener);
        tells.store(true, Ordering::SeqCst);
        while last.try_answer() {}
    });
    (scene, is_last)
}

/// A call ends with an answer or with its connection, and one that starts on a good connection
/// with an answer.
fn check(result: Result<Value, ClientError>, is_last: bool) {
    if let Err(error) = result {
        assert!(is_closed(&error) && !is_last, "{error:?}");
    }
}

#[test]
fn every_call_ends_however_often_connections_break() {
    let (scene, is_last) = fickle();
    let options = scene.options().reconnect(Duration::MAX);
    let client = blocking::Client::connect(options).unwrap();
    let call = || client.execute_raw("x", None, CallOptions::new().timeout(LONG));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_last.load(Ordering::SeqCst) {
                    check(call(), false);
                }
                (0..20).for_each(|_| check(call(), true));
            });
        }
    });
    drop(client);
    scene.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_ends_however_often_connections_break_asynchronously() {
    let (scene, is_last) = fickle();
    let options = scene.options().reconnect(Duration::MAX);
    let client = Client::connect(options).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let client = client.clone();
        let is_last = Arc::clone(&is_last);
        let call = async move || {
            let options = CallOptions::new().timeout(LONG);
            client.execute_raw("x", None, options).await
        };
        tasks.spawn(async move {
            while !is_last.load(Ordering::SeqCst) {
                check(call().await, false);
            }
            for _ in 0..20 {
                check(call().await, true);
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    drop(client);
    scene.end();
}

/// A server that negotiates, and then neither reads nor goes until the client has gone.
fn numb() -> Scene {
    Scene::new(|listener| {
        let peer = Peer::accept(&listener);
        let mut descriptor = [rustix::event::PollFd::new(
            peer.0.get_ref(),
            rustix::event::PollFlags::RDHUP,
        )];
        rustix::event::poll(&mut descriptor, None).unwrap();
    })
}

/// More than a socket takes.
fn large() -> Value {
    let text = "x".repeat(8 << 20);
    Value::from_iter([("text".to_owned(), Value::from(text))])
}

/// Time-outs hold for requests that cannot be written, and for those after them.
#[test]
fn a_server_that_does_not_read_holds_up_nobody() {
    let scene = numb();
    let client = blocking::Client::connect(scene.options()).unwrap();
    let call = |arguments| {
        let options = CallOptions::new().timeout(Duration::from_millis(200));
        client.execute_raw("x", arguments, options).unwrap_err()
    };
    let arguments = large();
    std::thread::scope(|scope| {
        let calls = [Some(&arguments), None, None].map(|it| scope.spawn(move || call(it)));
        for call in calls {
            let error = call.join().unwrap();
            assert!(is_late(&error) || is_closed(&error), "{error:?}");
        }
    });
    drop(client);
    scene.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_read_holds_up_nobody_asynchronously() {
    let scene = numb();
    let client = Client::connect(scene.options()).await.unwrap();
    let arguments = large();
    let call = |arguments| {
        let options = CallOptions::new().timeout(Duration::from_millis(200));
        client.execute_raw("x", arguments, options)
    };
    let (one, two) = tokio::join!(call(Some(&arguments)), call(None));
    assert!(is_late(&one.unwrap_err()));
    assert!(is_late(&two.unwrap_err()));
    drop(client);
    scene.end();
}

/// A command that is answered only when it fails.
struct Silent;

impl Members for Silent {
    fn read_members(_: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
        Ok(Self)
    }

    fn write_members(&self, _: &mut ObjectOutput<'_>) {}
}

impl Request for Silent {
    const COMMAND: &'static str = "guest-shutdown";
    const ALLOW_OOB: bool = false;
    const SUCCESS_RESPONSE: bool = false;
    type Returns = ();
}

/// Silence is success only of a command that the server has got.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_not_sent_has_not_succeeded() {
    let scene = deaf();
    let client = Client::connect(scene.options()).await.unwrap();
    client.execute(&Silent).await.unwrap();
    loop {
        // Until the server does not listen any more.
        let options = CallOptions::new().timeout(PATIENCE);
        let error = client.execute_raw("x", None, options).await;
        if error.is_err_and(|error| is_closed(&error)) {
            break;
        }
    }
    assert!(is_closed(&client.execute(&Silent).await.unwrap_err()));
    drop(client);
    let second = blocking::Client::connect(scene.options()).unwrap();
    second.execute_raw("x", None, CallOptions::new()).unwrap();
    scene.end();
}

/// The runtime that a connection was made on may end before those who use it.
#[test]
fn a_call_ends_with_the_runtime_of_its_connection() {
    let scene = numb();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = runtime.block_on(Client::connect(scene.options())).unwrap();
    let call = std::thread::spawn({
        let client = client.clone();
        move || {
            let other = tokio::runtime::Runtime::new().unwrap();
            other.block_on(client.execute_raw("x", None, CallOptions::new()))
        }
    });
    // The call is under way, or comes too late: it ends.
    std::thread::sleep(PATIENCE);
    runtime.shutdown_background();
    assert!(is_closed(&call.join().unwrap().unwrap_err()));
    assert!(client.is_closed());
    scene.end();
}

/// An old guest agent does not repeat the `id`, so answers are told apart by their order only.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_not_sent_takes_nobodys_answer() {
    let scene = Scene::new(|listener| {
        let (stream, _) = listener.accept().unwrap();
        let mut peer = Peer(BufReader::new(stream));
        let mut line = Vec::new();
        peer.0.read_until(b'\n', &mut line).unwrap();
        let text = String::from_utf8_lossy(&line[1..]).into_owned();
        let sync = Document::parse(text.as_bytes()).unwrap();
        let id = sync.root().get("arguments").unwrap().get("id").unwrap();
        peer.0.get_ref().write_all(b"\xff").unwrap();
        peer.send(&format!(r#"{{"return": {id}}}"#));
        peer.0.read_until(b'\n', &mut line).unwrap();
        peer.send(r#"{"return": 7}"#);
    });
    let options = scene.options().dialect(Dialect::GuestAgent);
    let client = Client::connect(options).await.unwrap();
    client.execute_raw("x", None, too_many()).await.unwrap_err();
    let options = CallOptions::new().timeout(LONG);
    let answer = client.execute_raw("x", None, options).await.unwrap();
    assert_eq!(answer, Value::Int(7));
    drop(client);
    scene.end();
}

/// A server that does not accept keeps nobody longer than the handshake may take.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_accept_is_given_up() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

    let name = format!("lost-{}", std::process::id());
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    );
    let socket = socket.unwrap();
    let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap();
    rustix::net::bind(&socket, &address).unwrap();
    // Room for one.
    rustix::net::listen(&socket, 0).unwrap();
    let options = ConnectOptions::new(Address::Abstract(name.into_bytes()))
        .handshake_timeout(Duration::from_millis(100));
    let connect = || blocking::Client::connect(options.clone()).unwrap_err();
    let in_a_thread = || std::thread::scope(|scope| scope.spawn(connect).join().unwrap());
    assert!(is_late(&in_a_thread()));
    // What it left in the queue stays there.
    in_a_thread();
    Client::connect(options.clone()).await.unwrap_err();
}

/// A server that passes its own socket to its client, with the greeting and with a reply, and goes.
fn clinging() -> Scene {
    Scene::new(|listener| {
        for _ in 0..2 {
            let (stream, _) = listener.accept().unwrap();
            let mut peer = Peer(BufReader::new(stream));
            let pass = |peer: &Peer, line: &str| {
                let socket = peer.0.get_ref();
                let line = format!("{line}\r\n");
                descriptor::send(socket, line.as_bytes(), &[socket.as_fd()]).unwrap();
            };
            pass(&peer, r#"{"QMP": {"version": {}, "capabilities": []}}"#);
            peer.answer();
            let mut line = String::new();
            peer.0.read_line(&mut line).unwrap();
            let command = Document::parse(line.as_bytes()).unwrap();
            let id = command.root().get("id").unwrap().to_string();
            pass(&peer, &format!(r#"{{"return": {{}}, "id": {id}}}"#));
        }
    })
}

/// What nobody has asked for keeps no connection alive.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_passed_its_own_socket_is_gone_when_it_goes() {
    let scene = clinging();
    {
        let client = blocking::Client::connect(scene.options()).unwrap();
        let events = client.listen(EventFilter::all());
        client.execute_raw("x", None, CallOptions::new()).unwrap();
        let error = events.next(Some(LONG)).unwrap_err();
        assert!(is_closed(&error), "{error:?}");
    }
    let client = Client::connect(scene.options()).await.unwrap();
    let mut events = client.listen(EventFilter::all());
    let call = client.execute_raw("x", None, CallOptions::new());
    call.await.unwrap();
    let error = tokio::time::timeout(LONG, events.next()).await;
    assert!(is_closed(&error.unwrap().unwrap_err()));
    scene.end();
}

/// What did not come in time is told.
#[tokio::test(flavor = "multi_thread")]
async fn errors_of_time_say_what_was_waited_for() {
    let filter = EventFilter::all;
    let late = Some(PATIENCE);
    let call = || CallOptions::new().timeout(PATIENCE);
    let lost =
        |peer: &Address| format!("x: the connection to '{peer}' is lost, and no new one in 10ms");

    let scene = taciturn(1);
    let peer = Address::unix(&scene.socket);
    let client = blocking::Client::connect(scene.options().reconnect(LONG)).unwrap();
    let error = client.wait_for_event(filter(), late).unwrap_err();
    assert_eq!(error.to_string(), format!("no event from '{peer}' in 10ms"));
    client.execute_raw("x", None, CallOptions::new()).unwrap();
    // The server goes, which the client may not see at once.
    scene.end();
    while !client
        .execute_raw("x", None, call())
        .unwrap_err()
        .to_string()
        .starts_with(&lost(&peer))
    {
        assert!(!client.is_closed());
    }

    let scene = taciturn(1);
    let peer = Address::unix(&scene.socket);
    let options = scene.options().reconnect(LONG);
    let client = Client::connect(options).await.unwrap();
    let error = client.wait_for_event(filter(), late).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no event from '{peer}' in 10ms"));
    let answered = client.execute_raw("x", None, CallOptions::new());
    answered.await.unwrap();
    scene.end();
    loop {
        let error = client.execute_raw("x", None, call()).await.unwrap_err();
        if error.to_string().starts_with(&lost(&peer)) {
            break;
        }
        assert!(!client.is_closed());
    }
}
