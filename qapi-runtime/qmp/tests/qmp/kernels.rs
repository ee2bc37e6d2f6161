//! Kernels and sandboxes that refuse system calls: what becomes of the program, and of programs with our clients.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitCode, Output, Stdio};

use libtest_mimic::Failed;
use qapi_runtime::address::Address;
use qapi_runtime::client::{
    CallOptions, Client, ClientError, ConnectOptions, EventFilter, blocking,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tests::refusals::{CALLS, ERRNOS, Verdict, filtered, is_at_rest, side_by_side, with_fault};
use tests::{Qmp, Server, Suite, Tool, eventually};

use crate::{Place, start};

pub(crate) fn add(suite: Suite) -> Suite {
    let (strace, python) = (Tool::Program("strace"), Tool::Program("python3"));
    suite
        .with("a-command-where-calls-are-refused", strace, |_| {
            a_command_where_calls_are_refused()
        })
        .with("a-recorder-where-calls-are-refused", strace, |_| {
            a_recorder_where_calls_are_refused()
        })
        .with("clients-where-calls-are-refused", strace, |_| {
            clients_where_calls_are_refused()
        })
        .with("all-the-calls-refused-at-once", python, |_| {
            all_the_calls_refused_at_once()
        })
        .with("what-is-killed-leaves-nothing-half-written", python, |_| {
            what_is_killed_leaves_nothing_half_written()
        })
}

/// What the program and our clients call, of the calls that may be refused.
pub(crate) const MADE: [&str; 6] = [
    "statx",
    "clone3",
    "getrandom",
    "rseq",
    "sched_getaffinity",
    "prlimit64",
];

/// Each call, with each error, from each of its first uses by a thread on.
fn faults() -> Vec<(&'static str, String)> {
    let mut faults = Vec::new();
    for call in MADE {
        for errno in ERRNOS {
            let fault = |from| (call, format!("error={errno}:when={from}+"));
            faults.extend([1, 2, 3].map(fault));
        }
    }
    faults
}

/// How many connections it takes for the refusal to come.
const N_CONNECTIONS: usize = 5;

/// Whether without the call there is an error, and nothing else can be.
fn needs(call: &str, fault: &str) -> bool {
    call == "clone3" && fault.contains("EPERM")
}

/// Checks that a program has done what it was to do, or says in one line what it could not.
fn succeeds_or_says_why(output: &Output, call: &str, fault: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        assert!(said.is_empty(), "{call}:{fault}: {said}");
        return;
    }
    assert!(needs(call, fault), "{call}:{fault}: {output:?}");
    assert_eq!(said.lines().count(), 1, "{call}:{fault}: {said}");
    let reason = "cannot start a thread: Operation not permitted";
    assert!(said.contains(reason), "{call}:{fault}: {said}");
}

/// The answer to `query-name`.
pub(crate) const NAMELESS: &str = "{}\n";

fn a_command_where_calls_are_refused() -> Result<(), Failed> {
    let server = start();
    side_by_side(faults(), |(call, fault)| {
        let place = Place::at(&server);
        let traces = tempfile::tempdir().unwrap();
        let trace = traces.path().join("trace");
        let output = with_fault(&place.program(&["query-name"]), &trace, call, &fault).output();
        succeeds_or_says_why(&output.unwrap(), call, &fault);
        // What it keeps is whole, or it keeps nothing.
        assert!(place.kept().len() <= 1, "{:?}", place.kept());
        assert_eq!(place.text_of(&["query-name"]), NAMELESS);
    });
    Ok(())
}

/// A recorder before a server, and where it listens and writes to.
pub(crate) struct Recorder {
    child: Child,
    folder: tempfile::TempDir,
}

impl Recorder {
    pub(crate) fn start(server: &Server, by: impl FnOnce(&Command) -> Command) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), server, by)
    }

    /// In a folder where there may have been one before.
    fn start_in(
        folder: tempfile::TempDir,
        server: &Server,
        by: impl FnOnce(&Command) -> Command,
    ) -> Self {
        let log = folder.path().join("log");
        if log.exists() {
            fs::remove_file(log).unwrap();
        }
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_qmp"));
        command.arg("record");
        command.arg(format!("unix:{}", server.socket().display()));
        command.args(["--listen", &path("listen"), "--log", &path("log")]);
        let mut command = by(&command);
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        Self { child, folder }
    }

    fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("listen")
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Ends it, and returns what it has said, its log, and where it was.
    pub(crate) fn end(mut self) -> (Output, String, tempfile::TempDir) {
        if !self.has_ended() {
            let id = Pid::from_raw(self.child.id().cast_signed()).unwrap();
            kill_process(id, Signal::TERM).unwrap();
        }
        let output = self.child.wait_with_output().unwrap();
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        (output, log, self.folder)
    }
}

