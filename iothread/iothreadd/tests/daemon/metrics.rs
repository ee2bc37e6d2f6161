//! Metrics over HTTP, and their readers.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

use serde_json::json;
use tests::http::{exchange, get};

use crate::harness::{Client, PATIENCE, Server, eventually, run};
use crate::nbd::Nbd;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0";

/// A server, and where its metrics are.
struct Fixture {
    server: Server,
    at: String,
}

impl Fixture {
    fn start(more: &[&str]) -> Self {
        let fixed = ["--metrics", ":0", "--object", "iothread,id=io0"];
        let mut server = Server::start(&[&fixed[..], more].concat());
        let mut at = None;
        eventually(|| {
            let lines = server.said().into_iter();
            let mut told = lines.filter_map(|it| Some(it.split_once("http://")?.1.to_owned()));
            at = told.next();
            at.is_some()
        });
        let at = at.unwrap();
        let at = at.strip_suffix("/metrics").unwrap().to_owned();
        Self { server, at }
    }

    fn series(&self) -> HashMap<String, f64> {
        let (head, body) = get(&self.at, "/metrics", OPEN_METRICS);
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        assert!(head.contains(OPEN_METRICS), "{head}");
        series(&body)
    }
}

/// What a page says, by names with labels.
fn series(page: &str) -> HashMap<String, f64> {
    assert!(page.ends_with("# EOF\n"), "{page}");
    let mut series = HashMap::new();
    for line in page.lines().filter(|it| !it.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        assert_eq!(series.insert(name.to_owned(), value), None, "{name}: twice");
    }
    series
}

fn export_over_nbd(server: &Server, client: &mut Client) -> Nbd {
    client.add_node("n0");
    let path = server.folder().join("nbd");
    let address = json!({"type": "unix", "data": {"path": path}});
    client.execute("nbd-server-start", json!({"addr": address}));
    let export = json!({"type": "nbd", "id": "e", "name": "e", "node-name": "n0", "writable": true, "iothread": "io0"});
    client.execute("block-export-add", export);
    Nbd::open(&path, "e")
}

#[test]
fn what_the_server_does_is_told() {
    let it = Fixture::start(&["--object", "iothread,id=io1"]);
    let mut client = it.server.client();
    let before = it.series();
    let cpu = |thread: &str, mode: &str| {
        format!("iothread_cpu_seconds_total{{iothread=\"{thread}\",mode=\"{mode}\"}}")
    };
    for name in [
        cpu("io0", "user"),
        cpu("io1", "system"),
        "iothread_run_delay_seconds_total{iothread=\"io0\"}".to_owned(),
        "iothread_loop_seconds_total{iothread=\"io0\",phase=\"dispatching\"}".to_owned(),
        "iothread_polls_total{iothread=\"io0\",outcome=\"miss\"}".to_owned(),
    ] {
        assert!(before.contains_key(&name), "{name}: {before:?}");
    }
    let of = |series: &HashMap<String, f64>, name: &str| series.get(name).copied().unwrap_or(0.0);
    assert_eq!(
        of(&before, "iothread_exporter_left_out{what=\"holders\"}"),
        0.0
    );
    let holders = "iothread_holders{iothread=\"io0\",kind=\"block-export\"}";
    assert_eq!(before[holders], 0.0);

    let mut nbd = export_over_nbd(&it.server, &mut client);
    nbd.read(0, 4096);
    nbd.read(0, 512);
    nbd.write(0, &[1; 1024]);
    let refusal = client.error("blockdev-del", json!({"node-name": "n0"}));
    assert!(refusal.contains("in use"), "{refusal}");
    client.exchange("no-such-command", json!({}));
    let now = it.series();
    assert_eq!(now[holders], 1.0);
    let info = "iothread_holder_info{iothread=\"io0\",kind=\"block-export\",holder=\"e\"}";
    assert_eq!(now[info], 1.0);
    let export = |name: &str, operation: &str, more: &str| {
        format!("{name}{{export=\"e\",type=\"nbd\",operation=\"{operation}\"{more}}}")
    };
    for (name, operation, more, value) in [
        (
            "iothread_export_requests_total",
            "read",
            ",outcome=\"done\"",
            2.0,
        ),
        (
            "iothread_export_requests_total",
            "read",
            ",outcome=\"failed\"",
            0.0,
        ),
        (
            "iothread_export_requests_total",
            "write",
            ",outcome=\"done\"",
            1.0,
        ),
        (
            "iothread_export_requests_total",
            "flush",
            ",outcome=\"done\"",
            0.0,
        ),
        ("iothread_export_bytes_total", "read", "", 4608.0),
        ("iothread_export_bytes_total", "write", "", 1024.0),
        (
            "iothread_export_request_duration_seconds_count",
            "read",
            "",
            2.0,
        ),
    ] {
        let name = export(name, operation, more);
        assert_eq!(now[&name], value, "{name}");
    }
    let all = "iothread_export_request_duration_seconds_bucket{le=\"+Inf\",export=\"e\",type=\"nbd\",operation=\"read\"}";
    assert_eq!(now[all], 2.0);
    let command = |name: &str, outcome: &str| {
        format!("iothread_qmp_commands_total{{command=\"{name}\",outcome=\"{outcome}\"}}")
    };
    assert_eq!(now[&command("blockdev-add", "success")], 1.0);
    assert_eq!(now[&command("blockdev-add", "error")], 0.0);
    assert_eq!(now[&command("blockdev-del", "error")], 1.0);
    assert_eq!(now[&command("nbd-server-start", "success")], 1.0);
    assert_eq!(now[&command("", "error")], 1.0);
    let took = "iothread_qmp_command_duration_seconds_count{command=\"block-export-add\"}";
    assert_eq!(now[took], 1.0);
    for (name, value) in &before {
        let only_goes_up = name.contains("_total{");
        assert!(!only_goes_up || now[name] >= *value, "{name}");
    }
}

