//! The differences between QEMU 10 and the program that random commands may come upon, and what was decided about them.

use serde_json::Value;

use crate::random_steps::Step;

/// A command that the two answer differently.
pub(crate) struct Difference<'a> {
    pub(crate) step: &'a Step,
    pub(crate) theirs: &'a Value,
    pub(crate) ours: &'a Value,
}

/// Why a difference stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// README: "Differences from QEMU".
    Deliberate,
    /// QEMU promises nothing there.
    Undefined,
    /// QEMU 11.1 answers as the program does.
    Newer,
}

/// A kind of difference.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) decision: Decision,
    pub(crate) is_it: fn(&Difference<'_>) -> bool,
}

fn text<'a>(answer: &'a Value, member: &str) -> &'a str {
    answer[member].as_str().unwrap_or_default()
}

impl Difference<'_> {
    /// What the reply says, be it an error or a text for people.
    fn says(answer: &Value) -> &str {
        match answer.pointer("/error/desc") {
            Some(desc) => desc.as_str().unwrap_or_default(),
            None => text(answer, "return"),
        }
    }

    fn theirs(&self) -> &str {
        Self::says(self.theirs)
    }

    fn ours(&self) -> &str {
        Self::says(self.ours)
    }

    fn line(&self) -> &str {
        text(&self.step.arguments, "command-line")
    }

    /// Whether one has done what the other has refused, so that what follows is no longer the same.
    pub(crate) fn parts_the_states(&self) -> bool {
        let failed = |answer: &Value, says: &str| {
            answer.get("error").is_some() || says.starts_with("Error: ")
        };
        failed(self.theirs, self.theirs()) != failed(self.ours, self.ours())
    }
}

/// All kinds, the first that fits counts.
pub(crate) const KINDS: &[Kind] = &[
    Kind {
        name: "an IOThread that is held is not deleted",
        decision: Decision::Deliberate,
        is_it: |it| it.ours().contains("is in use, can not be deleted"),
    },
    Kind {
        name: "monitors are objects since 11.1",
        decision: Decision::Newer,
        is_it: |it| it.step.arguments["qom-type"] == "monitor-qmp",
    },
    Kind {
        name: "IDs of devices are identifiers since 11.1",
        decision: Decision::Newer,
        is_it: |it| it.ours().starts_with("Invalid qdev ID '"),
    },
    Kind {
        name: "a main loop is not deleted since 11.1",
        decision: Decision::Newer,
        is_it: |it| it.ours().contains("Deleting main loop"),
    },
    Kind {
        name: "which of several mistakes is told first",
        decision: Decision::Undefined,
        is_it: |it| {
            let both = it.theirs.get("error").is_some() && it.ours.get("error").is_some();
            both && it.step.command == "object-add"
        },
    },
    Kind {
        name: "what people are told of an ID that is taken",
        decision: Decision::Undefined,
        is_it: |it| {
            it.line().starts_with("chardev-add") && it.ours().ends_with("already exists\r\n")
        },
    },
    Kind {
        name: "which of several mistakes of an export is told first",
        decision: Decision::Undefined,
        is_it: |it| {
            let ours = it.ours();
            let is_refused = !it.theirs().is_empty();
            let is_export =
                it.step.command == "block-export-add" && it.theirs.get("error").is_some();
            is_refused
                && (ours.trim_end().ends_with("NBD server not running")
                    || (is_export && ours == "Block node is read-only"))
        },
    },
    Kind {
        name: "a node stays active after an export of it was refused",
        decision: Decision::Undefined,
        is_it: |it| {
            let told = |answer: &Value| {
                answer
                    .to_string()
                    .replace("\"active\":true", "\"active\":false")
            };
            let without = |text: &str| text.replace(", inactive", "");
            let is_used_so =
                it.ours().starts_with("Inactive '") && it.theirs.get("error").is_none();
            let is_parent =
                it.theirs() == "Node has active parent node" && it.ours.get("error").is_none();
            is_used_so
                || is_parent
                || told(it.theirs) == told(it.ours)
                || without(it.theirs()) == without(it.ours())
        },
    },
    Kind {
        name: "users of an inactive node keep what they may do",
        decision: Decision::Deliberate,
        is_it: |it| {
            let ours = it.ours();
            let is_kept =
                ours.contains("Permission conflict on node") || ours == "Block node is read-only";
            is_kept && it.theirs.get("error").is_none()
        },
    },
    Kind {
        name: "a disk takes its IOThread when it is plugged in",
        decision: Decision::Deliberate,
        is_it: |it| it.ours() == "Cannot change iothread of active block backend",
    },
    Kind {
        name: "which image a lock is about is not told to people",
        decision: Decision::Deliberate,
        is_it: |it| {
            let ours = it.ours();
            let has_hint =
                it.theirs().starts_with(ours) && it.theirs().contains("using the image [");
            has_hint && ours.contains("Failed to get ")
        },
    },
    Kind {
        name: "all nodes are deactivated, although an export writes to one of several",
        decision: Decision::Undefined,
        is_it: |it| it.ours().starts_with("Failed to inactivate all nodes: "),
    },
];
