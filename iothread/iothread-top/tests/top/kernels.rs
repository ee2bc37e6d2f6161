//! Kernels and sandboxes that refuse system calls.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process};
use tests::refusals::{
    CALLS, ERRNOS, HUNDREDTH, Verdict, filtered, has_refused, is_at_rest, n_uses, refused_later,
    side_by_side, with_fault,
};
use tests::{Server, Suite, Tool, eventually};

use super::exporter::Exporter;
use super::guests::start_iothreadd;
use super::{address, program};

pub(crate) fn add(suite: Suite) -> Suite {
    let (strace, python) = (Tool::Program("strace"), Tool::Program("python3"));
    suite
        .with("tables-where-calls-are-refused", strace, |_| {
            tables_where_calls_are_refused()
        })
        .with("tables-where-calls-are-refused-later", python, |_| {
            tables_where_calls_are_refused_later()
        })
        .with("rest-where-calls-are-refused", strace, |_| {
            rest_where_calls_are_refused()
        })
        .with_all(
            "virsh-without-a-descriptor-of-its-process",
            [strace, Tool::Program("virsh")],
            |[..]| virsh_without_a_descriptor(),
        )
        .with("all-the-calls-refused-at-once", python, |_| {
            all_the_calls_refused_at_once()
        })
        .with("what-is-killed-leaves-nothing-half-written", python, |_| {
            what_is_killed_leaves_nothing_half_written()
        })
}

/// What the program calls when it looks at a server, of the calls that may be refused.
const MADE: [&str; 6] = [
    "statx",
    "clone3",
    "getrandom",
    "rseq",
    "sched_getaffinity",
    "prlimit64",
];

/// What the program needs: without threads it does not start.
const NEEDED: (&str, &str) = ("clone3", "EPERM");

fn start() -> Server {
    start_iothreadd(&["--object", "iothread,id=io0"]).unwrap()
}

/// Each call, with each error, from each of its first uses by a thread on.
fn tables_where_calls_are_refused() -> Result<(), Failed> {
    let server = start();
    let calls = MADE
        .iter()
        .flat_map(|call| ERRNOS.map(|errno| (*call, errno)));
    let cases = calls.flat_map(|case| [1, 2, 3].map(|from| (case, from)));
    side_by_side(cases.collect(), |(case, from)| {
        let (call, errno) = case;
        let folder = tempfile::tempdir().unwrap();
        let trace = folder.path().join("trace");
        let fault = format!("error={errno}:when={from}+");
        let looking = tables(&server, 2);
        let output = with_fault(&looking, &trace, call, &fault).output().unwrap();
        if case == NEEDED && from == 1 {
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                said.contains("cannot start a thread: Operation not permitted"),
                "{said}"
            );
            return;
        }
        assert_whole(&output, 2, &format!("{call}: {fault}"));
    });
    Ok(())
}

/// A command that shows a server `n_tables` times.
fn tables(server: &Server, n_tables: usize) -> Command {
    let count = n_tables.to_string();
    program(&["--csv", "-d", "0.1", "-n", &count, &address(server)])
}

/// All tables are there, and nothing else was said.
fn assert_whole(output: &Output, n_tables: usize, case: &str) {
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{case}: {output:?}"
    );
    let shown = String::from_utf8_lossy(&output.stdout);
    let n_alive = shown.lines().filter(|line| line.contains("io0")).count();
    assert_eq!(n_alive, n_tables, "{case}: {shown}");
}

/// Each call, with each error, from its hundredth use on.
fn tables_where_calls_are_refused_later() -> Result<(), Failed> {
    let server = start();
    let calls = MADE
        .iter()
        .flat_map(|call| ERRNOS.map(|errno| (*call, errno)));
    side_by_side(calls.collect(), |(call, errno): (&str, &str)| {
        let folder = tempfile::tempdir().unwrap();
        let counts = folder.path().join("counts");
        // It is made at the start, and not again.
        let is_rare = call == "prlimit64";
        let from = if is_rare { 2 } else { HUNDREDTH };
        // A look opens several files, and takes a thread, which one that comes at once may use again.
        let sizes: &[usize] = match call {
            "statx" => &[20],
            _ if is_rare => &[2],
            _ => &[110, 500],
        };
        for &n_tables in sizes {
            drop(std::fs::remove_file(&counts));
            let looking =
                refused_later(&tables(&server, n_tables), &[(call, from)], errno, &counts);
            let output = { looking }.output().unwrap();
            let n_uses = n_uses(&counts, call);
            let case = format!("{call}: {errno}: {n_uses} uses");
            assert!(!is_rare || n_uses < HUNDREDTH, "{case}");
            if call == "rseq" && n_uses >= from {
                // What glibc says when it ends a program that had it before.
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(said.contains("rseq registration failed"), "{case}: {said}");
            } else {
                assert_whole(&output, n_tables, &case);
            }
            if n_uses >= from {
                return;
            }
        }
        panic!("{call}: {errno}: never called so often");
    });
    Ok(())
}

