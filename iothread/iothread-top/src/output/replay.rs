//! A recording at the pace at which it was made.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Recording;
use crate::sample::Board;
use crate::thread::not_started;

/// The longest pause between two rounds: a reader need not wait for what did not happen.
const MAX_PAUSE: f64 = 10.0;

/// Shows a recording until it is dropped; the last round stays.
pub(crate) struct Replay {
    board: Arc<Board>,
    /// A message asks for the next round at once; that it is gone, for the end.
    sooner: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Replay {
    pub(crate) fn start(mut recording: Recording) -> io::Result<Self> {
        let board = Arc::new(Board::default());
        let (sooner, asked) = mpsc::channel();
        let shown = Arc::clone(&board);
        let play = move || {
            let mut last: Option<f64> = None;
            loop {
                let round = match recording.next() {
                    Ok(Some(round)) => round,
                    Ok(None) => return,
                    Err(error) => {
                        // What was read before is shown.
                        let _ = writeln!(io::stderr(), "iothread-top: {error}");
                        return;
                    }
                };
                let pause = last.map_or(0.0, |last| (round.time - last).clamp(0.0, MAX_PAUSE));
                let pause = Duration::try_from_secs_f64(pause).unwrap_or_default();
                match asked.recv_timeout(pause) {
                    Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                last = Some(round.time);
                shown.show(&round.looks);
            }
        };
        let thread = std::thread::Builder::new().name("replay".to_owned());
        Ok(Self {
            board,
            sooner: Some(sooner),
            thread: Some(thread.spawn(play).map_err(not_started)?),
        })
    }

    pub(crate) fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Shows the next round now.
    pub(crate) fn next(&self) {
        if let Some(sooner) = &self.sooner {
            // At the end there is none.
            let _ = sooner.send(());
        }
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.sooner = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ = thread.join();
        }
    }
}
