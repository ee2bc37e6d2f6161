//! Kernels and sandboxes that refuse system calls.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::refusals::{
    CALLS, ERRNOS, HUNDREDTH, Verdict, filtered, has_refused, is_at_rest, n_uses, refused_later,
    side_by_side, with_fault, without_locks,
};
use tests::{Qmp, Tool, comes_true};

use crate::guest::{FLUSH as FLUSH_DISK, Guest};
use crate::harness::{Client, PATIENCE, Server, eventually, program};
use crate::nbd::{CACHE, FLUSH, Nbd, READ, TRIM, WRITE, WRITE_ZEROES, request};
use crate::subsystems::{self, Row, World, walk_in, walk_often};

/// What becomes of a server that is refused a call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It serves.
    Serves,
    /// It serves, but creates no threads. Without one it does not start.
    HasNoThreads,
    /// It serves, but opens no more files.
    OpensNoFiles,
    /// The C library ends it at the next thread, and says why.
    Aborts,
}

/// How often a server makes a call.
#[derive(Clone, Copy)]
enum Uses {
    /// As often as it has work.
    ByRequests,
    /// For each image, IOThread and socket.
    ByFiles,
    /// Once on each thread that a subsystem has for itself.
    ByThreadsOf(fn() -> Row),
    /// At its start, and on the first threads, which make the tables that others use: there is no hundredth use.
    Few,
}

/// A call that the server makes.
struct Refused {
    call: &'static str,
    uses: Uses,
    outcome: fn(errno: &str, is_late: bool) -> Outcome,
}

const fn refused(call: &'static str, uses: Uses) -> Refused {
    Refused {
        call,
        uses,
        outcome: |_, _| Outcome::Serves,
    }
}

const TABLE: [Refused; 13] = [
    refused("epoll_pwait2", Uses::ByRequests),
    // Only loops without `epoll_pwait2` use it.
    refused(
        "timerfd_create",
        Uses::ByThreadsOf(subsystems::rows::vfio_user),
    ),
    refused("preadv2", Uses::ByRequests),
    refused("pwritev2", Uses::ByFiles),
    refused("fallocate", Uses::ByRequests),
    refused("fadvise64", Uses::ByRequests),
    Refused {
        call: "statx",
        uses: Uses::ByFiles,
        outcome: |_, is_late| match is_late {
            true => Outcome::OpensNoFiles,
            false => Outcome::Serves,
        },
    },
    refused("renameat2", Uses::ByFiles),
    Refused {
        call: "clone3",
        uses: Uses::ByFiles,
        outcome: |errno, _| match errno {
            "EPERM" => Outcome::HasNoThreads,
            _ => Outcome::Serves,
        },
    },
    refused("getrandom", Uses::Few),
    Refused {
        call: "rseq",
        uses: Uses::ByFiles,
        outcome: |_, is_late| match is_late {
            true => Outcome::Aborts,
            false => Outcome::Serves,
        },
    },
    refused("sched_getaffinity", Uses::ByFiles),
    refused("prlimit64", Uses::Few),
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
    be_a_disk(&path("guest"), client);
    for number in 0..n_files {
        bind_long_path(server, client, outcome == Outcome::OpensNoFiles);
        serve_another(number, server, client, outcome);
    }
    client.add_node("n");
    let device = json!({"driver": "virtio-blk-pci", "id": "d0", "drive": "n", "iothread": "io0"});
    client.execute("device_add", device);
    client.execute("device_del", json!({"id": "d0"}));
    // Of its backend, and of itself.
    for _ in 0..2 {
        assert_eq!(client.event()["event"], "DEVICE_DELETED");
    }
    client.execute("nbd-server-stop", json!({}));
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

/// A socket whose path is as long as the kernel takes.
fn bind_long_path(server: &Server, client: &mut Client, may_fail: bool) {
    let path = long_path(server.folder());
    let address = json!({"type": "unix", "data": {"path": path}});
    let backend = json!({"type": "socket", "data": {"addr": address, "wait": false}});
    let arguments = json!({"id": "c", "backend": backend});
    let what = path.to_string_lossy();
    if ask(client, may_fail, &what, "chardev-add", arguments) {
        client.execute("chardev-remove", json!({"id": "c"}));
    }
}

/// An image, a thread that serves it, and a client.
fn serve_another(number: usize, server: &Server, client: &mut Client, outcome: Outcome) {
    let thread = format!("t{number}");
    let created = json!({"qom-type": "iothread", "id": thread});
    let may_fail = outcome == Outcome::HasNoThreads;
    let has_thread = ask(client, may_fail, &thread, "object-add", created);
    let image = server.folder().join(&thread);
    std::fs::write(&image, [3; 4096]).unwrap();
    let node = json!({"driver": "file", "node-name": format!("file{number}"), "filename": image, "locking": "off"});
    let may_fail = outcome == Outcome::OpensNoFiles;
    let what = image.to_string_lossy();
    if !ask(client, may_fail, &what, "blockdev-add", node) || !has_thread {
        return;
    }
    let export = json!({"type": "nbd", "id": thread, "node-name": format!("file{number}"), "name": thread,
                        "iothread": thread, "writable": true});
    client.execute("block-export-add", export);
    let mut nbd = Nbd::open(&server.folder().join("nbd"), &thread);
    nbd.write(0, &[7; 512]);
    assert!(nbd.read(0, 512) == [7; 512]);
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
    let server = Server::start_as(command, folder);
    let mut client = server.client();
    work(&server, &mut client, outcome, n_files);
    drop(client);
    rest_and_end(server.into_inner());
}

/// A server does nothing while there is nothing to do, and ends when it is told to.
fn rest_and_end(mut server: tests::Server) {
    let mut qmp = Qmp::open(server.socket()).unwrap();
    eventually(|| is_at_rest(server.process_id()));
    server.signal(Signal::TERM).unwrap();
    while qmp.event().unwrap()["event"] != "SHUTDOWN" {}
    assert_eq!(server.wait_for_status().unwrap().code(), Some(0));
}

/// The same, of a server on which there is one of each subsystem after the other, besides.
fn serve_all(mut command: Command) {
    command.args(["--object", "iothread,id=io0"]);
    command.args(["--object", "iothread,id=io1"]);
    let server = Server::start_as(command, tempfile::tempdir().unwrap());
    work(&server, &mut server.client(), Outcome::Serves, FEW);
    let mut world = World::of(server.into_inner()).unwrap();
    for row in subsystems::all() {
        let walked = walk_in(&row, &mut world);
        walked.unwrap_or_else(|error| panic!("{}: {error:?}", row.holder));
    }
    rest_and_end(world.server);
}

/// The same, of a server that has many threads of a subsystem, one after the other.
fn serve_often(mut command: Command, row: &Row) {
    command.args(["--object", "iothread,id=io0"]);
    let server = Server::start_as(command, tempfile::tempdir().unwrap());
    let mut world = World::of(server.into_inner()).unwrap();
    walk_often(row, HUNDREDTH + FEW, &mut world).unwrap();
    rest_and_end(world.server);
}

/// A server cannot go on when it creates one more thread.
fn abort(mut command: Command, folder: TempDir) {
    command.args(["--object", "iothread,id=io0"]);
    let mut server = Server::start_as(command, folder).into_inner();
    let mut qmp = Qmp::open(server.socket()).unwrap();
    let mut names = (0..=HUNDREDTH).map(|number| format!("t{number}"));
    let is_gone = names.any(|name| {
        let thread = json!({"qom-type": "iothread", "id": name});
        qmp.exchange("object-add", &thread).is_err()
    });
    assert!(is_gone, "it goes on");
    let status = server.wait_for_status().unwrap();
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()), "{status}");
    let said = server.said().join("\n");
    assert!(said.contains("rseq registration failed"), "{said}");
}

