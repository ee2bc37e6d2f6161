//! The object that a message may leave out.

use super::{Document, ValueRef};

/// An object without members: what a message means where it leaves an object out.
pub(crate) fn empty_object<'a>() -> ValueRef<'a> {
    static EMPTY: std::sync::LazyLock<Document> =
        std::sync::LazyLock::new(|| Document::parse(b"{}").unwrap_or_default());
    EMPTY.root()
}
