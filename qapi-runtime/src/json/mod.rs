//! The JSON dialect of QMP: a flat tape, an incremental parser, a writer.
//!
//! - [`Parser`] takes bytes as they come and yields one value or one error at a time, with the
//!   reference's texts, limits and recovery.
//! - [`Document`] is one complete value: a flat tape, reused from value to value.
//! - [`Writer`] makes the wire form: `", "` and `": "` as separators, ASCII only.
//!
//! What is accepted beyond RFC 8259: strings in single quotes, `\'` in any string, several values
//! without separator, and the modified UTF-8 form `C0 80` of U+0000. What is refused beyond it:
//! duplicate keys, and noncharacters (U+FDD0 to U+FDEF, and the last two of each plane).

mod document;
mod empty;
mod fast;
mod grammar;
mod lexer;
mod limits;
mod mistake;
mod number;
mod parser;
mod scan;
mod shown;
mod text;
mod writer;

pub use self::document::{ArrayIter, Document, Kind, ObjectIter, ValueRef};
pub use self::limits::Limits;
pub use self::mistake::ParseError;
pub use self::parser::{Parsed, Parser};
pub use self::writer::Writer;

pub(crate) use self::document::{DocumentBuilder, Node, TooLarge, key_bit};
pub(crate) use self::empty::empty_object;
