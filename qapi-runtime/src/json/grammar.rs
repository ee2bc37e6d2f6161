//! From tokens to a tape: the grammar, and which of several mistakes is the one to report.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use super::Node;
use super::document::key_bit;
use super::lexer::TokenKind;
use super::number::parse_number;
use super::text::{StringError, lossy};

/// What a container takes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    FirstKeyOrEnd,
    Key,
    Colon,
    Value,
    CommaOrObjectEnd,
    FirstElementOrEnd,
    Element,
    CommaOrArrayEnd,
}

impl Next {
    fn is_key(self) -> bool {
        matches!(self, Self::FirstKeyOrEnd | Self::Key)
    }
}

/// An open container.
#[derive(Debug)]
struct Frame {
    /// Its entry on the tape.
    node: u32,
    /// The entry of the key whose value comes.
    key: u32,
    n_children: u32,
    mask: u64,
    next: Next,
    /// The hashes of the keys so far, once there are many.
    keys: Option<HashSet<u64>>,
}

/// Bytes of memory that are kept from value to value.
const RETAINED: usize = 256 << 10;

/// Empties a vector, and gives its memory back if it is large.
pub(super) fn clear_retaining<T>(vector: &mut Vec<T>) {
    vector.clear();
    if vector.capacity() * size_of::<T>() > RETAINED {
        *vector = Vec::new();
    }
}

/// By how many bytes a vector grows if it is too full for so many elements more: it becomes twice as large.
pub(super) fn growth_of<T>(vector: &Vec<T>, n_more: usize) -> usize {
    if vector.capacity() - vector.len() >= n_more {
        return 0;
    }
    vector.capacity() * size_of::<T>()
}

/// With so many members before it a key is looked for by its hash.
const MAX_SCANNED: u32 = 16;

/// A value in the making.
#[derive(Debug, Default)]
pub(super) struct Grammar {
    /// The texts of the strings, and possibly other parts of the source between them. Always
    /// UTF-8: only ASCII and decoded strings get here.
    pub(super) text: Vec<u8>,
    pub(super) nodes: Vec<Node>,
    frames: Vec<Frame>,
    /// The mistake that a token has just made.
    error: Option<String>,
    hasher: RandomState,
}

/// The text of a string token.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextRange {
    pub(super) start: u32,
    pub(super) len: u32,
}

impl Grammar {
    pub(super) fn clear(&mut self) {
        clear_retaining(&mut self.text);
        clear_retaining(&mut self.nodes);
        self.frames.clear();
        self.error = None;
    }

    pub(super) fn memory(&self) -> usize {
        let keys = self.frames.iter().filter_map(|frame| frame.keys.as_ref());
        // A hash and a byte of the table for each.
        let keys: usize = keys
            .map(|keys| keys.capacity() * (size_of::<u64>() + 1))
            .sum();
        self.text.capacity()
            + self.nodes.capacity() * size_of::<Node>()
            + self.frames.capacity() * size_of::<Frame>()
            + keys
    }

    pub(super) fn growth(&self, n_bytes: usize) -> usize {
        // A token is at least a byte.
        growth_of(&self.text, n_bytes) + growth_of(&self.nodes, n_bytes)
    }

    pub(super) fn trim(&mut self) {
        self.text = Vec::new();
        self.nodes = Vec::new();
        self.frames = Vec::new();
    }

    /// The mistake of the token that came last.
    pub(super) fn take_error(&mut self) -> Option<String> {
        self.error.take()
    }

    #[cold]
    fn fail(&mut self, message: impl Into<String>) {
        self.error = Some(message.into());
    }

    /// A string token. Its content is part of the text, or of `tail`, which is about to be
    /// appended to the text; so for the other tokens.
    #[inline]
    pub(super) fn string(&mut self, range: TextRange, tail: &[u8]) {
        let node = Node::String {
            start: range.start,
            len: range.len,
        };
        if let Some(frame) = self.frames.last_mut()
            && frame.next.is_key()
        {
            frame.key = self.nodes.len() as u32;
            frame.next = Next::Colon;
            self.nodes.push(node);
            return;
        }
        self.scalar(node, tail);
    }