/// Checks that a log has whole lines.
pub(crate) fn is_whole(log: &str) -> bool {
    let is_message = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
    (log.is_empty() || log.ends_with('\n')) && log.lines().all(is_message)
}

/// A client at a time, and rest. Returns how many were answered.
pub(crate) fn use_recorder(recorder: &mut Recorder, n_connections: usize) -> usize {
    let mut n_answered = 0;
    for _ in 0..n_connections {
        eventually(|| recorder.has_ended() || Qmp::open_raw(&recorder.socket()).is_ok());
        // One that it has no thread for is sent away.
        let asked = Qmp::open(&recorder.socket())
            .and_then(|mut client| client.execute("query-name", json!({})));
        n_answered += usize::from(asked.is_ok());
    }
    let id = recorder.child.id();
    eventually(|| recorder.has_ended() || is_at_rest(id));
    n_answered
}

fn a_recorder_where_calls_are_refused() -> Result<(), Failed> {
    let server = start();
    side_by_side(faults(), |(call, fault)| {
        let traces = tempfile::tempdir().unwrap();
        let trace = traces.path().join("trace");
        let mut recorder = Recorder::start(&server, |it| with_fault(it, &trace, call, &fault));
        let n_answered = use_recorder(&mut recorder, N_CONNECTIONS);
        let is_over = recorder.has_ended();
        let (output, log, _folder) = recorder.end();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(is_whole(&log), "{call}:{fault}: {log}");
        if needs(call, &fault) {
            let reason = "cannot start a thread: Operation not permitted";
            assert!(said.contains(reason), "{call}:{fault}: {said}");
        } else {
            assert!(!is_over, "{call}:{fault}: {said}");
            assert_eq!(n_answered, N_CONNECTIONS, "{call}:{fault}");
            assert!(log.contains("query-name"), "{call}:{fault}: {log}");
        }
    });
    Ok(())
}

/// The names under which this program is a client, and its argument a server.
pub(crate) const BLOCKING: &str = "blocking-client";
pub(crate) const ASYNCHRONOUS: &str = "asynchronous-client";

