//! One JSON value as a flat tape.

use std::fmt;

use crate::value::{Object, Value};

/// The JSON kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// Any number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "boolean",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        })
    }
}

/// One entry of the tape, 16 bytes.
///
/// A container is followed by its content: an array by its elements, an object by pairs of a
/// `String` (the key) and a value. `end` is the index after the last entry of the container.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    /// Only above `i64::MAX`.
    UInt(u64),
    Double(f64),
    String {
        start: u32,
        len: u32,
    },
    Array {
        len: u32,
        end: u32,
    },
    /// `mask` has the bit [`key_bit`] of each key, so that most absent names cost one test.
    Object {
        mask: u64,
        end: u32,
    },
}

/// The bit of `key` in the mask of an object.
#[inline]
pub(crate) fn key_bit(key: &[u8]) -> u64 {
    let (first, last) = match key {
        [] => (0, 0),
        [first, .., last] => (*first, *last),
        [only] => (*only, *only),
    };
    let hash = key.len() as u32 * 5 + u32::from(first) * 3 + u32::from(last) * 11;
    1 << (hash & 63)
}

/// A document would pass 4 GiB of text or 2^32 entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON value is too large")
    }
}

impl std::error::Error for TooLarge {}

/// One complete JSON value, stored flat.
///
/// Made by [`Parser`](super::Parser), by serde, or from a [`Value`]. An empty document (the default) reads as `null`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    pub(crate) text: String,
    pub(crate) nodes: Vec<Node>,
}

impl Document {
    /// How many bytes of memory it holds.
    pub fn memory(&self) -> usize {
        self.text.capacity() + self.nodes.capacity() * size_of::<Node>()
    }

    /// The value.
    pub fn root(&self) -> ValueRef<'_> {
        ValueRef {
            document: self,
            index: 0,
        }
    }

    pub(crate) fn node(&self, index: usize) -> Node {
        self.nodes.get(index).copied().unwrap_or(Node::Null)
    }

    pub(crate) fn str_at(&self, start: u32, len: u32) -> &str {
        let start = start as usize;
        self.text.get(start..start + len as usize).unwrap_or("")
    }

    /// A text without the checks that it starts and ends with a character.
    #[inline]
    pub(crate) fn bytes_at(&self, start: u32, len: u32) -> Option<&[u8]> {
        let start = start as usize;
        self.text.as_bytes().get(start..start + len as usize)
    }

    /// The index after the value at `index`.
    pub(crate) fn skip(&self, index: usize) -> usize {
        match self.node(index) {
            Node::Array { end, .. } | Node::Object { end, .. } => end as usize,
            Node::Null
            | Node::Bool(_)
            | Node::Int(_)
            | Node::UInt(_)
            | Node::Double(_)
            | Node::String { .. } => index + 1,
        }
    }
}

impl From<&Value> for Document {
    /// A value of more than 4 GiB of text, or of 2^32 values in it, becomes `null`. No message is so large.
    fn from(value: &Value) -> Self {
        let mut builder = DocumentBuilder::new();
        match builder.value(value) {
            Ok(()) => builder.finish(),
            Err(TooLarge) => Document::default(),
        }
    }
}

/// A value inside a [`Document`].
#[derive(Clone, Copy)]
pub struct ValueRef<'a> {
    pub(crate) document: &'a Document,
    pub(crate) index: usize,
}

impl<'a> ValueRef<'a> {
    pub(crate) fn node(self) -> Node {
        self.document.node(self.index)
    }

    /// What kind of value this is.
    pub fn kind(self) -> Kind {
        match self.node() {
            Node::Null => Kind::Null,
            Node::Bool(_) => Kind::Bool,
            Node::Int(_) | Node::UInt(_) | Node::Double(_) => Kind::Number,
            Node::String { .. } => Kind::String,
            Node::Array { .. } => Kind::Array,
            Node::Object { .. } => Kind::Object,
        }
    }

