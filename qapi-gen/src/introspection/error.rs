//! What keeps a text from being the answer to `query-qmp-schema`, or from being a schema.

use std::fmt::{self, Write as _};

use thiserror::Error;

/// Why a text is not an answer to `query-qmp-schema`, or why no schema follows from it. Elements of the array are counted
/// from 0.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IntrospectionError {
    /// It is not JSON.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is a reply, and the server has refused the command; its words.
    #[error("the server answered with an error: {text}", text = Shown(.0))]
    Refused(String),
    /// It is neither an array nor a reply that returns one.
    #[error("expected the array that query-qmp-schema returns, or the reply with it")]
    NotAnArray,
    /// An element lacks something.
    #[error("element {0} of the array has no valid '{1}'")]
    Incomplete(usize, &'static str),
    /// Two types, commands or events have one name.
    #[error("element {0} of the array describes {1} '{name}' again", name = Shown(.2))]
    Duplicate(usize, &'static str, String),
    /// An element mentions a type that the array does not have.
    #[error("element {0} of the array uses type '{name}', which the array does not have", name = Shown(.1))]
    UnknownType(usize, String),
    /// A name has characters that no name of QAPI has.
    #[error("element {0} of the array has the name '{name}', which is not a QAPI name", name = Shown(.1))]
    Name(usize, String),
    /// Arguments, data or a branch are of a type that is not an object.
    #[error("element {0} of the array has {1} of type '{name}', which is not an object", name = Shown(.2))]
    NotObject(usize, &'static str, String),
    /// The elements of an array are arrays.
    #[error("element {0} of the array is an array of arrays")]
    ArrayOfArrays(usize),
    /// The tag of a union is not a mandatory member that has an enumeration for its type.
    #[error("element {0} of the array has the tag '{name}', which is not a mandatory member of enumeration type", name = Shown(.1))]
    Tag(usize, String),
    /// A branch belongs to no value of the tag.
    #[error("element {0} of the array has a branch '{name}', which is not a value of its tag", name = Shown(.1))]
    Branch(usize, String),
    /// A union is a branch of itself, if only by way of others.
    #[error("element {0} of the array is a branch of itself")]
    ContainsItself(usize),
    /// A branch of an alternate is of a type that cannot be one.
    #[error("element {0} of the array has a branch of type '{name}', which an alternate cannot have", name = Shown(.1))]
    AlternateBranch(usize, String),
}

/// The longest text of a server that a message repeats, in characters.
const MAX_SHOWN: usize = 200;

/// A text of the server's, without what a terminal would obey, and not too long.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, ch) in self.0.chars().enumerate() {
            if n == MAX_SHOWN {
                return f.write_str("...");
            }
            if is_plain(ch) {
                f.write_char(ch)?;
            } else {
                write!(f, "{}", ch.escape_unicode())?;
            }
        }
        Ok(())
    }
}

/// Whether a character only shows itself: no control, and nothing that changes the direction of text.
fn is_plain(ch: char) -> bool {
    let turns =
        matches!(ch, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !ch.is_control() && !turns
}
