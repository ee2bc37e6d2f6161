//! Messages of a conversation against the commands and events of a schema.

use super::Problem;
use super::json::{Data, Member, Message, Object, Sender, Value};
use super::value::Values;
use crate::ir::{Command, Entity, Schema};
use crate::text::Nearest;

/// What was said so far in one example.
pub(super) struct Conversation<'s> {
    schema: &'s Schema,
    nearest: &'s Nearest,
    /// The command that is documented: the one that a reply is to when no command was shown.
    documented: Option<&'s Command>,
    /// Commands without a reply, `None` for one that the schema does not have, with their ids.
    pending: Vec<(Option<&'s Command>, Option<String>)>,
}

impl<'s> Conversation<'s> {
    pub(super) fn new(schema: &'s Schema, nearest: &'s Nearest, entity: Option<Entity>) -> Self {
        let documented = match entity {
            Some(Entity::Command(id)) => Some(schema.command(id)),
            Some(Entity::Include(_) | Entity::Type(_) | Entity::Event(_)) | None => None,
        };
        Self {
            schema,
            nearest,
            documented,
            pending: Vec::new(),
        }
    }

    /// Checks the next message.
    pub(super) fn check(&mut self, message: &Message, problems: &mut Vec<Problem>) {
        let Data::Object(object) = &message.value.data else {
            if !matches!(message.value.data, Data::Elision) {
                let message_text = "example has a message that is not an object".to_owned();
                problems.push(Problem {
                    message: message_text,
                    at: message.value.at.clone(),
                });
            }
            return;
        };
        match message.sender {
            Sender::Client => self.check_request(object, &message.value, problems),
            Sender::Server => self.check_server(object, &message.value, problems),
        }
    }

    fn check_request(&mut self, object: &Object, value: &Value, problems: &mut Vec<Problem>) {
        let execute = object.get("execute").or_else(|| object.get("exec-oob"));
        let known = ["execute", "exec-oob", "arguments", "id", "control"];
        check_known(object, &known, problems);
        let Some(execute) = execute else {
            if !object.is_partial {
                let message = "example has a request without 'execute'".to_owned();
                let at = value.at.clone();
                problems.push(Problem { message, at });
            }
            self.pending.push((None, id_of(object)));
            return;
        };
        let command = self.command(execute, problems);
        self.pending.push((command, id_of(object)));
        let Some(command) = command.filter(|command| command.is_generated()) else {
            return;
        };
        let values = Values::new(self.schema, self.nearest);
        let arguments = command.arguments().unwrap_or(self.schema.empty_object());
        match object.get("arguments") {
            Some(member) => values.check(arguments, &member.value, problems),
            None if object.is_partial => {}
            None => values.check_absent(arguments, command.name(), &execute.value, problems),
        }
    }

    fn command(&self, execute: &Member, problems: &mut Vec<Problem>) -> Option<&'s Command> {
        let Data::String(name) = &execute.value.data else {
            return None;
        };
        if let Some(Entity::Command(id)) = self.schema.entity(name) {
            return Some(self.schema.command(id));
        }
        let names = self.schema.commands().iter().map(|command| command.name());
        problems.push(unknown(
            "command",
            name,
            self.nearest,
            names,
            &execute.value,
        ));
        None
    }

    fn check_server(&mut self, object: &Object, value: &Value, problems: &mut Vec<Problem>) {
        if object.get("QMP").is_some() {
            return;
        }
        if let Some(event) = object.get("event") {
            check_known(object, &["event", "data", "timestamp"], problems);
            return self.check_event(event, object, problems);
        }
        let command = self.answered(object);
        let is_reply = object.get("return").is_some() || object.get("error").is_some();
        if is_reply || object.is_partial {
            check_known(object, &["return", "error", "id"], problems);
        }
        if let Some(reply) = object.get("return") {
            let Some(command) = command.filter(|command| command.is_generated()) else {
                return;
            };
            let returns = command.returns().unwrap_or(self.schema.empty_object());
            return Values::new(self.schema, self.nearest).check(returns, &reply.value, problems);
        }
        match object.get("error") {
            Some(error) => check_error(error, problems),
            None if object.is_partial => {}
            None => {
                let message = "example has a reply without 'return' and 'error'".to_owned();
                let at = value.at.clone();
                problems.push(Problem { message, at });
            }
        }
    }

    /// The command that a reply is to: the one with its id, else the first one without a reply.
    fn answered(&mut self, reply: &Object) -> Option<&'s Command> {
        if self.pending.is_empty() {
            return self.documented;
        }
        let id = id_of(reply);
        let with_id = self.pending.iter().position(|(_, other)| *other == id);
        self.pending.remove(with_id.unwrap_or(0)).0
    }

    fn check_event(&self, event: &Member, object: &Object, problems: &mut Vec<Problem>) {
        let Data::String(name) = &event.value.data else {
            return;
        };
        let Some(Entity::Event(id)) = self.schema.entity(name) else {
            let names = self.schema.events().iter().map(|event| event.name());
            problems.push(unknown("event", name, self.nearest, names, &event.value));
            return;
        };
        let declared = self.schema.event(id);
        let arguments = declared.arguments().unwrap_or(self.schema.empty_object());
        let values = Values::new(self.schema, self.nearest);
        match object.get("data") {
            Some(data) => values.check(arguments, &data.value, problems),
            None if object.is_partial => {}
            None => values.check_absent(arguments, declared.name(), &event.value, problems),
        }
    }
}

/// The id of a message as a text that can be compared.
fn id_of(object: &Object) -> Option<String> {
    match &object.get("id")?.value.data {
        Data::Number(text) | Data::String(text) => Some(text.clone()),
        Data::Elision | Data::Null | Data::Bool | Data::Array(_) | Data::Object(_) => None,
    }
}

fn check_known(object: &Object, known: &[&str], problems: &mut Vec<Problem>) {
    for member in &object.members {
        if !known.contains(&member.name.as_str()) {
            problems.push(Problem {
                message: format!(
                    "example has a message with unknown member '{}'",
                    member.name
                ),
                at: member.at.clone(),
            });
        }
    }
}

fn check_error(error: &Member, problems: &mut Vec<Problem>) {
    let Data::Object(object) = &error.value.data else {
        return;
    };
    check_known(object, &["class", "desc"], problems);
    for name in ["class", "desc"] {
        if object.get(name).is_none() && !object.is_partial {
            problems.push(Problem {
                message: format!("example has an error without '{name}'"),
                at: error.value.at.clone(),
            });
        }
    }
}

/// A name that the schema does not have, with the one that may have been meant.
pub(super) fn unknown<'n>(
    role: &str,
    name: &str,
    nearest: &Nearest,
    candidates: impl Iterator<Item = &'n str>,
    value: &Value,
) -> Problem {
    let near = nearest.find(name, candidates);
    let hint = near.map_or(String::new(), |near| format!(", '{near}' is similar"));
    Problem {
        message: format!("example uses unknown {role} '{name}'{hint}"),
        at: value.at.clone(),
    }
}
