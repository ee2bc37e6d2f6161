//! What undoes a command.

use super::error::{ClientError, ClientErrorKind};
use super::event::EventFilter;
use super::request::Draft;
use crate::json::ValueRef;
use crate::value::Value;

/// A command that makes something, and the one that takes it away.
#[derive(Debug)]
struct Rule {
    command: &'static str,
    /// The argument that names what it makes.
    argument: &'static str,
    undo: &'static str,
    /// How the argument is called there.
    undo_argument: &'static str,
    /// The events that end the undoing, the good one first, and their member with the name.
    events: Option<(&'static [&'static str], &'static str)>,
    query: Option<Query>,
}

/// What tells whether it is there already.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) command: &'static str,
    /// What it lists.
    pub(super) path: Option<&'static str>,
    /// The member of each element that has the name.
    pub(super) member: &'static str,
}

const fn query(command: &'static str, member: &'static str) -> Option<Query> {
    let path = None;
    Some(Query {
        command,
        path,
        member,
    })
}

const fn list(path: &'static str) -> Option<Query> {
    Some(Query {
        command: "qom-list",
        path: Some(path),
        member: "name",
    })
}

/// Commands whose undoing is known.
const RULES: &[Rule] = &[
    Rule {
        command: "blockdev-add",
        argument: "node-name",
        undo: "blockdev-del",
        undo_argument: "node-name",
        events: None,
        query: query("query-named-block-nodes", "node-name"),
    },
    Rule {
        command: "chardev-add",
        argument: "id",
        undo: "chardev-remove",
        undo_argument: "id",
        events: None,
        query: query("query-chardev", "label"),
    },
    Rule {
        command: "object-add",
        argument: "id",
        undo: "object-del",
        undo_argument: "id",
        events: None,
        query: list("/objects"),
    },
    Rule {
        command: "netdev_add",
        argument: "id",
        undo: "netdev_del",
        undo_argument: "id",
        events: None,
        query: None,
    },
    Rule {
        command: "device_add",
        argument: "id",
        undo: "device_del",
        undo_argument: "id",
        events: Some((
            &[
                "DEVICE_DELETED",
                "DEVICE_UNPLUG_GUEST_ERROR",
                "MEM_UNPLUG_ERROR",
            ],
            "device",
        )),
        query: list("/machine/peripheral"),
    },
    Rule {
        command: "add-fd",
        argument: "fdset-id",
        undo: "remove-fd",
        undo_argument: "fdset-id",
        events: None,
        query: query("query-fdsets", "fdset-id"),
    },
    Rule {
        command: "getfd",
        argument: "fdname",
        undo: "closefd",
        undo_argument: "fdname",
        events: None,
        query: None,
    },
    Rule {
        command: "block-export-add",
        argument: "id",
        undo: "block-export-del",
        undo_argument: "id",
        events: Some((&["BLOCK_EXPORT_DELETED"], "id")),
        query: query("query-block-exports", "id"),
    },
];

/// What undoes a command.
#[derive(Debug)]
pub(super) struct Undo {
    /// What it undoes, for people.
    pub(super) name: String,
    rule: Option<&'static Rule>,
    command: String,
    arguments: Option<Value>,
}

impl Undo {
    /// What undoes this command; an error if that is not known.
    pub(super) fn of(draft: &Draft) -> Result<Self, ClientError> {
        let unknown = || draft.error(ClientErrorKind::NoUndo);
        let command = draft.command();
        let rule = RULES.iter().find(|rule| rule.command == command);
        let rule = rule.ok_or_else(unknown)?;
        let arguments = draft.arguments();
        let name = arguments.root().get(rule.argument).map(ValueRef::to_value);
        // The server chooses a number, and tells it.
        if name.is_none() && command != "add-fd" {
            return Err(unknown());
        }
        let shown = name
            .as_ref()
            .map_or_else(String::new, |name| match name.as_str() {
                Some(name) => format!(" {name}"),
                None => format!(" {name}"),
            });
        let arguments = name.map(|name| Value::from([(rule.undo_argument, name)]));
        Ok(Self {
            name: format!("{command}{shown}"),
            rule: Some(rule),
            command: rule.undo.to_owned(),
            arguments,
        })
    }

    /// What the caller says.
    pub(super) fn by(command: &str, arguments: Option<&Value>) -> Self {
        Self {
            name: format!("what {command} undoes"),
            rule: None,
            command: command.to_owned(),
            arguments: arguments.cloned(),
        }
    }

    /// The same, with what the command has returned.
    pub(super) fn after(mut self, returned: &Value) -> Self {
        self.learn(returned);
        self
    }

    /// Of several descriptors in a set only the own one goes.
    pub(super) fn learn(&mut self, returned: &Value) {
        let (Some(set), Some(fd)) = (returned.get("fdset-id"), returned.get("fd")) else {
            return;
        };
        if self.command == "remove-fd" {
            self.name = format!("add-fd {set}");
            self.arguments = Some(Value::from([("fdset-id", set.clone()), ("fd", fd.clone())]));
        }
    }

    /// What tells whether it is there.
    pub(super) fn query(&self) -> Option<&'static Query> {
        self.rule?.query.as_ref()
    }

    /// The name of what is made.
    pub(super) fn made(&self) -> Option<&Value> {
        self.arguments.as_ref()?.get(self.rule?.undo_argument)
    }

    pub(super) fn draft(&self) -> Result<Draft, ClientError> {
        Draft::new(&self.command, self.arguments.as_ref(), false)
    }

    /// The events of which one ends the undoing.
    pub(super) fn events(&self) -> Option<EventFilter> {
        let rule = self.rule?;
        let (names, member) = rule.events?;
        let name = self.arguments.as_ref()?.get(rule.undo_argument)?.as_str()?;
        Some(EventFilter::names(names.iter().copied()).with_member(member, name))
    }

    /// Whether this event says that it is undone.
    pub(super) fn is_done_by(&self, event: &str) -> bool {
        let names = self.rule.and_then(|rule| rule.events);
        names.is_some_and(|(names, _)| names.first() == Some(&event))
    }
}
