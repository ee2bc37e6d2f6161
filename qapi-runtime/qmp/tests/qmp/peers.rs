//! Peers that are not servers, and servers that go.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Stdio;
use std::thread::{self, JoinHandle};

use tests::Suite;

use crate::{Place, start};

pub(crate) fn add(suite: Suite) -> Suite {
    let tests: [(&str, fn()); 5] = [
        ("what-is-no-server-is-told", what_is_no_server_is_told),
        (
            "a-peer-that-dies-is-told-at-every-byte",
            a_peer_that_dies_is_told,
        ),
        ("a-late-answer-has-a-status", a_late_answer_has_a_status),
        (
            "nothing-of-a-peer-reaches-the-terminal",
            nothing_of_a_peer_reaches_the_terminal,
        ),
        ("a-guest-agent-is-spoken-to", a_guest_agent_is_spoken_to),
    ];
    let always = |suite: Suite, (name, test): (&str, fn())| {
        suite.always(name, move || {
            test();
            Ok(())
        })
    };
    tests.into_iter().fold(suite, always)
}

/// A place with a socket behind which `serve` serves one client after the other, as many as given.
fn place_with(
    n_clients: usize,
    serve: impl Fn(usize, Peer) + Send + 'static,
) -> (Place, JoinHandle<()>) {
    let mut place = Place::new("");
    let path = place.folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    place.address = path.display().to_string();
    let server = thread::spawn(move || {
        for n in 0..n_clients {
            let (stream, _) = listener.accept().unwrap();
            serve(n, Peer(BufReader::new(stream)));
        }
    });
    (place, server)
}

/// A client, as a server has it of which the test decides what it says.
struct Peer(BufReader<UnixStream>);

impl Peer {
    fn say(&mut self, text: &[u8]) {
        // A client may have gone.
        let _ = self.0.get_ref().write_all(text);
    }

    /// A line, and what its `id` is.
    fn hear(&mut self) -> (String, String) {
        // An agent's parser is reset by a byte that is not text.
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).unwrap();
        let line = String::from_utf8_lossy(&line).into_owned();
        let id = line.split("\"id\": ").nth(1).unwrap_or_default();
        let id = id.trim_end_matches(['}', '\r', '\n']).to_owned();
        (line, id)
    }

    /// Greets and negotiates. Its version is of no use to anybody who keeps schemas.
    fn open(&mut self) {
        self.say(b"{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n");
        let (_, id) = self.hear();
        self.say(format!("{{\"return\": {{}}, \"id\": {id}}}\r\n").as_bytes());
    }
}

fn what_is_no_server_is_told() {
    let place = Place::new("/nowhere/at/all");
    let failure = place.failure_of(3, &["query-status"]);
    assert!(
        failure.contains("cannot connect to 'unix:/nowhere/at/all'"),
        "{failure}"
    );
    let (place, server) = place_with(1, |_, mut peer| {
        peer.say(b"HTTP/1.1 400 \x1b[2J Bad Request\r\n\r\n");
    });
    let failure = place.failure_of(3, &["query-status"]);
    assert!(failure.contains("HTTP/1.1 400"), "{failure}");
    server.join().unwrap();
    // A monitor that serves somebody else says nothing; nor does an agent.
    let (place, server) = place_with(1, |_, mut peer| {
        peer.hear();
    });
    let failure = place.failure_of(3, &["--connect-timeout", "0.01", "query-status"]);
    assert!(failure.contains("no greeting"), "{failure}");
    server.join().unwrap();
    for address in ["telepathy:bob", "tcp:localhost", ""] {
        assert_eq!(
            Place::new(address).run(&["query-status"]).status.code(),
            Some(2)
        );
    }
    // A socket that is there a little later.
    let place = Place::new("");
    let path = place.folder.path().join("later");
    let place = Place {
        address: path.display().to_string(),
        ..place
    };
    let child = place
        .program(&["--retry", "60", "--no-check", "query-name"])
        .stdout(Stdio::null())
        .spawn();
    let listener = UnixListener::bind(&path).unwrap();
    let mut peer = Peer(BufReader::new(listener.accept().unwrap().0));
    peer.open();
    let (line, id) = peer.hear();
    assert!(line.contains("query-name"), "{line}");
    peer.say(format!("{{\"return\": {{}}, \"id\": {id}}}\r\n").as_bytes());
    assert!(child.unwrap().wait().unwrap().success());
}