    fn expects_key(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.next.is_key())
    }

    /// Whether a value may stand here; if not, the mistake is recorded.
    #[inline]
    fn expects_value(&mut self) -> bool {
        let message = match self.frames.last() {
            None => return true,
            Some(frame) => match frame.next {
                Next::Value | Next::FirstElementOrEnd | Next::Element => return true,
                Next::FirstKeyOrEnd | Next::Key => "expecting key",
                Next::Colon => "expecting ':'",
                Next::CommaOrObjectEnd => "expected ',' or '}'",
                Next::CommaOrArrayEnd => "expected ',' or ']'",
            },
        };
        self.fail(message);
        false
    }

    #[inline]
    fn scalar(&mut self, node: Node, tail: &[u8]) {
        if self.expects_value() {
            self.nodes.push(node);
            self.value_done(tail);
        }
    }

    pub(super) fn number(&mut self, token: &[u8], tail: &[u8]) {
        if self.expects_value() {
            let node = parse_number(token);
            self.nodes.push(node);
            self.value_done(tail);
        }
    }

    pub(super) fn keyword(&mut self, token: &[u8], tail: &[u8]) {
        if !self.expects_value() {
            return;
        }
        let node = match token {
            b"true" => Node::Bool(true),
            b"false" => Node::Bool(false),
            b"null" => Node::Null,
            _ => {
                // The reference formats this message into 1024 bytes, NUL included.
                let mut message = format!("invalid keyword '{}'", lossy(token));
                message.truncate(1023);
                return self.fail(message);
            }
        };
        self.nodes.push(node);
        self.value_done(tail);
    }

    /// A string token without a value.
    #[cold]
    pub(super) fn wrong_string(&mut self, error: &StringError) {
        if self.expects_key() || self.expects_value() {
            match error {
                StringError::Utf8 => self.fail("invalid UTF-8 sequence in string"),
                StringError::Escape => self.fail("invalid escape sequence in string"),
                StringError::Unicode(escape) => self.fail(format!(
                    "{} is not a valid Unicode character",
                    lossy(escape)
                )),
            }
        }
    }

    /// One of `{ } [ ] : ,`.
    #[inline]
    pub(super) fn structural(&mut self, kind: TokenKind, tail: &[u8]) {
        match kind {
            TokenKind::ObjectBegin => {
                self.begin(Node::Object { mask: 0, end: 0 }, Next::FirstKeyOrEnd)
            }
            TokenKind::ArrayBegin => {
                self.begin(Node::Array { len: 0, end: 0 }, Next::FirstElementOrEnd);
            }
            TokenKind::ObjectEnd => match self.frames.last() {
                Some(Frame {
                    next: Next::FirstKeyOrEnd | Next::CommaOrObjectEnd,
                    ..
                }) => self.end(tail),
                _ => self.misplaced(),
            },
            TokenKind::ArrayEnd => match self.frames.last() {
                Some(Frame {
                    next: Next::FirstElementOrEnd | Next::CommaOrArrayEnd,
                    ..
                }) => self.end(tail),
                _ => self.misplaced(),
            },
            TokenKind::Colon => match self.frames.last_mut() {
                Some(frame) if frame.next == Next::Colon => frame.next = Next::Value,
                _ => self.misplaced(),
            },
            TokenKind::Comma => match self.frames.last_mut() {
                Some(frame) if frame.next == Next::CommaOrObjectEnd => frame.next = Next::Key,
                Some(frame) if frame.next == Next::CommaOrArrayEnd => frame.next = Next::Element,
                _ => self.misplaced(),
            },
            TokenKind::Number | TokenKind::Keyword | TokenKind::String => {}
        }
    }

    #[cold]
    fn misplaced(&mut self) {
        if self.expects_value() {
            self.fail("expecting value");
        }
    }

    #[inline]
    fn begin(&mut self, node: Node, next: Next) {
        if !self.expects_value() {
            return;
        }
        self.frames.push(Frame {
            node: self.nodes.len() as u32,
            key: 0,
            n_children: 0,
            mask: 0,
            next,
            keys: None,
        });
        self.nodes.push(node);
    }

    #[inline]
    fn end(&mut self, tail: &[u8]) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        let after = self.nodes.len() as u32;
        match self.nodes.get_mut(frame.node as usize) {
            Some(Node::Object { mask, end }) => {
                *mask = frame.mask;
                *end = after;
            }
            Some(Node::Array { len, end }) => {
                *len = frame.n_children;
                *end = after;
            }
            _ => {}
        }
        self.value_done(tail);
    }

    #[inline]
    fn value_done(&mut self, tail: &[u8]) {
        let Some(frame) = self.frames.last_mut() else {
            return;
        };
        match frame.next {
            Next::Value => {
                frame.next = Next::CommaOrObjectEnd;
                frame.n_children += 1;
            }
            Next::FirstElementOrEnd | Next::Element => {
                frame.next = Next::CommaOrArrayEnd;
                frame.n_children += 1;
                return;
            }
            Next::FirstKeyOrEnd
            | Next::Key
            | Next::Colon
            | Next::CommaOrObjectEnd
            | Next::CommaOrArrayEnd => return,
        }
        if self.duplicate_key(tail) {
            self.fail("duplicate key");
        }
    }

    /// Whether the key of the member that is now complete was there before.
    ///
    /// Looked for only here, since a mistake in the value comes first.
    #[inline]
    fn duplicate_key(&mut self, tail: &[u8]) -> bool {
        let Some(frame) = self.frames.last_mut() else {
            return false;
        };
        let Some(&Node::String { start, len }) = self.nodes.get(frame.key as usize) else {
            return false;
        };
        let text = Text {
            text: &self.text,
            tail,
        };
        let key = text.at(start, len);
        let bit = key_bit(key);
        let maybe = frame.mask & bit != 0;
        frame.mask |= bit;
        if frame.n_children < MAX_SCANNED && !maybe {
            return false;
        }
        let keys = match &mut frame.keys {
            Some(keys) => keys,
            None if frame.n_children < MAX_SCANNED => {
                return has_key(&self.nodes, text, frame.node, frame.key, key);
            }
            None => {
                let earlier = keys_before(&self.nodes, frame.node, frame.key)
                    .map(|(start, len)| self.hasher.hash_one(text.at(start, len)))
                    .collect();
                frame.keys.insert(earlier)
            }
        };
        // Two keys with one 64-bit hash, from a secret seed, are compared to be sure.
        !keys.insert(self.hasher.hash_one(key))
            && has_key(&self.nodes, text, frame.node, frame.key, key)
    }
}

