//! The log as it is written.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use qapi_runtime::Value;
use qapi_runtime::client::Transcript;

/// A log that connections share.
pub(super) struct Log {
    start: Instant,
    state: Mutex<State>,
}

struct State {
    out: Box<dyn Write + Send>,
    n_connections: u64,
    /// Why it is not complete.
    failed: Option<io::Error>,
}

/// What is said of a connection or message.
pub(super) struct Line<'a> {
    pub(super) connection: u64,
    pub(super) at: Duration,
    /// `sent`, `opened` and so on.
    pub(super) what: &'static str,
    /// JSON, on one line.
    pub(super) value: &'a [u8],
    pub(super) more: &'a [(&'static str, Value)],
}

impl Log {
    /// Writes the first line.
    pub(super) fn begin(mut out: Box<dyn Write + Send>) -> io::Result<Self> {
        let form = Transcript::new().to_text();
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = since.unwrap_or_default().as_secs();
        // For people; who reads the log passes it over.
        let line = match form.trim_end().strip_suffix('}') {
            Some(form) => format!("{form}, \"began\": {seconds}}}\n"),
            None => form,
        };
        out.write_all(line.as_bytes())?;
        out.flush()?;
        let state = State {
            out,
            n_connections: 0,
            failed: None,
        };
        Ok(Self {
            start: Instant::now(),
            state: Mutex::new(state),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a new connection.
    pub(super) fn number(&self) -> u64 {
        let mut state = self.lock();
        state.n_connections += 1;
        state.n_connections
    }

    /// Since the beginning.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Writes a line. After one that could not be written there are no more.
    pub(super) fn write(&self, line: &Line<'_>) {
        let mut text = Vec::with_capacity(line.value.len() + 64);
        let (connection, at) = (line.connection, line.at.as_micros());
        // Writing to memory cannot fail.
        let _ = write!(
            text,
            "{{\"connection\": {connection}, \"at\": {at}, \"{}\": ",
            line.what
        );
        text.extend_from_slice(line.value);
        for (name, value) in line.more {
            let _ = write!(text, ", \"{name}\": {value}");
        }
        text.extend_from_slice(b"}\n");
        let mut state = self.lock();
        if state.failed.is_none() {
            let written = state.out.write_all(&text);
            state.failed = written.and_then(|()| state.out.flush()).err();
        }
    }

    /// Why the log is not complete.
    pub(super) fn finish(&self) -> io::Result<()> {
        self.lock().failed.take().map_or(Ok(()), Err)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}
