//! What a program uses, as one version sees it.

use std::collections::HashSet;

use indexmap::IndexMap;
use qapi_runtime::{Object, Value};

use super::places::{Line, PlaceId, Places, Said};
use super::shapes::Writer;
use super::shown::shown;
use crate::diff::{self, Common, Flow, Interface};

/// Learns which interface a program knows.
pub(super) struct Learner<'v> {
    /// The guide for what is sent.
    pub(super) version: &'v Interface,
    /// The guide for what is read: the interface of the server that was recorded, if it is known.
    pub(super) recorded: &'v Interface,
    pub(super) sent: Places<'v>,
    pub(super) received: Places<'v>,
    pub(super) commands: IndexMap<Box<str>, Command>,
    pub(super) events: IndexMap<Box<str>, Event>,
}

/// A command that was sent.
pub(super) struct Command {
    line: Line,
    out_of_band: Option<Line>,
    /// Features that are asked for and that the version does not have.
    pub(super) lacks: Vec<String>,
    pub(super) arguments: PlaceId,
    /// What came back, if anything did.
    pub(super) returns: Option<PlaceId>,
}

/// An event that came.
pub(super) struct Event {
    line: Line,
    /// As those of a command.
    pub(super) lacks: Vec<String>,
    pub(super) data: PlaceId,
}

/// A command as it was sent.
pub(super) struct Call {
    pub(super) name: String,
    pub(super) is_out_of_band: bool,
    /// `None` where they do not count.
    pub(super) arguments: Option<Value>,
    pub(super) line: Line,
    pub(super) masked: HashSet<String>,
}

impl<'v> Learner<'v> {
    pub(super) fn new(version: &'v Interface, recorded: Option<&'v Interface>) -> Self {
        let recorded = recorded.unwrap_or(version);
        Self {
            version,
            recorded,
            sent: Places::new(version),
            received: Places::new(recorded),
            commands: IndexMap::new(),
            events: IndexMap::new(),
        }
    }

    /// The command of this name.
    pub(super) fn command(&mut self, name: &str, line: Line) -> &mut Command {
        let index = match self.commands.get_index_of(name) {
            Some(index) => index,
            None => {
                let guide = self.version.commands.get(name).map(|it| it.arguments);
                let command = Command {
                    line,
                    out_of_band: None,
                    lacks: Vec::new(),
                    arguments: self.sent.add_place(guide, line),
                    returns: None,
                };
                self.commands.insert_full(name.into(), command).0
            }
        };
        &mut self.commands[index]
    }

    /// The event of this name.
    pub(super) fn event(&mut self, name: &str, line: Line) -> &mut Event {
        let index = match self.events.get_index_of(name) {
            Some(index) => index,
            None => {
                let guide = self.recorded.events.get(name).map(|it| it.data);
                let event = Event {
                    line,
                    lacks: Vec::new(),
                    data: self.received.add_place(guide, line),
                };
                self.events.insert_full(name.into(), event).0
            }
        };
        &mut self.events[index]
    }

    /// The place of what the command returns.
    pub(super) fn returns(&mut self, name: &str, line: Line) -> PlaceId {
        if let Some(place) = self.command(name, line).returns {
            return place;
        }
        let guide = self.recorded.commands.get(name).map(|it| it.returns);
        let place = self.received.add_place(guide, line);
        self.command(name, line).returns = Some(place);
        place
    }

    pub(super) fn learn_call(&mut self, call: &Call) {
        let command = self.command(&call.name, call.line);
        if call.is_out_of_band {
            command.out_of_band.get_or_insert(call.line);
        }
        let place = command.arguments;
        if let Some(arguments) = &call.arguments {
            let said = Said {
                line: call.line,
                masked: &call.masked,
            };
            self.sent.learn_part("arguments", place, arguments, said);
        }
    }

    pub(super) fn learn_reply(&mut self, call: &Call, value: &Value, said: Said<'_>) {
        let place = self.returns(&call.name, call.line);
        self.received.learn_part("return", place, value, said);
    }

    pub(super) fn learn_event(&mut self, name: &str, data: Option<&Value>, said: Said<'_>) {
        let place = self.event(name, said.line).data;
        let nothing = Value::Object(Object::new());
        let data = data.unwrap_or(&nothing);
        self.received.learn_part("data", place, data, said);
    }

    /// The interface that the program knows.
    pub(super) fn finish(&self) -> Interface {
        let mut known = Interface::default();
        for (name, command) in &self.commands {
            let arguments = self.writer(Flow::Send, &mut known).write(command.arguments);
            let writer = self.writer(Flow::Receive, &mut known);
            let returns = match command.returns {
                Some(returns) => writer.write(returns),
                None => writer.unknown(),
            };
            let command = diff::Command {
                common: common(command.line, &command.lacks),
                arguments,
                returns,
                allows_oob: command.out_of_band.is_some(),
                oob_line: command.out_of_band,
                has_success_response: command.returns.map(|_| true),
                takes_anything: false,
            };
            known.commands.insert(shown(name), command);
        }
        for (name, event) in &self.events {
            let data = self.writer(Flow::Receive, &mut known).write(event.data);
            let event = diff::Event {
                common: common(event.line, &event.lacks),
                data,
            };
            known.events.insert(shown(name), event);
        }
        known
    }

    fn writer<'a>(&'a self, flow: Flow, out: &'a mut Interface) -> Writer<'a> {
        let places = match flow {
            Flow::Send => &self.sent,
            Flow::Receive => &self.received,
        };
        Writer::new(places, flow, out)
    }
}

fn common(line: Line, features: &[String]) -> Common {
    Common {
        line: Some(line),
        features: features.to_vec(),
        ..Common::default()
    }
}
