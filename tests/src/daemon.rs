//! A running `iothreadd`.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// A server in a folder of its own; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    folder: tempfile::TempDir,
}

impl Daemon {
    /// Starts a server with these arguments beside its `--qmp` option, and waits until it
    /// listens.
    ///
    /// # Panics
    ///
    /// When it does not start: a test has nothing better to do.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = folder.path().join("qmp.sock");
        let mut command = Command::new(program());
        command
            .arg("--qmp")
            .arg(format!("unix:{}", socket.display()))
            .args(arguments);
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .expect("iothreadd starts");
        let mut daemon = Self { child, folder };
        while UnixStream::connect(&socket).is_err() {
            let status = daemon
                .child
                .try_wait()
                .expect("iothreadd can be waited for");
            assert!(status.is_none(), "iothreadd ended: {status:?}");
            std::thread::yield_now();
        }
        daemon
    }

    /// The path of its QMP socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("qmp.sock")
    }

    /// The folder that goes away with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program: the one that `cargo xtask test` built, or one that is built now.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(path) = std::env::var_os("IOTHREADD") {
            return PathBuf::from(path);
        }
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        cargo.args(["build", "--package", "iothread", "--features", "iothreadd"]);
        cargo.args([
            "--bin",
            "iothreadd",
            "--message-format",
            "json-render-diagnostics",
        ]);
        let output = cargo
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo starts");
        assert!(output.status.success(), "iothreadd does not build");
        let stdout = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
        stdout
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
            .expect("cargo names the executable")
    })
}
