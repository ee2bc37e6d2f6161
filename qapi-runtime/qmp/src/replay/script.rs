//! What a log expects of a client, and answers.

use qapi_runtime::client::Transcript;
use qapi_runtime::transcript::{Ended, Entry, Recorded};
use qapi_runtime::{Object, Value};

/// Commands of the guest agent that are answered with their argument, which is another one each time.
pub(super) const SYNCS: [&str; 2] = ["guest-sync-delimited", "guest-sync"];

/// The command that every client begins with, with arguments as it likes.
const NEGOTIATION: &str = "qmp_capabilities";

/// A command that was recorded.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) command: String,
    arguments: Value,
    id: Option<Value>,
    masked: Vec<String>,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// The client asked for something.
    Asked(Asked),
    /// The server answered the item with this number.
    Answered(Value, usize),
    /// The server said something by itself.
    Told(Value),
    /// The server hung up.
    HungUp,
}

/// Something that happened, and the line of the log that has it.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) line: usize,
    pub(super) what: What,
}

/// What happened on one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Script {
    pub(super) items: Vec<Item>,
    number: u64,
    /// The commands without an answer so far.
    open: Vec<usize>,
    /// The numbers by which a guest agent was synchronized.
    syncs: Vec<Value>,
}

/// A script for each connection of a log, in the order in which they were made.
pub(super) fn scripts(log: &Transcript) -> Vec<Script> {
    let mut scripts: Vec<Script> = Vec::new();
    for entry in log.entries() {
        let place = scripts.iter().position(|it| it.number == entry.connection);
        let place = place.unwrap_or_else(|| {
            scripts.push(Script {
                number: entry.connection,
                ..Script::default()
            });
            scripts.len() - 1
        });
        scripts[place].add(entry);
    }
    scripts
}

impl Script {
    fn add(&mut self, entry: Entry) {
        let what = match entry.what {
            Recorded::Sent(message) => match Asked::of(&message, entry.masked) {
                Some(asked) if SYNCS.contains(&&*asked.command) => {
                    self.syncs.extend(asked.arguments.get("id").cloned());
                    return;
                }
                Some(asked) => {
                    self.open.push(self.items.len());
                    What::Asked(asked)
                }
                None => return,
            },
            Recorded::Received(message) => {
                let result = message.get("return");
                let is_answer = result.is_some() || message.get("error").is_some();
                if result.is_some_and(|result| self.syncs.contains(result)) {
                    return;
                }
                if !is_answer {
                    What::Told(message)
                } else if let Some(place) = self.answered(message.get("id")) {
                    What::Answered(message, place)
                } else {
                    // Nobody has asked for it any more.
                    return;
                }
            }
            Recorded::Closed(Ended::ByServer) => What::HungUp,
            _ => return,
        };
        self.items.push(Item {
            line: entry.line,
            what,
        });
    }

    /// The command that an answer with this id is to; without one the first that has none.
    fn answered(&mut self, id: Option<&Value>) -> Option<usize> {
        let is_it = |place: &usize| match &self.items[*place].what {
            What::Asked(asked) => id.is_none() || asked.id.as_ref() == id,
            What::Answered(..) | What::Told(_) | What::HungUp => false,
        };
        let n = self.open.iter().position(is_it)?;
        Some(self.open.remove(n))
    }

    pub(super) fn asked(&self, place: usize) -> Option<&Asked> {
        match &self.items.get(place)?.what {
            What::Asked(asked) => Some(asked),
            What::Answered(..) | What::Told(_) | What::HungUp => None,
        }
    }

    /// What was answered to the item with this number.
    pub(super) fn answer_to(&self, place: usize) -> Option<&Value> {
        self.items.iter().find_map(|item| match &item.what {
            What::Answered(answer, to) if *to == place => Some(answer),
            What::Answered(..) | What::Asked(_) | What::Told(_) | What::HungUp => None,
        })
    }

    /// The answer to a command that is like this one, wherever it was given.
    pub(super) fn answer_like(&self, asked: &Asked) -> Option<&Value> {
        let places = 0..self.items.len();
        let mut like = places.filter(|place| self.asked(*place).is_some_and(|it| it.fits(asked)));
        like.find_map(|place| self.answer_to(place))
    }
}

impl Asked {
    /// The command that a message is; `None` if it is something else.
    pub(super) fn of(message: &Value, masked: Vec<String>) -> Option<Self> {
        let command = message.get("execute").or_else(|| message.get("exec-oob"))?;
        let arguments = message.get("arguments").cloned();
        Some(Self {
            command: command.as_str()?.to_owned(),
            arguments: arguments.unwrap_or_else(|| Value::Object(Object::new())),
            id: message.get("id").cloned(),
            masked,
        })
    }

    pub(super) fn is_negotiation(&self) -> bool {
        self.command == NEGOTIATION
    }

    pub(super) fn id(&self) -> Option<&Value> {
        self.id.as_ref()
    }

    /// Whether a client has asked for what was recorded here. Ids are free, and so is what was masked.
    pub(super) fn fits(&self, got: &Self) -> bool {
        self.command == got.command
            && (self.is_negotiation() || self.fits_at("arguments", &self.arguments, &got.arguments))
    }

    fn fits_at(&self, way: &str, recorded: &Value, got: &Value) -> bool {
        if self.masked.is_empty() {
            return recorded == got;
        }
        if self.masked.iter().any(|masked| masked == way) {
            return true;
        }
        match (recorded, got) {
            (Value::Object(recorded), Value::Object(got)) => {
                recorded.len() == got.len()
                    && recorded.iter().all(|(name, value)| {
                        let other = got.get(name);
                        other.is_some_and(|it| self.fits_at(&format!("{way}.{name}"), value, it))
                    })
            }
            (Value::Array(recorded), Value::Array(got)) => {
                let mut pairs = recorded.iter().zip(got).enumerate();
                recorded.len() == got.len()
                    && pairs.all(|(n, (value, it))| self.fits_at(&format!("{way}.{n}"), value, it))
            }
            (recorded, got) => recorded == got,
        }
    }
}
