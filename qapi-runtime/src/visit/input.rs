//! Reading: a cursor on one value.

use std::borrow::Cow;

use super::error::{VisitError, VisitErrorKind};
use super::object::ObjectInput;
use super::policy::{CompatPolicy, PolicyKind, SpecialFeatures};
use crate::json::{ArrayIter, Document, Kind, Node, ValueRef};

/// What the reader does with members and names that its schema does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// They are errors: a server reading arguments.
    Strict,
    /// Members are ignored, names of enum values and branches become `Unknown`: a client reading
    /// replies and events, whose server may be newer.
    Lenient,
}

/// A cursor on one value.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    value: ValueRef<'a>,
    mode: Mode,
    compat: CompatPolicy,
}

impl<'a> Input<'a> {
    /// A cursor on the value of a document.
    pub fn new(document: &'a Document, mode: Mode) -> Self {
        Self::at(document.root(), mode, CompatPolicy::ACCEPT)
    }

    /// A cursor on a part of a document, with the policy of a server.
    pub fn at(value: ValueRef<'a>, mode: Mode, compat: CompatPolicy) -> Self {
        Self {
            value,
            mode,
            compat,
        }
    }

    pub(super) fn child(&self, value: ValueRef<'a>) -> Self {
        Self { value, ..*self }
    }

    /// The value as it is.
    pub fn value(&self) -> ValueRef<'a> {
        self.value
    }

    /// Whether the reader knows better than the peer.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The policy for deprecated and unstable input.
    pub fn compat(&self) -> CompatPolicy {
        self.compat
    }

    /// The kind of the value; alternates decide by it.
    pub fn kind(&self) -> Kind {
        self.value.kind()
    }

    pub(super) fn node(&self) -> Node {
        self.value.node()
    }

    /// The value must be a string.
    ///
    /// # Errors
    ///
    /// [`VisitErrorKind::Type`].
    pub fn string(&self) -> Result<&'a str, VisitError> {
        self.value.as_str().ok_or_else(|| wrong("string"))
    }

    /// The value must be an integer.
    ///
    /// # Errors
    ///
    /// [`VisitErrorKind::Type`].
    pub fn int64(&self) -> Result<i64, VisitError> {
        match self.node() {
            Node::Int(value) => Ok(value),
            _ => Err(wrong("integer")),
        }
    }

    /// The value must be an integer; a negative one is taken modulo 2^64, as QEMU does for the
    /// sake of old clients.
    ///
    /// # Errors
    ///
    /// [`VisitErrorKind::Unsigned`].
    pub fn uint64(&self) -> Result<u64, VisitError> {
        match self.node() {
            Node::Int(value) => Ok(value as u64),
            Node::UInt(value) => Ok(value),
            _ => Err(VisitError::new(VisitErrorKind::Unsigned)),
        }
    }

    /// An integer of a smaller type, `expected` in the reference's words.
    ///
    /// # Errors
    ///
    /// [`VisitErrorKind::Type`], [`VisitErrorKind::Range`].
    pub(super) fn small_int(
        &self,
        min: i64,
        max: i64,
        expected: &'static str,
    ) -> Result<i64, VisitError> {
        let value = self.int64()?;
        if (min..=max).contains(&value) {
            Ok(value)
        } else {
            Err(VisitError::new(VisitErrorKind::Range(expected)))
        }
    }

    pub(super) fn small_uint(&self, max: u64, expected: &'static str) -> Result<u64, VisitError> {
        let value = self.uint64()?;
        if value <= max {
            Ok(value)
        } else {
            Err(VisitError::new(VisitErrorKind::Range(expected)))
        }
    }

    /// The value must be a number.
    ///
    /// # Errors
    ///
    /// [`VisitErrorKind::Type`].
    pub fn number(&self) -> Result<f64, VisitError> {
        self.value.as_f64().ok_or_else(|| wrong("number"))
    }

    /// The value must be a truth value.
    ///
    /// # Errors
    ///
    /// [`VisitErrorKind::Type`].
    pub fn boolean(&self) -> Result<bool, VisitError> {
        self.value.as_bool().ok_or_else(|| wrong("boolean"))
    }

    /// The value must be `null`.
    ///
    /// # Errors
    ///
    /// [`VisitErrorKind::Type`].
    pub fn null(&self) -> Result<(), VisitError> {
        match self.kind() {
            Kind::Null => Ok(()),
            _ => Err(wrong("null")),
        }
    }

    /// The value must be an object.
    ///
    /// # Errors
    ///
    /// [`VisitErrorKind::Type`].
    pub fn object(&mut self) -> Result<ObjectInput<'_, 'a>, VisitError> {
        ObjectInput::new(self).ok_or_else(|| wrong("object"))
    }

    /// The value must be an array.
    ///
    /// # Errors
    ///
    /// [`VisitErrorKind::Type`].
    pub fn array(&self) -> Result<ArrayInput<'a>, VisitError> {
        match self.kind() {
            Kind::Array => Ok(ArrayInput {
                elements: self.value.elements(),
                parent: *self,
                index: 0,
            }),
            _ => Err(wrong("array")),
        }
    }

    /// No branch of the alternate `name` has the kind of this value.
    #[cold]
    pub fn invalid_type(&self, name: impl Into<Cow<'static, str>>) -> VisitError {
        VisitError::new(VisitErrorKind::Alternate(name.into()))
    }

    /// `name` is not a value of the enum: an error in strict mode, kept in lenient mode.
    ///
    /// # Errors
    ///
    /// [`VisitErrorKind::UnknownValue`] in strict mode.
    #[cold]
    #[doc(hidden)]
    pub fn unknown_name(&self, name: &str) -> Result<Box<str>, VisitError> {
        match self.mode {
            Mode::Strict => Err(VisitError::new(VisitErrorKind::UnknownValue(name.into()))),
            Mode::Lenient => Ok(name.into()),
        }
    }

    /// Checks an enum value with special features.
    ///
    /// # Errors
    ///
    /// [`VisitErrorKind::Policy`].
    #[inline]
    #[doc(hidden)]
    pub fn check_value(&self, name: &str, features: SpecialFeatures) -> Result<(), VisitError> {
        if features.is_none() {
            return Ok(());
        }
        self.compat.check(PolicyKind::Value, name, features)
    }
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Input({}, {:?})", self.value, self.mode)
    }
}

#[cold]
fn wrong(expected: &'static str) -> VisitError {
    VisitError::new(VisitErrorKind::Type(expected))
}

/// The elements of an array.
#[derive(Debug)]
pub struct ArrayInput<'a> {
    elements: ArrayIter<'a>,
    parent: Input<'a>,
    index: usize,
}

impl<'a> ArrayInput<'a> {
    /// How many elements are left.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether no element is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next element.
    pub fn next_element(&mut self) -> Option<Input<'a>> {
        let value = self.elements.next()?;
        self.index += 1;
        Some(self.parent.child(value))
    }

    /// Adds the place of the last element to an error about it.
    #[cold]
    pub fn locate(&self, error: VisitError) -> VisitError {
        error.in_element(self.index.saturating_sub(1))
    }
}
