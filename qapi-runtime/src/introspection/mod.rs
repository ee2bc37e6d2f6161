//! What a server tells of itself, for those who have to know what it can do before they ask it to.
//!
//! Versions do not tell: distributions take features back, and builds leave parts out. The answer to `query-qmp-schema` does.
//! [`PeerSchema`] looks things up in it by their path; `client` has the one of the server that it is connected to.
//!
//! # Paths
//!
//! A path leads from a command or an event to anything in it, by the names on the wire:
//!
//! | path | is there if the server has |
//! |---|---|
//! | `blockdev-add` | the command |
//! | `DEVICE_DELETED` | the event |
//! | `blockdev-add/arguments/driver` | the argument |
//! | `blockdev-add/arguments/driver=nbd` | the value of the enumeration |
//! | `blockdev-add/arguments/driver=qcow2/file/driver=nbd/server/type=unix/path` | the member, at any depth |
//! | `query-block/returns/inserted/throttle_groups` | the member of what it returns |
//! | `query-tpm-models/returns=tpm-crb` | the value, where it returns one or a list of them |
//! | `DEVICE_DELETED/data/device` | the member of the event |
//! | `blockdev-backup#deprecated` | the feature of the command, as of an event |
//! | `blockdev-backup/arguments/compress#unstable` | the feature of the member or of its type |
//!
//! Lists are passed through: `set-cpu-affinity/arguments/cpus/id` is a member of the elements. Where there are branches, `tag=value`
//! chooses one of them, and all that follows is looked for there and in the members that all branches have. Without it, any
//! branch will do.
//!
//! Code that `qapi-gen` makes with `--probes` has them as constants.

mod check;
mod read;
mod walk;

use std::collections::HashMap;
use std::fmt;

/// What a server tells of itself.
///
/// ```
/// use qapi_runtime::introspection::PeerSchema;
/// use qapi_runtime::json::Document;
///
/// let told = Document::parse(br#"[
///     {"name": "eject", "meta-type": "command", "arg-type": "0", "ret-type": "1"},
///     {"name": "0", "meta-type": "object", "members": [{"name": "id", "type": "str", "default": null}]},
///     {"name": "1", "meta-type": "object", "members": []},
///     {"name": "str", "meta-type": "builtin", "json-type": "string"}]"#)?;
/// let server = PeerSchema::read(told.root()).expect("it is the answer to query-qmp-schema");
/// assert!(server.has("eject/arguments/id"));
/// assert_eq!(server.find("eject/arguments/force/now").unwrap_err().path(), "eject/arguments/force");
/// # Ok::<(), qapi_runtime::json::ParseError>(())
/// ```
pub struct PeerSchema {
    entities: Vec<Entity>,
    by_name: HashMap<Box<str>, EntityId>,
}

/// The first part of a path that a server does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPath {
    path: Box<str>,
    /// Whether it is no path at all.
    is_malformed: bool,
}

type EntityId = usize;

/// A command, an event or a type.
struct Entity {
    features: Features,
    kind: Kind,
}

type Features = Box<[Box<str>]>;

/// What refers to something that is not there refers to nothing.
enum Kind {
    Command {
        arguments: Option<EntityId>,
        returns: Option<EntityId>,
    },
    Event {
        data: Option<EntityId>,
    },
    /// A built-in type.
    Builtin(Builtin),
    Enum(Box<[Named]>),
    Array(Option<EntityId>),
    Object {
        members: Box<[Member]>,
        branches: Option<Branches>,
    },
    Alternate(Box<[EntityId]>),
    /// Of a later QEMU.
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Builtin {
    /// Any string.
    String,
    /// Any value.
    Any,
    Other,
}

/// A value of an enumeration.
struct Named {
    name: Box<str>,
    features: Features,
}

struct Member {
    name: Box<str>,
    ty: Option<EntityId>,
    features: Features,
}

struct Branches {
    tag: Box<str>,
    cases: Box<[(Box<str>, EntityId)]>,
}

impl PeerSchema {
    /// Whether the server has what is at this path. It has nothing at what is no path.
    pub fn has(&self, path: &str) -> bool {
        self.find(path).is_ok()
    }
}

impl UnknownPath {
    /// The path, up to the part that is not there.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for UnknownPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match self.is_malformed {
            true => write!(f, "'{path}' is no path of a schema"),
            false => write!(f, "the server does not know '{path}'"),
        }
    }
}

impl std::error::Error for UnknownPath {}

impl fmt::Debug for PeerSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerSchema")
            .field("n_entities", &self.entities.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
