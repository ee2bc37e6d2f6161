//! What a change of a schema means to those on the other side of the wire.
//!
//! The rules are those of QAPI: section 'Compatibility considerations'. Names of types are not part
//! of the interface: two schemas are compared from their commands and events on, along the values
//! that go over the wire.
//!
//! ```text
//! schema ----------\
//!                   > Interface --compare--> changes, each with a code and a place
//! introspection ---/
//! ```

mod compare;
mod interface;
mod introspection;
mod message;
mod reach;
mod rules;
mod way;

pub use compare::{Change, Side, compare};
pub use interface::Interface;
#[cfg(feature = "compat")]
pub(crate) use interface::{
    Command, Common, Enum, EnumValue, Event, Member, Object, Scalar, Shape, ShapeId,
};
#[cfg(feature = "compat")]
pub(crate) use message::Flow;
pub use reach::Reached;
#[cfg(feature = "compat")]
pub(crate) use rules::{no_members, takes};

/// Whose trouble is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Perspective {
    /// Clients written for the old interface meet a server of the new one.
    Clients,
    /// Servers written for the old interface meet clients of the new one.
    Servers,
    /// A program, of which the old interface has only what it was seen to use, meets a server of the new one.
    Program,
}