/// Wherever in its words a server ends: before the command is sent there is no server, after it nobody knows.
fn a_peer_that_dies_is_told() {
    let greeting = b"{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n";
    let reply = b"{\"return\": {\"a\": \"b\"}, \"id\": ";
    let (n_before, n_after) = (greeting.len() - 2, reply.len());
    let (place, server) = place_with(n_before + n_after, move |n, mut peer| {
        if n < n_before {
            return peer.say(&greeting[..n]);
        }
        peer.open();
        peer.hear();
        peer.say(&reply[..n - n_before]);
    });
    for n in 0..n_before + n_after {
        let status = if n < n_before { 3 } else { 4 };
        let failure = place.failure_of(status, &["--no-check", "query-name"]);
        let is_told = failure.contains("may have been executed");
        assert_eq!(is_told, status == 4, "{failure}");
    }
    server.join().unwrap();
}

fn a_late_answer_has_a_status() {
    let (place, server) = place_with(1, |_, mut peer| {
        peer.open();
        peer.hear();
        // Until the client has gone.
        peer.hear();
    });
    let failure = place.failure_of(5, &["--no-check", "--timeout", "0.01", "stop"]);
    assert!(
        failure.contains("it was sent, and may still be executed"),
        "{failure}"
    );
    server.join().unwrap();
}

fn nothing_of_a_peer_reaches_the_terminal() {
    let evil = "\\u001b]0;owned\\u0007\\u009b2J\\u202e";
    let (place, server) = place_with(4, move |n, mut peer| {
        peer.open();
        let (_, id) = peer.hear();
        let error = format!(
            "{{\"error\": {{\"class\": \"{evil}\", \"desc\": \"{evil}\"}}, \"id\": {id}}}\r\n"
        );
        let answer = format!("{{\"return\": {{\"{evil}\": [\"{evil}\"]}}, \"id\": {id}}}\r\n");
        let line = format!("{{\"return\": \"{evil}\\r\\n{evil}\", \"id\": {id}}}\r\n");
        peer.say([error, answer.clone(), answer, line][n].as_bytes());
    });
    place.failure_of(19, &["--no-check", "x"]);
    for (arguments, n_lines) in [
        (&["--no-check", "--json", "x"][..], 1),
        (&["--no-check", "--human", "x"], 2),
        (&["--hmp", "x"], 2),
    ] {
        let text = place.text_of(arguments);
        assert_eq!(text.lines().count(), n_lines, "{text:?}");
        let is_evil = |ch: char| (ch.is_control() && ch != '\n') || ch == '\u{202e}';
        assert!(!text.contains(is_evil), "{arguments:?}: {text:?}");
        assert!(text.contains("owned"), "{text:?}");
    }
    server.join().unwrap();
}

fn a_guest_agent_is_spoken_to() {
    let (place, server) = place_with(1, |_, mut peer| {
        let (line, _) = peer.hear();
        let number: String = line
            .split("{\"id\": ")
            .nth(1)
            .unwrap()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        peer.say(b"\xff");
        peer.say(format!("{{\"return\": {number}}}\n").as_bytes());
        let (line, id) = peer.hear();
        assert!(
            line.contains(r#""arguments": {"path": "/bin/date", "arg": ["-u"], "n": 5}"#),
            "{line}"
        );
        peer.say(format!("{{\"return\": {{\"pid\": 7}}, \"id\": {id}}}\n").as_bytes());
    });
    let arguments = [
        "--agent",
        "guest-exec",
        "path=/bin/date",
        "arg:=[\"-u\"]",
        "n=5",
    ];
    assert_eq!(place.text_of(&arguments), "{\"pid\": 7}\n");
    server.join().unwrap();
    assert!(place.kept().is_empty());
    // It is said to a peer that is not an agent.
    let server = start();
    let failure = Place::at(&server).failure_of(3, &["--agent", "guest-ping"]);
    assert!(failure.contains("not a guest agent"), "{failure}");
}
