//! The human monitor on a terminal that sends each key, through a real one and through a socket.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::harness::{PATIENCE, Server, program};

/// A server whose human monitor is on a terminal.
struct Terminal {
    server: std::process::Child,
    keys: File,
    /// What the server has.
    other_end: File,
}

impl Terminal {
    fn start(arguments: &[&str]) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let other_end = File::from(ioctl_tiocgptpeer(&controller, flags).unwrap());
        let stream = || Stdio::from(other_end.try_clone().unwrap());
        let server = program()
            .args(["--monitor", "stdio"])
            .args(arguments)
            .stdin(stream())
            .stdout(stream())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            server,
            keys: File::from(controller),
            other_end,
        }
    }

    /// What is shown up to the end of this text.
    fn until(&mut self, end: &str) -> String {
        let mut shown = String::new();
        while !shown.ends_with(end) {
            let mut fds = [PollFd::new(&self.keys, PollFlags::IN)];
            let patience = Timespec::try_from(PATIENCE).unwrap();
            assert_eq!(poll(&mut fds, Some(&patience)), Ok(1), "{shown:?}");
            let mut byte = [0];
            // It fails once the server is gone.
            self.keys.read_exact(&mut byte).unwrap();
            shown.push(char::from(byte[0]));
            // The terminal has made one of the ends of lines into two.
            if shown.ends_with("\r\r\n") {
                shown.truncate(shown.len() - 3);
                shown.push_str("\r\n");
            }
        }
        shown
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn echoes(&self) -> bool {
        let modes = tcgetattr(&self.other_end).unwrap().local_modes;
        modes.contains(LocalModes::ECHO)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

const PROMPT: &str = "(iothreadd) ";

#[test]
fn keys_edit_lines_on_a_terminal() {
    let mut terminal = Terminal::start(&["--name", "pool"]);
    terminal.until(PROMPT);
    assert!(!terminal.echoes());
    // What was typed is shown as it becomes, and the answer below.
    terminal.press("inxfo name\x01\x06\x06\x04\r");
    terminal.until("\r(iothreadd) info name\x1b[K\x1b[7D\r\npool\r\n(iothreadd) ");
    terminal.press("\x1b[A\x17status\r");
    terminal.until("info \x1b[Kstatus\r\nVM status: running\r\n(iothreadd) ");
    terminal.press("\x10\x10\r");
    terminal.until("info name\x1b[K\r\npool\r\n(iothreadd) ");
    terminal.press("inf\tsta\t\r");
    terminal.until("\r\nVM status: running\r\n(iothreadd) ");
    // No keys end the input.
    terminal.press("\x04\x03info nam\x0c");
    terminal.until("\x1b[2J\x1b[1;1H\r(iothreadd) info nam\x1b[K");
    terminal.press("e\n");
    terminal.until("pool\r\n(iothreadd) ");
    terminal.press("quit\r");
    assert!(terminal.server.wait().unwrap().success());
    // The terminal is as it was.
    assert!(terminal.echoes());
}

#[test]
fn keys_edit_lines_on_a_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hmp");
    let option = format!("unix:{}", path.display());
    let _server = Server::start(&["--monitor", &option, "--name", "pool"]);
    let connect = || {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let until = |stream: &mut UnixStream, end: &str| {
        let mut shown = Vec::new();
        while !shown.ends_with(end.as_bytes()) {
            let mut byte = [0];
            assert_eq!(stream.read(&mut byte).unwrap(), 1, "{shown:?}");
            shown.push(byte[0]);
        }
        String::from_utf8(shown).unwrap()
    };
    // Whole lines, with whatever end: nothing is shown but the answers.
    for end in ["\n", "\r\n", "\r"] {
        let mut stream = connect();
        until(&mut stream, PROMPT);
        stream
            .write_all(format!("info\tnamex\x7f{end}").as_bytes())
            .unwrap();
        assert_eq!(until(&mut stream, PROMPT), "pool\r\n(iothreadd) ");
    }
    // Key by key, each of which is waited for.
    let mut stream = connect();
    until(&mut stream, PROMPT);
    for (key, shown) in [
        ("i", "i"),
        ("n", "n"),
        ("\x08", "\r(iothreadd) i\x1b[K"),
        ("\t", "\r(iothreadd) info \x1b[K"),
    ] {
        stream.write_all(key.as_bytes()).unwrap();
        assert_eq!(until(&mut stream, shown), shown);
    }
    stream.write_all(b"name\r").unwrap();
    assert_eq!(until(&mut stream, PROMPT), "name\r\npool\r\n(iothreadd) ");
}