/// A client that connects so often, executes a command each time, and then waits for an event.
pub(crate) fn be_a_client(name: &str) -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let options = ConnectOptions::new(Address::unix(arguments.next().unwrap()));
    let n_connections = arguments.next().unwrap().parse().unwrap();
    let done = match name {
        BLOCKING => use_blocking(&options, n_connections),
        _ => {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(use_asynchronously(&options, n_connections))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What a client says when only the event is left.
const READY: &str = "ready";

fn use_blocking(options: &ConnectOptions, n_connections: usize) -> Result<(), ClientError> {
    for _ in 0..n_connections {
        let client = blocking::Client::connect(options.clone())?;
        client.execute_raw("query-name", None, CallOptions::default())?;
    }
    let all = EventFilter::all();
    let (_client, events) = blocking::Client::connect_and_listen(options.clone(), all)?;
    println!("{READY}");
    assert_eq!(events.next(None)?.name(), "SHUTDOWN");
    Ok(())
}

async fn use_asynchronously(
    options: &ConnectOptions,
    n_connections: usize,
) -> Result<(), ClientError> {
    for _ in 0..n_connections {
        let client = Client::connect(options.clone()).await?;
        let call = client.execute_raw("query-name", None, CallOptions::default());
        call.await?;
    }
    let all = EventFilter::all();
    let (_client, mut events) = Client::connect_and_listen(options.clone(), all).await?;
    println!("{READY}");
    assert_eq!(events.next().await?.name(), "SHUTDOWN");
    Ok(())
}

/// A command that starts this program as a client of a server.
pub(crate) fn client(
    name: &str,
    server: &Server,
    n_connections: usize,
) -> (tempfile::TempDir, Command) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    symlink(std::env::current_exe().unwrap(), &path).unwrap();
    let mut command = Command::new(path);
    command.arg(server.socket()).arg(n_connections.to_string());
    (folder, command)
}

/// A client does its work, does nothing while it waits, and gets the event; or it says why not.
pub(crate) fn is_served(server: &Server, mut command: Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    if line.trim_end() == READY {
        eventually(|| is_at_rest(child.id()));
        server.signal(Signal::TERM).unwrap();
    }
    child.wait_with_output().unwrap()
}

fn clients_where_calls_are_refused() -> Result<(), Failed> {
    let cases = faults().into_iter();
    let cases = cases
        .flat_map(|(call, fault)| [BLOCKING, ASYNCHRONOUS].map(|name| (name, call, fault.clone())));
    side_by_side(cases.collect(), |(name, call, fault)| {
        let server = start();
        let (folder, command) = client(name, &server, N_CONNECTIONS);
        let trace = folder.path().join("trace");
        let output = is_served(&server, with_fault(&command, &trace, call, &fault));
        succeeds_or_says_why(&output, call, &fault);
    });
    Ok(())
}

fn all_the_calls_refused_at_once() -> Result<(), Failed> {
    side_by_side(vec![Verdict::MISSING, Verdict::FORBIDDEN], |verdict| {
        let server = start();
        let calls = CALLS.iter().map(|call| call.name);
        let calls: Vec<&str> = calls
            .filter(|name| verdict == Verdict::MISSING || *name != "clone3")
            .collect();
        let place = Place::at(&server);
        let run = |arguments: &[&str]| {
            let output = filtered(&place.program(arguments), &calls, verdict).output();
            let output = output.unwrap();
            assert!(
                output.status.success() && output.stderr.is_empty(),
                "{output:?}"
            );
            String::from_utf8(output.stdout).unwrap()
        };
        // With a schema that is asked for, and with one that was kept.
        for _ in 0..2 {
            assert_eq!(run(&["query-name"]), NAMELESS);
            assert_eq!(place.kept().len(), 1);
        }
        let recorder = Recorder::start(&server, |it| filtered(it, &calls, verdict));
        eventually(|| Qmp::open_raw(&recorder.socket()).is_ok());
        let mut asking = Qmp::open(&recorder.socket()).unwrap();
        asking.execute("query-name", json!({})).unwrap();
        let (_, log, _folder) = recorder.end();
        assert!(is_whole(&log) && log.contains("query-name"), "{log}");
        for name in [BLOCKING, ASYNCHRONOUS] {
            let server = start();
            let (_folder, command) = client(name, &server, N_CONNECTIONS);
            let output = is_served(&server, filtered(&command, &calls, verdict));
            assert!(output.status.success(), "{name}: {output:?}");
        }
    });
    Ok(())
}

fn what_is_killed_leaves_nothing_half_written() -> Result<(), Failed> {
    let server = start();
    side_by_side(MADE.to_vec(), |call| {
        let place = Place::at(&server);
        let output = filtered(&place.program(&["query-name"]), &[call], Verdict::Death).output();
        let output = output.unwrap();
        assert_eq!(
            output.status.signal(),
            Some(Verdict::SIGNAL),
            "{call}: {output:?}"
        );
        assert!(place.kept().is_empty(), "{call}: {:?}", place.kept());
        assert_eq!(place.text_of(&["query-name"]), NAMELESS);
        let mut recorder = Recorder::start(&server, |it| filtered(it, &[call], Verdict::Death));
        // At the latest with the first client.
        eventually(|| {
            drop(Qmp::open_raw(&recorder.socket()));
            recorder.has_ended()
        });
        let (output, log, folder) = recorder.end();
        assert_eq!(
            output.status.signal(),
            Some(Verdict::SIGNAL),
            "{call}: {output:?}"
        );
        assert!(is_whole(&log), "{call}: {log}");
        // The next one has the place.
        let recorder = Recorder::start_in(folder, &server, |it| {
            filtered(it, &["pidfd_open"], Verdict::MISSING)
        });
        eventually(|| Qmp::open(&recorder.socket()).is_ok());
        recorder.end();
    });
    Ok(())
}
