//! Names without memory of their own.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A name as a piece of a text that is kept anyway: that of the file in which it stands. A large
/// schema is nearly all names, and each of them is in memory once.
#[derive(Clone)]
pub(crate) struct Name {
    text: Arc<String>,
    start: u32,
    end: u32,
}

impl Name {
    /// The bytes `start..end` of `text`.
    pub(crate) fn within(text: Arc<String>, start: u32, end: u32) -> Self {
        debug_assert!(text.is_char_boundary(start as usize) && text.is_char_boundary(end as usize));
        Self { text, start, end }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text[self.start as usize..self.end as usize]
    }

    /// The name without its first `n` bytes.
    pub(crate) fn without_first(&self, n: u32) -> Self {
        Self::within(Arc::clone(&self.text), self.start + n, self.end)
    }
}

/// For names that stand in no file.
impl From<String> for Name {
    fn from(text: String) -> Self {
        let end = text.len() as u32;
        Self::within(Arc::new(text), 0, end)
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        self
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Name {}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<Name> for &str {
    fn eq(&self, other: &Name) -> bool {
        *self == other.as_str()
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_equal_wherever_they_stand() {
        let text = Arc::new("{ 'struct': '*foo' }".to_owned());
        let name = Name::within(Arc::clone(&text), 13, 17);
        assert_eq!(name, "*foo");
        assert_eq!(name.without_first(1), Name::from("foo"));
        assert_eq!(Arc::strong_count(&text), 2);
    }
}
