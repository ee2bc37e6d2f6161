//! One client of a human monitor.

use std::sync::{Arc, Weak};

use iothread::{Dispatch, OnMain};

use super::commands::{complete, execute, is_quit};
use super::conversation::{Conversation, MAX_UNSENT, Said};
use crate::cause::Cause;
use crate::net::connection::{Connection, End, Limits};
use crate::net::stream::{Endpoint, Stream};
use crate::net::terminal::RawTerminal;
use crate::parts::Parts;
use crate::report::report;
use crate::sync::{Level, Mutex};
use crate::task;

const LIMITS: Limits = Limits {
    unsent: MAX_UNSENT,
    n_receptions: 1,
    watches_on: false,
};

/// A session on the main loop.
pub(super) struct HumanSession {
    parts: Weak<Parts>,
    over: Box<Over>,
    stream: Stream,
    state: Mutex<State>,
}

struct State {
    connection: Connection<Conversation>,
    /// Gives a terminal its own ways back at the end.
    terminal: Option<RawTerminal>,
}

/// Is told when a session is over. On the main loop.
type Over = dyn Fn(&Arc<HumanSession>) + Send + Sync;

impl HumanSession {
    pub(super) fn new(parts: &Arc<Parts>, stream: Stream, over: Box<Over>) -> Arc<Self> {
        let version = env!("CARGO_PKG_VERSION");
        let banner = format!("iothreadd {version} monitor - type 'help' for more information\r\n");
        let terminal = stream.raw_terminal();
        // Only there a web page can have a browser connect.
        let may_be_foreign = stream.is_tcp();
        let conversation = Conversation::new(&banner, terminal.is_some(), may_be_foreign, complete);
        Arc::new(Self {
            parts: Arc::downgrade(parts),
            over,
            stream,
            state: Mutex::at(
                Level::Session,
                State {
                    connection: Connection::new(conversation, LIMITS),
                    terminal,
                },
            ),
        })
    }

    /// Sends the first prompt and begins to receive.
    pub(super) fn start(self: &Arc<Self>, main: OnMain<'_>) {
        let mut state = self.state.lock();
        let stream = self.stream.clone();
        match state.connection.attach(main.context(), stream, self) {
            Ok(()) => self.progress(&mut state),
            Err(error) => {
                report(&format!("cannot serve a client: {error}"));
                (self.over)(self);
            }
        }
    }

    /// Executes no further line, and ends the session when all is sent.
    pub(super) fn finish(self: &Arc<Self>, _: OnMain<'_>) {
        let mut state = self.state.lock();
        state.connection.protocol_mut().finish();
        self.progress(&mut state);
    }

    /// Ends the session at once.
    pub(super) fn abandon(&self, _: OnMain<'_>) {
        let mut state = self.state.lock();
        state.terminal = None;
        state.connection.close();
    }

    fn progress(self: &Arc<Self>, state: &mut State) {
        let connection = &mut state.connection;
        let end = connection.progress(|conversation, said| self.take(conversation, said));
        self.see_to_end(state, end);
    }

    fn take(self: &Arc<Self>, conversation: &mut Conversation, said: Said) {
        match said {
            Said::Line(line) => self.execute(conversation, line.trim()),
            Said::Foreign(protocol) => report(&format!(
                "a client of a human monitor speaks {protocol} and is cut off"
            )),
        }
    }

    fn execute(self: &Arc<Self>, conversation: &mut Conversation, line: &str) {
        let Some(parts) = self.parts.upgrade() else {
            return;
        };
        if is_quit(line) {
            // Not by its command, which prints a prompt after it.
            parts.quit();
            conversation.finish();
            return;
        }
        let main = parts.host.main.clone();
        let line = line.to_owned();
        let work = async move {
            Cause::new("human-monitor")
                .during(execute(&parts, &line, None))
                .await
        };
        let session = Arc::clone(self);
        let done = move |text: String| {
            let mut state = session.state.lock();
            state.connection.protocol_mut().answer(&text);
            session.progress(&mut state);
        };
        match task::start(&main, Box::pin(work), Box::new(done)) {
            Some((text, _)) => conversation.answer(&text),
            None => conversation.wait(),
        }
    }

    fn see_to_end(self: &Arc<Self>, state: &mut State, end: Result<(), End>) {
        match end {
            Ok(()) => {}
            Err(End::Over | End::Broken | End::Unwatched(_)) => self.close(state),
        }
    }

    fn close(self: &Arc<Self>, state: &mut State) {
        if !state.connection.close() {
            return;
        }
        state.terminal = None;
        (self.over)(self);
        if let Some(parts) = self.parts.upgrade() {
            if self.stream.is_stdio() {
                parts.quit();
            }
            if let Some(life) = parts.life.upgrade() {
                life.session_is_over();
            }
        }
    }
}

impl Endpoint for HumanSession {
    fn readable(self: &Arc<Self>, _: &Dispatch<'_>) {
        let mut state = self.state.lock();
        let connection = &mut state.connection;
        let end = connection.readable(|conversation, said| self.take(conversation, said));
        self.see_to_end(&mut state, end);
    }

    fn writable(self: &Arc<Self>, _: &Dispatch<'_>) {
        self.progress(&mut self.state.lock());
    }
}