/// A server that is refused `calls` serves as well.
fn check(calls: &str, fault: &str, outcome: Outcome) {
    let folder = tempfile::tempdir().unwrap();
    let traces = tempfile::tempdir().unwrap();
    let trace = traces.path().join("trace");
    let command = with_fault(&program(), &trace, calls, fault);
    serve(command, folder, outcome, FEW);
    // The tracer ends after the server.
    let are_refused = || calls.split(',').all(|call| has_refused(&trace, call));
    assert!(
        comes_true(PATIENCE, are_refused),
        "{calls}:{fault}: not all called"
    );
}

/// A server that is refused a call later serves as well: from the hundredth use on, or if there is none, from the second.
fn check_later(row: &Refused, errno: &str) {
    let folder = tempfile::tempdir().unwrap();
    let traces = tempfile::tempdir().unwrap();
    let counts = traces.path().join("counts");
    let (from, n_files) = match row.uses {
        Uses::ByRequests => (HUNDREDTH, FEW),
        Uses::ByFiles | Uses::ByThreadsOf(_) => (HUNDREDTH, HUNDREDTH + FEW),
        Uses::Few => (2, FEW),
    };
    let mut calls = vec![(row.call, from)];
    if row.call == "timerfd_create" {
        calls.push(("epoll_pwait2", 1));
    }
    let command = refused_later(&program(), &calls, errno, &counts);
    match (row.uses, (row.outcome)(errno, true)) {
        (_, Outcome::Aborts) => abort(command, folder),
        (Uses::ByThreadsOf(subsystem), _) => serve_often(command, &subsystem()),
        (Uses::ByRequests | Uses::ByFiles | Uses::Few, outcome) => {
            serve(command, folder, outcome, n_files);
        }
    }
    let n_uses = n_uses(&counts, row.call);
    let is_late = match row.uses {
        Uses::ByRequests | Uses::ByFiles | Uses::ByThreadsOf(_) => n_uses >= from,
        Uses::Few => (from..HUNDREDTH).contains(&n_uses),
    };
    assert!(is_late, "{}: {n_uses} uses", row.call);
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
        check(calls, fault, outcome);
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
        let all = TABLE
            .iter()
            .flat_map(|row| ERRNOS.map(|errno| (row, errno)));
        // Without threads it does not start, as another test has it.
        let serves = all.filter(|(row, errno)| (row.outcome)(errno, false) == Outcome::Serves);
        side_by_side(serves.collect(), |(row, errno)| {
            let calls = match row.call {
                "timerfd_create" => "epoll_pwait2,timerfd_create",
                call => call,
            };
            check(calls, &format!("error={errno}"), Outcome::Serves);
        });
    }

    /// From the hundredth use on that its threads make together.
    #[test]
    fn a_kernel_that_refuses_a_call_later_is_served_as_well() {
        let name = "a_kernel_that_refuses_a_call_later_is_served_as_well";
        if Tool::Program("python3").for_test(name).is_none() {
            return;
        }
        let cases = TABLE
            .iter()
            .flat_map(|row| ERRNOS.map(|errno| (row, errno)));
        side_by_side(cases.collect(), |(row, errno)| check_later(row, errno));
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
            serve_all(command);
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
