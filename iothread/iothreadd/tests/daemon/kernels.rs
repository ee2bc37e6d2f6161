//! Kernels and sandboxes that refuse system calls.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::refusals::{
    CALLS, ERRNOS, Verdict, filtered, has_refused, is_at_rest, side_by_side, with_fault,
    without_locks,
};
use tests::{Qmp, Tool, comes_true};

use crate::guest::{FLUSH as FLUSH_DISK, Guest};
use crate::harness::{Client, PATIENCE, Server, eventually, program};
use crate::nbd::{CACHE, FLUSH, Nbd, READ, TRIM, WRITE, WRITE_ZEROES, request};

/// What becomes of a server that is refused a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It serves.
    Serves,
    /// It serves, but creates no threads. Without one it does not start.
    HasNoThreads,
    /// It serves, but opens no more files.
    OpensNoFiles,
}

/// A call that the server makes.
struct Refused {
    call: &'static str,
    /// From which call of a thread on it is refused late: the hundredth, or the last one that the test comes to. 1 if no thread
    /// comes to a second one.
    late: usize,
    outcome: fn(errno: &str, is_late: bool) -> Outcome,
}

const fn refused(call: &'static str, late: usize) -> Refused {
    Refused {
        call,
        late,
        outcome: |_, _| Outcome::Serves,
    }
}

const TABLE: [Refused; 13] = [
    refused("epoll_pwait2", 100),
    // Only loops without `epoll_pwait2` use it.
    refused("timerfd_create", 1),
    refused("preadv2", 100),
    refused("pwritev2", 1),
    refused("fallocate", 100),
    refused("fadvise64", 100),
    Refused {
        call: "statx",
        late: 100,
        outcome: |_, is_late| match is_late {
            true => Outcome::OpensNoFiles,
            false => Outcome::Serves,
        },
    },
    refused("renameat2", 100),
    Refused {
        call: "clone3",
        late: 100,
        outcome: |errno, _| match errno {
            "EPERM" => Outcome::HasNoThreads,
            _ => Outcome::Serves,
        },
    },
    refused("getrandom", 2),
    refused("rseq", 1),
    refused("sched_getaffinity", 1),
    refused("prlimit64", 3),
];

/// Calls of the table that are none of the server's: of the library, for those who ask for them, and of the other programs.
const OTHERS: [&str; 3] = ["sched_setaffinity", "pidfd_open", "pidfd_getfd"];

/// The longest path of a unix socket.
const MAX_PATH: usize = 108;

/// How many files are opened, and threads created, where it does not matter.
const FEW: usize = 12;

/// Whether programs can be traced here; says it if not.
fn can_trace(folder: &Path) -> bool {
    let mut traced = with_fault(
        &Command::new("true"),
        &folder.join("trace"),
        "statx",
        "error=EPERM",
    );
    let works = traced.stdin(Stdio::null()).stderr(Stdio::null()).status();
    let works = works.is_ok_and(|status| status.success());
    if !works {
        println!("skipped: strace is not here, or may not trace");
    }
    works
}

/// Has a server do what takes the calls of the table, whatever is refused. It opens so many files and sockets, and creates as
/// many threads.
fn work(server: &Server, client: &mut Client, outcome: Outcome, n_files: usize) {
    let path = |name: &str| server.folder().join(name);
    for name in ["image", "disk"] {
        std::fs::write(path(name), vec![3; 1 << 20]).unwrap();
        let node = json!({"driver": "file", "node-name": name, "filename": path(name), "discard": "unmap"});
        client.execute("blockdev-add", node);
    }
    let address = json!({"type": "unix", "data": {"path": path("nbd")}});
    client.execute("nbd-server-start", json!({"addr": address}));
    let export = json!({"type": "nbd", "id": "e", "node-name": "image", "iothread": "io0", "writable": true});
    client.execute("block-export-add", export);
    let mut nbd = Nbd::open(&path("nbd"), "image");
    for round in 0..150_u8 {
        let offset = u64::from(round) * 512;
        nbd.write(offset, &[round; 512]);
        assert!(nbd.read(offset, 512) == [round; 512]);
        // A hole may be made, or must not.
        for flags in [0, 2] {
            assert_eq!(nbd.exchange(WRITE_ZEROES, flags, offset, 512), 0);
            assert!(nbd.read(offset, 512) == [0; 512]);
        }
        assert_eq!(nbd.exchange(TRIM, 0, offset, 512), 0);
        // Several workers may share these.
        for _ in 0..4 {
            assert_eq!(nbd.exchange(CACHE, 0, offset, 512), 0);
        }
    }
    assert_eq!(nbd.exchange(FLUSH, 0, 0, 0), 0);
    be_a_disk(&path("vhost"), client);
    for number in 0..n_files {
        open_files(number, server, client, outcome == Outcome::OpensNoFiles);
        let name = format!("t{number}");
        let thread = json!({"qom-type": "iothread", "id": name});
        let may_fail = outcome == Outcome::HasNoThreads;
        ask(client, may_fail, &name, "object-add", thread);
    }
    client.add_node("n");
    let device = json!({"driver": "virtio-blk-pci", "id": "d0", "drive": "n", "iothread": "io0"});
    client.execute("device_add", device);
    client.execute("device_del", json!({"id": "d0"}));
    // Of its backend, and of itself.
    for _ in 0..2 {
        assert_eq!(client.event()["event"], "DEVICE_DELETED");
    }
}

