//! From a recording to the script that plays it.

use std::collections::HashMap;

use super::{Mock, Opening, SYNCS, Step, To};
use crate::client::Transcript;
use crate::dialect::Dialect;
use crate::message::CAPABILITIES;
use crate::transcript::{Ended, Recorded};
use crate::value::{Object, Value};

/// A command of a recording without an answer so far.
struct Asked {
    id: Option<Value>,
    what: What,
}

enum What {
    /// The mock does it by itself.
    Opening,
    /// The command with this number in the script.
    Command(usize),
}

/// A connection of a recording.
#[derive(Default)]
struct Connection {
    opening: Opening,
    asked: Vec<Asked>,
    /// The numbers by which a guest agent was synchronized.
    syncs: Vec<Value>,
    has_greeted: bool,
    is_ready: bool,
}

impl Mock {
    /// A mock that plays the part of the server in a recording: it expects the commands that were sent, and sends what was
    /// received when it was received. Which answer belongs to which command is told by their ids in the recording; commands
    /// between which nothing was received may come in another order, and have other ids; one with masked arguments may have any. Where the server had hung up, the
    /// mock does, and goes on with the next client.
    pub fn replay(transcript: &Transcript) -> Self {
        let mut mock = Self::new();
        mock.takes_any_order = true;
        // In the order in which they were made.
        let mut connections: Vec<(u64, Connection)> = Vec::new();
        let mut places: HashMap<u64, usize> = HashMap::new();
        for entry in transcript.entries() {
            let place = *places.entry(entry.connection).or_insert_with(|| {
                connections.push((entry.connection, Connection::default()));
                connections.len() - 1
            });
            let connection = &mut connections[place].1;
            match entry.what {
                Recorded::Opened { dialect, .. } => mock.dialect = dialect,
                Recorded::Sent(message) => {
                    mock.replay_sent(connection, &message, !entry.masked.is_empty());
                }
                Recorded::Received(message) => {
                    let number = u64::try_from(place + 1).unwrap_or(u64::MAX);
                    mock.replay_received(connection, message, number);
                }
                Recorded::Closed(Ended::ByServer) if connection.is_ready => {
                    mock.steps.push_back(Step::Disconnect);
                }
                Recorded::Closed(Ended::ByServer | Ended::ByClient) => {}
            }
        }
        let openings = connections
            .into_iter()
            .map(|(_, connection)| connection.opening);
        mock.openings = openings.collect();
        mock
    }

    fn replay_sent(&mut self, connection: &mut Connection, message: &Value, is_masked: bool) {
        let command = message.get("execute").or_else(|| message.get("exec-oob"));
        let Some(command) = command.and_then(Value::as_str) else {
            return;
        };
        let is_opening = command == CAPABILITIES || SYNCS.contains(&command);
        let what = match is_opening {
            true => What::Opening,
            false => What::Command(self.n_expected),
        };
        let id = message.get("id").cloned();
        if SYNCS.contains(&command) {
            // What has no answer before this gets none.
            connection.asked.clear();
            let argument = message.get("arguments").and_then(|it| it.get("id"));
            connection.syncs.extend(argument.cloned());
        } else {
            connection.asked.push(Asked { id, what });
        }
        if !is_opening {
            let arguments = message.get("arguments").cloned();
            let arguments = arguments.unwrap_or_else(|| Value::Object(Object::new()));
            let mock = std::mem::take(self);
            // What was a secret is not known.
            *self = mock.expect(command, (!is_masked).then_some(arguments));
        }
    }

    fn replay_received(&mut self, connection: &mut Connection, message: Value, number: u64) {
        if message.get("QMP").is_some() {
            connection.has_greeted = true;
            connection.opening.greeting = Some(message);
            return;
        }
        if message.get("event").is_some() {
            match (connection.is_ready, connection.has_greeted) {
                (true, _) => self.steps.push_back(Step::Send {
                    message,
                    to: To::Connection(number),
                }),
                (false, true) => connection.opening.then.push(message),
                (false, false) => connection.opening.first.push(message),
            }
            return;
        }
        if message
            .get("return")
            .is_some_and(|it| connection.syncs.contains(it))
        {
            connection.is_ready = true;
            return;
        }
        // An answer without an id is to the first command without an answer.
        let id = message.get("id");
        let is_for = |asked: &Asked| id.is_none() || asked.id.as_ref() == id;
        let asked = connection.asked.iter().position(is_for);
        let asked = asked.map(|place| connection.asked.remove(place));
        match asked.map(|asked| asked.what) {
            Some(What::Opening) => connection.is_ready = true,
            Some(What::Command(number)) => {
                self.hides_ids |= self.dialect == Dialect::GuestAgent && id.is_none();
                self.steps.push_back(Step::Send {
                    message,
                    to: To::Request(Some(number)),
                });
            }
            // It was no longer waited for.
            None => {}
        }
    }
}
