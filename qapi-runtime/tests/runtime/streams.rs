//! Clients over whatever there is: pairs of sockets, terminals, commands, streams of any kind.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use qapi_runtime::Value;
use qapi_runtime::client::{
    Address, CallOptions, Client, ClientErrorKind, ConnectOptions, blocking,
};
use qapi_runtime::json::Document;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

const LONG: Duration = Duration::from_secs(20);

/// Serves one client: negotiates, and answers each command with its name.
fn serve(reader: impl Read, mut writer: impl Write) {
    let mut say = |line: &str| {
        // The client may be gone.
        let _ = writer.write_all(format!("{line}\r\n").as_bytes());
        let _ = writer.flush();
    };
    say(r#"{"QMP": {"version": {}, "capabilities": []}}"#);
    // A terminal ends with an error.
    for line in BufReader::new(reader).lines().map_while(Result::ok) {
        // What is cut off ends in the middle of a line.
        let Ok(request) = Document::parse(line.as_bytes()) else {
            return;
        };
        let (name, id) = (request.root().get("execute"), request.root().get("id"));
        let (name, id) = (name.unwrap(), id.unwrap());
        say(&format!("{{\"return\": {name}, \"id\": {id}}}"));
    }
}

fn pair() -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || serve(&theirs, &theirs));
    ours
}

/// A terminal with a server behind it.
fn terminal() -> OwnedFd {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let slave = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).unwrap();
    let mut attributes = tcgetattr(&slave).unwrap();
    attributes.make_raw();
    tcsetattr(&slave, OptionalActions::Now, &attributes).unwrap();
    let master = std::fs::File::from(master);
    std::thread::spawn(move || serve(&master, &master));
    slave
}

fn named() -> ConnectOptions {
    ConnectOptions::for_stream("the thing").reconnect(LONG)
}

fn within() -> CallOptions {
    CallOptions::new().timeout(LONG)
}

fn check(client: &blocking::Client) {
    let answer = client.execute_raw("hello", None, within());
    assert_eq!(answer.unwrap(), Value::from("hello"));
}

async fn check_asynchronously(client: &Client) {
    let answer = client.execute_raw("hello", None, within()).await;
    assert_eq!(answer.unwrap(), Value::from("hello"));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_over_descriptors() {
    for descriptor in [|| OwnedFd::from(pair()), terminal] {
        let client = blocking::Client::connect_descriptor(named(), descriptor()).unwrap();
        check(&client);
        client.close();
        assert!(client.is_closed());
        let client = Client::connect_descriptor(named(), descriptor()).await;
        check_asynchronously(&client.unwrap()).await;
    }
    // Descriptors travel over a pair of sockets, and the other end is known.
    let client = blocking::Client::connect_descriptor(named(), pair().into()).unwrap();
    let attached = || within().descriptor(OwnedFd::from(std::io::pipe().unwrap().0));
    client.execute_raw("getfd", None, attached()).unwrap();
    let own = client.peer_credentials().unwrap().process;
    assert_eq!(own, Some(std::process::id()));
    let client = blocking::Client::connect_descriptor(named(), terminal()).unwrap();
    assert_eq!(client.peer_credentials(), None);
    let error = client.execute_raw("getfd", None, attached()).unwrap_err();
    let expected = "getfd: 'the thing': descriptors travel over unix sockets only";
    assert_eq!(error.to_string(), expected);
    check(&client);
}

/// A stream that keeps what is written until it is flushed, as one with encryption may.
#[tokio::test(flavor = "multi_thread")]
async fn clients_over_any_stream() {
    let stream = pair();
    let writer = BufWriter::new(stream.try_clone().unwrap());
    let client = blocking::Client::connect_stream(named(), stream, writer).unwrap();
    check(&client);
    drop(client);

    let (ours, theirs) = tokio::io::duplex(64);
    let (reader, writer) = tokio::io::split(ours);
    let writer = tokio::io::BufWriter::new(writer);
    // What goes through here comes from and to a pair of sockets.
    let socket = pair();
    socket.set_nonblocking(true).unwrap();
    let mut socket = tokio::net::UnixStream::from_std(socket).unwrap();
    let bridge = tokio::spawn(async move {
        let mut theirs = theirs;
        tokio::io::copy_bidirectional(&mut theirs, &mut socket).await
    });
    let client = Client::connect_stream(named(), reader, writer)
        .await
        .unwrap();
    check_asynchronously(&client).await;
    let attached = within().descriptor(OwnedFd::from(std::io::pipe().unwrap().0));
    client
        .execute_raw("getfd", None, attached)
        .await
        .unwrap_err();
    check_asynchronously(&client).await;
    drop(client);
    bridge.await.unwrap().unwrap();
}

/// The end of a stream is the end of its client: there is nothing to connect to again.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_not_made_again() {
    let short = || {
        let (ours, theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || serve((&theirs).take(200), &theirs));
        ours
    };
    let client = blocking::Client::connect_descriptor(named(), short().into()).unwrap();
    let error = loop {
        if let Err(error) = client.execute_raw("x", None, within()) {
            break error;
        }
    };
    assert_eq!(
        error.to_string(),
        "x: the server at 'the thing' closed the connection"
    );
    assert!(client.is_closed());
    let client = Client::connect_descriptor(named(), short().into())
        .await
        .unwrap();
    while client.execute_raw("x", None, within()).await.is_ok() {}
    assert!(client.is_closed());
}

