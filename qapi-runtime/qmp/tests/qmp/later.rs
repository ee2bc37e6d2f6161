//! Kernels and sandboxes that refuse a system call later: what becomes of the program, and of programs with our clients.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Output, Stdio};

use libtest_mimic::Failed;
use rustix::process::Signal;
use tests::refusals::{ERRNOS, HUNDREDTH, is_at_rest, n_uses, refused_later, side_by_side};
use tests::{Suite, Tool, eventually};

use crate::kernels::{
    ASYNCHRONOUS, BLOCKING, MADE, NAMELESS, Recorder, client, is_served, is_whole, use_recorder,
};
use crate::{Place, start};

pub(crate) fn add(suite: Suite) -> Suite {
    suite.with(
        "work-goes-on-where-calls-are-refused-later",
        Tool::Program("python3"),
        |_| work_goes_on(),
    )
}

/// How a program is started.
type Start<'s> = &'s dyn Fn(&Command) -> Command;

/// What a program does for long.
struct Work {
    /// The calls that it makes ever again. The others it makes at its start, and on the first threads: there is no hundredth use.
    many: &'static [&'static str],
    /// Has it done so often by a program that is started as it is told, until it ends.
    run: fn(Start<'_>, usize) -> Output,
}

const WORKS: [Work; 5] = [
    Work {
        many: &["statx"],
        run: execute_lines,
    },
    Work {
        many: &[],
        run: wait_for_event,
    },
    Work {
        many: &["clone3", "rseq", "sched_getaffinity"],
        run: record,
    },
    Work {
        many: &["clone3", "rseq", "sched_getaffinity"],
        run: |by, n_times| connect_often(BLOCKING, by, n_times),
    },
    Work {
        many: &[],
        run: |by, n_times| connect_often(ASYNCHRONOUS, by, n_times),
    },
];

/// More than enough.
const N_TIMES: usize = HUNDREDTH + 10;

/// What a program ends with, or says at least, that cannot go on without a call.
fn reason(call: &str, errno: &str) -> Option<&'static str> {
    match (call, errno) {
        ("clone3", "EPERM") => Some("cannot start a thread: Operation not permitted"),
        ("rseq", _) => Some("rseq registration failed"),
        _ => None,
    }
}

/// How many times are enough for calls of which there is no hundredth use.
const FEW: usize = 5;

fn work_goes_on() -> Result<(), Failed> {
    // The longest first.
    let count: Vec<_> = WORKS.iter().map(|work| (work, None)).collect();
    let calls = MADE
        .iter()
        .flat_map(|call| ERRNOS.map(|errno| (*call, errno)));
    let refuse = WORKS
        .iter()
        .flat_map(|work| calls.clone().map(move |case| (work, Some(case))));
    side_by_side(
        count.into_iter().chain(refuse).collect(),
        |(work, case)| match case {
            None => count_uses(work),
            Some((call, errno)) => refuse_later(work, call, errno),
        },
    );
    Ok(())
}

/// Nothing is refused, so the calls are made as often as there is work for them.
fn count_uses(work: &Work) {
    let folder = tempfile::tempdir().unwrap();
    let counts = folder.path().join("counts");
    let never = MADE.map(|call| (call, usize::MAX));
    let output = (work.run)(&|it| refused_later(it, &never, "ENOSYS", &counts), N_TIMES);
    assert!(ends_well(&output), "{output:?}");
    for call in MADE {
        let n_uses = n_uses(&counts, call);
        let is_often = work.many.contains(&call);
        assert_eq!(n_uses >= HUNDREDTH, is_often, "{call}: {n_uses} uses");
    }
}

/// A call is refused from the hundredth use on, or if there is none, from the second.
fn refuse_later(work: &Work, call: &str, errno: &str) {
    let folder = tempfile::tempdir().unwrap();
    let counts = folder.path().join("counts");
    let (from, n_times) = match work.many.contains(&call) {
        true => (HUNDREDTH, N_TIMES),
        false => (2, FEW),
    };
    let by = |it: &Command| refused_later(it, &[(call, from)], errno, &counts);
    let output = (work.run)(&by, n_times);
    let is_refused = n_uses(&counts, call) >= from;
    assert!(is_refused || from == 2, "{call}: no hundredth use");
    match reason(call, errno) {
        Some(reason) if is_refused => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains(reason), "{call}: {said}");
        }
        _ => assert!(ends_well(&output), "{call}, {errno}: {output:?}"),
    }
}

/// A recorder is ended by a signal.
fn ends_well(output: &Output) -> bool {
    let is_told = output.status.signal() == Some(Signal::TERM.as_raw());
    (output.status.success() || is_told) && output.stderr.is_empty()
}

/// A script.
fn execute_lines(by: Start<'_>, n_times: usize) -> Output {
    let server = start();
    let place = Place::at(&server);
    let path = place.folder.path().join("script");
    fs::write(&path, "query-name\n".repeat(n_times)).unwrap();
    let path = path.display().to_string();
    let output = by(&place.program(&["--script", &path])).output().unwrap();
    let answers = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() || answers == NAMELESS.repeat(n_times));
    output
}

/// A command that waits for an event.
fn wait_for_event(by: Start<'_>, _: usize) -> Output {
    let server = start();
    let place = Place::at(&server);
    let mut command = by(&place.program(&["query-name", "--wait-event", "SHUTDOWN"]));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let has_ended = |child: &mut Child| child.try_wait().unwrap().is_some();
    // It is connected, or cannot be.
    eventually(|| has_ended(&mut child) || place.kept().len() == 1);
    eventually(|| has_ended(&mut child) || is_at_rest(child.id()));
    server.signal(Signal::TERM).unwrap();
    child.wait_with_output().unwrap()
}

/// Clients of a recorder.
fn record(by: Start<'_>, n_times: usize) -> Output {
    let server = start();
    let mut recorder = Recorder::start(&server, by);
    use_recorder(&mut recorder, n_times);
    let (output, log, _folder) = recorder.end();
    assert!(is_whole(&log), "{log}");
    output
}

fn connect_often(name: &str, by: Start<'_>, n_times: usize) -> Output {
    let server = start();
    let (_folder, command) = client(name, &server, n_times);
    is_served(&server, by(&command))
}
