//! A server that answers as a log says.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::{Command, Output, Stdio};

use qapi_runtime::address::Address;
use qapi_runtime::client::Transcript;
use qmp::record::Recorder;
use qmp::replay::{Replayer, RunningReplayer};
use tests::Suite;

use crate::{Place, start};

pub(crate) fn add(suite: Suite) -> Suite {
    let tests: [(&str, fn()); 6] = [
        (
            "what-was-recorded-is-replayed",
            what_was_recorded_is_replayed,
        ),
        ("who-strays-is-told-where", who_strays_is_told_where),
        ("order-and-ids-are-free", order_and_ids_are_free),
        ("commands-are-checked-by-the-schema", commands_are_checked),
        ("agents-and-secrets-are-replayed", agents_and_secrets),
        ("logs-that-are-none-are-told", logs_that_are_none),
    ];
    let always = |suite: Suite, (name, test): (&str, fn())| {
        suite.always(name, move || {
            test();
            Ok(())
        })
    };
    tests.into_iter().fold(suite, always)
}

const FORM: &str = "{\"qmp-session-log\": 1}\n";

/// A log of one connection, of lines that are `sent` or `received`.
fn log(lines: &[&str]) -> Transcript {
    let mut text = FORM.to_owned();
    for line in lines {
        text.push_str(&format!("{{\"connection\": 1, \"at\": 1, {line}}}\n"));
    }
    Transcript::parse(&text).unwrap()
}

/// A client that says what it likes.
struct Client(BufReader<UnixStream>);