/// Between two looks nothing happens, and a signal ends it.
fn rest_where_calls_are_refused() -> Result<(), Failed> {
    let server = start();
    let guest = address(&server);
    let all = MADE
        .iter()
        .flat_map(|call| ERRNOS.map(|errno| (*call, errno)));
    let cases = all.filter(|case| *case != NEEDED).collect();
    side_by_side(cases, |(call, errno): (&str, &str)| {
        let folder = tempfile::tempdir().unwrap();
        let trace = folder.path().join("trace");
        let fault = format!("error={errno}");
        let mut exporter = Exporter::start_by(&["-d", "600", &guest], |it| {
            with_fault(&it, &trace, call, &fault)
        });
        exporter.until(&format!("iothread_guest_up{{guest=\"{guest}\"}} 1.0"));
        let program = &mut exporter.program.0;
        let id = program.id();
        eventually(|| is_at_rest(id));
        kill_process(Pid::from_raw(id.cast_signed()).unwrap(), Signal::TERM).unwrap();
        let status = program.wait().unwrap();
        assert_eq!(
            status.signal(),
            Some(Signal::TERM.as_raw()),
            "{call}:{fault}"
        );
    });
    Ok(())
}

fn virsh_without_a_descriptor() -> Result<(), Failed> {
    let looking = program(&[
        "--once",
        "--libvirt-uri",
        "test:///default",
        "libvirt:nobody",
    ]);
    let folder = tempfile::tempdir()?;
    let trace = folder.path().join("trace");
    for errno in ERRNOS {
        let fault = format!("error={errno}");
        let output = with_fault(&looking, &trace, "pidfd_open", &fault).output()?;
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(has_refused(&trace, "pidfd_open"), "{output:?}");
        assert!(
            shown.contains("virsh: failed to get domain 'nobody'"),
            "{output:?}"
        );
    }
    Ok(())
}

fn all_the_calls_refused_at_once() -> Result<(), Failed> {
    let server = start();
    side_by_side(vec![Verdict::MISSING, Verdict::FORBIDDEN], |verdict| {
        let calls = CALLS.iter().map(|call| call.name);
        let calls: Vec<&str> = calls
            .filter(|name| verdict == Verdict::MISSING || *name != NEEDED.0)
            .collect();
        let looking = program(&["--once", &address(&server)]);
        let output = filtered(&looking, &calls, verdict).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && shown.contains("io0"),
            "{output:?}"
        );
        let exporter = Exporter::start_by(&["-d", "0.2", &address(&server)], |it| {
            filtered(&it, &calls, verdict)
        });
        let guest = address(&server);
        exporter.until(&format!("iothread_guest_up{{guest=\"{guest}\"}} 1.0"));
    });
    Ok(())
}

fn what_is_killed_leaves_nothing_half_written() -> Result<(), Failed> {
    let server = start();
    side_by_side(MADE.to_vec(), |call| {
        let folder = tempfile::tempdir().unwrap();
        let record = folder.path().join("record");
        let path = record.display().to_string();
        let looking = program(&["--csv", "-n", "1000", "--record", &path, &address(&server)]);
        let mut command = filtered(&looking, &[call], Verdict::Death);
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(
            output.status.signal(),
            Some(Verdict::SIGNAL),
            "{call}: {output:?}"
        );
        assert!(is_whole(&record), "{call}");
        // The next one may have the place; a recording is not written over.
        drop(std::fs::remove_file(&record));
        let output = super::top(&["--once", "--record", &path, &address(&server)]);
        assert!(
            output.status.success() && is_whole(&record),
            "{call}: {output:?}"
        );
    });
    Ok(())
}

/// Whether what is recorded are whole lines.
fn is_whole(record: &Path) -> bool {
    let text = std::fs::read_to_string(record).unwrap_or_default();
    let is_message = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
    (text.is_empty() || text.ends_with('\n')) && text.lines().all(is_message)
}
