//! `qmp` with servers.
#![allow(clippy::unwrap_used, reason = "a failure ends the test")]

mod kernels;
mod later;
mod live;
mod outcomes;
mod peers;
mod planted;
mod recording;
mod replaying;
mod runs;
mod shell;
mod tormenting;

use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

use tests::{Server, Suite, iothreadd_of_this, is_iothreadd};

fn main() -> ExitCode {
    if is_iothreadd() {
        return iothreadd::main();
    }
    let name = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default();
    match name.to_str().unwrap_or_default() {
        tormenting::ASYNCHRONOUS => return tormenting::drive_asynchronously(),
        name @ (kernels::BLOCKING | kernels::ASYNCHRONOUS) => return kernels::be_a_client(name),
        name => {
            let fault = name.strip_prefix(planted::NAME);
            if let Some(fault) = fault.and_then(|fault| fault.strip_prefix('-')) {
                return planted::main(fault);
            }
        }
    }
    let suite = Suite::new();
    let suite = runs::add(suite);
    let suite = peers::add(suite);
    let suite = shell::add(suite);
    let suite = recording::add(suite);
    let suite = replaying::add(suite);
    let suite = tormenting::add(suite);
    let suite = outcomes::add(suite);
    let suite = kernels::add(suite);
    let suite = later::add(suite);
    live::add(suite).run()
}

/// A place to run the program: a folder of its own for what it keeps.
struct Place {
    folder: tempfile::TempDir,
    address: String,
}

impl Place {
    fn new(address: impl Into<String>) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            address: address.into(),
        }
    }

    fn at(server: &Server) -> Self {
        Self::new(format!("unix:{}", server.socket().display()))
    }

    /// The program with these arguments after the address.
    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qmp"));
        command
            .arg(&self.address)
            .args(arguments)
            .env("XDG_CACHE_HOME", self.folder.path())
            .env("XDG_STATE_HOME", self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.program(arguments).output().unwrap()
    }

    /// What it prints; it has to end well.
    fn text_of(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it says when it fails so, in one line.
    fn failure_of(&self, status: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}: {output:?}"
        );
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.trim_end().contains(char::is_control), "{text:?}");
        text.trim_end().to_owned()
    }

    /// The files that are kept.
    fn kept(&self) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(self.folder.path().join("qmp"));
        let entries = entries.into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

/// A server with two IOThreads.
fn start() -> Server {
    let started = Server::start(|socket| {
        let mut command = iothreadd_of_this();
        command.args(["--object", "iothread,id=io0"]);
        command.args(["--object", "iothread,id=io1", "--qmp"]);
        command.arg(format!("unix:{}", socket.display()));
        command
    });
    started.unwrap()
}
