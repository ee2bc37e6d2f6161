//! Rounds in a file, and out of it again.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Show, json};
use crate::facts::{Facts, Holder};
use crate::sample::{Board, GoneHolder, Look, State};
use crate::thread::not_started;

/// The longest line that is read: a round of many guests with many holders.
const MAX_LINE: u64 = 256 << 20;

/// Writes what is found, once in each interval, until it is dropped.
pub(crate) struct Recorder {
    /// That it is gone asks for the end.
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// The file must not be there yet: a recording is not lost by a second one.
    pub(crate) fn start(path: &Path, board: &Arc<Board>, interval: Duration) -> io::Result<Self> {
        let mut file = File::create_new(path).map_err(|error| named(path, error))?;
        let (end, ended) = mpsc::channel();
        let (board, path) = (Arc::clone(board), path.to_owned());
        let show = Show {
            shows_internal: true,
            ..Show::default()
        };
        let record = move || {
            while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                let line = json::line(&board.looks(), &show, Instant::now());
                if let Err(error) = file.write_all(line.as_bytes()) {
                    let _ = writeln!(io::stderr(), "iothread-top: {}", named(&path, error));
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("recorder".to_owned());
        Ok(Self {
            end: Some(end),
            thread: Some(thread.spawn(record).map_err(not_started)?),
        })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// A recording that is read.
pub(crate) struct Recording {
    path: PathBuf,
    reader: BufReader<File>,
    n_lines: usize,
}

/// A round, and when it was, in seconds since 1970.
pub(crate) struct Recorded {
    pub(crate) time: f64,
    pub(crate) looks: Vec<Arc<Look>>,
}

impl Recording {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path).map_err(|error| named(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::new(file),
            n_lines: 0,
        })
    }

    /// The next round; nothing at the end, which may be in the middle of a line where the recorder was interrupted.
    pub(crate) fn next(&mut self) -> io::Result<Option<Recorded>> {
        let mut line = String::new();
        let mut limited = (&mut self.reader).take(MAX_LINE);
        let count = limited.read_line(&mut line);
        self.n_lines += 1;
        let wrong = |what: String| {
            let text = format!("{}: line {}: {what}", self.path.display(), self.n_lines);
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        count.map_err(|error| wrong(error.to_string()))?;
        if !line.ends_with('\n') && line.len() as u64 != MAX_LINE {
            return Ok(None);
        }
        let round: Round = serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))?;
        let now = Instant::now();
        let looks = round.guests.into_iter().map(|it| it.look(now));
        let looks: Result<_, String> = looks.collect();
        Ok(Some(Recorded {
            time: round.time,
            looks: looks.map_err(wrong)?,
        }))
    }
}

#[derive(Deserialize)]
struct Round {
    time: f64,
    guests: Vec<Guest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Guest {
    target: String,
    state: String,
    age: f64,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    looks: u64,
    answered: Option<f64>,
    #[serde(flatten)]
    facts: Option<Facts>,
    #[serde(default)]
    gone_holders: Vec<Gone>,
}

#[derive(Deserialize)]
struct Gone {
    iothread: String,
    holder: Holder,
    age: f64,
    by: Option<String>,
    to: Option<String>,
}

impl Guest {
    fn look(self, now: Instant) -> Result<Arc<Look>, String> {
        let ago = |seconds: f64| {
            let age = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            // A machine may have been started since.
            now.checked_sub(age).unwrap_or(now)
        };
        let state = State::ALL.into_iter().find(|it| it.name() == self.state);
        let state = state.ok_or_else(|| format!("'{}' is not a state", self.state))?;
        let target = self.target.parse();
        let target = target.map_err(|error| format!("'{}': {error}", self.target))?;
        let gone = self.gone_holders.into_iter().map(|it| GoneHolder {
            iothread: it.iothread,
            holder: it.holder,
            when: ago(it.age),
            by: it.by,
            to: it.to,
        });
        Ok(Arc::new(Look {
            state,
            since: ago(self.age),
            reason: self.reason,
            answered: self.answered.map(ago),
            facts: self.facts.map(Arc::new),
            gone: gone.collect(),
            n_looks: self.looks,
            ..Look::new(target)
        }))
    }
}
