//! How a value fails to fit its type.

use std::borrow::Cow;
use std::fmt;

use crate::error::Error;

/// One step of the path to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A member of an object.
    Member(Cow<'static, str>),
    /// An element of an array.
    Index(usize),
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VisitErrorKind {
    /// A mandatory member is absent.
    Missing,
    /// The value is of another kind; what was expected, in the reference's words.
    Type(&'static str),
    /// The value is not an integer that fits 64 unsigned bits.
    ///
    /// It is a kind of its own because the reference words it like a range, and has the whole path.
    Unsigned,
    /// The type does not have the member.
    Unexpected,
    /// An integer is out of the range of its type.
    Range(&'static str),
    /// No value of the enum has this name.
    UnknownValue(Box<str>),
    /// No branch of the alternate has the kind of the value; the name of the alternate.
    Alternate(Cow<'static, str>),
    /// The policy refuses it; the whole text.
    Policy(Box<str>),
    /// On output: a name that only the decoder makes; type and name.
    Unsendable(&'static str, Box<str>),
    /// On output: a number that JSON cannot express.
    NotFinite,
    /// On output: the value is too large for a message.
    TooLarge,
}

/// A value that does not fit its type, and where it stands.
///
/// `Display` is the text that a server sends. [`VisitError::detail`] is meant for the reader of a
/// reply, who knows the command.
#[derive(Clone, PartialEq, Eq)]
pub struct VisitError(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    kind: VisitErrorKind,
    /// From the innermost step outwards.
    path: Vec<Segment>,
}

impl VisitError {
    /// An error at a value whose path is added on the way out.
    #[cold]
    pub fn new(kind: VisitErrorKind) -> Self {
        Self(Box::new(Inner {
            kind,
            path: Vec::new(),
        }))
    }

    pub(crate) fn policy(text: String) -> Self {
        Self::new(VisitErrorKind::Policy(text.into()))
    }

    /// A value that only the decoder makes was to be sent: the name `name` of type `type_name`.
    #[cold]
    pub fn unsendable(type_name: &'static str, name: &str) -> Self {
        Self::new(VisitErrorKind::Unsendable(type_name, name.into()))
    }

    /// The same error, seen from the object whose member `name` it is about.
    #[cold]
    pub fn in_member(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.0.path.push(Segment::Member(name.into()));
        self
    }

    /// The same error, seen from the array whose element it is about.
    #[cold]
    pub fn in_element(mut self, index: usize) -> Self {
        self.0.path.push(Segment::Index(index));
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> &VisitErrorKind {
        &self.0.kind
    }

    /// The steps to the value, from the outside in.
    pub fn path(&self) -> impl Iterator<Item = &Segment> {
        self.0.path.iter().rev()
    }

    /// The path as the reference prints it: `a.b[2].c`.
    pub fn path_text(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for (depth, segment) in self.path().enumerate() {
            match segment {
                Segment::Member(name) if depth == 0 => text.push_str(name),
                Segment::Member(name) => {
                    text.push('.');
                    text.push_str(name);
                }
                Segment::Index(index) => {
                    // Writing to a string does not fail.
                    let _ = write!(text, "[{index}]");
                }
            }
        }
        if self.0.path.is_empty() {
            text.push_str("<anonymous>");
        }
        text
    }

    /// The innermost name, which is all that some of the reference's messages have.
    fn innermost(&self) -> &str {
        match self.0.path.first() {
            Some(Segment::Member(name)) => name,
            Some(Segment::Index(_)) | None => "null",
        }
    }

    /// The text for the reader of a reply: `[0].qom-type is missing`.
    pub fn detail(&self) -> String {
        let path = self.path_text();
        match &self.0.kind {
            VisitErrorKind::Missing => format!("{path} is missing"),
            VisitErrorKind::Type(expected) => {
                format!("{path} is of the wrong type, expected: {expected}")
            }
            VisitErrorKind::Unsigned => {
                format!("{path} is of the wrong type, expected: uint64")
            }
            VisitErrorKind::Unexpected => format!("{path} is unexpected"),
            VisitErrorKind::Range(expected) => {
                format!("{path} is out of range, expected: {expected}")
            }
            VisitErrorKind::UnknownValue(value) => {
                format!("{path} has the unknown value '{value}'")
            }
            VisitErrorKind::Alternate(name) => format!("{path} is of no kind of {name}"),
            VisitErrorKind::Policy(_)
            | VisitErrorKind::Unsendable(..)
            | VisitErrorKind::NotFinite
            | VisitErrorKind::TooLarge => self.to_string(),
        }
    }
}

impl fmt::Display for VisitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            VisitErrorKind::Missing => write!(f, "Parameter '{}' is missing", self.path_text()),
            VisitErrorKind::Type(expected) => write!(
                f,
                "Invalid parameter type for '{}', expected: {expected}",
                self.path_text()
            ),
            VisitErrorKind::Unsigned => {
                write!(f, "Parameter '{}' expects uint64", self.path_text())
            }
            VisitErrorKind::Unexpected => {
                write!(f, "Parameter '{}' is unexpected", self.path_text())
            }
            VisitErrorKind::Range(expected) => {
                write!(f, "Parameter '{}' expects {expected}", self.innermost())
            }
            VisitErrorKind::UnknownValue(value) => write!(
                f,
                "Parameter '{}' does not accept value '{value}'",
                self.innermost()
            ),
            VisitErrorKind::Alternate(name) => write!(
                f,
                "Invalid parameter type for '{}', expected: {name}",
                self.innermost()
            ),
            VisitErrorKind::Policy(text) => f.write_str(text),
            VisitErrorKind::Unsendable(type_name, name) => write!(
                f,
                "'{name}' at {} is not a value of {type_name} and cannot be sent",
                self.path_text()
            ),
            VisitErrorKind::NotFinite => {
                write!(f, "the number at {} is not finite", self.path_text())
            }
            VisitErrorKind::TooLarge => f.write_str("the value is too large"),
        }
    }
}

impl fmt::Debug for VisitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VisitError")
            .field("kind", &self.0.kind)
            .field("path", &self.path_text())
            .finish()
    }
}

impl std::error::Error for VisitError {}

impl From<VisitError> for Error {
    fn from(error: VisitError) -> Self {
        Self::generic(error.to_string())
    }
}