    /// The text of a string.
    pub fn as_str(self) -> Option<&'a str> {
        match self.node() {
            Node::String { start, len } => Some(self.document.str_at(start, len)),
            _ => None,
        }
    }

    /// An integer in the range of `i64`.
    pub fn as_i64(self) -> Option<i64> {
        match self.node() {
            Node::Int(value) => Some(value),
            _ => None,
        }
    }

    /// A non-negative integer in the range of `u64`.
    pub fn as_u64(self) -> Option<u64> {
        match self.node() {
            Node::Int(value) => u64::try_from(value).ok(),
            Node::UInt(value) => Some(value),
            _ => None,
        }
    }

    /// Any number, rounded to the nearest double.
    pub fn as_f64(self) -> Option<f64> {
        match self.node() {
            Node::Int(value) => Some(value as f64),
            Node::UInt(value) => Some(value as f64),
            Node::Double(value) => Some(value),
            _ => None,
        }
    }

    /// A truth value.
    pub fn as_bool(self) -> Option<bool> {
        match self.node() {
            Node::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The member `key` of an object.
    pub fn get(self, key: &str) -> Option<ValueRef<'a>> {
        let Node::Object { mask, .. } = self.node() else {
            return None;
        };
        if mask & key_bit(key.as_bytes()) == 0 {
            return None;
        }
        self.members()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    /// The members of an object in their order; none for other kinds.
    pub fn members(self) -> ObjectIter<'a> {
        let (index, end) = match self.node() {
            Node::Object { end, .. } => (self.index + 1, end as usize),
            _ => (0, 0),
        };
        ObjectIter {
            document: self.document,
            index,
            end,
        }
    }

    /// The elements of an array; none for other kinds.
    pub fn elements(self) -> ArrayIter<'a> {
        let (index, end, len) = match self.node() {
            Node::Array { len, end } => (self.index + 1, end as usize, len as usize),
            _ => (0, 0, 0),
        };
        ArrayIter {
            document: self.document,
            index,
            end,
            len,
        }
    }

    /// A tree of its own.
    pub fn to_value(self) -> Value {
        match self.node() {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::Bool(value),
            Node::Int(value) => Value::Int(value),
            Node::UInt(value) => Value::UInt(value),
            Node::Double(value) => Value::Double(value),
            Node::String { start, len } => {
                Value::String(self.document.str_at(start, len).to_owned())
            }
            Node::Array { .. } => Value::Array(self.elements().map(Self::to_value).collect()),
            Node::Object { .. } => Value::Object(self.to_object()),
        }
    }

    /// The members of an object as a tree of their own; empty for other kinds.
    pub fn to_object(self) -> Object {
        self.members()
            .map(|(key, value)| (key.to_owned(), value.to_value()))
            .collect()
    }

    /// The same value as a document of its own.
    pub fn to_document(self) -> Document {
        let mut builder = DocumentBuilder::new();
        match builder.copy(self) {
            Ok(()) => builder.finish(),
            // A part is never larger than the whole it is taken from.
            Err(TooLarge) => Document::default(),
        }
    }
}

/// Iterator over the elements of an array.
#[derive(Clone, Debug)]
pub struct ArrayIter<'a> {
    document: &'a Document,
    index: usize,
    end: usize,
    len: usize,
}

impl<'a> Iterator for ArrayIter<'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<ValueRef<'a>> {
        if self.index >= self.end {
            return None;
        }
        let item = ValueRef {
            document: self.document,
            index: self.index,
        };
        self.index = self.document.skip(self.index);
        self.len = self.len.saturating_sub(1);
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

impl ExactSizeIterator for ArrayIter<'_> {}

/// Iterator over the members of an object.
#[derive(Clone, Debug)]
pub struct ObjectIter<'a> {
    document: &'a Document,
    index: usize,
    end: usize,
}

impl<'a> Iterator for ObjectIter<'a> {
    type Item = (&'a str, ValueRef<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.end {
            return None;
        }
        let key = match self.document.node(self.index) {
            Node::String { start, len } => self.document.str_at(start, len),
            _ => "",
        };
        let value = ValueRef {
            document: self.document,
            index: self.index + 1,
        };
        self.index = self.document.skip(self.index + 1);
        Some((key, value))
    }
}

/// Makes a [`Document`] value by value.
///
/// The calls must follow the grammar: inside an object, each value is preceded by its key.
#[derive(Debug, Default)]
pub(crate) struct DocumentBuilder {
    document: Document,
    /// Index of each open container, and the number of elements so far for arrays.
    open: Vec<(u32, u32)>,
}

impl DocumentBuilder {
    /// A builder without a value.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The finished document.
    pub(crate) fn finish(mut self) -> Document {
        while !self.open.is_empty() {
            self.end();
        }
        self.document
    }

