//! What a proxy passes on and writes down.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use qapi_runtime::Value;
use qapi_runtime::address::Address;
use qapi_runtime::client::Transcript;
use qapi_runtime::transcript::{Ended, Recorded};
use qmp::record::{Recorder, RunningRecorder};
use tests::Suite;

use crate::{Place, start};

pub(crate) fn add(suite: Suite) -> Suite {
    let tests: [(&str, fn()); 7] = [
        ("a-session-is-recorded", a_session_is_recorded),
        (
            "what-is-said-goes-on-as-it-is",
            what_is_said_goes_on_as_it_is,
        ),
        ("secrets-are-masked", secrets_are_masked),
        ("descriptors-go-on-and-are-noted", descriptors_go_on),
        ("much-goes-both-ways-at-once", much_goes_both_ways),
        (
            "clients-that-cannot-be-served-are-told",
            clients_that_cannot_be_served,
        ),
        ("the-command-line-of-record", the_command_line),
    ];
    let always = |suite: Suite, (name, test): (&str, fn())| {
        suite.always(name, move || {
            test();
            Ok(())
        })
    };
    tests.into_iter().fold(suite, always)
}

/// A recorder in front of a server, and its log.
struct Proxy {
    running: RunningRecorder,
    log: tempfile::NamedTempFile,
}

impl Proxy {
    fn before(recorder: Recorder) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let running = recorder.start(log.reopen().unwrap()).unwrap();
        Self { running, log }
    }

    fn connect(&self) -> UnixStream {
        let Address::Abstract(name) = self.running.address() else {
            panic!("{:?}", self.running.address());
        };
        UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap()
    }

    /// The log when all is over.
    fn finish(self) -> String {
        self.running.finish().unwrap();
        fs::read_to_string(self.log.path()).unwrap()
    }
}

/// A server that is a socket, and the address of it.
fn listen(folder: &Path) -> (UnixListener, Address) {
    let path = folder.join("server");
    (UnixListener::bind(&path).unwrap(), Address::unix(path))
}

fn a_session_is_recorded() {
    let server = start();
    let proxy = Proxy::before(Recorder::new(Address::unix(server.socket())).clients(2));
    let place = Place::new(proxy.running.address().to_string());
    for _ in 0..2 {
        place.text_of(&["--no-check", "query-name"]);
    }
    let Proxy { running, log } = proxy;
    running.wait().unwrap();
    let text = fs::read_to_string(log.path()).unwrap();
    let log = Transcript::parse(&text).unwrap();
    for connection in 1..=2 {
        let entries = log.entries();
        let entries: Vec<_> = entries
            .iter()
            .filter(|it| it.connection == connection)
            .collect();
        assert!(entries.is_sorted_by_key(|it| it.at), "{text}");
        let [
            opened,
            greeting,
            negotiation,
            ready,
            asked,
            answered,
            closed,
        ] = &entries[..]
        else {
            panic!("{text}");
        };
        assert!(
            matches!(&opened.what, Recorded::Opened { peer, .. } if peer.starts_with("unix:/")),
            "{text}"
        );
        assert!(matches!(&greeting.what, Recorded::Received(it) if it.get("QMP").is_some()));
        assert!(matches!(&negotiation.what, Recorded::Sent(_)));
        assert!(matches!(&ready.what, Recorded::Received(_)));
        assert!(
            matches!(&asked.what, Recorded::Sent(it) if it.get("execute") == Some(&Value::from("query-name")))
        );
        assert!(matches!(&answered.what, Recorded::Received(it) if it.get("return").is_some()));
        assert_eq!(closed.what, Recorded::Closed(Ended::ByClient));
    }
    assert!(
        text.starts_with("{\"qmp-session-log\": 1, \"began\": "),
        "{text}"
    );
}

