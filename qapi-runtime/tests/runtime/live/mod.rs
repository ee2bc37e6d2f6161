//! The clients against a live QEMU; skipped where there is none.

mod completions;
mod guests;
mod late;
mod plans;

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use qapi_runtime::Value;
use qapi_runtime::client::{
    Address, CallOptions, Client, ClientErrorKind, ConnectOptions, Dialect, EventFilter, blocking,
};
use tests::Tool;

/// A QEMU without a machine that is killed in the end.
struct Qemu {
    child: Child,
}

impl Qemu {
    /// Starts one that listens on `socket`; nothing if there is no QEMU here.
    fn start(socket: &Path) -> Option<Self> {
        let qemu = Tool::Program("qemu-system-x86_64").for_test("clients of QEMU")?;
        Some(Self::start_as(&qemu, socket))
    }

    /// Starts this one.
    fn start_as(qemu: &Path, socket: &Path) -> Self {
        Self::of(Self::command(qemu, socket))
    }

    fn command(qemu: &Path, socket: &Path) -> Command {
        Self::command_on("none", qemu, socket)
    }

    /// The same with a machine of this type.
    fn command_on(machine: &str, qemu: &Path, socket: &Path) -> Command {
        let mut command = Command::new(qemu);
        command
            .args([
                "-machine",
                machine,
                "-nodefaults",
                "-display",
                "none",
                "-qmp",
            ])
            .arg(format!("unix:{},server=on,wait=off", socket.display()))
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn of(mut command: Command) -> Self {
        Self {
            child: command.spawn().unwrap(),
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a test with the QEMU on the search path, and with the newer one.
fn with_each_qemu(test: &str, run: impl Fn(&Path)) {
    for tool in [Tool::Program("qemu-system-x86_64"), Tool::QemuTen] {
        if let Some(qemu) = tool.for_test(test) {
            run(&qemu);
        }
    }
}

fn options(socket: &Path) -> ConnectOptions {
    ConnectOptions::new(Address::unix(socket)).wait_for_socket(Duration::from_secs(30))
}

fn value(json: &str) -> Value {
    qapi_runtime::json::Document::parse(json.as_bytes())
        .unwrap()
        .root()
        .to_value()
}

#[test]
fn blocking_client() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("qmp");
    let Some(mut qemu) = Qemu::start(&socket) else {
        return;
    };
    let client =
        blocking::Client::connect(options(&socket).reconnect(Duration::from_secs(30))).unwrap();
    let raw = |command: &str| client.execute_raw(command, None, CallOptions::new());

    let version = raw("query-version").unwrap();
    assert_eq!(
        Some(&version),
        client.greeting().map(|greeting| greeting.version).as_ref()
    );
    let schema = raw("query-qmp-schema").unwrap();
    // All of it came, in one reply.
    assert!(schema.to_string().len() > 200_000);
    let error = raw("no-such-command").unwrap_err();
    assert_eq!(
        error.server_error().unwrap().class.as_str(),
        "CommandNotFound"
    );

    // A descriptor travels in and is used: QEMU writes to the pipe as a log of a chardev.
    let (reader, writer) = std::io::pipe().unwrap();
    let descriptor = CallOptions::new().descriptor(OwnedFd::from(writer));
    let added = client
        .execute_raw("add-fd", Some(&value("{'fdset-id': 1}")), descriptor)
        .unwrap();
    assert_eq!(added.get("fdset-id").and_then(Value::as_i64), Some(1));
    let sets = raw("query-fdsets").unwrap();
    assert_eq!(sets.as_array().map(<[Value]>::len), Some(1));
    raw("remove-fd").unwrap_err();
    client
        .execute_raw(
            "remove-fd",
            Some(&value("{'fdset-id': 1}")),
            CallOptions::new(),
        )
        .unwrap();
    drop(reader);

    // The same kept under a name; the pipe ends when QEMU gives it up.
    let (reader, writer) = std::io::pipe().unwrap();
    let name = value("{'fdname': 'pipe'}");
    let descriptor = CallOptions::new().descriptor(OwnedFd::from(writer));
    client
        .execute_raw("getfd", Some(&name), descriptor)
        .unwrap();
    client
        .execute_raw("closefd", Some(&name), CallOptions::new())
        .unwrap();
    assert_eq!(std::io::read_to_string(reader).unwrap(), "");
    let error = client
        .execute_raw("getfd", Some(&name), CallOptions::new())
        .unwrap_err();
    assert!(format!("{error:?}").contains("No file descriptor supplied via SCM_RIGHTS"));

    // The end of the server is told at once, and a new one found.
    qemu.kill();
    let start = Instant::now();
    let error = loop {
        match client.execute_raw(
            "query-name",
            None,
            CallOptions::new().timeout(Duration::from_secs(1)),
        ) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(
        matches!(
            error.kind(),
            ClientErrorKind::Closed | ClientErrorKind::TimedOut(_)
        ),
        "{error:?}"
    );
    assert!(start.elapsed() < Duration::from_secs(20));
    let _qemu = Qemu::start(&socket).unwrap();
    let options = CallOptions::new().timeout(Duration::from_secs(30));
    client.execute_raw("query-name", None, options).unwrap();

    let shutdown = client.listen(EventFilter::name("SHUTDOWN"));
    raw("quit").unwrap();
    let event = shutdown.next(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(
        event
            .data()
            .get("reason")
            .and_then(|reason| reason.as_str()),
        Some("host-qmp-quit")
    );
}

/// What adds a block node whose configuration is read from `fifo`: QEMU waits for somebody to write to it.
fn blocking_arguments(fifo: &Path) -> Value {
    rustix::fs::mkfifoat(rustix::fs::CWD, fifo, rustix::fs::Mode::from(0o600)).unwrap();
    value(&format!(
        "{{'driver': 'blkdebug', 'node-name': 'n', 'config': '{}', 'image': {{'driver': 'null-co'}}}}",
        fifo.display()
    ))
}

/// QEMU is killed while it executes a command: the caller knows within a second.
#[test]
fn a_killed_server_is_noticed_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("qmp");
    let Some(mut qemu) = Qemu::start(&socket) else {
        return;
    };
    let client = blocking::Client::connect(options(&socket)).unwrap();
    let arguments = blocking_arguments(&folder.path().join("fifo"));
    std::thread::scope(|scope| {
        let call = scope.spawn(|| {
            let error = client
                .execute_raw("blockdev-add", Some(&arguments), CallOptions::new())
                .unwrap_err();
            (error, Instant::now())
        });
        // The command is there once it holds up the next one.
        let patience = Duration::from_millis(200);
        while client
            .execute_raw("query-name", None, CallOptions::new().timeout(patience))
            .is_ok()
        {}
        assert!(!call.is_finished());
        let killed = Instant::now();
        qemu.kill();
        let (error, noticed) = call.join().unwrap();
        assert!(matches!(error.kind(), ClientErrorKind::Closed), "{error:?}");
        assert!(noticed - killed < Duration::from_secs(1));
    });
    // Without reconnection it stays so.
    let error = client
        .execute_raw("query-name", None, CallOptions::new())
        .unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::Closed), "{error:?}");
}

/// An in-band command blocks QEMU on a FIFO, and one out of band is answered meanwhile.
#[tokio::test]
async fn out_of_band_overtakes() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("qmp");
    let Some(_qemu) = Qemu::start(&socket) else {
        return;
    };
    let fifo = folder.path().join("fifo");
    let arguments = blocking_arguments(&fifo);
    let client = Client::connect(options(&socket)).await.unwrap();
    let blocked = tokio::spawn({
        let client = client.clone();
        async move {
            client
                .execute_raw("blockdev-add", Some(&arguments), CallOptions::new())
                .await
        }
    });
    let oob = CallOptions::new()
        .out_of_band()
        .timeout(Duration::from_secs(30));
    let instances = client.execute_raw("query-yank", None, oob).await.unwrap();
    assert!(instances.as_array().is_some());
    assert!(!blocked.is_finished());
    // Opening the other end releases the command.
    tokio::task::spawn_blocking(move || {
        let mut fifo = std::fs::File::options().write(true).open(fifo).unwrap();
        // The reader may have gone by now.
        let _ = fifo.write_all(b"\n");
    })
    .await
    .unwrap();
    let _ = blocked.await.unwrap();
}

#[tokio::test]
async fn events_are_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("qmp");
    let Some(_qemu) = Qemu::start(&socket) else {
        return;
    };
    let client = Client::connect(options(&socket)).await.unwrap();
    let raw = async |command: &str| {
        let call = client.execute_raw(command, None, CallOptions::new());
        call.await.unwrap()
    };
    // The filter lets through what has its name and its members, and nothing before.
    let filter = EventFilter::names(["SHUTDOWN", "RESUME"]).with_member("reason", "host-qmp-quit");
    let mut passed = client.listen(filter.clone());
    let mut all = client.listen(EventFilter::all());
    raw("stop").await;
    raw("cont").await;
    assert_eq!(all.next().await.unwrap().name(), "STOP");
    assert_eq!(all.next().await.unwrap().name(), "RESUME");
    let timeout = Duration::from_millis(10);
    let waiting = client.wait_for_event(filter, Some(timeout));
    let error = waiting.await.unwrap_err();
    assert!(matches!(error.kind(), ClientErrorKind::TimedOut(after) if *after == timeout));
    raw("quit").await;
    assert_eq!(passed.next().await.unwrap().name(), "SHUTDOWN");
}

