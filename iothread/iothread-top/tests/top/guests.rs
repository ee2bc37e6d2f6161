//! Servers to look at.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use tests::{IOTHREADD, Qmp, Server, eventually, iothreadd_of_this};

use super::Program;

/// `iothreadd` with these arguments beside its monitor.
pub(crate) fn start_iothreadd(arguments: &[&str]) -> anyhow::Result<Server> {
    Server::start(|socket| {
        let mut command = iothreadd_of_this();
        command.args(arguments).arg("--qmp");
        command.arg(format!("unix:{}", socket.display()));
        command
    })
}

/// `iothreadd` at these sockets, once it listens at all of them.
pub(crate) fn start_at(sockets: &[&Path], arguments: &[&str]) -> anyhow::Result<Program> {
    let mut command = iothreadd_of_this();
    command.args(arguments);
    for socket in sockets {
        command
            .arg("--qmp")
            .arg(format!("unix:{}", socket.display()));
    }
    let server = Program(command.stdin(Stdio::null()).spawn()?);
    for socket in sockets {
        eventually(|| UnixStream::connect(socket).is_ok());
    }
    Ok(server)
}

/// The path of this program under its other name.
pub(crate) fn named_iothreadd(folder: &Path) -> std::io::Result<String> {
    let path = folder.join(IOTHREADD);
    tests::link(&std::env::current_exe()?, &path)?;
    Ok(path.display().to_string())
}

/// `iothreadd` that serves two exports, `e0` and `e1`, on these IOThreads of two.
pub(crate) struct Disks {
    pub(crate) server: Server,
    exports: String,
}

impl Disks {
    pub(crate) fn start(threads: [&str; 2]) -> Self {
        Self::start_with(threads, &[])
    }

    /// The same, with more options.
    pub(crate) fn start_with(threads: [&str; 2], more: &[&str]) -> Self {
        let objects = ["--object", "iothread,id=io0", "--object", "iothread,id=io1"];
        let server = start_iothreadd(&[&objects[..], more].concat()).unwrap();
        let exports = server.folder().join("nbd").display().to_string();
        let mut client = Qmp::open(server.socket()).unwrap();
        let at = json!({"addr": {"type": "unix", "data": {"path": exports}}});
        client.execute("nbd-server-start", at).unwrap();
        for (number, iothread) in threads.into_iter().enumerate() {
            let node = format!("n{number}");
            let add = json!({"driver": "null-co", "node-name": node, "read-zeroes": true});
            client.execute("blockdev-add", add).unwrap();
            let export = json!({
                "type": "nbd", "id": format!("e{number}"), "name": format!("e{number}"),
                "node-name": node, "iothread": iothread
            });
            client.execute("block-export-add", export).unwrap();
        }
        Self { server, exports }
    }

    /// Keeps an export busy, with so many requests at a time.
    pub(crate) fn load(&self, qemu_img: &Path, export: &str, depth: u32) -> Program {
        let depth = depth.to_string();
        let url = format!("nbd+unix:///{export}?socket={}", self.exports);
        let child = Command::new(qemu_img)
            .args([
                "bench",
                "-c",
                "2000000000",
                "-d",
                &depth,
                "-s",
                "512",
                "-f",
                "raw",
                "-t",
                "none",
            ])
            .arg(url)
            .stdout(Stdio::null())
            .spawn();
        Program(child.unwrap())
    }
}
