//! One client of a human monitor.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Weak};

use iothread::Interest;
use qapi_runtime::session::Opening;

use super::commands::{complete, execute};
use super::editor::{Editor, PROMPT};
use crate::net::stream::{Endpoint, Stream, Watches};
use crate::net::terminal::RawTerminal;
use crate::parts::Parts;
use crate::report::report;
use crate::sync::Mutex;
use crate::task;

/// The longest line, as in QEMU.
const MAX_LINE: usize = 4095;

/// Unsent bytes from which on no further line is executed.
const MAX_UNSENT: usize = 1 << 20;

/// A session on the main loop.
pub(super) struct HumanSession {
    parts: Weak<Parts>,
    over: Box<Over>,
    stream: Stream,
    is_stdio: bool,
    state: Mutex<State>,
}

struct State {
    /// `None` before the start and after the end.
    watches: Option<Watches>,
    /// What has been received and not looked at.
    input: VecDeque<u8>,
    editor: Editor,
    /// Gives a terminal its own ways back at the end.
    terminal: Option<RawTerminal>,
    unsent: Vec<u8>,
    /// The peer sends no more, or the session is to end.
    is_ending: bool,
    /// A line is being executed.
    is_busy: bool,
    /// Whether it is a browser that has connected.
    opening: Opening,
}

/// Is told when a session is over. On the main loop.
type Over = dyn Fn(&Arc<HumanSession>) + Send + Sync;

impl HumanSession {
    pub(super) fn new(parts: &Arc<Parts>, stream: Stream, over: Box<Over>) -> Arc<Self> {
        let version = env!("CARGO_PKG_VERSION");
        let banner =
            format!("iothreadd {version} monitor - type 'help' for more information\r\n{PROMPT}");
        let terminal = stream.raw_terminal();
        Arc::new(Self {
            parts: Arc::downgrade(parts),
            over,
            is_stdio: stream.is_stdio(),
            state: Mutex::new(State {
                watches: None,
                input: VecDeque::new(),
                editor: Editor::new(terminal.is_some(), complete),
                terminal,
                unsent: banner.into_bytes(),
                is_ending: false,
                is_busy: false,
                // Only there a web page can have a browser connect.
                opening: Opening::new(stream.is_tcp()),
            }),
            stream,
        })
    }

    /// Sends the first prompt and begins to receive. On the main loop.
    pub(super) fn start(self: &Arc<Self>) {
        let Some(parts) = self.parts.upgrade() else {
            return;
        };
        match Watches::new(&parts.host.main, &self.stream, self) {
            Ok(watches) => {
                let mut state = self.state.lock();
                state.watches = Some(watches);
                self.progress(&mut state);
            }
            Err(error) => {
                report(&format!("cannot serve a client: {error}"));
                (self.over)(self);
            }
        }
    }

    /// Executes no further line, and ends the session when all is sent.
    pub(super) fn finish(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.is_ending = true;
        state.input.clear();
        self.progress(&mut state);
    }

    /// Ends the session at once.
    pub(super) fn abandon(&self) {
        let mut state = self.state.lock();
        state.terminal = None;
        if state.watches.take().is_some() {
            self.stream.close();
        }
    }

    fn progress(self: &Arc<Self>, state: &mut State) {
        // What has been sent makes room for what further lines print.
        loop {
            self.execute_lines(state);
            if self.send(state).is_err() {
                self.close(state);
                return;
            }
            if state.input.is_empty() || state.is_busy || state.is_full() {
                break;
            }
        }
        if state.is_over() {
            self.close(state);
            return;
        }
        let interest = Interest::READ.when(!state.is_ending && !state.is_busy && !state.is_full())
            | Interest::WRITE.when(!state.unsent.is_empty());
        let is_watched = match &mut state.watches {
            Some(watches) => watches.set(interest).is_ok(),
            None => return,
        };
        if !is_watched {
            self.close(state);
        }
    }

    /// Executes the lines that are there, as long as there is room for what they print.
    fn execute_lines(self: &Arc<Self>, state: &mut State) {
        while !state.is_full()
            && !state.is_busy
            && let Some(byte) = state.input.pop_front()
        {
            if let Some(line) = state.editor.take(byte, &mut state.unsent) {
                self.execute(state, &line);
            } else if state.editor.len() > MAX_LINE {
                state.unsent.extend_from_slice(b"line too long\r\n");
                state.is_ending = true;
                state.input.clear();
            }
        }
    }

    fn execute(self: &Arc<Self>, state: &mut State, line: &str) {
        let line = line.trim().to_owned();
        let Some(parts) = self.parts.upgrade() else {
            return;
        };
        if matches!(line.as_str(), "quit" | "q") {
            parts.quit();
            state.is_ending = true;
            state.input.clear();
            return;
        }
        let main = parts.host.main.clone();
        let work = async move { execute(&parts, &line, None).await };
        let session = Arc::clone(self);
        let done = move |text: String| {
            let mut state = session.state.lock();
            state.is_busy = false;
            state.print(&text);
            session.progress(&mut state);
        };
        match task::start(&main, Box::pin(work), Box::new(done)) {
            Some((text, _)) => state.print(&text),
            None => state.is_busy = true,
        }
    }

    fn send(&self, state: &mut State) -> io::Result<()> {
        while !state.unsent.is_empty() {
            match self.stream.send(&state.unsent) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(state.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn close(self: &Arc<Self>, state: &mut State) {
        if state.watches.take().is_none() {
            return;
        }
        state.terminal = None;
        self.stream.close();
        (self.over)(self);
        if let Some(parts) = self.parts.upgrade() {
            if self.is_stdio {
                parts.quit();
            }
            if let Some(life) = parts.life.upgrade() {
                life.session_is_over();
            }
        }
    }
}

impl State {
    /// Shows what a line has printed, and asks for the next one.
    fn print(&mut self, text: &str) {
        self.unsent.extend_from_slice(text.as_bytes());
        self.unsent.extend_from_slice(PROMPT.as_bytes());
    }

    /// Whether output has to be sent before anything else is done.
    fn is_full(&self) -> bool {
        self.unsent.len() >= MAX_UNSENT
    }

    /// Whether nothing is left to do after the end of the input.
    fn is_over(&self) -> bool {
        self.is_ending && !self.is_busy && self.unsent.is_empty() && self.input.is_empty()
    }
}

impl Endpoint for HumanSession {
    fn readable(self: &Arc<Self>) {
        let mut state = self.state.lock();
        if state.is_ending {
            self.progress(&mut state);
            return;
        }
        let mut buffer = [0; 4096];
        match self.stream.receive(&mut buffer, &mut Vec::new()) {
            Ok(0) => state.is_ending = true,
            Ok(count) => {
                if let Some(protocol) = state.opening.look(&buffer[..count]) {
                    report(&format!(
                        "a client of a human monitor speaks {protocol} and is cut off"
                    ));
                    self.close(&mut state);
                    return;
                }
                if state.input.is_empty() {
                    state.editor.look(&buffer[..count]);
                }
                state.input.extend(&buffer[..count]);
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(_) => state.is_ending = true,
        }
        self.progress(&mut state);
    }

    fn writable(self: &Arc<Self>) {
        self.progress(&mut self.state.lock());
    }
}
