//! The screen, on a terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use libtest_mimic::Failed;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tests::{Suite, eventually};

use super::guests::start_at;
use super::{Program, program};

pub(crate) fn add(suite: Suite) -> Suite {
    suite.always(
        "a-server-that-comes-back-is-live-again",
        a_server_that_comes_back_is_live_again,
    )
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
        let program = program(&["-d", "0.1", address])
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

/// It is one row while it is away.
fn a_server_that_comes_back_is_live_again() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("qmp");
    let start = || start_at(&[&socket], &["--object", "iothread,id=io0"]);
    let server = start()?;
    let screen = Screen::start(&format!("unix:{}", socket.display()));
    let n_drawn = screen.until("io0", 0);
    drop(server);
    let n_drawn = screen.until("gone", n_drawn);
    let _server = start()?;
    screen.until("io0", n_drawn);
    screen.quit();
    Ok(())
}