/// A guest has the node "disk" as its disk.
fn be_a_disk(socket: &Path, client: &mut Client) {
    let export = json!({"type": "vhost-user-blk", "id": "v", "node-name": "disk", "writable": true,
                        "iothread": "io0", "addr": {"type": "unix", "path": socket}});
    client.execute("block-export-add", export);
    let mut guest = Guest::start(socket, 1, 0);
    guest.write_disk(0, 8, &[7; 1024]);
    assert!(guest.read_disk(0, 8, 1024) == [7; 1024]);
    assert_eq!(guest.request(0, FLUSH_DISK, 0, &[]), 0);
}

/// An image, and a socket whose path is as long as the kernel takes.
fn open_files(number: usize, server: &Server, client: &mut Client, may_fail: bool) {
    let image = server.folder().join("image");
    let node = json!({"driver": "file", "node-name": format!("n{number}"), "filename": image, "read-only": true,
                      "locking": "off"});
    ask(
        client,
        may_fail,
        &image.to_string_lossy(),
        "blockdev-add",
        node,
    );
    let path = long_path(server.folder());
    let address = json!({"type": "unix", "data": {"path": path}});
    let backend = json!({"type": "socket", "data": {"addr": address, "wait": false}});
    let arguments = json!({"id": "c", "backend": backend});
    if ask(
        client,
        may_fail,
        &path.to_string_lossy(),
        "chardev-add",
        arguments,
    ) {
        client.execute("chardev-remove", json!({"id": "c"}));
    }
}

/// A path that only fits an address without a zero byte at its end.
fn long_path(folder: &Path) -> PathBuf {
    let length = MAX_PATH - folder.as_os_str().len() - 1;
    folder.join("x".repeat(length))
}

/// Executes a command, which may fail if its error says with what, and why. Returns whether it succeeds.
fn ask(client: &mut Client, may_fail: bool, what: &str, command: &str, arguments: Value) -> bool {
    let reply = client.exchange(command, arguments);
    let error = reply["error"]["desc"].as_str();
    if let Some(text) = error {
        let reasons = ["Operation not permitted", "Function not implemented"];
        let says_why = reasons.iter().any(|reason| text.contains(reason));
        assert!(may_fail && text.contains(what) && says_why, "{text}");
    }
    error.is_none()
}

/// A server does its work, does nothing when there is nothing to do, and ends when it is told to.
fn serve(mut command: Command, folder: TempDir, outcome: Outcome, n_files: usize) {
    command.args(["--object", "iothread,id=io0"]);
    let mut server = Server::start_as(command, folder);
    let mut client = server.client();
    work(&server, &mut client, outcome, n_files);
    eventually(|| is_at_rest(server.id()));
    server.signal("TERM");
    assert_eq!(client.event()["event"], "SHUTDOWN");
    assert_eq!(server.wait().code(), Some(0));
}

/// A server that is refused `calls` serves as well.
fn check(calls: &str, fault: &str, outcome: Outcome, n_files: usize) {
    let folder = tempfile::tempdir().unwrap();
    let traces = tempfile::tempdir().unwrap();
    let trace = traces.path().join("trace");
    let command = with_fault(&program(), &trace, calls, fault);
    serve(command, folder, outcome, n_files);
    // The tracer ends after the server.
    let is_refused = || has_refused(&trace) || calls == "timerfd_create";
    assert!(
        comes_true(PATIENCE, is_refused),
        "{calls}:{fault}: never called"
    );
}

