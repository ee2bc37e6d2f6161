//! Kernels and sandboxes that refuse system calls.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Client, Server, eventually, program};
use crate::nbd::{FLUSH, Nbd, TRIM, WRITE_ZEROES};

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

/// A row of the table in the README.
struct Refused {
    call: &'static str,
    /// From which call of a thread on it is refused late: one that the test comes to.
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

const TABLE: [Refused; 11] = [
    refused("epoll_pwait2", 100),
    // Only loops without `epoll_pwait2` use it.
    refused("timerfd_create", 0),
    refused("preadv2", 100),
    refused("pwritev2", 1),
    refused("fallocate", 100),
    Refused {
        call: "statx",
        late: 5,
        outcome: |_, is_late| match is_late {
            true => Outcome::OpensNoFiles,
            false => Outcome::Serves,
        },
    },
    Refused {
        call: "clone3",
        late: 10,
        outcome: |errno, _| match errno {
            "EPERM" => Outcome::HasNoThreads,
            _ => Outcome::Serves,
        },
    },
    refused("getrandom", 1),
    refused("rseq", 1),
    refused("sched_getaffinity", 1),
    refused("prlimit64", 1),
];

const ERRNOS: [&str; 2] = ["ENOSYS", "EPERM"];

/// The program, of which the kernel refuses `calls`. What is refused is written to `trace` of the folder. `None` where no program
/// can be traced.
fn with_fault(folder: &Path, calls: &str, fault: &str) -> Option<Command> {
    let strace = |program: &std::ffi::OsStr| {
        let mut command = Command::new("strace");
        // The tracer is somebody else's child, so the process is the server.
        command.args(["-D", "-f", "-qq", "-o"]);
        command.arg(folder.join("trace"));
        command.args(["-e", &format!("trace={calls}")]);
        command.args(["-e", &format!("inject={calls}:{fault}")]);
        command.arg(program);
        command
    };
    let works = strace("true".as_ref()).stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        println!("skipped: strace is not here, or may not trace");
        return None;
    }
    Some(strace(program().get_program()))
}

/// The time on processors, in the kernel's units.
fn processor_time(server: &Server) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.id())).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let fields: Vec<_> = fields.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Has a server do what takes the calls of the table, whatever is refused.
fn work(server: &Server, client: &mut Client, outcome: Outcome) {
    let image = server.folder().join("image");
    std::fs::write(&image, vec![3; 1 << 20]).unwrap();
    let node = json!({"driver": "file", "node-name": "e", "filename": image, "discard": "unmap"});
    client.execute("blockdev-add", node);
    let socket = server.folder().join("nbd");
    let address = json!({"type": "unix", "data": {"path": socket}});
    client.execute("nbd-server-start", json!({"addr": address}));
    let export =
        json!({"type": "nbd", "id": "e", "node-name": "e", "iothread": "io0", "writable": true});
    client.execute("block-export-add", export);
    let mut nbd = Nbd::open(&socket, "e");
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
    }
    assert_eq!(nbd.exchange(FLUSH, 0, 0, 0), 0);
    for number in 0..20 {
        let node = format!("n{number}");
        let file = json!({"driver": "file", "node-name": node, "filename": image, "read-only": true,
                          "locking": "off"});
        let may_fail = outcome == Outcome::OpensNoFiles;
        let path = image.to_string_lossy();
        ask(client, may_fail, &path, "blockdev-add", file);
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

/// Executes a command, which may fail if its error says with what, and why.
fn ask(client: &mut Client, may_fail: bool, what: &str, command: &str, arguments: Value) {
    let reply = client.exchange(command, arguments);
    if let Some(text) = reply["error"]["desc"].as_str() {
        let reasons = ["Operation not permitted", "Function not implemented"];
        let says_why = reasons.iter().any(|reason| text.contains(reason));
        assert!(may_fail && text.contains(what) && says_why, "{text}");
    }
}

/// A server that is refused `calls` serves as well, does nothing when there is nothing to do, and ends when it is told to.
fn check(calls: &str, fault: &str, outcome: Outcome) {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut command) = with_fault(folder.path(), calls, fault) else {
        return;
    };
    command.args(["--object", "iothread,id=io0"]);
    let mut server = Server::start_as(command, folder);
    let mut client = server.client();
    work(&server, &mut client, outcome);
    eventually(|| {
        let before = processor_time(&server);
        std::thread::sleep(Duration::from_millis(300));
        processor_time(&server) == before
    });
    let trace = server.folder().join("trace");
    server.signal("TERM");
    assert_eq!(client.event()["event"], "SHUTDOWN", "{calls}:{fault}");
    let refused = || {
        std::fs::read_to_string(&trace)
            .unwrap()
            .contains("INJECTED")
    };
    eventually(|| refused() || calls == "timerfd_create");
    assert_eq!(server.wait().code(), Some(0), "{calls}:{fault}");
}

/// An old kernel, a sandbox, and one that closes later.
#[test]
fn a_kernel_without_the_calls_is_served_as_well() {
    let serves = TABLE.iter().filter(|row| {
        ERRNOS
            .iter()
            .all(|errno| (row.outcome)(errno, false) == Outcome::Serves)
    });
    let mut calls: Vec<&str> = serves.map(|row| row.call).collect();
    check(&calls.join(","), "error=EPERM", Outcome::Serves);
    check("epoll_pwait2", "error=EINTR:when=1..20", Outcome::Serves);
    check(
        "preadv2,fallocate,epoll_pwait2",
        "error=EPERM:when=100+",
        Outcome::Serves,
    );
    calls.push("clone3");
    check(&calls.join(","), "error=ENOSYS", Outcome::Serves);
    check("clone3", "error=EPERM:when=10+", Outcome::HasNoThreads);
}

mod live {
    use super::*;

    /// Each call by itself.
    #[test]
    fn a_kernel_without_a_call_is_served_as_well() {
        for row in &TABLE {
            for errno in ERRNOS {
                let outcome = (row.outcome)(errno, false);
                if outcome == Outcome::Serves {
                    check(row.call, &format!("error={errno}"), outcome);
                }
                if row.late > 1 {
                    let fault = format!("error={errno}:when={}+", row.late);
                    check(row.call, &fault, (row.outcome)(errno, true));
                }
            }
        }
    }
}

#[test]
fn the_readme_has_the_same_calls() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let (_, section) = text.split_once("## Old kernels and sandboxes").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let told: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
    let calls: Vec<&str> = TABLE.iter().map(|row| row.call).collect();
    assert_eq!(told, calls);
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
        let Some(command) = with_fault(folder.path(), call, fault) else {
            return;
        };
        let (code, message) = end_of(command, &folder);
        assert_eq!(code, Some(1), "{call}:{fault}: {message}");
        assert!(message.contains(expected), "{call}:{fault}: {message}");
    }
}