/// Addresses that are not sockets of the file system.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_other_kinds() {
    let script = r#"echo '{"QMP": {}}'; read line; echo '{"return": {}}'; read line; echo '{"return": "hello", "id": 1}'; read line"#;
    let stream = pair();
    let by_number = Address::Fd(stream.as_raw_fd());
    let address: Address = format!("exec:{script}").parse().unwrap();
    for (address, is_lasting) in [(address, true), (by_number, false)] {
        let client = blocking::Client::connect(ConnectOptions::new(address.clone())).unwrap();
        check(&client);
        drop(client);
        if is_lasting {
            let client = Client::connect(ConnectOptions::new(address)).await.unwrap();
            check_asynchronously(&client).await;
        }
    }
    let stream = pair();
    let by_number = Address::Fd(stream.as_raw_fd());
    let client = Client::connect(ConnectOptions::new(by_number))
        .await
        .unwrap();
    check_asynchronously(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_other_kinds_of_addresses() {
    let listener =
        std::os::unix::net::UnixListener::bind(tempfile::tempdir().unwrap().path().join("x"));
    let listener = listener.unwrap();
    let number = listener.as_fd().as_raw_fd();
    for (address, expected) in [
        (
            Address::Exec("exit 3".to_owned()),
            "the server closed the connection before it greeted (the command ended with exit status: 3)".to_owned(),
        ),
        (
            Address::Exec("echo hello".to_owned()),
            "not a QMP server, it says 'hello'".to_owned(),
        ),
        (
            Address::Fd(number),
            "a socket that listens is not a connection".to_owned(),
        ),
    ] {
        let expected = format!("cannot connect to '{address}': {expected}");
        let options = ConnectOptions::new(address.clone());
        let error = blocking::Client::connect(options.clone()).err().unwrap();
        assert_eq!(error.to_string(), expected);
        let error = Client::connect(options).await.err().unwrap();
        assert_eq!(error.to_string(), expected);
    }
    // Whether or not this machine has such sockets.
    let address = Address::Vsock { cid: 1, port: 1 };
    let options = ConnectOptions::new(address).handshake_timeout(Duration::from_secs(1));
    let blocking = blocking::Client::connect(options.clone()).err().unwrap();
    let asynchronous = Client::connect(options).await.err().unwrap();
    for error in [blocking, asynchronous] {
        let text = error.to_string();
        assert!(
            text.starts_with("cannot connect to 'vsock:1:1': "),
            "{text}"
        );
    }
    let error = blocking::Client::connect(named()).err().unwrap();
    assert!(matches!(error.kind(), ClientErrorKind::Io(_)), "{error:?}");
    assert!(error.to_string().contains("'connect_stream'"), "{error}");
}

/// What `-chardev pipe` of QEMU makes: two FIFOs, both open for both directions.
#[tokio::test(flavor = "multi_thread")]
async fn clients_over_fifos() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("pipe");
    let address = Address::Pipe(name.clone());
    let options = || ConnectOptions::new(address.clone()).handshake_timeout(LONG);
    let error = Client::connect(options()).await.unwrap_err();
    assert!(error.to_string().ends_with("(os error 2)"), "{error}");
    let open = |end: &str| {
        let path = name.with_extension(end);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::from(0o600)).unwrap();
        let mut both = std::fs::File::options();
        both.read(true).write(true).open(path).unwrap()
    };
    let (input, output) = (open("in"), open("out"));
    std::thread::spawn(move || serve(input, output));
    let client = blocking::Client::connect(options()).unwrap();
    check(&client);
    // More than a FIFO holds, while the server waits for room for its answer.
    let long = "x".repeat(300_000);
    let answer = client.execute_raw(&long, None, within());
    assert_eq!(answer.unwrap(), Value::from(long.as_str()));
    let attached = within().descriptor(OwnedFd::from(std::io::pipe().unwrap().0));
    let error = client.execute_raw("getfd", None, attached).unwrap_err();
    assert!(
        error.to_string().ends_with("over unix sockets only"),
        "{error}"
    );
    client.close();
    // Nobody greets once more.
    let hasty = options().handshake_timeout(Duration::from_millis(50));
    let error = Client::connect(hasty).await.unwrap_err();
    assert!(
        matches!(error.kind(), ClientErrorKind::TimedOut(_)),
        "{error:?}"
    );

    // Without a server there is nobody to read.
    let single = folder.path().join("single");
    rustix::fs::mkfifoat(rustix::fs::CWD, &single, rustix::fs::Mode::from(0o600)).unwrap();
    let error = blocking::Client::connect(ConnectOptions::new(Address::Pipe(single))).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("NAME.in and NAME.out are expected"),
        "{error}"
    );
}

/// A terminal is one file for both directions.
#[tokio::test(flavor = "multi_thread")]
async fn clients_over_one_file() {
    let name = || {
        let slave = terminal();
        let path = format!("/proc/self/fd/{}", slave.as_raw_fd());
        (Address::Pipe(std::fs::read_link(path).unwrap()), slave)
    };
    let (address, _slave) = name();
    check(&blocking::Client::connect(ConnectOptions::new(address)).unwrap());
    let (address, _slave) = name();
    let client = Client::connect(ConnectOptions::new(address)).await;
    check_asynchronously(&client.unwrap()).await;
}