/// An old kernel, a sandbox, and one that closes later.
#[test]
fn a_kernel_without_the_calls_is_served_as_well() {
    if !can_trace(tempfile::tempdir().unwrap().path()) {
        return;
    }
    let serves = TABLE.iter().filter(|row| {
        ERRNOS
            .iter()
            .all(|errno| (row.outcome)(errno, false) == Outcome::Serves)
    });
    let calls: Vec<&str> = serves.map(|row| row.call).collect();
    let calls = calls.join(",");
    let with_clone3 = format!("{calls},clone3");
    let cases = [
        (calls.as_str(), "error=EPERM", Outcome::Serves),
        ("epoll_pwait2", "error=EINTR:when=1..20", Outcome::Serves),
        (
            "preadv2,fallocate,epoll_pwait2",
            "error=EPERM:when=100+",
            Outcome::Serves,
        ),
        (&with_clone3, "error=ENOSYS", Outcome::Serves),
        ("clone3", "error=EPERM:when=10+", Outcome::HasNoThreads),
    ];
    side_by_side(Vec::from(cases), |(calls, fault, outcome)| {
        check(calls, fault, outcome, FEW);
    });
}

mod live {
    use super::*;

    /// Each call by itself.
    #[test]
    fn a_kernel_without_a_call_is_served_as_well() {
        let name = "a_kernel_without_a_call_is_served_as_well";
        if Tool::Program("strace").for_test(name).is_none() {
            return;
        }
        let mut cases = Vec::new();
        for row in &TABLE {
            for errno in ERRNOS {
                let outcome = (row.outcome)(errno, false);
                // Without threads it does not start, as another test has it.
                if outcome == Outcome::Serves {
                    cases.push((row.call, format!("error={errno}"), outcome, FEW));
                }
                if row.late > 1 {
                    let fault = format!("error={errno}:when={}+", row.late);
                    let outcome = (row.outcome)(errno, true);
                    cases.push((row.call, fault, outcome, row.late + FEW));
                }
            }
        }
        side_by_side(cases, |(call, fault, outcome, n_files)| {
            check(call, &fault, outcome, n_files);
        });
    }

    /// All of them, by a filter of the kernel's.
    #[test]
    fn a_sandbox_without_any_of_the_calls_is_served_as_well() {
        let name = "a_sandbox_without_any_of_the_calls_is_served_as_well";
        if Tool::Program("python3").for_test(name).is_none() {
            return;
        }
        side_by_side(vec![Verdict::MISSING, Verdict::FORBIDDEN], |verdict| {
            let calls = CALLS.iter().map(|call| call.name);
            let calls = calls.filter(|name| verdict == Verdict::MISSING || *name != "clone3");
            let command = filtered(&program(), &calls.collect::<Vec<_>>(), verdict);
            serve(command, tempfile::tempdir().unwrap(), Outcome::Serves, FEW);
        });
    }

    /// Locks on open files are of Linux 3.15, and there are sandboxes that have none.
    #[test]
    fn a_host_without_locks_has_images_all_the_same() {
        let name = "a_host_without_locks_has_images_all_the_same";
        if Tool::Program("python3").for_test(name).is_none() {
            return;
        }
        let server = Server::start_as(without_locks(&program()), tempfile::tempdir().unwrap());
        let image = server.folder().join("image");
        std::fs::write(&image, [3; 512]).unwrap();
        let node = json!({"driver": "file", "node-name": "n", "filename": image, "locking": "on"});
        server.client().execute("blockdev-add", node);
    }

    /// The signal says why a server ends, and the next one serves in its place.
    #[test]
    fn a_sandbox_that_kills_leaves_nothing_in_the_way() {
        let name = "a_sandbox_that_kills_leaves_nothing_in_the_way";
        if Tool::Program("python3").for_test(name).is_none() {
            return;
        }
        let calls = TABLE.iter().map(|row| row.call);
        // With `epoll_pwait2` it is not used.
        let calls = calls.filter(|call| *call != "timerfd_create").collect();
        side_by_side(calls, |call| {
            let folder = tempfile::tempdir().unwrap();
            let status = end_of_filtered(call, folder.path());
            assert_eq!(status.signal(), Some(Verdict::SIGNAL), "{call}: {status}");
            let server = Server::start_in(folder, &["--object", "iothread,id=io0"]);
            work(&server, &mut server.client(), Outcome::Serves, FEW);
        });
    }
}

