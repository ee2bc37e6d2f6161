//! The differences between QEMU 10 and the program that random commands may come upon, and what was decided about them.

use serde_json::Value;

use crate::random_steps::Step;

/// A command that the two answer differently.
pub(crate) struct Difference<'a> {
    pub(crate) step: &'a Step,
    pub(crate) after: After,
    pub(crate) theirs: &'a Value,
    pub(crate) ours: &'a Value,
}

/// What has happened before in a sequence.
#[derive(Clone, Copy, Default)]
pub(crate) struct After {
    /// An export was refused.
    refused_export: bool,
    /// There has been an export, and after that all nodes were to become active or inactive.
    all_with_export: bool,
    exported: bool,
    /// A node has got its place for good: the IOThread of a disk, or the place of an export that insists on it.
    node_is_placed: bool,
}

impl After {
    /// Takes note of what QEMU has answered.
    pub(crate) fn note(&mut self, step: &Step, answer: &Value) {
        let is_refused = Difference::failed(answer);
        let line = text(&step.arguments, "command-line");
        self.refused_export |= is_refused
            && (matches!(step.command, "block-export-add" | "nbd-server-add")
                || line.starts_with("nbd_server_add"));
        self.exported |= matches!(step.command, "block-export-add" | "nbd-server-add")
            || line.starts_with("nbd_server_add");
        let is_about_all = step.arguments.get("node-name").is_none();
        self.all_with_export |=
            self.exported && is_about_all && step.command == "blockdev-set-active";
        let has = |name: &str| step.arguments.get(name).is_some();
        let is_of_disk = step.command == "device_add"
            && has("drive")
            && (has("iothread") || has("iothread-vq-mapping"));
        let is_of_export = step.command == "block-export-add" && has("fixed-iothread");
        self.node_is_placed |= !is_refused && (is_of_disk || is_of_export);
    }
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

    fn deletes_object(&self) -> bool {
        self.step.command == "object-del" || self.line().starts_with("object_del ")
    }

    /// Whether ours alone is an error, with this in its text.
    fn only_ours_is(&self, text: &str) -> bool {
        Self::failed(self.ours) && !Self::failed(self.theirs) && self.ours().contains(text)
    }

    fn failed(answer: &Value) -> bool {
        answer.get("error").is_some() || Self::says(answer).starts_with("Error: ")
    }

    /// Whether one has done what the other has refused, so that what follows is no longer the same.
    pub(crate) fn parts_the_states(&self) -> bool {
        Self::failed(self.theirs) != Self::failed(self.ours) || self.theirs["return"] == STAYS
    }
}

/// What is put in place of an answer when a character device does not see that its client is gone.
pub(crate) const STAYS: &str = "the client stays";

/// How people are told of a node that is not active.
const INACTIVE: &str = ", inactive";

/// Whether two answers are equal, except nodes that are active in theirs and not in ours.
fn is_more_active(theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            theirs.len() == ours.len()
                && theirs.iter().all(|(name, value)| match ours.get(name) {
                    Some(other) if name == "active" => {
                        value == other
                            || (*value == Value::Bool(true) && *other == Value::Bool(false))
                    }
                    Some(other) => is_more_active(value, other),
                    None => false,
                })
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            let mut pairs = theirs.iter().zip(ours);
            theirs.len() == ours.len() && pairs.all(|(theirs, ours)| is_more_active(theirs, ours))
        }
        (_, _) => theirs == ours,
    }
}

/// The same of what people are told.
fn is_shown_more_active(theirs: &str, ours: &str) -> bool {
    let marks = |text: &str| text.matches(INACTIVE).count();
    let without = |text: &str| text.replace(INACTIVE, "");
    without(theirs) == without(ours) && marks(theirs) < marks(ours)
}

/// All kinds, the first that fits counts.
pub(crate) const KINDS: &[Kind] = &[
    Kind {
        name: "an IOThread that is held is not deleted",
        decision: Decision::Deliberate,
        is_it: |it| it.deletes_object() && it.only_ours_is("is in use, can not be deleted"),
    },
    Kind {
        name: "monitors are objects since 11.1",
        decision: Decision::Newer,
        is_it: |it| {
            it.step.arguments["qom-type"] == "monitor-qmp"
                && it.theirs() == "Parameter 'qom-type' does not accept value 'monitor-qmp'"
        },
    },
    Kind {
        name: "IDs of devices are identifiers since 11.1",
        decision: Decision::Newer,
        is_it: |it| {
            let id = it.step.arguments["id"].as_str().unwrap_or_default();
            it.step.command == "device_add" && it.ours() == format!("Invalid qdev ID '{id}'")
        },
    },
    Kind {
        name: "a main loop is not deleted since 11.1",
        decision: Decision::Newer,
        is_it: |it| {
            let theirs = it.theirs();
            it.deletes_object()
                && theirs.contains("is in use, can not be deleted")
                && it.ours().contains("Deleting main loop")
        },
    },
    Kind {
        name: "a node stays active after an export of it was refused",
        decision: Decision::Undefined,
        is_it: |it| {
            let is_used_so = it.step.command == "blockdev-add"
                && it.ours().starts_with("Inactive '")
                && it.theirs.get("error").is_none();
            let is_parent = it.step.command == "blockdev-set-active"
                && it.theirs() == "Node has active parent node"
                && it.ours.get("error").is_none();
            let is_told = matches!(it.step.command, "query-block" | "query-named-block-nodes")
                && is_more_active(it.theirs, it.ours);
            let is_shown =
                it.line().starts_with("info block") && is_shown_more_active(it.theirs(), it.ours());
            it.after.refused_export && (is_used_so || is_parent || is_told || is_shown)
        },
    },
    Kind {
        name: "when all nodes are to change some are left out that are older than an exported one",
        decision: Decision::Undefined,
        is_it: |it| {
            let is_told = matches!(it.step.command, "query-block" | "query-named-block-nodes")
                && (is_more_active(it.ours, it.theirs) || is_more_active(it.theirs, it.ours));
            let is_shown = it.line().starts_with("info block")
                && (is_shown_more_active(it.ours(), it.theirs())
                    || is_shown_more_active(it.theirs(), it.ours()));
            it.after.all_with_export && (is_told || is_shown)
        },
    },
    Kind {
        name: "whether a lock or a permission is missed first",
        decision: Decision::Undefined,
        is_it: |it| {
            let is_lock = |text: &str| text.starts_with("Failed to get ") && text.contains(" lock");
            let ours = it.ours();
            let ours = ours.strip_prefix("Error: ").unwrap_or(ours);
            is_lock(it.theirs())
                && (ours.starts_with("Permission conflict on node")
                    || ours.trim_end() == "NBD server not running")
        },
    },
    Kind {
        name: "once in some hundred times it is not seen that a client hangs up",
        decision: Decision::Undefined,
        is_it: |it| it.theirs["return"] == STAYS && it.ours["return"] != STAYS,
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
        is_it: |it| {
            let text = "Cannot change iothread of active block backend";
            let is_there_already = it.step.command == "x-blockdev-set-iothread"
                && it.theirs() == text
                && !Difference::failed(it.ours);
            it.after.node_is_placed && (it.only_ours_is(text) || is_there_already)
        },
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
        is_it: |it| {
            it.step.command == "blockdev-set-active"
                && it.only_ours_is("Failed to inactivate all nodes: ")
        },
    },
];
