//! Limits of what a schema may be, with the reason for each. What is beyond them is refused with one
//! diagnostic.

/// The largest file that is read, in bytes.
pub const MAX_FILE: u64 = 64 << 20;

/// A line has at most this many bytes, which bounds the memory of the lexer.
pub const MAX_LINE: usize = 1 << 20;

/// Include files nest at most this deep, which bounds the reader's stack.
pub const MAX_INCLUDE_DEPTH: usize = 100;

/// Values nest at most this deep. The language itself needs six levels and conditions a few more;
/// the limit bounds the parser's stack.
pub const MAX_DEPTH: usize = 200;

/// A name has at most this many bytes: messages and everything that is made of a schema repeat it.
pub const MAX_NAME: usize = 1000;

/// An object has at most this many bases, each the base of the next: walks go from base to base for
/// every name.
pub const MAX_BASES: usize = 100;

/// Types may inherit this many members, and unions leave out this many values, all together; and
/// [`REPEATED_PER_LISTED`] more for each object, member and branch that a schema lists. What is
/// inherited is repeated by most that is made of a schema.
pub const MAX_REPEATED: usize = 100_000;

/// See [`MAX_REPEATED`].
pub const REPEATED_PER_LISTED: usize = 16;

/// A schema has at most this many features with names of their own, `deprecated` and `unstable`
/// included. The limit is the reference's, where a set of features is a number of 64 bits.
pub const MAX_FEATURES: usize = 64;

/// Lists, quotes and directives in documentation nest as deep as this; what is deeper is taken as it
/// is. The parser and the renderers recurse once a level.
pub const MAX_MARKUP_DEPTH: usize = 12;

/// More errors than this are counted, not kept: input of any size is reported in bounded memory.
pub const MAX_DIAGNOSTICS: usize = 1000;