    fn push(&mut self, node: Node) -> Result<(), TooLarge> {
        if self.document.nodes.len() >= u32::MAX as usize {
            return Err(TooLarge);
        }
        if let Some((_, count)) = self.open.last_mut() {
            *count += 1;
        }
        self.document.nodes.push(node);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<Node, TooLarge> {
        let start = u32::try_from(self.document.text.len()).map_err(|_| TooLarge)?;
        let len = u32::try_from(text.len()).map_err(|_| TooLarge)?;
        start.checked_add(len).ok_or(TooLarge)?;
        self.document.text.push_str(text);
        Ok(Node::String { start, len })
    }

    /// Adds `null`.
    ///
    /// # Errors
    ///
    /// [`TooLarge`], as for all additions.
    pub(crate) fn null(&mut self) -> Result<(), TooLarge> {
        self.push(Node::Null)
    }

    /// Adds a truth value.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub(crate) fn bool(&mut self, value: bool) -> Result<(), TooLarge> {
        self.push(Node::Bool(value))
    }

    /// Adds an integer.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub(crate) fn int(&mut self, value: i64) -> Result<(), TooLarge> {
        self.push(Node::Int(value))
    }

    /// Adds an unsigned integer.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub(crate) fn uint(&mut self, value: u64) -> Result<(), TooLarge> {
        match i64::try_from(value) {
            Ok(value) => self.push(Node::Int(value)),
            Err(_) => self.push(Node::UInt(value)),
        }
    }

    /// Adds a double.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub(crate) fn double(&mut self, value: f64) -> Result<(), TooLarge> {
        self.push(Node::Double(value))
    }

    /// Adds a string.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub(crate) fn string(&mut self, value: &str) -> Result<(), TooLarge> {
        let node = self.text(value)?;
        self.push(node)
    }

    /// Opens an array.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub(crate) fn begin_array(&mut self) -> Result<(), TooLarge> {
        self.begin(Node::Array { len: 0, end: 0 })
    }

    /// Opens an object.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub(crate) fn begin_object(&mut self) -> Result<(), TooLarge> {
        self.begin(Node::Object { mask: 0, end: 0 })
    }

    fn begin(&mut self, node: Node) -> Result<(), TooLarge> {
        self.push(node)?;
        let index = u32::try_from(self.document.nodes.len() - 1).map_err(|_| TooLarge)?;
        self.open.push((index, 0));
        Ok(())
    }

    /// Adds the key of the next member.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub(crate) fn key(&mut self, key: &str) -> Result<(), TooLarge> {
        let node = self.text(key)?;
        if let Some(&(index, _)) = self.open.last()
            && let Some(Node::Object { mask, .. }) = self.document.nodes.get_mut(index as usize)
        {
            *mask |= key_bit(key.as_bytes());
        }
        self.push(node)
    }

    /// Closes the container that was opened last.
    pub(crate) fn end(&mut self) {
        let Some((index, count)) = self.open.pop() else {
            return;
        };
        let after = self.document.nodes.len() as u32;
        match self.document.nodes.get_mut(index as usize) {
            Some(Node::Array { len, end }) => {
                *len = count;
                *end = after;
            }
            Some(Node::Object { end, .. }) => *end = after,
            _ => {}
        }
    }

    /// Adds a tree.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub(crate) fn value(&mut self, value: &Value) -> Result<(), TooLarge> {
        match value {
            Value::Null => self.null(),
            Value::Bool(value) => self.bool(*value),
            Value::Int(value) => self.int(*value),
            Value::UInt(value) => self.uint(*value),
            Value::Double(value) => self.double(*value),
            Value::String(value) => self.string(value),
            Value::Array(items) => {
                self.begin_array()?;
                for item in items {
                    self.value(item)?;
                }
                self.end();
                Ok(())
            }
            Value::Object(members) => {
                self.begin_object()?;
                for (key, value) in members {
                    self.key(key)?;
                    self.value(value)?;
                }
                self.end();
                Ok(())
            }
        }
    }

    /// Adds a copy of a value of another document.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub(crate) fn copy(&mut self, value: ValueRef<'_>) -> Result<(), TooLarge> {
        match value.node() {
            Node::String { .. } => self.string(value.as_str().unwrap_or("")),
            Node::Array { .. } => {
                self.begin_array()?;
                for item in value.elements() {
                    self.copy(item)?;
                }
                self.end();
                Ok(())
            }
            Node::Object { .. } => {
                self.begin_object()?;
                for (key, value) in value.members() {
                    self.key(key)?;
                    self.copy(value)?;
                }
                self.end();
                Ok(())
            }
            scalar @ (Node::Null
            | Node::Bool(_)
            | Node::Int(_)
            | Node::UInt(_)
            | Node::Double(_)) => self.push(scalar),
        }
    }
}
