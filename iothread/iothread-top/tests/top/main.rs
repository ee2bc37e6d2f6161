//! The live view of a server.
#![allow(clippy::unwrap_used, reason = "a failure ends the test")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::sync::{Arc, Mutex};

use libtest_mimic::Failed;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::json;
use tests::{Qmp, Server, Suite, Tool, eventually};

/// The name under which this program is the server: a program of another package is not built for these tests.
const IOTHREADD: &str = "iothreadd";

fn main() -> ExitCode {
    if std::env::args_os()
        .next()
        .is_some_and(|name| Path::new(&name).file_name() == Some(IOTHREADD.as_ref()))
    {
        return iothreadd::main();
    }
    Suite::new()
        .always(
            "tables-name-threads-and-holders",
            tables_name_threads_and_holders,
        )
        .always(
            "a-server-that-is-not-there-is-an-error",
            a_server_that_is_not_there_is_an_error,
        )
        .always(
            "a-server-that-comes-back-is-live-again",
            a_server_that_comes_back_is_live_again,
        )
        .always("a-command-is-a-server", a_command_is_a_server)
        .with(
            "threads-of-another-namespace-are-not-measured",
            Tool::Program("unshare"),
            threads_of_another_namespace_are_not_measured,
        )
        .run()
}

fn start_iothreadd(arguments: &[&str]) -> anyhow::Result<Server> {
    let this = std::env::current_exe()?;
    Server::start(|socket| {
        let mut command = Command::new(this);
        command
            .arg0(IOTHREADD)
            .arg("--qmp")
            .arg(format!("unix:{}", socket.display()))
            .args(arguments);
        command
    })
}

fn top(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iothread-top"));
    command.args(arguments).output().unwrap()
}