#[test]
fn guest_agent() {
    let Some(program) = Tool::Program("qemu-ga").for_test("a guest agent") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent");
    let agent = Command::new(program)
        .args(["-m", "unix-listen", "-t"])
        .arg(folder.path())
        .arg("-p")
        .arg(&socket)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _agent = Qemu {
        child: agent.unwrap(),
    };
    let client = blocking::Client::connect(options(&socket).dialect(Dialect::GuestAgent)).unwrap();
    assert_eq!(client.greeting(), None);
    let raw = |command: &str| client.execute_raw(command, None, CallOptions::new());
    assert_eq!(raw("guest-ping").unwrap(), value("{}"));
    assert!(raw("guest-info").unwrap().get("version").is_some());
    let error = raw("guest-nope").unwrap_err();
    assert!(error.server_error().is_some());
    // Another client finds what the last one left half done.
    client.close();
    let mut stream = loop {
        if let Ok(stream) = std::os::unix::net::UnixStream::connect(&socket) {
            break stream;
        }
    };
    stream.write_all(b"{\"execute\": [").unwrap();
    drop(stream);
    let client = blocking::Client::connect(options(&socket).dialect(Dialect::GuestAgent)).unwrap();
    let pong = client.execute_raw("guest-ping", None, CallOptions::new());
    assert_eq!(pong.unwrap(), value("{}"));
}

