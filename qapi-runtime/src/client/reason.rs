//! What the texts of QEMU's errors mean.
//!
//! QMP: "clients should not attempt to parse this message", since nearly all errors have the class `GenericError`. Yet what
//! a client has to know is whether a thing is there already or not there, and that is in the text alone. So the texts are in
//! one table.

use crate::error::{Error, ErrorClass};

/// Why a command was refused, as far as it can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Something of this name is there already.
    AlreadyThere,
    /// Nothing of this name is there.
    NotFound,
    /// It cannot go, or be used, as something else uses it.
    InUse,
    /// The server, or the kind of thing, does not have that.
    NotSupported,
}

/// Texts with what they mean; `*` is anything. Those without a note are what QEMU 11.1.3 answered when it was tried.
const TEXTS: &[(&str, Reason)] = &[
    (
        "attempt to add duplicate property * to object *",
        Reason::AlreadyThere,
    ),
    ("Duplicate device ID *", Reason::AlreadyThere),
    ("Duplicate nodes with node-name=*", Reason::AlreadyThere),
    ("Chardev with id * already exists", Reason::AlreadyThere),
    (
        "NBD server already has export named *",
        Reason::AlreadyThere,
    ),
    ("NBD server already running", Reason::AlreadyThere),
    ("Block export id * is already in use", Reason::AlreadyThere),
    // QEMU, util/qemu-option.c: `id` of a device or network back end.
    ("Duplicate ID * for *", Reason::AlreadyThere),
    // QEMU, job.c.
    ("Job ID * already in use", Reason::AlreadyThere),
    // QEMU, block/dirty-bitmap.c.
    ("Bitmap already exists: *", Reason::AlreadyThere),
    // QEMU, qom/object_interfaces.c.
    ("object * is in use, can not be deleted", Reason::InUse),
    ("Node * is in use", Reason::InUse),
    (
        "Node * is associated with a BlockBackend and could be in use *",
        Reason::InUse,
    ),
    ("Block device * is in use", Reason::InUse),
    ("Permission conflict on node *", Reason::InUse),
    (
        "Cannot change iothread of active block backend",
        Reason::InUse,
    ),
    ("Chardev * is busy", Reason::InUse),
    ("chardev * is already in use", Reason::InUse),
    // QEMU, block.c: an operation that another one, such as a job, blocks.
    ("Node * is busy: *", Reason::InUse),
    // QEMU, blockdev-nbd.c and block/export: without force, while a client is there.
    ("export * still in use", Reason::InUse),
    ("* not found", Reason::NotFound),
    ("* is not found", Reason::NotFound),
    (
        "File descriptor named * has not been found",
        Reason::NotFound,
    ),
    ("Failed to find node with node-name=*", Reason::NotFound),
    ("Failed to find fdset *", Reason::NotFound),
    (
        "Failed to find file descriptor with matching flags=*",
        Reason::NotFound,
    ),
    ("Cannot find device=* nor node-name=*", Reason::NotFound),
    ("Cannot find iothread *", Reason::NotFound),
    ("No TLS credentials with id *", Reason::NotFound),
    (
        "No persistent reservation manager with id *",
        Reason::NotFound,
    ),
    ("NBD server not running", Reason::NotFound),
    ("The command * has not been found", Reason::NotSupported),
    // QEMU's guest agent.
    (
        "this feature or command is not currently supported",
        Reason::NotSupported,
    ),
    ("* does not support *", Reason::NotSupported),
    ("* is not supported", Reason::NotSupported),
    ("* is not a valid device model name", Reason::NotSupported),
];

impl Reason {
    /// What an error of QEMU means; `None` where its text is not known. The class
    /// `DeviceNotFound` says it without.
    #[must_use]
    pub fn of(error: &Error) -> Option<Self> {
        if error.class == ErrorClass::DeviceNotFound {
            return Some(Self::NotFound);
        }
        let known = TEXTS
            .iter()
            .find(|(pattern, _)| matches(pattern, &error.desc));
        known.map(|(_, reason)| *reason)
    }
}

/// Whether a text is of the form of a pattern.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let Some((between, tail)) = rest.rsplit_once('*') else {
        return text.ends_with(rest);
    };
    // What stands between asterisks is found as early as it can be.
    for part in between.split('*') {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> Option<Reason> {
        Reason::of(&Error::new(ErrorClass::GenericError, text))
    }

    #[test]
    fn texts_have_reasons() {
        for (text, expected) in [
            (
                "Duplicate nodes with node-name='a'",
                Some(Reason::AlreadyThere),
            ),
            (
                "attempt to add duplicate property 'io0' to object (type 'container')",
                Some(Reason::AlreadyThere),
            ),
            (
                "Block export id 'e' is already in use",
                Some(Reason::AlreadyThere),
            ),
            ("chardev 'c' is already in use", Some(Reason::InUse)),
            ("Node n is in use", Some(Reason::InUse)),
            ("object 'a' not found", Some(Reason::NotFound)),
            ("Export 'e' is not found", Some(Reason::NotFound)),
            (
                "Bus 'b' does not support hotplugging",
                Some(Reason::NotSupported),
            ),
            ("Parameter 'id' is missing", None),
            ("not found", None),
            ("", None),
        ] {
            assert_eq!(reason(text), expected, "{text}");
        }
        let gone = Error::new(ErrorClass::DeviceNotFound, "whatever");
        assert_eq!(Reason::of(&gone), Some(Reason::NotFound));
    }

    #[test]
    fn asterisks_are_anything() {
        assert!(matches("a*b*c", "a-b-b-c"));
        assert!(matches("a*b*c", "abc"));
        assert!(!matches("a*b*c", "acb"));
        assert!(!matches("*ab", "b"));
        assert!(!matches("ab*ba", "aba"));
    }
}
