//! Visitors: between JSON values and Rust types, with the reference's checks, order and texts.
//!
//! Not generic over the format: [`Input`] is a cursor on a parsed [`Document`], [`Output`] writes
//! the wire form. Other formats go through serde, which generated types and [`Value`](crate::Value) implement.
//!
//! [`Document`]: crate::json::Document
//!
//! A struct, much as the generator writes it:
//!
//! ```
//! use qapi_runtime::json::Document;
//! use qapi_runtime::visit::{Input, Members, Mode, ObjectInput, ObjectOutput, Visit, VisitError};
//!
//! struct Image {
//!     filename: String,
//!     size: Option<u64>,
//! }
//!
//! impl Members for Image {
//!     fn read_members(object: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
//!         Ok(Self {
//!             filename: object.required("filename")?,
//!             size: object.optional("size")?,
//!         })
//!     }
//!
//!     fn write_members(&self, object: &mut ObjectOutput<'_>) {
//!         object.required("filename", &self.filename);
//!         object.optional("size", &self.size);
//!     }
//! }
//!
//! let document = Document::parse(b"{'size': 'large', 'filename': 'a.img'}")?;
//! let error = Image::read(&mut Input::new(&document, Mode::Strict)).err();
//! assert_eq!(
//!     error.map(|error| error.to_string()).as_deref(),
//!     Some("Parameter 'size' expects uint64"),
//! );
//! # Ok::<(), qapi_runtime::json::ParseError>(())
//! ```

pub(crate) mod builtin;
pub(crate) mod enumeration;
mod error;
mod input;
pub(crate) mod introspection;
mod object;
mod order;
mod output;
mod policy;

pub use self::enumeration::Enumeration;
pub use self::error::{Segment, VisitError, VisitErrorKind};
pub use self::input::{ArrayInput, Input, Mode};
pub use self::object::ObjectInput;
pub(crate) use self::order::dictionary_order;
pub use self::output::{ArrayOutput, ObjectOutput, Output};
pub use self::policy::{CompatInput, CompatOutput, CompatPolicy, SpecialFeatures};

/// Any QAPI type: built-ins, `Vec<T>`, enums, alternates, and everything that is [`Members`].
pub trait Visit: Sized {
    /// Reads a value.
    ///
    /// # Errors
    ///
    /// The first way in which the value does not fit the type, in the reference's order.
    fn read(input: &mut Input<'_>) -> Result<Self, VisitError>;

    /// Writes a value.
    ///
    /// # Errors
    ///
    /// Only for values that no peer can be sent: an `Unknown` name, a number that is not finite.
    fn write(&self, output: &mut Output) -> Result<(), VisitError>;
}

/// Struct and union types: the members of an object.
pub trait Members: Sized {
    /// Reads the members.
    ///
    /// # Errors
    ///
    /// As for [`Visit::read`].
    fn read_members(object: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError>;

    /// Writes the members. What cannot be sent, `object` notes.
    fn write_members(&self, object: &mut ObjectOutput<'_>);
}

impl<T: Members> Visit for T {
    fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
        let mut object = input.object()?;
        let value = T::read_members(&mut object)?;
        object.finish()?;
        Ok(value)
    }

    fn write(&self, output: &mut Output) -> Result<(), VisitError> {
        let mut object = output.object();
        self.write_members(&mut object);
        object.finish()
    }
}

impl<T: Members> Members for Box<T> {
    fn read_members(object: &mut ObjectInput<'_, '_>) -> Result<Self, VisitError> {
        T::read_members(object).map(Box::new)
    }

    fn write_members(&self, object: &mut ObjectOutput<'_>) {
        (**self).write_members(object);
    }
}