/// The text so far and the part of the source that is not copied yet, as one.
#[derive(Clone, Copy)]
struct Text<'a> {
    text: &'a [u8],
    tail: &'a [u8],
}

impl<'a> Text<'a> {
    /// A range of either part; none spans both.
    fn at(self, start: u32, len: u32) -> &'a [u8] {
        let (start, len) = (start as usize, len as usize);
        match start.checked_sub(self.text.len()) {
            Some(start) => self.tail.get(start..start + len),
            None => self.text.get(start..start + len),
        }
        .unwrap_or(&[])
    }
}

/// The keys of the object at `object` that stand before the entry `last`.
fn keys_before(nodes: &[Node], object: u32, last: u32) -> impl Iterator<Item = (u32, u32)> {
    let mut index = object as usize + 1;
    std::iter::from_fn(move || {
        if index >= last as usize {
            return None;
        }
        let key = match nodes.get(index)? {
            Node::String { start, len } => (*start, *len),
            _ => return None,
        };
        index += 1;
        index = match nodes.get(index)? {
            Node::Array { end, .. } | Node::Object { end, .. } => *end as usize,
            Node::Null
            | Node::Bool(_)
            | Node::Int(_)
            | Node::UInt(_)
            | Node::Double(_)
            | Node::String { .. } => index + 1,
        };
        Some(key)
    })
}

#[cold]
fn has_key(nodes: &[Node], text: Text<'_>, object: u32, last: u32, key: &[u8]) -> bool {
    keys_before(nodes, object, last).any(|(start, len)| text.at(start, len) == key)
}
