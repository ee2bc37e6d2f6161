//! One connection that is recorded.

use std::collections::VecDeque;
use std::sync::Arc;

use qapi_runtime::Value;
use qapi_runtime::address::Address;
use qapi_runtime::client::Dialect;
use qapi_runtime::json::ValueRef;
use rustix::fd::OwnedFd;

use super::log::{Line, Log};
use super::mask::Masks;
use crate::wire::framing::{Framer, Message, Said};
use crate::wire::relay::Ends;
use crate::wire::{Policy, Who};

/// Commands whose answers have not come, as far as it matters what they were. A server has a few at a time.
const MAX_ASKED: usize = 1024;

/// Passes on and writes down.
pub(super) struct Recording {
    log: Arc<Log>,
    masks: Arc<Masks>,
    connection: u64,
    from_client: Framer,
    from_server: Framer,
    /// How many descriptors came before the message that is coming was complete.
    descriptors: [u64; 2],
    /// The commands without an answer and their ids, where something is to be masked.
    asked: VecDeque<(Option<String>, String)>,
    ended: Option<Who>,
}

impl Recording {
    /// A connection, which is written down as opened.
    pub(super) fn new(
        log: Arc<Log>,
        masks: Arc<Masks>,
        server: &Address,
        dialect: Dialect,
    ) -> Self {
        let recording = Self {
            connection: log.number(),
            log,
            masks,
            from_client: Framer::new(),
            from_server: Framer::new(),
            descriptors: [0; 2],
            asked: VecDeque::new(),
            ended: None,
        };
        let peer = Value::from(server.to_string()).to_string();
        recording.write(
            "opened",
            peer.as_bytes(),
            &[("dialect", Value::from(dialect.as_str()))],
        );
        recording
    }

    /// There is no server.
    pub(super) fn is_refused(&self) {
        self.write("closed", br#""server""#, &[]);
    }

    fn write(&self, what: &'static str, value: &[u8], more: &[(&'static str, Value)]) {
        self.log.write(&Line {
            connection: self.connection,
            at: self.log.now(),
            what,
            value,
            more,
        });
    }

    fn said(&mut self, who: Who, said: Said) {
        let (message_is, text_is) = match who {
            Who::Client => ("sent", "sent-text"),
            Who::Server => ("received", "received-text"),
        };
        let message = match said {
            Said::Message(message) => message,
            // Passed over by those who replay.
            Said::Text(text) => {
                let text = Value::from(text).to_string();
                return self.write(text_is, text.as_bytes(), &[]);
            }
        };
        let mut more = Vec::new();
        let n_descriptors = std::mem::take(&mut self.descriptors[who as usize]);
        if n_descriptors > 0 {
            let n_descriptors = i64::try_from(n_descriptors).unwrap_or(i64::MAX);
            more.push(("descriptors", Value::Int(n_descriptors)));
        }
        match self.masked(&message) {
            Some((value, ways)) => {
                more.push(("masked", ways.into_iter().map(Value::from).collect()));
                self.write(message_is, value.to_string().as_bytes(), &more);
            }
            None => self.write(message_is, &message.line(), &more),
        }
    }

    /// The message without its secrets, if it has any.
    fn masked(&mut self, message: &Message) -> Option<(Value, Vec<String>)> {
        if self.masks.is_empty() {
            return None;
        }
        let root = message.document.root();
        let name = |member| root.get(member).and_then(ValueRef::as_str);
        let id = root.get("id").map(|id| id.to_string());
        let command = match name("execute").or_else(|| name("exec-oob")) {
            Some(command) => {
                if self.asked.len() == MAX_ASKED {
                    self.asked.pop_front();
                }
                self.asked.push_back((id, command.to_owned()));
                command.to_owned()
            }
            None => match name("event") {
                Some(event) => event.to_owned(),
                None => self.answered(id.as_deref()),
            },
        };
        let mut value = root.to_value();
        let ways = self.masks.apply(&mut value, &command);
        (!ways.is_empty()).then_some((value, ways))
    }

    /// The command that is answered; an answer without an id is to the first one.
    fn answered(&mut self, id: Option<&str>) -> String {
        let is_it = |(asked, _): &(Option<String>, String)| id.is_none() || asked.as_deref() == id;
        let place = self.asked.iter().position(is_it);
        let asked = place.and_then(|place| self.asked.remove(place));
        asked.map(|(_, command)| command).unwrap_or_default()
    }

    fn framer(&mut self, who: Who) -> &mut Framer {
        match who {
            Who::Client => &mut self.from_client,
            Who::Server => &mut self.from_server,
        }
    }
}

impl Policy for Recording {
    fn hear(&mut self, who: Who, bytes: &[u8], descriptors: Vec<OwnedFd>, ends: &mut Ends) {
        self.descriptors[who as usize] += descriptors.len() as u64;
        // First it goes on.
        if let Some(other) = ends.other(who) {
            other.send(bytes, descriptors);
        }
        let mut found = Vec::new();
        self.framer(who).feed(bytes, |said| found.push(said));
        for said in found {
            self.said(who, said);
        }
    }

    fn end(&mut self, who: Who, ends: &mut Ends) {
        if let Some(other) = ends.other(who) {
            other.end();
        }
        let mut found = Vec::new();
        self.framer(who).finish(|said| found.push(said));
        for said in found {
            self.said(who, said);
        }
        self.ended.get_or_insert(who);
    }

    fn over(&mut self) {
        let who: &[u8] = match self.ended {
            Some(Who::Client) | None => br#""client""#,
            Some(Who::Server) => br#""server""#,
        };
        self.write("closed", who, &[]);
    }
}