#[test]
fn readers_of_the_older_format_are_served() {
    let it = Fixture::start(&[]);
    let (head, body) = get(&it.at, "/metrics", "text/plain");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    let line = "# TYPE iothread_cpu_seconds_total counter\n";
    assert!(body.contains(line) && !body.contains("# EOF"), "{body}");
    assert!(get(&it.at, "/", "*/*").1.contains("/metrics"));
}

#[test]
fn requests_that_are_none_harm_nobody() {
    let it = Fixture::start(&[]);
    // Some that begin and say no more.
    let halves: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(&it.at).unwrap();
            stream.write_all(b"GET /met").unwrap();
            stream
        })
        .collect();
    let status = |request: &[u8]| exchange(&it.at, request).0;
    assert!(status(b"POST /metrics HTTP/1.0\r\n\r\n").contains("405"));
    assert!(status(b"GET /qmp HTTP/1.0\r\n\r\n").contains("404"));
    assert!(status(b"{\"execute\": \"quit\"}\n\n\r\n\r\n").contains("400"));
    let long = [
        b"GET /".as_slice(),
        &vec![b'x'; 1 << 20],
        b" HTTP/1.0\r\n\r\n",
    ]
    .concat();
    assert!(!status(&long).contains("200"));
    it.series();
    let mut client = it.server.client();
    client.execute("query-status", json!({}));
    drop(halves);
}

#[test]
fn names_of_others_end_no_line() {
    let name = "a\"b\\c\nd\u{1b}[2J";
    let it = Fixture::start(&["--name", name]);
    let (_, page) = get(&it.at, "/metrics", OPEN_METRICS);
    let shown = "name=\"a\\\"b\\\\c<U+000A>d<U+001B>[2J\"} 1";
    assert!(page.lines().any(|it| it.ends_with(shown)), "{page}");
    assert!(page.chars().all(|it| it == '\n' || !it.is_control()));
}

/// More holders than are named, and more exports than are told of: the rest is counted.
#[test]
fn what_there_is_no_room_for_is_counted() {
    let it = Fixture::start(&[]);
    let mut client = it.server.client();
    client.add_node("n0");
    let address = json!({"type": "unix", "data": {"path": it.server.folder().join("nbd")}});
    client.execute("nbd-server-start", json!({"addr": address}));
    let threads: Vec<String> = (0..8).map(|number| format!("t{number}")).collect();
    for thread in &threads {
        client.execute("object-add", json!({"qom-type": "iothread", "id": thread}));
    }
    for number in 0..260 {
        let id = format!("e{number}");
        let export =
            json!({"type": "nbd", "id": id, "name": id, "node-name": "n0", "iothread": threads});
        client.execute("block-export-add", export);
    }
    let now = it.series();
    for thread in &threads {
        let exports = format!("iothread_holders{{iothread=\"{thread}\",kind=\"block-export\"}}");
        assert_eq!(now[&exports], 260.0);
    }
    let count = |start: &str| now.keys().filter(|it| it.starts_with(start)).count();
    assert_eq!(count("iothread_holder_info{"), 2_000);
    assert_eq!(now["iothread_exporter_left_out{what=\"holders\"}"], 80.0);
    // Four operations each.
    assert_eq!(count("iothread_export_bytes_total{"), 256 * 4);
    assert_eq!(now["iothread_exporter_left_out{what=\"exports\"}"], 4.0);
}

#[test]
fn other_hosts_are_kept_out() {
    let output = run(&["--metrics", "0.0.0.0:0"], b"");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--allow-remote"), "{said}");
    for (wrong, expected) in [
        ("nope", "expected HOST:PORT"),
        ("x:99999", "not a port"),
        ("fd:0", "from 3 on"),
    ] {
        let output = run(&["--metrics", wrong], b"");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{wrong}: {said}");
    }
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let output = run(&["--metrics", &address], b"");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&address), "{said}");
}

/// A page, as long as somebody serves one.
fn page(stream: std::io::Result<TcpStream>) -> Option<String> {
    let mut stream = stream.ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = b"GET /metrics HTTP/1.0\r\n\r\n";
    stream.write_all(request).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    (!answer.is_empty()).then_some(answer)
}

/// Scrapes come all the time, while the server starts, and while it ends. The socket is one that was handed over, so nobody is turned
/// away before somebody serves.
#[test]
fn scrapes_during_start_and_end_do_no_harm() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let early = TcpStream::connect(at);
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$0\" \"$@\" 3>&1 >/dev/null"])
        .arg(env!("CARGO_BIN_EXE_iothreadd"))
        .args(["--metrics", "fd:3", "--object", "iothread,id=io0"])
        .stdout(Stdio::from(OwnedFd::from(listener)));
    let mut server = Server::start_as(command, tempfile::tempdir().unwrap());
    assert!(page(early).unwrap().contains("iothread_cpu_seconds_total"));
    let (served, is_served) = channel();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let served = served.clone();
            std::thread::spawn(move || {
                while page(TcpStream::connect(at)).is_some() {
                    // Nobody may be left to count.
                    let _ = served.send(());
                }
            })
        })
        .collect();
    for _ in 0..20 {
        is_served.recv_timeout(PATIENCE).unwrap();
    }
    server.signal("TERM");
    assert!(server.wait().success());
    for reader in readers {
        reader.join().unwrap();
    }
}
