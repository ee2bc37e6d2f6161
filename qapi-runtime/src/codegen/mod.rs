//! The door for generated code: all that `qapi-gen` writes down of this crate is in here.
//!
//! It is for generated code only. It is not part of the documented interface, and changes together with the generator: [`VERSION`] says
//! to which generation of it this crate belongs, and code of another one does not compile, with a message that says what to
//! do.

mod impls;
mod members;

pub use serde;

pub use crate::dispatch::table::{Command, Handler, Table};
pub use crate::dispatch::{CommandInfo, Outcome, Reply, Service};
pub use crate::error::{Error, UnknownName};
pub use crate::interop::{deserialize, serialize};
pub use crate::json::Kind;
pub use crate::message::{Event, EventData, Request};
pub use crate::value::{Object, Value};
pub use crate::visit::builtin::{Null, QType};
pub use crate::visit::enumeration::{parse_name, read_enum, write_enum};
pub use crate::visit::introspection::join_introspection;
pub use crate::visit::{
    Enumeration, Input, Members, ObjectInput, ObjectOutput, Output, SpecialFeatures, Visit,
    VisitError,
};
pub use crate::{
    __generated_for as generated_for, __impl_enum as impl_enum, __impl_serde as impl_serde,
};

/// Counts what generated code could not do without knowing: renamed, changed and removed items of this module.
pub const VERSION: u32 = 1;

/// Compiles in code that was generated for this [`VERSION`], and nowhere else.
///
/// A macro, since the compiler expands it before it looks for names that another version may not have.
#[doc(hidden)]
#[macro_export]
macro_rules! __generated_for {
    (1) => {
        const _: () = ::core::assert!($crate::codegen::VERSION == 1);
    };
    ($other:tt) => {
        ::core::compile_error!(::core::concat!(
            "this code was generated for version ",
            ::core::stringify!($other),
            " of the interface between qapi-gen and qapi-runtime, but this qapi-runtime has version 1: \
             generate it again with the qapi-gen that has the same version as qapi-runtime",
        ));
    };
}

/// How generated code takes the members of an object.
///
/// These macros do what `?` after the call would do, by a plain `match`, which costs the compiler less: 50 MiB less of 680
/// for the 2,600 members of QEMU's schema.
pub mod read {
    pub use crate::{
        __branch as branch, __optional as optional, __required as required, __tolerant as tolerant,
        __tolerant_tag as tolerant_tag,
    };
}
