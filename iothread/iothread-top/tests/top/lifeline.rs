//! Servers that do not answer, each of which is told for what it is.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use libtest_mimic::Failed;
use rustix::process::Signal;
use serde_json::Value;
use tests::{Suite, comes_true};

use super::guests::start_iothreadd;
use super::{address, top};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .always("a-stopped-server-is-silent", a_stopped_server_is_silent)
        .always(
            "a-server-of-one-client-is-busy",
            a_server_of_one_client_is_busy,
        )
        .always(
            "whoever-speaks-otherwise-is-foreign",
            whoever_speaks_otherwise_is_foreign,
        )
        .always(
            "whoever-says-nothing-is-silent",
            whoever_says_nothing_is_silent,
        )
        .always("whoever-hangs-up-is-gone", whoever_hangs_up_is_gone)
        .always(
            "answers-that-make-no-sense-are-a-row",
            answers_that_make_no_sense_are_a_row,
        )
}

/// How long one may take that is to answer, and one that never does.
const LONG: &str = "30";
const SHORT: &str = "0.5";

/// The only guest of a look, and that the program told of its trouble.
fn guest(address: &str, deadline: &str) -> Value {
    let output = top(&[
        "--once",
        "--json",
        "-d",
        "0.1",
        "--deadline",
        deadline,
        address,
    ]);
    let text = String::from_utf8(output.stdout).unwrap();
    let round: Value = serde_json::from_str(&text).unwrap();
    let guest = round["guests"][0].clone();
    let is_fresh = matches!(guest["state"].as_str(), Some("alive" | "slow"));
    assert_eq!(output.status.success(), is_fresh, "{text}");
    guest
}

fn a_stopped_server_is_silent() -> Result<(), Failed> {
    let server = start_iothreadd(&[])?;
    server.signal(Signal::STOP)?;
    let silent = guest(&address(&server), SHORT);
    assert_eq!(silent["state"], "silent", "{silent}");
    let reason = silent["reason"].as_str().unwrap();
    assert!(reason.contains("its process is stopped"), "{silent}");
    server.signal(Signal::CONT)?;
    // On a machine that is busy it may be late once more.
    assert!(comes_true(tests::PATIENCE, || {
        let state = guest(&address(&server), SHORT)["state"].take();
        state == "alive" || state == "slow"
    }));
    Ok(())
}

/// A server in this process that does something with each connection.
struct Peer {
    folder: tempfile::TempDir,
}

impl Peer {
    fn start(serve: impl Fn(UnixStream) + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("qmp")).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream);
            }
        });
        Self { folder }
    }

    fn socket(&self) -> String {
        self.folder.path().join("qmp").display().to_string()
    }
}

/// As a monitor of QEMU, which lets others wait.
fn a_server_of_one_client_is_busy() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("qmp");
    let listener = UnixListener::bind(&path)?;
    let client = UnixStream::connect(&path)?;
    let accepted = listener.accept()?;
    let busy = guest(path.to_str().unwrap(), SHORT);
    assert_eq!(busy["state"], "busy", "{busy}");
    assert_eq!(busy["reason"], "it serves another client");
    drop((client, accepted));
    Ok(())
}

fn whoever_speaks_otherwise_is_foreign() -> Result<(), Failed> {
    for said in [
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "\x1b[2J\x07\n",
        "{\"return\": {}}\n",
    ] {
        let peer = Peer::start(move |mut stream| {
            let _ = stream.write_all(said.as_bytes());
            // Until the other side has had enough.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let foreign = guest(&peer.socket(), LONG);
        assert_eq!(foreign["state"], "foreign", "{said:?}: {foreign}");
        let table = top(&["--once", "-d", "0.1", &peer.socket()]);
        assert!(!table.stdout.contains(&0x1b), "{said:?}");
        assert_eq!(
            table.stdout.split(|it| *it == b'\n').count(),
            3,
            "{table:?}"
        );
    }
    Ok(())
}

/// As a guest agent, and a server of HTTP: they wait for somebody to ask in their own language.
fn whoever_says_nothing_is_silent() -> Result<(), Failed> {
    let peer = Peer::start(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let silent = guest(&peer.socket(), SHORT);
    assert_eq!(silent["state"], "silent", "{silent}");
    let reason = silent["reason"].as_str().unwrap();
    assert!(reason.starts_with("no greeting in 500ms"), "{silent}");
    Ok(())
}

const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 0, "minor": 0, "major": 9}, "package": ""}, "capabilities": []}}"#;

fn whoever_hangs_up_is_gone() -> Result<(), Failed> {
    let peer = Peer::start(drop);
    assert_eq!(guest(&peer.socket(), LONG)["state"], "gone");
    let peer = Peer::start(|mut stream| {
        let _ = stream.write_all(&GREETING.as_bytes()[..40]);
    });
    assert_eq!(guest(&peer.socket(), LONG)["state"], "gone");
    Ok(())
}

/// It answers every command with this.
fn answers(answer: &'static str) -> Peer {
    Peer::start(move |mut stream| {
        let _ = writeln!(stream, "{GREETING}");
        let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        while std::io::BufRead::read_line(&mut reader, &mut line).is_ok_and(|count| count > 0) {
            let command: Value = serde_json::from_str(&line).unwrap_or_default();
            let is_first = command["execute"] == "qmp_capabilities";
            let answer = if is_first { "{}" } else { answer };
            let id = &command["id"];
            let _ = writeln!(stream, r#"{{"return": {answer}, "id": {id}}}"#);
            line.clear();
        }
    })
}

fn answers_that_make_no_sense_are_a_row() -> Result<(), Failed> {
    for answer in [
        "{}",
        "7",
        "[7, null, {}]",
        r#"[{"id": 7, "thread-id": "x", "holders": {"a": 1}, "name": 3, "type": []}]"#,
        r#"[{"name": "child", "type": "child<virtio-blk-pci>", "id": "x", "inserted": 1, "qdev": 2}]"#,
    ] {
        let peer = answers(answer);
        let alive = guest(&peer.socket(), LONG);
        let state = alive["state"].as_str().unwrap();
        assert!(["alive", "slow"].contains(&state), "{answer}: {alive}");
    }
    // One that has none of the commands.
    let peer = Peer::start(|mut stream| {
        let _ = writeln!(stream, "{GREETING}");
        let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        while std::io::BufRead::read_line(&mut reader, &mut line).is_ok_and(|count| count > 0) {
            let command: Value = serde_json::from_str(&line).unwrap_or_default();
            let id = &command["id"];
            let answer = match command["execute"].as_str() {
                Some("qmp_capabilities") => r#""return": {}"#,
                _ => r#""error": {"class": "CommandNotFound", "desc": "no"}"#,
            };
            let _ = writeln!(stream, r#"{{{answer}, "id": {id}}}"#);
            line.clear();
        }
    });
    let bare = guest(&peer.socket(), LONG);
    assert_eq!(
        bare["notes"][0], "the server has no query-iothreads",
        "{bare}"
    );
    Ok(())
}

/// Sends its greeting byte by byte until nobody listens.
pub(crate) fn start_trickling(path: &Path) -> std::io::Result<()> {
    let listener = UnixListener::bind(path)?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                for byte in b" ".iter().cycle() {
                    if stream.write_all(&[*byte]).is_err() {
                        return;
                    }
                    // It is slow: nobody waits for it.
                    std::thread::park_timeout(Duration::from_millis(20));
                }
            });
        }
    });
    Ok(())
}