/// QEMU's monitor on two FIFOs.
#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_on_fifos() {
    let Some(qemu) = Tool::Program("qemu-system-x86_64").for_test("a monitor on FIFOs") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for is_blocking in [true, false] {
        let name = folder.path().join(format!("pipe-{is_blocking}"));
        for end in ["in", "out"] {
            let path = name.with_extension(end);
            rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::from(0o600)).unwrap();
        }
        let mut command = Command::new(&qemu);
        command
            .args(["-machine", "none", "-nodefaults", "-display", "none"])
            .arg("-chardev")
            .arg(format!("pipe,id=c,path={}", name.display()))
            .args(["-mon", "chardev=c,mode=control"])
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        let mut qemu = Qemu::of(command);
        let options = ConnectOptions::new(Address::Pipe(name))
            .wait_for_socket(Duration::from_secs(30))
            .handshake_timeout(Duration::from_secs(30));
        let quit = CallOptions::new();
        if is_blocking {
            let client = blocking::Client::connect(options).unwrap();
            let schema = client.execute_raw("query-qmp-schema", None, CallOptions::new());
            assert!(schema.unwrap().to_string().len() > 200_000);
            client.execute_raw("quit", None, quit).unwrap();
        } else {
            let client = Client::connect(options).await.unwrap();
            let schema = client.execute_raw("query-qmp-schema", None, CallOptions::new());
            assert!(schema.await.unwrap().to_string().len() > 200_000);
            client.execute_raw("quit", None, quit).await.unwrap();
        }
        assert!(qemu.child.wait().unwrap().success());
    }
}
