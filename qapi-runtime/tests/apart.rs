//! Servers and mocks in processes of their own, on TCP: this program is both ends. The other one may be a build of it for
//! another system ([`tests::PEER`]).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use libtest_mimic::Failed;
use qapi_runtime::client::mock::Mock;
use qapi_runtime::client::{
    Address, CallOptions, Client, ClientError, ClientErrorKind, ConnectOptions, EventFilter,
    Events, blocking,
};
use qapi_runtime::codegen::{Command as Row, Handler, Table};
use qapi_runtime::dispatch::{BoxFuture, CommandInfo, Reply, Service};
use qapi_runtime::server::{Connection, ListenAddress, Server};
use qapi_runtime::session::{EventMessage, SessionConfig};
use qapi_runtime::visit::{CompatPolicy, Input, Output, Visit as _};
use qapi_runtime::{Error, ErrorClass, Object, Value};
use tests::{PATIENCE, PEER, Suite, comes_true};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

/// What tells this program to be the server, or the mock.
const SERVE: &str = "serve";
const MOCK: &str = "mock";

/// What both print when nothing was wrong.
const GOOD: &str = "as expected";

fn main() -> ExitCode {
    let served = match std::env::args().nth(1).as_deref() {
        Some(SERVE) => serve(),
        Some(MOCK) => mock(),
        Some(_) | None => Suite::new()
            .always("server_and_blocking_client", || {
                drive_server(Kind::Blocking)
            })
            .always("server_and_asynchronous_client", || {
                drive_server(Kind::Asynchronous)
            })
            .always("mock_and_blocking_client", || drive_mock(Kind::Blocking))
            .always("mock_and_asynchronous_client", || {
                drive_mock(Kind::Asynchronous)
            })
            .always("clients_that_go_away", clients_that_go_away)
            .run(),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Tells where it is served, and waits for the end of standard input.
fn tell(address: &Address) -> std::io::Result<()> {
    println!("{address}");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// What the sessions of a server share.
struct State {
    connection: Connection,
    gate: Arc<Semaphore>,
    server: Arc<Mutex<Option<Server>>>,
}

fn serve() -> std::io::Result<()> {
    let runtime = Runtime::new()?;
    let gate = Arc::new(Semaphore::new(0));
    let itself = Arc::default();
    let server = Server::new(SessionConfig::default(), {
        let itself = Arc::clone(&itself);
        move |connection| {
            let state = State {
                connection: connection.clone(),
                gate: Arc::clone(&gate),
                server: Arc::clone(&itself),
            };
            Arc::new(Table::new(&COMMANDS, Arc::new(state))) as Arc<dyn Service>
        }
    });
    *itself.lock().unwrap_or_else(PoisonError::into_inner) = Some(server.clone());
    let place = ListenAddress::Tcp("127.0.0.1:0".to_owned());
    let bound = runtime.block_on(server.listen(&place));
    let bound = bound.map_err(std::io::Error::other)?;
    let bound = bound.ok_or_else(|| std::io::Error::other("it is bound to no address"))?;
    tell(&Address::Tcp(bound.to_string()))?;
    match runtime.block_on(server.shutdown()) {
        0 => println!("{GOOD}"),
        n => println!("{n} commands were not answered"),
    }
    Ok(())
}

fn mock() -> std::io::Result<()> {
    let mock = Mock::new()
        .expect("ask", Some(named("far")))
        .event("ASKED", Some(named("far")))
        .reply(named("near"))
        .expect("fail", None)
        .error(&Error::new(ErrorClass::DeviceNotFound, "not found"))
        .expect("last", None)
        .disconnect()
        .expect("again", None)
        .reply(Value::from("again"))
        .start()?;
    tell(&mock.address())?;
    match &mock.finish()[..] {
        [] => println!("{GOOD}"),
        all => println!("{}", all.join("; ")),
    }
    Ok(())
}

fn named(name: &str) -> Value {
    Value::from([("name", name)])
}

fn echo(_: &State, input: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    Ok(Object::read(input)?.write(output)?)
}

fn fail(_: &State, _: &mut Input<'_>, _: &mut Output) -> Result<(), Error> {
    Err(Error::new(ErrorClass::DeviceNotFound, "not found"))
}

fn emit(state: &State, _: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    let data = named("far").to_string();
    let event = EventMessage::new("ASKED", Some(data.as_bytes()), SystemTime::now());
    state.connection.emit(event);
    Ok(().write(output)?)
}

fn wait(state: Arc<State>, _: &mut Input<'_>) -> Result<BoxFuture, Error> {
    Ok(Box::pin(async move {
        let permit = state.gate.acquire().await;
        permit
            .map_err(|error| Error::generic(error.to_string()))?
            .forget();
        Ok(Reply::new(&"waited".to_owned(), CompatPolicy::ACCEPT)?)
    }))
}

fn release(state: &State, _: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    state.gate.add_permits(1);
    Ok(().write(output)?)
}

fn count(state: &State, _: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    let server = state.server.lock();
    let server = server.unwrap_or_else(PoisonError::into_inner);
    let count = server.as_ref().map_or(0, Server::n_sessions);
    Ok((count as u64).write(output)?)
}

fn quit(state: &State, _: &mut Input<'_>, output: &mut Output) -> Result<(), Error> {
    state.connection.control().quit();
    Ok(().write(output)?)
}

const fn row(name: &'static str, call: Handler<State>) -> Row<State> {
    Row {
        info: CommandInfo::new(name),
        call,
    }
}

const fn out_of_band(mut row: Row<State>) -> Row<State> {
    row.info.allow_oob = true;
    row
}

static COMMANDS: [Row<State>; 7] = [
    row("count", Handler::Sync(count)),
    row("echo", Handler::Sync(echo)),
    row("emit", Handler::Sync(emit)),
    row("fail", Handler::Sync(fail)),
    row("quit", Handler::Sync(quit)),
    out_of_band(row("release", Handler::Sync(release))),
    row("wait", Handler::Async(wait)),
];

/// The other end.
struct Peer {
    child: Child,
    lines: BufReader<ChildStdout>,
    address: Address,
}

impl Peer {
    fn start(what: &str) -> Result<Self, Failed> {
        let words = std::env::var(PEER).unwrap_or_default();
        let mut words = words.split_whitespace();
        let mut command = match words.next() {
            Some(first) => Command::new(first),
            None => tests::program(std::env::current_exe()?),
        };
        command.args(words).arg(what);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let output = child.stdout.take().ok_or("no standard output")?;
        let mut lines = BufReader::new(output);
        let mut address = String::new();
        lines.read_line(&mut address)?;
        let address = address.trim_end().parse();
        Ok(Self {
            child,
            lines,
            address: address.map_err(|error| format!("{error}"))?,
        })
    }

    /// Ends it: it has to be content.
    fn finish(mut self) -> Result<(), Failed> {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.lines.read_to_string(&mut said)?;
        assert_eq!(said.trim_end(), GOOD);
        assert!(self.child.wait()?.success());
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It is gone already, unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Blocking,
    Asynchronous,
}

/// Either client, for one and the same test.
enum Either {
    Blocking(blocking::Client, blocking::Events),
    Asynchronous(Runtime, Client, Mutex<Events>),
}

impl Either {
    fn connect(kind: Kind, options: ConnectOptions) -> Result<Self, Failed> {
        match kind {
            Kind::Blocking => {
                let client = blocking::Client::connect(options)?;
                let events = client.listen(EventFilter::all());
                Ok(Self::Blocking(client, events))
            }
            Kind::Asynchronous => {
                let runtime = Runtime::new()?;
                let client = runtime.block_on(Client::connect(options))?;
                let events = Mutex::new(client.listen(EventFilter::all()));
                Ok(Self::Asynchronous(runtime, client, events))
            }
        }
    }

    fn call_with(
        &self,
        command: &str,
        arguments: Option<&Value>,
        options: CallOptions,
    ) -> Result<Value, ClientError> {
        match self {
            Self::Blocking(client, _) => client.execute_raw(command, arguments, options),
            Self::Asynchronous(runtime, client, _) => {
                runtime.block_on(client.execute_raw(command, arguments, options))
            }
        }
    }

    fn call(&self, command: &str, arguments: Option<&Value>) -> Result<Value, ClientError> {
        self.call_with(command, arguments, CallOptions::new())
    }

    /// The name of the next event, and what comes with it.
    fn event(&self) -> Result<(String, Value), Failed> {
        let event = match self {
            Self::Blocking(_, events) => events.next(Some(PATIENCE))?,
            Self::Asynchronous(runtime, _, events) => {
                let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
                let next = async { tokio::time::timeout(PATIENCE, events.next()).await };
                runtime.block_on(next)??
            }
        };
        Ok((event.name().to_owned(), event.data().to_value()))
    }

    fn has_greeting(&self) -> bool {
        match self {
            Self::Blocking(client, _) => client.greeting().is_some(),
            Self::Asynchronous(_, client, _) => client.greeting().is_some(),
        }
    }
}

fn options(address: &Address) -> ConnectOptions {
    ConnectOptions::new(address.clone())
        .handshake_timeout(PATIENCE)
        .timeout(PATIENCE)
}

fn check_not_found(outcome: Result<Value, ClientError>) -> Result<(), Failed> {
    let error = outcome.err().ok_or("it succeeds")?;
    let told = error.server_error().ok_or_else(|| error.to_string())?;
    assert_eq!(told.class, ErrorClass::DeviceNotFound);
    assert_eq!(told.desc, "not found");
    Ok(())
}

fn check_closed(outcome: Result<Value, ClientError>) -> Result<(), Failed> {
    let error = outcome.err().ok_or("it succeeds")?;
    assert!(matches!(error.kind(), ClientErrorKind::Closed), "{error:?}");
    Ok(())
}

fn drive_server(kind: Kind) -> Result<(), Failed> {
    let peer = Peer::start(SERVE)?;
    let client = Either::connect(kind, options(&peer.address))?;
    assert!(client.has_greeting());
    // More than sockets hold.
    let long = Value::from([("long", "x".repeat(1_000_000).as_str())]);
    assert_eq!(client.call("echo", Some(&long))?, long);
    check_not_found(client.call("fail", None))?;
    client.call("emit", None)?;
    assert_eq!(client.event()?, ("ASKED".to_owned(), named("far")));

    // Only what is out of band passes a command that waits.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.call("wait", None));
        let out_of_band = CallOptions::new().out_of_band();
        client.call_with("release", None, out_of_band)?;
        let waited = waiting.join().map_err(|_| "it panics")??;
        assert_eq!(waited, Value::from("waited"));
        Ok::<_, Failed>(())
    })?;
    refuse_descriptors(&client)?;

    // Its own end, and that of the server.
    client.call("quit", None)?;
    check_closed(client.call("echo", Some(&named("late"))))?;
    let client = Either::connect(kind, options(&peer.address))?;
    client.call("echo", Some(&long))?;
    peer.finish()?;
    check_closed(client.call("echo", Some(&long)))
}

#[cfg(unix)]
fn refuse_descriptors(client: &Either) -> Result<(), Failed> {
    let (descriptor, _) = std::os::unix::net::UnixStream::pair()?;
    let with_descriptor = CallOptions::new().descriptor(descriptor.into());
    let refused = client.call_with("echo", Some(&named("x")), with_descriptor);
    let text = refused.err().ok_or("it succeeds")?.to_string();
    assert!(
        text.contains("descriptors travel over unix sockets only"),
        "{text}"
    );
    Ok(())
}

/// There are none.
#[cfg(not(unix))]
fn refuse_descriptors(_: &Either) -> Result<(), Failed> {
    Ok(())
}

fn drive_mock(kind: Kind) -> Result<(), Failed> {
    let peer = Peer::start(MOCK)?;
    let lasting = options(&peer.address).reconnect(PATIENCE);
    let client = Either::connect(kind, lasting)?;
    assert!(client.has_greeting());
    assert_eq!(client.call("ask", Some(&named("far")))?, named("near"));
    assert_eq!(client.event()?, ("ASKED".to_owned(), named("far")));
    check_not_found(client.call("fail", None))?;
    check_closed(client.call("last", None))?;
    assert_eq!(client.call("again", None)?, Value::from("again"));
    peer.finish()
}

/// Before the negotiation, after it, in the middle of a request, and with requests that are not answered yet.
fn clients_that_go_away() -> Result<(), Failed> {
    let peer = Peer::start(SERVE)?;
    let Address::Tcp(place) = &peer.address else {
        return Err(format!("{} is not TCP", peer.address).into());
    };
    let client = Either::connect(Kind::Blocking, options(&peer.address))?;
    let negotiation = r#"{"execute": "qmp_capabilities"}"#;
    for said in [
        String::new(),
        negotiation.to_owned(),
        format!(r#"{negotiation} {{"execute": "ec"#),
        format!(r#"{negotiation} {{"execute": "echo", "arguments": {{}}}}"#).repeat(100),
    ] {
        let mut stream = BufReader::new(TcpStream::connect(place)?);
        // From now on it counts.
        stream.read_line(&mut String::new())?;
        stream.get_mut().write_all(said.as_bytes())?;
        drop(stream);
        let alone = || {
            client
                .call("count", None)
                .is_ok_and(|it| it == Value::Int(1))
        };
        assert!(comes_true(PATIENCE, alone), "after {said:?}");
    }
    assert_eq!(client.call("echo", Some(&named("far")))?, named("far"));
    peer.finish()
}