/// However it is written and cut into pieces; what is no JSON goes on, too.
fn what_is_said_goes_on_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, address) = listen(folder.path());
    let proxy = Proxy::before(Recorder::new(address));
    let mut client = proxy.connect();
    let (mut server, _) = listener.accept().unwrap();
    let said = b"{'execute' : 'x',\r\n  'id': \"\xc3\xa9\"}HTTP/1.1 \x1b[2J\n\xff{\"execute\": \"y\"}\n{\"exec";
    for byte in said {
        client.write_all(&[*byte]).unwrap();
        let mut heard = [0];
        server.read_exact(&mut heard).unwrap();
        assert_eq!(heard, [*byte]);
    }
    // A half that is closed is closed at the other end, and answers still come.
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    server
        .write_all(b"{\n    \"return\": {\n    }\n}\n")
        .unwrap();
    drop(server);
    let mut heard = String::new();
    client.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "{\n    \"return\": {\n    }\n}\n");
    let text = proxy.finish();
    let lines: Vec<&str> = text
        .lines()
        .skip(2)
        .map(|line| line.split_once("\"at\": ").unwrap().1)
        .collect();
    let lines: Vec<&str> = lines
        .iter()
        .map(|line| line.split_once(", ").unwrap().1)
        .collect();
    assert_eq!(
        lines[0], r#""sent": {"execute": "x", "id": "\u00E9"}}"#,
        "{text}"
    );
    assert!(lines[1].starts_with(r#""sent-text": "H"#), "{text}");
    let rest = &lines[lines.len() - 4..];
    assert_eq!(
        rest,
        [
            r#""sent": {"execute": "y"}}"#,
            r#""sent-text": "{\"exec"}"#,
            r#""received": { "return": { } }}"#,
            r#""closed": "client"}"#,
        ],
        "{text}"
    );
    assert!(!text.contains('\x1b'), "{text:?}");
    Transcript::parse(&text).unwrap();
}

fn secrets_are_masked() {
    let server = start();
    let recorder = Recorder::new(Address::unix(server.socket()));
    let recorder = recorder
        .mask("qom-set.value")
        .unwrap()
        .mask("query-version.package")
        .unwrap();
    let proxy = Proxy::before(recorder);
    let place = Place::new(proxy.running.address().to_string());
    place.text_of(&[
        "--no-check",
        "qom-set",
        "path=/objects/io0",
        "property=poll-max-ns",
        "value=4711",
    ]);
    let get = [
        "--no-check",
        "qom-get",
        "path=/objects/io0",
        "property=poll-max-ns",
    ];
    assert_eq!(place.text_of(&get), "4711\n");
    place.text_of(&["--no-check", "query-version"]);
    let text = proxy.finish();
    assert!(text.contains(r#""value": "***"}"#), "{text}");
    assert!(text.contains(r#""masked": ["arguments.value"]}"#), "{text}");
    assert!(text.contains(r#""masked": ["return.package"]}"#), "{text}");
    // The result of another command is none.
    assert_eq!(text.matches("4711").count(), 1, "{text}");
    let log = Transcript::parse(&text).unwrap();
    assert_eq!(
        log.entries()
            .iter()
            .filter(|it| !it.masked.is_empty())
            .count(),
        2
    );
    assert!(Recorder::new(Address::unix("/x")).mask("a..b").is_err());
}

fn descriptors_go_on() {
    let server = start();
    let proxy = Proxy::before(Recorder::new(Address::unix(server.socket())));
    let script = r#"exec 5</dev/null; "$0" "$@""#;
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        script,
        env!("CARGO_BIN_EXE_qmp"),
        &proxy.running.address().to_string(),
    ]);
    shell.args(["--no-check", "add-fd", "fdset-id=3", "--fd", "5"]);
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = proxy.finish();
    let log = Transcript::parse(&text).unwrap();
    let noted: Vec<_> = log
        .entries()
        .into_iter()
        .filter(|it| it.descriptors > 0)
        .collect();
    let [noted] = &noted[..] else {
        panic!("{text}");
    };
    assert_eq!(noted.descriptors, 1);
    assert!(
        matches!(&noted.what, Recorded::Sent(it) if it.get("execute") == Some(&Value::from("add-fd")))
    );
}

/// Neither end reads before it has said all that it has to say.
fn much_goes_both_ways() {
    const SIZE: usize = 512 << 10;
    let folder = tempfile::tempdir().unwrap();
    let (listener, address) = listen(folder.path());
    let proxy = Proxy::before(Recorder::new(address));
    let talk = |mut stream: UnixStream, what: &'static str| {
        thread::spawn(move || {
            let message = format!("{{\"{what}\": \"{}\"}}\n", "x".repeat(SIZE));
            stream.write_all(message.as_bytes()).unwrap();
            let mut heard = vec![0; message.len()];
            stream.read_exact(&mut heard).unwrap();
            (message, String::from_utf8(heard).unwrap())
        })
    };
    let client = talk(proxy.connect(), "sent");
    let server = talk(listener.accept().unwrap().0, "back");
    let (client, server) = (client.join().unwrap(), server.join().unwrap());
    assert!(client.0 == server.1 && client.1 == server.0);
    let log = Transcript::parse(&proxy.finish()).unwrap();
    assert_eq!(log.messages().len(), 2);
}

fn clients_that_cannot_be_served() {
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::before(Recorder::new(Address::unix(folder.path().join("nowhere"))));
    assert_eq!(proxy.connect().read(&mut [0]).unwrap(), 0);
    let log = Transcript::parse(&proxy.finish()).unwrap();
    assert_eq!(log.entries()[1].what, Recorded::Closed(Ended::ByServer));
    // A log that cannot be written does not keep anybody from talking.
    let server = start();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    assert!(
        Recorder::new(Address::unix(server.socket()))
            .start(full)
            .is_err()
    );
    let (input, output) = std::io::pipe().unwrap();
    let running = Recorder::new(Address::unix(server.socket()))
        .start(output)
        .unwrap();
    drop(input);
    let place = Place::new(running.address().to_string());
    place.text_of(&["--no-check", "query-name"]);
    assert!(running.finish().is_err());
}

fn the_command_line() {
    let server = start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (listen, log) = (path("listen"), path("log"));
    let tool = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qmp"));
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command.stderr(Stdio::piped()).spawn().unwrap()
    };
    let address = format!("unix:{}", server.socket().display());
    let record = [
        "record",
        &address,
        "--listen",
        &listen,
        "--log",
        &log,
        "--clients",
        "1",
    ];
    let recording = tool(&record);
    Place::new(&*listen).text_of(&["--retry", "60", "--no-check", "query-name"]);
    assert!(recording.wait_with_output().unwrap().status.success());
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("query-name"), "{text}");
    // Not over another one.
    let output = tool(&record).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(fs::read_to_string(&log).unwrap(), text);
    for (status, arguments, expected) in [
        (
            2,
            &["record", &address, "--listen", &listen, "--mask", "."][..],
            "names no member",
        ),
        (2, &["record", &address], "--listen"),
        (7, &["record", &address, "--listen", &address], "in use"),
        (
            7,
            &["record", &address, "--listen", "exec:cat"],
            "tcp:HOST:PORT or fd:NUMBER",
        ),
        (
            7,
            &["record", &address, "--listen", "/nowhere/at/all"],
            "/nowhere/at/all",
        ),
    ] {
        let output = tool(arguments).wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}: {output:?}"
        );
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(expected), "{text}");
    }
    // What is the name of a tool elsewhere is none.
    let failure = Place::new("./record").failure_of(3, &["record"]);
    assert!(failure.contains("./record"), "{failure}");
    Place::new(&*address).failure_of(2, &["replay"]);
}