/// How a server ends that is killed when it makes the call. It is asked for what takes one, as far as it answers.
fn end_of_filtered(call: &str, folder: &Path) -> ExitStatus {
    let socket = folder.join("qmp");
    let mut command = filtered(&program(), &[call], Verdict::Death);
    command.args(["--object", "iothread,id=io0", "--qmp"]);
    command.arg(format!("unix:{}", socket.display()));
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let mut client = None;
    eventually(|| {
        client = Qmp::open(&socket).ok();
        client.is_some() || child.try_wait().unwrap().is_some()
    });
    if client.is_some_and(|client| is_set_up(client, folder)) {
        let mut nbd = Nbd::open(&folder.join("nbd"), "image");
        let mut requests = request(WRITE, 0, 0, 512).1;
        requests.extend([7; 512]);
        for kind in [READ, WRITE_ZEROES, TRIM, CACHE] {
            requests.extend(request(kind, 0, 0, 512).1);
        }
        // It ends before it has taken all of them.
        let _ = nbd.stream.write_all(&requests);
        eventually(|| child.try_wait().unwrap().is_some());
    }
    child.wait().unwrap()
}

/// Serves an image over NBD, and has a socket with a long path. Whether it goes well.
fn is_set_up(mut client: Qmp, folder: &Path) -> bool {
    let image = folder.join("image");
    std::fs::write(&image, vec![3; 1 << 20]).unwrap();
    let at = |path: &Path| json!({"type": "unix", "data": {"path": path}});
    let backend =
        json!({"type": "socket", "data": {"addr": at(&long_path(folder)), "wait": false}});
    let commands = [
        ("chardev-add", json!({"id": "c", "backend": backend})),
        (
            "blockdev-add",
            json!({"driver": "file", "node-name": "image", "filename": image}),
        ),
        ("nbd-server-start", json!({"addr": at(&folder.join("nbd"))})),
        (
            "block-export-add",
            json!({"type": "nbd", "id": "e", "node-name": "image", "writable": true}),
        ),
    ];
    let mut commands = commands.into_iter();
    commands.all(|(name, arguments)| client.execute(name, arguments).is_ok())
}

#[test]
fn the_readme_has_the_same_calls() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let (_, section) = text.split_once("## Old kernels and sandboxes").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let told: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    assert!(told.into_iter().eq(CALLS.iter().map(|call| call.name)));
    let mut made: Vec<&str> = TABLE.iter().map(|row| row.call).chain(OTHERS).collect();
    made.sort_unstable();
    let mut calls = CALLS.map(|call| call.name);
    calls.sort_unstable();
    assert_eq!(made, calls);
}

/// What the program says and ends with, when it cannot start or go on.
fn end_of(mut command: Command, folder: &TempDir) -> (Option<i32>, String) {
    let socket = folder.path().join("qmp");
    command.args(["--object", "iothread,id=io0", "--qmp"]);
    command.arg(format!("unix:{}", socket.display()));
    // Not a pipe, which the tracer would keep open.
    let errors = folder.path().join("errors");
    command
        .stdin(Stdio::null())
        .stderr(File::create(&errors).unwrap());
    let mut child = command.spawn().unwrap();
    eventually(|| {
        // So that it has something to wait for; whether there is anything to connect to is not certain.
        drop(UnixStream::connect(&socket));
        child.try_wait().unwrap().is_some()
    });
    let status = child.wait().unwrap();
    (status.code(), std::fs::read_to_string(&errors).unwrap())
}

#[test]
fn a_server_that_cannot_go_on_says_why_and_ends() {
    if !can_trace(tempfile::tempdir().unwrap().path()) {
        return;
    }
    // From the start, and once it serves.
    for (call, fault, expected) in [
        ("epoll_pwait2", "error=EBADF", "cannot wait for events"),
        (
            "epoll_pwait2",
            "error=EINVAL:when=30+",
            "cannot wait for events",
        ),
        (
            "clone3",
            "error=EPERM",
            "cannot create IOThread 'io0': Operation not permitted",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let command = with_fault(&program(), &folder.path().join("trace"), call, fault);
        let (code, message) = end_of(command, &folder);
        assert_eq!(code, Some(1), "{call}:{fault}: {message}");
        assert!(message.contains(expected), "{call}:{fault}: {message}");
    }
}
