//! Servers that do not answer, each of which is told for what it is.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use libtest_mimic::Failed;
use rustix::process::Signal;
use serde_json::Value;
use tests::{Suite, Tool, comes_true, eventually};

use super::exporter::Exporter;
use super::guests::start_iothreadd;
use super::{Program, address, program, top};

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .always("a-stopped-server-is-silent", a_stopped_server_is_silent)
        .always(
            "a-server-of-one-client-is-busy",
            a_server_of_one_client_is_busy,
        )
        .always("waiting-for-room-cuts-nothing-short", waiting_for_room)
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
        .always(
            "nothing-that-a-server-says-steers-a-terminal",
            nothing_that_a_server_says_steers_a_terminal,
        )
        .with(
            "a-guest-agent-is-silent",
            Tool::Program("qemu-ga"),
            a_guest_agent_is_silent,
        )
        .with(
            "without-proc-there-are-no-times",
            Tool::Program("unshare"),
            without_proc_there_are_no_times,
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
pub(crate) struct Peer {
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

    pub(crate) fn socket(&self) -> String {
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
    // It hangs: it does not see that its client has left.
    drop(client);
    let silent = guest(path.to_str().unwrap(), SHORT);
    assert_eq!(silent["state"], "silent", "{silent}");
    drop(accepted);
    Ok(())
}

/// The queue of those who are to be accepted is full at first, and it serves another client all the time.
fn waiting_for_room() -> Result<(), Failed> {
    const DEADLINE: &str = "1";
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("qmp");
    let listener = UnixListener::bind(&path)?;
    let room_for_one = 0;
    rustix::net::listen(&listener, room_for_one)?;
    let served = (UnixStream::connect(&path)?, listener.accept()?);
    let queued = UnixStream::connect(&path)?;
    let address = path.display().to_string();
    let watcher = std::thread::spawn(move || guest(&address, DEADLINE));
    // Half of its time, if the machine lets it: what it says is the same in any case.
    std::thread::park_timeout(Duration::from_millis(500));
    drop((queued, listener.accept()?));
    let busy = watcher.join().unwrap();
    assert_eq!(busy["state"], "busy", "{busy}");
    drop(served);
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

/// A name that sets the title of a terminal, begins a line, ends a label, and turns the direction.
pub(crate) const ODD: &str = "\u{1b}]0;x\u{7}a\"b\\c\n\u{9b}2J\u{202e}";

/// A server that calls everything so.
pub(crate) fn start_odd() -> Peer {
    let name = serde_json::to_string(ODD).unwrap();
    let holder = format!(r#"{{"type": {name}, "node-name": {name}}}"#);
    let answer = format!(
        r#"[{{"id": {name}, "thread-id": 1, "holders": [{holder}], "name": {name}, "type": {name}}},
            {{"id": {name}, "thread-id": 2, "holders": []}}]"#
    );
    answers(Box::leak(answer.into_boxed_str()))
}

fn nothing_that_a_server_says_steers_a_terminal() -> Result<(), Failed> {
    let peer = start_odd();
    let socket = peer.socket();
    let is_harmless = |text: &str| {
        let steers = |ch: char| ch != '\n' && (ch.is_control() || ch == '\u{202e}');
        assert!(!text.contains(steers), "{text:?}");
    };
    for options in [
        &["--once"][..],
        &["--once", "-o", "all"],
        &["--once", "-g", "guest"],
        &["--once", "--json"],
        &["--once", "--csv"],
        &["--html"],
        &["--svg"],
        &["doctor"],
        &["doctor", "--json"],
    ] {
        let fixed = ["-d", "0.1", "--deadline", LONG, &socket];
        let output = top(&[options, &fixed[..]].concat());
        let text = String::from_utf8(output.stdout)?;
        is_harmless(&text);
        assert!(text.contains("]0;x"), "{options:?}: {text}");
    }
    let recorded = tempfile::NamedTempFile::new()?;
    std::fs::write(
        &recorded,
        format!(
            "{{\"time\": 1, \"guests\": [{{\"target\": \"/x\", \"state\": {}, \"age\": 0}}]}}\n",
            serde_json::to_string(ODD)?
        ),
    )?;
    let wrong = top(&["--replay", recorded.path().to_str().unwrap(), "--json"]);
    assert_eq!(wrong.status.code(), Some(1));
    let text = String::from_utf8(wrong.stderr)?;
    is_harmless(&text);
    assert_eq!(text.lines().count(), 1, "{text}");
    let exporter = Exporter::start(&[&socket]);
    let metrics = exporter.until("iothread_holder_info{");
    is_harmless(&metrics);
    Ok(())
}

fn a_guest_agent_is_silent(agent: &Path) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let child = std::process::Command::new(agent)
        .args(["-m", "unix-listen", "-p", &path("agent")])
        .args(["-t", &path(""), "-f", &path("pid")])
        .stderr(std::process::Stdio::null())
        .spawn()?;
    let _agent = Program(child);
    eventually(|| Path::new(&path("agent")).exists());
    let silent = guest(&path("agent"), SHORT);
    assert_eq!(silent["state"], "silent", "{silent}");
    Ok(())
}

/// As in a container that hides other processes.
fn without_proc_there_are_no_times(unshare: &Path) -> Result<(), Failed> {
    let server = start_iothreadd(&["--object", "iothread,id=io0"])?;
    let as_whom: &[&str] = match rustix::process::geteuid().is_root() {
        true => &[],
        false => &["-r"],
    };
    let inner = program(&[]);
    let options = [
        "--once",
        "-d",
        "0.1",
        "--deadline",
        LONG,
        "-o",
        "iothread,cpu,held",
    ];
    let output = std::process::Command::new(unshare)
        .args(as_whom)
        .args([
            "-m",
            "sh",
            "-c",
            "mount -t tmpfs none /proc && exec \"$@\"",
            "sh",
        ])
        .arg(inner.get_program())
        .args(options)
        .arg(address(&server))
        .output()?;
    let text = String::from_utf8(output.stdout.clone())?;
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(rows[1], ["io0", "-", "0"], "{text}");
    assert!(text.contains("not to be seen"), "{text}");
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
