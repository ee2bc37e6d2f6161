//! Kernels and sandboxes that refuse a system call.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::harness::{Server, eventually, program};

/// The program with a call that fails. `None` where no program can be traced.
fn with_fault(fault: &str) -> Option<Command> {
    let strace = |program: &std::ffi::OsStr| {
        let mut command = Command::new("strace");
        // The tracer is somebody else's child, so the process is the server.
        command.args([
            "-D",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=epoll_pwait2",
            "-e",
        ]);
        command.arg(format!("inject=epoll_pwait2:{fault}"));
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

#[test]
fn a_kernel_without_the_call_is_served_as_well() {
    for fault in ["error=ENOSYS", "error=EPERM", "error=EINTR:when=1..20"] {
        let Some(mut command) = with_fault(fault) else {
            return;
        };
        command.args(["--object", "iothread,id=io0"]);
        let mut server = Server::start_as(command, tempfile::tempdir().unwrap());
        let mut client = server.client();
        client.add_node("n0");
        let device =
            json!({"driver": "virtio-blk-pci", "id": "d0", "drive": "n0", "iothread": "io0"});
        client.execute("device_add", device);
        client.execute("device_del", json!({"id": "d0"}));
        // Of its backend, and of itself.
        for _ in 0..2 {
            assert_eq!(client.event()["event"], "DEVICE_DELETED", "{fault}");
        }
        // Nothing is to be done, and nothing is done.
        eventually(|| {
            let before = processor_time(&server);
            std::thread::sleep(Duration::from_millis(300));
            processor_time(&server) == before
        });
        server.signal("TERM");
        assert_eq!(client.event()["event"], "SHUTDOWN", "{fault}");
        assert_eq!(server.wait().code(), Some(0), "{fault}");
    }
}

#[test]
fn a_loop_that_cannot_wait_ends_the_server() {
    // From the start, and once it serves.
    for fault in ["error=EBADF", "error=EINVAL:when=30+"] {
        let Some(mut command) = with_fault(fault) else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
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
        assert_eq!(child.wait().unwrap().code(), Some(1), "{fault}");
        let message = std::fs::read_to_string(&errors).unwrap();
        assert!(
            message.contains("cannot wait for events"),
            "{fault}: {message}"
        );
    }
}
