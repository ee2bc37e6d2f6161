//! What a running server tells of itself: the answer to `query-qmp-schema`, and the schema that follows from it.
//!
//! ```text
//! bytes --read--> Introspection --names, text--> QAPI source --check--> ir::Schema
//! ```
//!
//! A server hides the names of its types behind numbers, which differ from build to build. Types get names of the places
//! where they are used, so that they stay what they are when a later server has more to tell: `names` says how. What a
//! server does not tell is not there either: documentation, conditions, the widths of integers, and whether two objects
//! have their members from one base.

mod error;
#[cfg(feature = "live")]
mod live;
mod names;
mod part;
mod read;
mod schema;
mod text;

pub use error::IntrospectionError;
#[cfg(feature = "live")]
#[cfg_attr(docsrs, doc(cfg(feature = "live")))]
pub use live::ask;
pub(crate) use schema::{Peeked, compile_told};
#[cfg(feature = "diff")]
pub(crate) use text::takes_anything;

use serde_json::Value;

/// What a server told of itself.
///
/// ```
/// use qapi_gen::introspection::Introspection;
///
/// let told = br#"[
///     {"name": "query-uptime", "meta-type": "command", "arg-type": "0", "ret-type": "1"},
///     {"name": "0", "meta-type": "object", "members": []},
///     {"name": "1", "meta-type": "object", "members": [{"name": "seconds", "type": "int"}]},
///     {"name": "int", "meta-type": "builtin", "json-type": "int"}]"#;
/// let source = Introspection::read(told)?.to_source()?;
/// assert!(source.contains("{ 'struct': 'QueryUptimeRet',"));
/// # Ok::<(), qapi_gen::introspection::IntrospectionError>(())
/// ```
#[derive(Debug)]
pub struct Introspection {
    pub(crate) elements: Vec<Element>,
    /// The elements as they were read.
    told: Vec<Value>,
}

/// The position of an element in the array.
pub(crate) type ElementId = usize;

/// An element of the array.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) features: Vec<String>,
    pub(crate) kind: Kind,
}

/// What an element describes. Types are elements, too.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Command {
        arguments: ElementId,
        returns: ElementId,
        allows_oob: bool,
    },
    Event {
        data: ElementId,
    },
    Builtin(JsonType),
    Enum(Vec<EnumValue>),
    Array(ElementId),
    Object {
        members: Vec<Member>,
        variants: Option<Variants>,
    },
    Alternate(Vec<ElementId>),
}

/// The kind of JSON value that a built-in type stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonType {
    String,
    Number,
    Int,
    Boolean,
    Null,
    Value,
}

/// A value of an enumeration.
#[derive(Debug, Clone)]
pub(crate) struct EnumValue {
    pub(crate) name: String,
    pub(crate) features: Vec<String>,
}

/// A member of an object.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) ty: ElementId,
    pub(crate) is_optional: bool,
    pub(crate) features: Vec<String>,
}

/// The variant part of an object.
#[derive(Debug, Clone)]
pub(crate) struct Variants {
    pub(crate) tag: String,
    /// By value of the tag.
    pub(crate) branches: Vec<(String, ElementId)>,
}

impl Kind {
    /// Whether it is a type.
    pub(crate) fn is_type(&self) -> bool {
        match self {
            Self::Command { .. } | Self::Event { .. } => false,
            Self::Builtin(_)
            | Self::Enum(_)
            | Self::Array(_)
            | Self::Object { .. }
            | Self::Alternate(_) => true,
        }
    }

    /// Every type that it uses, in the order in which it tells of them.
    pub(crate) fn uses(&self) -> Vec<ElementId> {
        match self {
            Self::Command {
                arguments, returns, ..
            } => vec![*arguments, *returns],
            Self::Event { data } => vec![*data],
            Self::Builtin(_) | Self::Enum(_) => Vec::new(),
            Self::Array(element) => vec![*element],
            Self::Object { members, variants } => {
                let branches = variants.iter().flat_map(|it| &it.branches);
                let members = members.iter().map(|member| member.ty);
                members.chain(branches.map(|(_, ty)| *ty)).collect()
            }
            Self::Alternate(branches) => branches.clone(),
        }
    }
}
