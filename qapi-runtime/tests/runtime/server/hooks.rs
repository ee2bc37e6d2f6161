//! What the owner of a server decides and gets to know.

use std::io::Read as _;

use qapi_runtime::server::Hooks;
use qapi_runtime::session::EventLimiter;

use super::*;

/// Notes what it is told, and refuses some of it.
#[derive(Clone, Default)]
struct Notes {
    lines: Arc<Mutex<Vec<String>>>,
    refuses_clients: bool,
}

impl Notes {
    fn add(&self, connection: &Connection, line: String) {
        let line = format!("{} {line}", connection.number());
        self.lines.lock().unwrap().push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Hooks for Notes {
    fn connected(&self, connection: &Connection) -> Result<(), Error> {
        let peer = connection.peer_credentials();
        let process = peer.and_then(|peer| peer.process);
        let is_own = process == Some(std::process::id());
        self.add(connection, format!("connected, own: {is_own}"));
        match self.refuses_clients {
            true => Err(Error::generic("not today")),
            false => Ok(()),
        }
    }

    fn command(&self, connection: &Connection, command: &str) -> Result<(), Error> {
        self.add(connection, format!("command {command}"));
        match command {
            "quit" => Err(Error::generic("not for everybody")),
            _ => Ok(()),
        }
    }

    fn answered(
        &self,
        connection: &Connection,
        command: &str,
        _took: Duration,
        result: Result<(), &Error>,
    ) {
        let result = result.map_or_else(|error| error.desc.clone(), |()| "ok".to_owned());
        self.add(connection, format!("answered {command}: {result}"));
    }

    fn disconnected(&self, connection: &Connection) {
        self.add(connection, "disconnected".to_owned());
    }
}

#[test]
fn the_owner_is_told_of_everything_and_refuses_commands() {
    let _expected = tests::panics::expect("on purpose");
    // Where the session is driven, and elsewhere.
    for runs_inline in [|_: &CommandInfo| false, |_: &CommandInfo| true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qmp.sock");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let gate = Arc::new(Semaphore::new(1));
        let server = server_with(SessionConfig::default(), &gate, runs_inline);
        let notes = Notes::default();
        server.set_hooks(notes.clone());
        runtime
            .block_on(server.listen(&ListenAddress::unix(&path)))
            .unwrap();
        let mut client = Client::connect(&path);
        let requests = [
            (r#"{"execute": "query-name"}"#, r#"{"return": {}}"#),
            (r#"{"execute": "wait"}"#, r#"{"return": "waited"}"#),
            (r#"{"execute": "panics"}"#, "internal error"),
            (r#"{"execute": "quit"}"#, "not for everybody"),
            (r#"{"execute": "nothing"}"#, "CommandNotFound"),
            (r#"{"exec-oob": "query-name"}"#, "unexpected"),
            (r#"{"execute": 1}"#, "must be a string"),
        ];
        for (request, reply) in requests {
            client.send(request);
            let line = client.line();
            assert!(line.contains(reply), "{request}: {line}");
        }
        drop(client);
        wait_until("the client is gone", || {
            notes
                .lines()
                .last()
                .is_some_and(|it| it.ends_with("disconnected"))
        });
        assert_eq!(
            notes.lines(),
            [
                "0 connected, own: true",
                "0 command qmp_capabilities",
                "0 answered qmp_capabilities: ok",
                "0 command query-name",
                "0 answered query-name: ok",
                "0 command wait",
                "0 answered wait: ok",
                "0 command panics",
                "0 answered panics: internal error while executing command 'panics'",
                "0 command quit",
                "0 answered quit: not for everybody",
                "0 answered nothing: The command nothing has not been found",
                "0 answered query-name: QMP input member 'exec-oob' is unexpected",
                "0 answered : QMP input member 'execute' must be a string",
                "0 disconnected",
            ]
        );
    }
}

#[test]
fn who_is_not_wanted_is_disconnected_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = server(&Arc::new(Semaphore::new(0)));
    let notices = Arc::<Mutex<Vec<String>>>::default();
    let all = Arc::clone(&notices);
    server.on_notice(move |notice| all.lock().unwrap().push(notice.to_string()));
    runtime
        .block_on(server.listen(&ListenAddress::unix(&path)))
        .unwrap();
    let refused = || {
        let mut stream = UnixStream::connect(&path).unwrap();
        let mut received = Vec::new();
        // The end may come as a reset.
        let _ = stream.read_to_end(&mut received);
        assert_eq!(received, b"", "no greeting");
    };
    server.set_max_sessions(1);
    let first = Client::connect(&path);
    refused();
    server.set_max_sessions(2);
    let second = Client::connect(&path);
    assert_eq!(server.n_sessions(), 2);
    refused();
    drop((first, second));
    wait_until("both are gone", || server.n_sessions() == 0);
    let notes = Notes {
        refuses_clients: true,
        ..Notes::default()
    };
    server.set_hooks(notes.clone());
    refused();
    // A client that was not served is not said to have gone.
    assert_eq!(notes.lines(), ["4 connected, own: true"]);
    assert_eq!(server.n_sessions(), 0);
    assert_eq!(
        *notices.lock().unwrap(),
        [
            "connection 1 was refused: there are as many clients as are served",
            "connection 3 was refused: there are as many clients as are served",
            "connection 4 was refused: not today",
        ]
    );
}

#[test]
fn clients_on_tcp_have_an_address() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let peers = Arc::<Mutex<Vec<_>>>::default();
    let seen = Arc::clone(&peers);
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::new(SessionConfig::default(), move |connection| {
        let mut seen = seen.lock().unwrap();
        seen.push((connection.peer_address(), connection.peer_credentials()));
        let state = State {
            connection: connection.clone(),
            gate: Arc::clone(&gate),
        };
        Arc::new(Table::new(&COMMANDS, Arc::new(state))) as Arc<dyn Service>
    });
    let address = ListenAddress::Tcp("127.0.0.1:0".to_owned());
    let address = runtime.block_on(server.listen(&address)).unwrap().unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.read_exact(&mut [0]).unwrap();
    let own = stream.local_addr().unwrap();
    assert_eq!(*peers.lock().unwrap(), [(Some(own), None)]);
}

#[test]
fn an_event_may_be_for_one_client_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let connections = Arc::<Mutex<Vec<Connection>>>::default();
    let all = Arc::clone(&connections);
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::new(SessionConfig::default(), move |connection| {
        all.lock().unwrap().push(connection.clone());
        let state = State {
            connection: connection.clone(),
            gate: Arc::clone(&gate),
        };
        Arc::new(Table::new(&COMMANDS, Arc::new(state))) as Arc<dyn Service>
    });
    runtime
        .block_on(server.listen(&ListenAddress::unix(&path)))
        .unwrap();
    let mut first = Client::connect(&path);
    let mut second = Client::connect(&path);
    let connections = connections.lock().unwrap().clone();
    connections[1].emit_to_client(event(1));
    assert_eq!(second.line(), event_line(1));
    connections[0].emit(event(2));
    assert_eq!(first.line(), event_line(2), "and not the one before");
    assert_eq!(second.line(), event_line(2));
    // Handlers can be tested without a server.
    let detached = Connection::detached();
    detached.emit(event(3));
    detached.emit_to_client(event(3));
    assert!(!detached.is_cancelled());
}

#[test]
fn own_events_are_held_back_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("qmp.sock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = server(&Arc::new(Semaphore::new(0)));
    let period = Duration::from_millis(1);
    server.set_event_limiter(EventLimiter::new(Duration::from_secs(3600), [("X", None)]));
    runtime
        .block_on(server.listen(&ListenAddress::unix(&path)))
        .unwrap();
    let mut client = Client::connect(&path);
    let _guard = runtime.enter();
    server.emit(event(1));
    server.emit(event(2));
    // What is held back goes with its limiter.
    server.set_event_limiter(EventLimiter::new(period, [("X", None)]));
    server.emit(event(3));
    server.emit(event(4));
    assert_eq!(client.line(), event_line(1));
    assert_eq!(client.line(), event_line(3));
    assert_eq!(client.line(), event_line(4));
}
