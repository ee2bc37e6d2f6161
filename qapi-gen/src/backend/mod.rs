//! What comes of a checked schema: pure functions to files or text.

#[cfg(feature = "doc")]
pub mod doc;
pub mod dump;
pub mod introspect;
pub mod rust;