impl Client {
    fn of(server: &RunningReplayer) -> Self {
        let Address::Abstract(name) = server.address() else {
            panic!("{:?}", server.address());
        };
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let stream = UnixStream::connect_addr(&address).unwrap();
        stream.set_read_timeout(Some(tests::PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn hear(&mut self) -> String {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).unwrap();
        String::from_utf8_lossy(&line).trim_end().to_owned()
    }

    fn ask(&mut self, text: &str) -> String {
        self.say(text);
        self.hear()
    }
}

fn strays(server: RunningReplayer) -> Vec<String> {
    server.wait().iter().map(ToString::to_string).collect()
}

fn replay(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qmp"));
    command.arg("replay").args(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The program records and replays what the program says; and notices when it says something else.
fn what_was_recorded_is_replayed() {
    let server = start();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (log, listen) = (path("log"), path("listen"));
    let file = fs::File::create(&log).unwrap();
    let recorder = Recorder::new(Address::unix(server.socket()))
        .clients(1)
        .start(file)
        .unwrap();
    let recorded = Place::new(recorder.address().to_string()).text_of(&["query-iothreads"]);
    recorder.wait().unwrap();
    drop(server);
    let run = |arguments: &[&str]| -> (Output, Output) {
        let replaying = replay(&[&log, "--listen", &listen]).spawn().unwrap();
        let place = Place::new(&*listen);
        let client = place.run(&[&["--retry", "60"], arguments].concat());
        (client, replaying.wait_with_output().unwrap())
    };
    let (client, replaying) = run(&["query-iothreads"]);
    assert_eq!(String::from_utf8(client.stdout).unwrap(), recorded);
    assert!(
        replaying.status.success() && replaying.stderr.is_empty(),
        "{replaying:?}"
    );
    // The schema is the recorded one, too.
    let (client, replaying) = run(&["qom-get", "path=/", "property=x"]);
    assert_eq!(client.status.code(), Some(1), "{client:?}");
    assert_eq!(replaying.status.code(), Some(8), "{replaying:?}");
    let told = String::from_utf8(replaying.stderr).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    let expected = format!("qmp: {log}:8: query-iothreads was expected, and {{");
    assert!(
        lines[0].starts_with(&expected) && lines[0].contains("qom-get"),
        "{told}"
    );
    assert!(
        lines[1].ends_with(":8: query-iothreads was expected, and the client has gone"),
        "{told}"
    );
    assert!(lines[2].ends_with("clients strayed in 2 places"), "{told}");
}

const LOG: [&str; 12] = [
    r#""received": {"QMP": {"version": {}, "capabilities": []}}"#,
    r#""sent": {"execute": "qmp_capabilities", "id": 1}"#,
    r#""received": {"return": {}, "id": 1}"#,
    r#""sent": {"execute": "one", "arguments": {"n": 1}, "id": 2}"#,
    r#""sent": {"execute": "two", "id": 3}"#,
    r#""received": {"return": 2, "id": 3}"#,
    r#""received": {"return": 1, "id": 2}"#,
    r#""sent": {"execute": "three", "id": 4}"#,
    r#""received": {"event": "E"}"#,
    r#""received": {"error": {"class": "GenericError", "desc": "no"}, "id": 4}"#,
    r#""sent": {"execute": "four", "id": 5}"#,
    r#""closed": "server""#,
];

fn order_and_ids_are_free() {
    // All at once, in another order, without ids and with ids of any kind.
    let server = Replayer::new(log(&LOG)).start().unwrap();
    let mut client = Client::of(&server);
    assert!(client.hear().contains("QMP"));
    assert_eq!(
        client.ask("{'execute': 'qmp_capabilities', 'arguments': {'enable': []}}"),
        "{\"return\": {}}"
    );
    client.say(r#"{"execute": "two", "id": {"a": []}} {"execute": "one", "id": "x", "arguments": {"n": 1}}"#);
    assert_eq!(client.hear(), r#"{"return": 2, "id": {"a": []}}"#);
    assert_eq!(client.hear(), r#"{"return": 1, "id": "x"}"#);
    client.say(r#"{"execute": "three"}{"execute": "four"}"#);
    assert_eq!(client.hear(), r#"{"event": "E"}"#);
    assert_eq!(
        client.hear(),
        r#"{"error": {"class": "GenericError", "desc": "no"}}"#
    );
    // The server hangs up without an answer.
    assert_eq!(client.hear(), "");
    drop(client);
    assert_eq!(strays(server), [""; 0]);
    // One that waits for each answer, where two commands were on their way.
    let server = Replayer::new(log(&LOG[..7])).start().unwrap();
    let mut client = Client::of(&server);
    client.hear();
    client.ask(r#"{"execute": "qmp_capabilities"}"#);
    assert_eq!(client.ask(r#"{"execute": "two"}"#), r#"{"return": 2}"#);
    assert_eq!(
        client.ask(r#"{"execute": "one", "arguments": {"n": 1}}"#),
        r#"{"return": 1}"#
    );
    drop(client);
    assert_eq!(strays(server), [""; 0]);
}

fn who_strays_is_told_where() {
    let server = Replayer::new(log(&LOG)).start().unwrap();
    let mut client = Client::of(&server);
    client.hear();
    client.ask(r#"{"execute": "qmp_capabilities"}"#);
    // Something that is not in the log.
    let answer = client.ask(r#"{"execute": "five", "id": 1}"#);
    assert!(
        answer.contains("the log has no answer to this; one was expected"),
        "{answer}"
    );
    // Other arguments.
    let answer = client.ask(r#"{"execute": "one", "arguments": {"n": 2}}"#);
    assert!(answer.contains("one was expected"), "{answer}");
    // One and two are left out; the event comes all the same.
    client.say(r#"{"execute": "three"}"#);
    assert_eq!(client.hear(), r#"{"event": "E"}"#);
    assert!(client.hear().contains("error"));
    // Once more than recorded: the answer is known.
    assert!(client.ask(r#"{"execute": "three"}"#).contains("\"no\""));
    client.say("[1] \u{1b}");
    assert!(client.hear().contains("lacks member 'execute'"));
    assert!(client.hear().contains("parse error"));
    drop(client);
    let strays = strays(server);
    assert_eq!(
        strays[..5],
        [
            r#"5: one was expected, and {"execute": "five", "id": 1} came"#,
            r#"5: one was expected, and {"execute": "one", "arguments": {"n": 2}} came"#,
            "5: one was left out before three",
            "6: two was left out before three",
            r#"12: four was expected, and {"execute": "three"} came"#,
        ]
    );
    assert_eq!(strays[5], "12: no command: [1]");
    assert_eq!(strays[6], "12: no JSON came: \\u{1b}");
    assert_eq!(strays[7], "12: four was expected, and the client has gone");
    assert_eq!(strays.len(), 8);
}

/// A schema with one command.
const SCHEMA: &str = r#"[{"name": "one", "meta-type": "command", "arg-type": "1", "ret-type": "int"},
    {"name": "1", "meta-type": "object", "members": [{"name": "n", "type": "str"}]},
    {"name": "str", "meta-type": "builtin", "json-type": "string"},
    {"name": "int", "meta-type": "builtin", "json-type": "int"}]"#;

fn commands_are_checked() {
    let server = Replayer::new(log(&LOG[..7]))
        .schema(SCHEMA.as_bytes().to_vec())
        .unwrap();
    let server = server.start().unwrap();
    let mut client = Client::of(&server);
    client.hear();
    client.ask(r#"{"execute": "qmp_capabilities"}"#);
    let answer = client.ask(r#"{"execute": "one", "arguments": {"n": 1}, "id": 7}"#);
    let misfit = "Invalid parameter type for 'n', expected: string";
    assert!(
        answer.contains(misfit) && answer.contains("\"id\": 7"),
        "{answer}"
    );
    let answer = client.ask(r#"{"execute": "two"}"#);
    assert!(
        answer.contains("The command two has not been found"),
        "{answer}"
    );
    let answer = client.ask(r#"{"execute": "one", "arguments": {"n": "x", "m": 1}}"#);
    assert!(answer.contains("'m' is unexpected"), "{answer}");
    drop(client);
    let strays = strays(server);
    assert_eq!(
        strays[0],
        format!("5: one does not fit the schema: {misfit}")
    );
    assert!(
        strays[1].starts_with("6: two does not fit the schema: "),
        "{strays:?}"
    );
    assert!(
        strays[2].contains("came, which does not fit the schema"),
        "{strays:?}"
    );
    assert_eq!(strays.len(), 3);
    assert!(Replayer::new(log(&LOG)).schema(b"[{".to_vec()).is_err());
}

fn agents_and_secrets() {
    let log = log(&[
        r#""opened": "unix:/x", "dialect": "guest-agent""#,
        r#""sent": {"execute": "guest-sync-delimited", "arguments": {"id": 77}}"#,
        r#""received": {"return": 77}"#,
        r#""sent": {"execute": "login", "arguments": {"user": "me", "keys": ["***"]}}, "masked": ["arguments.keys.0"]"#,
        r#""received": {"return": 5}"#,
    ]);
    let server = Replayer::new(log).start().unwrap();
    let mut client = Client::of(&server);
    let answer =
        client.ask("{\"execute\": \"guest-sync-delimited\", \"arguments\": {\"id\": 4711}}\n");
    assert!(answer.ends_with("{\"return\": 4711}"), "{answer}");
    let secret = r#"{"execute": "login", "arguments": {"keys": ["secret"], "user": "me"}}"#;
    assert_eq!(client.ask(secret), r#"{"return": 5}"#);
    assert!(
        client
            .ask(&secret.replace("me", "you"))
            .contains("nothing more was expected")
    );
    drop(client);
    assert_eq!(server.wait().len(), 1);
}

fn logs_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log").display().to_string();
    let good = format!("{FORM}{{\"connection\": 1, \"sent\": {{\"execute\": \"x\"}}}}\n");
    for (bytes, expected) in [
        (
            &good.as_bytes()[..good.len() - 9],
            "line 2: the log is cut off here",
        ),
        (
            good.replace("log\": 1", "log\": 2").as_bytes(),
            "line 1: a session log of version 2",
        ),
        (b"{}\n", "line 1: not a session log"),
        (b"", "line 1: not a session log"),
        (
            format!("{FORM}{{}}\n{{\"connection\": 1,}}\n").as_bytes(),
            "line 3: 1:18: JSON parse error",
        ),
        (
            &[FORM.as_bytes(), b"\n\xff\n"].concat(),
            "line 3: not UTF-8",
        ),
    ] {
        fs::write(&path, bytes).unwrap();
        let output = replay(&[&path, "--listen", "/nowhere/at/all"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{expected}: {output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            text.starts_with(&format!("qmp: {path}: {expected}")),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    fs::write(&path, FORM).unwrap();
    let output = replay(&[&path, "--listen", "/nowhere/at/all"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("the log has no connection"), "{text}");
    // A client too many finds nobody.
    let server = Replayer::new(log(&LOG[..1])).start().unwrap();
    assert!(Client::of(&server).hear().contains("QMP"));
    let address = server.address().to_string();
    assert!(server.wait().is_empty());
    Place::new(address).failure_of(3, &["query-name"]);
}
