//! Logs of sessions: which reply is to which command, and what of both counts.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use qapi_runtime::Value;
use qapi_runtime::transcript::{Recorded, TranscriptError, entries};

use super::learner::{Call, Learner};
use super::places::{Line, Said};

/// What it returns tells which server it is: who asks wants to know that, and looks for what is there.
const ASKS: &str = "query-qmp-schema";

/// Reads a log for all versions at once.
pub(super) fn learn(text: &str, learners: &mut [Learner<'_>]) -> Result<(), TranscriptError> {
    let mut connections: BTreeMap<u64, Pending> = BTreeMap::new();
    for entry in entries(text) {
        let entry = entry?;
        let line = Line::try_from(entry.line).unwrap_or(Line::MAX);
        let masked: HashSet<String> = entry.masked.into_iter().collect();
        let pending = connections.entry(entry.connection).or_default();
        match entry.what {
            Recorded::Sent(message) => pending.add(message, line, masked),
            Recorded::Received(message) => {
                let said = Said {
                    line,
                    masked: &masked,
                };
                pending.answer(&message, said, learners);
            }
            Recorded::Closed(_) => {
                if let Some(pending) = connections.remove(&entry.connection) {
                    pending.finish(learners);
                }
            }
            // What is yet to come is passed over.
            _ => {}
        }
    }
    for pending in connections.into_values() {
        pending.finish(learners);
    }
    Ok(())
}

/// The commands of a connection that have no answer yet.
#[derive(Default)]
struct Pending {
    calls: BTreeMap<Line, Call>,
    /// The lines of those with an id, by its text; without one the text is empty.
    by_id: HashMap<String, VecDeque<Line>>,
}

impl Pending {
    fn add(&mut self, message: Value, line: Line, masked: HashSet<String>) {
        let Value::Object(mut message) = message else {
            return;
        };
        let in_band = message.remove("execute");
        let is_out_of_band = in_band.is_none();
        let Some(Value::String(name)) = in_band.or_else(|| message.remove("exec-oob")) else {
            return;
        };
        let id = message.get("id").map(Value::to_string);
        let arguments = message.remove("arguments");
        let call = Call {
            name,
            is_out_of_band,
            arguments: Some(arguments.unwrap_or_else(|| Value::Object(Default::default()))),
            line,
            masked,
        };
        self.calls.insert(line, call);
        self.by_id
            .entry(id.unwrap_or_default())
            .or_default()
            .push_back(line);
    }

    /// The command that a reply is to: the one with its id; without an id the oldest, as agents reply.
    fn take(&mut self, id: Option<&Value>) -> Option<Call> {
        let text = id.map(Value::to_string).unwrap_or_default();
        let line = match self.by_id.get_mut(&text) {
            Some(lines) => {
                let line = lines.pop_front();
                if lines.is_empty() {
                    self.by_id.remove(&text);
                }
                line
            }
            None if id.is_none() => self.calls.keys().next().copied(),
            None => None,
        };
        self.calls.remove(&line?)
    }

    fn answer(&mut self, message: &Value, said: Said<'_>, learners: &mut [Learner<'_>]) {
        let Some(message) = message.as_object() else {
            return;
        };
        if let Some(event) = message.get("event").and_then(Value::as_str) {
            let data = message.get("data");
            for learner in learners {
                learner.learn_event(event, data, said);
            }
        } else if let Some(value) = message.get("return") {
            if let Some(call) = self.take(message.get("id")) {
                for learner in learners {
                    learner.learn_call(&call);
                    if call.name != ASKS {
                        learner.learn_reply(&call, value, said);
                    }
                }
            }
        } else if let Some(error) = message.get("error")
            && let Some(mut call) = self.take(message.get("id"))
        {
            let class = error.as_object().and_then(|error| error.get("class"));
            match class.and_then(Value::as_str) {
                Some("CommandNotFound") => return,
                // It may be the arguments that were refused.
                Some("GenericError") | None => call.arguments = None,
                Some(_) => {}
            }
            for learner in learners {
                learner.learn_call(&call);
            }
        }
    }

    /// Commands that nobody has answered were sent all the same.
    fn finish(self, learners: &mut [Learner<'_>]) {
        for call in self.calls.values() {
            for learner in &mut *learners {
                learner.learn_call(call);
            }
        }
    }
}