fn tables_name_threads_and_holders() -> Result<(), Failed> {
    let objects = ["--object", "iothread,id=io0", "--object", "iothread,id=io1"];
    let server = start_iothreadd(&objects)?;
    let mut client = Qmp::open(server.socket()).unwrap();
    client
        .execute(
            "blockdev-add",
            json!({"driver": "null-co", "node-name": "n0"}),
        )
        .unwrap();
    client
        .execute(
            "x-blockdev-set-iothread",
            json!({"node-name": "n0", "iothread": "io0"}),
        )
        .unwrap();
    let address = format!("unix:{}", server.socket().display());
    let output = top(&["-b", "-i", "-n", "2", "-d", "0.1", &address]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let tables: Vec<_> = text.split("\n\n").collect();
    assert_eq!(tables.len(), 2, "{text}");
    for table in tables {
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let held: Vec<_> = rows.iter().map(|row| (row[0], row[3], row[4])).collect();
        assert_eq!(
            held,
            [
                ("IOTHREAD", "HELD", "HOLDERS"),
                ("io0", "1", "n0"),
                ("io1", "0", "none"),
                ("mon_iothread", "1", "compat_monitor0"),
            ]
        );
        // Each thread was looked at twice, so it is known how long it ran.
        assert!(rows[1..].iter().all(|row| row[2].ends_with('%')), "{text}");
    }
    Ok(())
}

fn a_server_that_is_not_there_is_an_error() -> Result<(), Failed> {
    let folder = tempfile::tempdir().unwrap();
    let output = top(&["-b", folder.path().join("none").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let expected = b"iothread-top: cannot connect to 'unix:";
    assert!(output.stderr.starts_with(expected), "{output:?}");
    assert_eq!(top(&["tcp:nowhere"]).status.code(), Some(2));
    assert_eq!(top(&["-d", "0", "x"]).status.code(), Some(2));
    Ok(())
}

/// A program that does not outlive its test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A screen on a terminal of its own, and all that was drawn on it. Blanks may not be among it.
struct Screen {
    program: Program,
    keys: File,
    drawn: Arc<Mutex<Vec<u8>>>,
}

impl Screen {
    fn start(address: &str) -> Self {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keys).unwrap();
        unlockpt(&keys).unwrap();
        let name = ptsname(&keys, Vec::new()).unwrap();
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
        let terminal = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: 100,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&terminal, size).unwrap();
        let program = Command::new(env!("CARGO_BIN_EXE_iothread-top"))
            .args(["-d", "0.1", address])
            .env("TERM", "xterm")
            .stdin(Stdio::from(terminal.try_clone().unwrap()))
            .stdout(Stdio::from(terminal))
            .spawn()
            .unwrap();
        let keys = File::from(keys);
        let drawn: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (mut screen, all) = (keys.try_clone().unwrap(), Arc::clone(&drawn));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A terminal that nobody has ends with an error.
            while let Ok(count @ 1..) = screen.read(&mut buffer) {
                all.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self {
            program: Program(program),
            keys,
            drawn,
        }
    }

    /// Waits until a text is drawn after so many bytes; how many there are then.
    fn until(&self, text: &str, after: usize) -> usize {
        eventually(|| {
            let drawn = self.drawn.lock().unwrap();
            String::from_utf8_lossy(&drawn[after..]).contains(text)
        });
        self.drawn.lock().unwrap().len()
    }

    fn quit(mut self) {
        self.keys.write_all(b"q").unwrap();
        assert!(self.program.0.wait().unwrap().success());
    }
}

/// Its rows are marked while it is away.
fn a_server_that_comes_back_is_live_again() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("qmp");
    let address = format!("unix:{}", socket.display());
    let start = || -> std::io::Result<Program> {
        let server = Command::new(std::env::current_exe()?)
            .arg0(IOTHREADD)
            .args(["--object", "iothread,id=io0", "--qmp", &address])
            .stdin(Stdio::null())
            .spawn()?;
        eventually(|| UnixStream::connect(&socket).is_ok());
        Ok(Program(server))
    };
    let server = start()?;
    let screen = Screen::start(&address);
    let n_drawn = screen.until("busy", 0);
    drop(server);
    let n_drawn = screen.until("gone", n_drawn);
    let _server = start()?;
    screen.until("busy", n_drawn);
    screen.quit();
    Ok(())
}

fn a_command_is_a_server() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let program = named_iothreadd(folder.path())?;
    let command = format!("exec:{program} --qmp stdio --object iothread,id=io0");
    let output = top(&["-b", "-n", "1", "-d", "0.1", &command]);
    let text = String::from_utf8(output.stdout)?;
    assert!(output.status.success() && text.contains("io0"), "{text}");
    Ok(())
}

/// The path of this program under its other name.
fn named_iothreadd(folder: &Path) -> std::io::Result<String> {
    let path = folder.join(IOTHREADD);
    std::os::unix::fs::symlink(std::env::current_exe()?, &path)?;
    Ok(path.display().to_string())
}

/// Their numbers are those of other threads here.
fn threads_of_another_namespace_are_not_measured(unshare: &Path) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let program = named_iothreadd(folder.path())?;
    let as_whom: &[&str] = match rustix::process::geteuid().is_root() {
        true => &[],
        false => &["-r"],
    };
    let server = Server::start(|socket| {
        let mut command = Command::new(unshare);
        command
            .args(as_whom)
            .args(["-p", "-f", "--kill-child", "--mount-proc"])
            .args([&program, "--object", "iothread,id=io0", "--qmp"])
            .arg(format!("unix:{}", socket.display()));
        command
    })?;
    let address = format!("unix:{}", server.socket().display());
    let output = top(&["-b", "-i", "-n", "1", "-d", "0.1", &address]);
    let text = String::from_utf8(output.stdout)?;
    let busy: Vec<_> = text
        .lines()
        .map(|line| line.split_whitespace().nth(2))
        .collect();
    assert_eq!(busy, [Some("BUSY"), Some("-"), Some("-")], "{text}");
    Ok(())
}
