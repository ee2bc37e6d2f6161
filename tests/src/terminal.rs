//! A program on a terminal of its own.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::PATIENCE;

/// A terminal of 100 columns and 24 lines, the program on it, and all that was drawn. Blanks may not be among it. The program is
/// killed when this is dropped.
#[derive(Debug)]
pub struct Terminal {
    program: Child,
    keys: File,
    drawn: Arc<Drawn>,
}

/// What was drawn, and who waits for more.
#[derive(Debug, Default)]
struct Drawn {
    bytes: Mutex<Vec<u8>>,
    grown: Condvar,
}

impl Drawn {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Terminal {
    /// Starts a program whose standard input and output are the terminal. The terminal does not control it: signals are for the
    /// test to send.
    ///
    /// # Errors
    ///
    /// No terminal is to be had, or the program does not start.
    pub fn start(command: &mut Command) -> Result<Self> {
        let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&keys)?;
        unlockpt(&keys)?;
        let name = ptsname(&keys, Vec::new())?;
        let terminal = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
        let size = Winsize {
            ws_row: 24,
            ws_col: 100,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&terminal, size)?;
        let program = command
            .env("TERM", "xterm")
            .stdin(Stdio::from(terminal.try_clone()?))
            .stdout(Stdio::from(terminal.try_clone()?))
            .stderr(Stdio::from(terminal))
            .spawn()
            .context("the program does not start")?;
        // The command holds the terminal open, which would never end then.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let keys = File::from(keys);
        let drawn: Arc<Drawn> = Arc::default();
        let (mut screen, all) = (keys.try_clone()?, Arc::clone(&drawn));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A terminal that nobody has ends with an error.
            while let Ok(count @ 1..) = screen.read(&mut buffer) {
                all.lock().extend_from_slice(&buffer[..count]);
                all.grown.notify_all();
            }
        });
        Ok(Self {
            program,
            keys,
            drawn,
        })
    }

    /// Types.
    ///
    /// # Errors
    ///
    /// The terminal has gone.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        self.keys
            .write_all(keys.as_bytes())
            .context("the terminal has gone")
    }

    /// Waits until a text is drawn after so many bytes; how many there are then.
    pub fn until(&self, text: &str, after: usize) -> usize {
        let is_missing =
            |drawn: &mut Vec<u8>| !String::from_utf8_lossy(&drawn[after..]).contains(text);
        let grown = &self.drawn.grown;
        let waited = grown.wait_timeout_while(self.drawn.lock(), PATIENCE, is_missing);
        let (drawn, result) = waited.unwrap_or_else(PoisonError::into_inner);
        let n_drawn = drawn.len();
        drop(drawn);
        assert!(
            !result.timed_out(),
            "no {text:?} in {:?}",
            self.drawn_after(after)
        );
        n_drawn
    }

    /// How many bytes were drawn.
    #[must_use]
    pub fn n_drawn(&self) -> usize {
        self.drawn.lock().len()
    }

    /// What was drawn after so many bytes.
    #[must_use]
    pub fn drawn_after(&self, after: usize) -> String {
        String::from_utf8_lossy(&self.drawn.lock()[after..]).into_owned()
    }

    /// The program's number.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.program.id()
    }

    /// Waits for the end of the program.
    ///
    /// # Errors
    ///
    /// It cannot be waited for.
    pub fn wait(mut self) -> Result<ExitStatus> {
        Ok(self.program.wait()?)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
