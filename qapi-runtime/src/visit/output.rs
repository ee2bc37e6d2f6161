//! Writing the wire form.

use super::Visit;
use super::error::{VisitError, VisitErrorKind};
use super::policy::{CompatPolicy, SpecialFeatures};
use crate::error::Error;
use crate::json::{ValueRef, Writer};
use crate::value::Value;

/// Writes the wire form of values into a buffer of its own.
#[derive(Clone, Debug, Default)]
pub struct Output {
    writer: Writer,
    compat: CompatPolicy,
}

impl Output {
    /// An empty output in one-line form that sends everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// An output that appends to `buffer`.
    pub fn with_buffer(buffer: Vec<u8>, compat: CompatPolicy, pretty: bool) -> Self {
        let mut writer = Writer::with_buffer(buffer);
        writer.set_pretty(pretty);
        Self { writer, compat }
    }

    /// The policy for deprecated and unstable output.
    pub fn compat(&self) -> CompatPolicy {
        self.compat
    }

    /// What has been written.
    pub fn as_bytes(&self) -> &[u8] {
        self.writer.as_bytes()
    }

    /// The buffer.
    pub fn into_bytes(self) -> Vec<u8> {
        self.writer.into_bytes()
    }

    /// The writer underneath, for values without a type.
    pub fn writer(&mut self) -> &mut Writer {
        &mut self.writer
    }

    /// Writes `null`.
    pub fn null(&mut self) {
        self.writer.null();
    }

    /// Writes a truth value.
    pub fn boolean(&mut self, value: bool) {
        self.writer.bool(value);
    }

    /// Writes an integer.
    pub fn int(&mut self, value: i64) {
        self.writer.int(value);
    }

    /// Writes an unsigned integer.
    pub fn uint(&mut self, value: u64) {
        self.writer.uint(value);
    }

    /// Writes a number.
    ///
    /// # Errors
    ///
    /// [`VisitErrorKind::NotFinite`].
    pub fn number(&mut self, value: f64) -> Result<(), VisitError> {
        if !value.is_finite() {
            return Err(VisitError::new(VisitErrorKind::NotFinite));
        }
        self.writer.double(value);
        Ok(())
    }

    /// Writes a string.
    pub fn string(&mut self, value: &str) {
        self.writer.string(value);
    }

    /// Writes a tree.
    pub fn value(&mut self, value: &Value) {
        self.writer.value(value);
    }

    /// Writes a value of a document.
    pub fn value_ref(&mut self, value: ValueRef<'_>) {
        self.writer.value_ref(value);
    }

    /// Writes the wire form of one value as it is given; for constants such as the answer of
    /// `query-qmp-schema`.
    pub fn raw(&mut self, json: &[u8]) {
        self.writer.raw(json);
    }

    /// Writes what a handler has returned; the end of its row in a dispatch table.
    ///
    /// # Errors
    ///
    /// The handler's, or a value that no peer can be sent.
    #[doc(hidden)]
    pub fn returns<T: Visit>(&mut self, result: Result<T, Error>) -> Result<(), Error> {
        result?.write(self)?;
        Ok(())
    }

    /// Opens an object.
    pub fn object(&mut self) -> ObjectOutput<'_> {
        self.writer.begin_object();
        ObjectOutput {
            output: self,
            error: None,
        }
    }

    /// Opens an array.
    pub fn array(&mut self) -> ArrayOutput<'_> {
        self.writer.begin_array();
        ArrayOutput { output: self }
    }
}

/// The members of one object. Must be ended with [`ObjectOutput::finish`].
///
/// A member that no peer can be sent is an error of the whole: `finish` tells of the first one,
/// so that code which writes members has nothing to look after.
#[derive(Debug)]
pub struct ObjectOutput<'o> {
    output: &'o mut Output,
    error: Option<VisitError>,
}

impl ObjectOutput<'_> {
    /// A mandatory member.
    pub fn required<T: Visit>(&mut self, name: &'static str, value: &T) {
        if self.error.is_none() {
            self.output.writer.key(name);
            let result = value.write(self.output);
            self.error = result.err().map(|error| error.in_member(name));
        }
    }

    /// An optional member.
    pub fn optional<T: Visit>(&mut self, name: &'static str, value: &Option<T>) {
        if let Some(value) = value {
            self.required(name, value);
        }
    }

    /// A mandatory member with special features; left out if the policy hides them.
    #[doc(hidden)]
    pub fn required_with<T: Visit>(
        &mut self,
        name: &'static str,
        features: SpecialFeatures,
        value: &T,
    ) {
        if !self.output.compat.hides(features) {
            self.required(name, value);
        }
    }

    /// An optional member with special features; left out if the policy hides them.
    #[doc(hidden)]
    pub fn optional_with<T: Visit>(
        &mut self,
        name: &'static str,
        features: SpecialFeatures,
        value: &Option<T>,
    ) {
        if let Some(value) = value {
            self.required_with(name, features, value);
        }
    }

    /// The tag of a union.
    #[doc(hidden)]
    pub fn tag(&mut self, name: &'static str, tag: &str) {
        self.output.writer.key(name);
        self.output.writer.string(tag);
    }

    /// Notes that the object cannot be sent, if nothing is noted yet.
    #[doc(hidden)]
    pub fn fail(&mut self, error: VisitError) {
        self.error.get_or_insert(error);
    }

    /// A member whose name is not known before.
    pub fn member<T: Visit>(&mut self, name: &str, value: &T) {
        if self.error.is_none() {
            self.output.writer.key(name);
            let result = value.write(self.output);
            self.error = result.err().map(|error| error.in_member(name.to_owned()));
        }
    }

    /// Closes the object.
    ///
    /// # Errors
    ///
    /// What the type of a member cannot send; what is in the output is then void.
    pub fn finish(self) -> Result<(), VisitError> {
        self.output.writer.end_object();
        match self.error {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }
}

/// The elements of one array. Must be ended with [`ArrayOutput::finish`].
#[derive(Debug)]
pub struct ArrayOutput<'o> {
    output: &'o mut Output,
}

impl ArrayOutput<'_> {
    /// The next element.
    ///
    /// # Errors
    ///
    /// What the type of the element cannot send.
    pub fn element<T: Visit>(&mut self, value: &T) -> Result<(), VisitError> {
        value.write(self.output)
    }

    /// Closes the array.
    pub fn finish(self) {
        self.output.writer.end_array();
    }
}
