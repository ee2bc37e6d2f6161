//! The common case of the parser: a value that is well formed, complete in one piece, and whose
//! strings are ASCII without escapes.
//!
//! Gives up on anything else; the token-wise parser then starts over and is the one that decides.

use super::Node;
use super::document::{Document, key_bit};
use super::number::parse_number;
use super::scan::{scan_word, skip_plain, skip_space};

/// An open container.
#[derive(Clone, Copy, Debug)]
struct Frame {
    node: usize,
    /// 1 + the number of elements; 0 for an object.
    array_len: u32,
    n_members: u32,
    mask: u64,
}

/// Reused memory.
#[derive(Debug, Default)]
pub(super) struct FastParser {
    stack: Vec<Frame>,
}

/// With so many members before it a key that may be a duplicate is left to the token-wise parser, which has a table of keys.
const MAX_COMPARED: u32 = 32;

/// What comes next.
#[derive(Clone, Copy)]
enum Next {
    Value,
    Key,
    /// A value is complete.
    After,
}

impl FastParser {
    pub(super) fn memory(&self) -> usize {
        self.stack.capacity() * size_of::<Frame>()
    }

    /// Parses the value at the start of `bytes` into `document`; its length.
    ///
    /// `bytes` is cut to what the limits on size and tokens allow, so that only nesting is
    /// counted here.
    pub(super) fn parse(
        &mut self,
        bytes: &[u8],
        nesting: usize,
        document: &mut Document,
    ) -> Option<usize> {
        document.nodes.clear();
        self.stack.clear();
        let end = self.parse_nodes(bytes, nesting, &mut document.nodes)?;
        let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
        document.text.clear();
        document.text.push_str(text);
        Some(end)
    }

    fn parse_nodes(
        &mut self,
        bytes: &[u8],
        nesting: usize,
        nodes: &mut Vec<Node>,
    ) -> Option<usize> {
        // Top-level values other than containers end where a limit or an error may be.
        if !matches!(bytes.first(), Some(b'{' | b'[')) {
            return None;
        }
        let mut frame = Frame {
            node: 0,
            array_len: 0,
            n_members: 0,
            mask: 0,
        };
        let mut at = 0;
        let mut next = Next::Value;
        loop {
            match next {
                Next::Value => {
                    at = skip_space(bytes, at);
                    next = Next::After;
                    let byte = *bytes.get(at)?;
                    match byte {
                        b'"' | b'\'' => {
                            let end = skip_plain(bytes, at + 1, byte);
                            if *bytes.get(end)? != byte {
                                return None;
                            }
                            nodes.push(string_node(at + 1, end));
                            at = end + 1;
                        }
                        b'{' | b'[' => {
                            if self.stack.len() >= nesting {
                                return None;
                            }
                            self.stack.push(frame);
                            frame = Frame {
                                node: nodes.len(),
                                array_len: u32::from(byte == b'['),
                                n_members: 0,
                                mask: 0,
                            };
                            at = skip_space(bytes, at + 1);
                            if byte == b'{' {
                                nodes.push(Node::Object { mask: 0, end: 0 });
                                if *bytes.get(at)? != b'}' {
                                    next = Next::Key;
                                }
                            } else {
                                nodes.push(Node::Array { len: 0, end: 0 });
                                if *bytes.get(at)? != b']' {
                                    frame.array_len += 1;
                                    next = Next::Value;
                                }
                            }
                            if matches!(next, Next::After) {
                                at += 1;
                                self.close(&mut frame, nodes);
                            }
                        }
                        _ => {
                            let (end, node) = scalar(bytes, at)?;
                            nodes.push(node);
                            at = end;
                        }
                    }
                }
                Next::Key => {
                    at = skip_space(bytes, at);
                    let quote = *bytes.get(at)?;
                    if quote != b'"' && quote != b'\'' {
                        return None;
                    }
                    let end = skip_plain(bytes, at + 1, quote);
                    if *bytes.get(end)? != quote {
                        return None;
                    }
                    let key = bytes.get(at + 1..end)?;
                    let bit = key_bit(key);
                    if frame.mask & bit != 0
                        && (frame.n_members >= MAX_COMPARED
                            || has_key(bytes, nodes, frame.node, key))
                    {
                        return None;
                    }
                    frame.mask |= bit;
                    frame.n_members += 1;
                    nodes.push(string_node(at + 1, end));
                    at = skip_space(bytes, end + 1);
                    if *bytes.get(at)? != b':' {
                        return None;
                    }
                    at += 1;
                    next = Next::Value;
                }
                Next::After => {
                    if self.stack.is_empty() {
                        return Some(at);
                    }
                    at = skip_space(bytes, at);
                    match (*bytes.get(at)?, frame.array_len) {
                        (b',', 0) => next = Next::Key,
                        (b',', _) => {
                            frame.array_len += 1;
                            next = Next::Value;
                        }
                        (b'}', 0) => self.close(&mut frame, nodes),
                        (b']', 1..) => self.close(&mut frame, nodes),
                        _ => return None,
                    }
                    at += 1;
                }
            }
        }
    }

    #[inline]
    fn close(&mut self, frame: &mut Frame, nodes: &mut [Node]) {
        let after = nodes.len() as u32;
        if let Some(node) = nodes.get_mut(frame.node) {
            *node = match frame.array_len {
                0 => Node::Object {
                    mask: frame.mask,
                    end: after,
                },
                len => Node::Array {
                    len: len - 1,
                    end: after,
                },
            };
        }
        if let Some(parent) = self.stack.pop() {
            *frame = parent;
        }
    }
}

#[inline]
fn string_node(start: usize, end: usize) -> Node {
    Node::String {
        start: start as u32,
        len: (end - start) as u32,
    }
}

#[inline]
fn scalar(bytes: &[u8], at: usize) -> Option<(usize, Node)> {
    let rest = bytes.get(at..)?;
    let (len, node) = match rest {
        [b'1'..=b'9', ..] => return integer(bytes, at),
        [b't', b'r', b'u', b'e', ..] => (4, Node::Bool(true)),
        [b'f', b'a', b'l', b's', b'e', ..] => (5, Node::Bool(false)),
        [b'n', b'u', b'l', b'l', ..] => (4, Node::Null),
        [b'0' | b'-', ..] => return number(bytes, at),
        _ => return None,
    };
    // A longer word is a mistake, and a word at the end may become one.
    if rest.get(len)?.is_ascii_lowercase() {
        return None;
    }
    Some((at + len, node))
}

/// Digits that fit `i64` in any case.
const SHORT_INTEGER: usize = 18;

/// A number that begins with a digit other than 0; mostly a short integer.
#[inline]
fn integer(bytes: &[u8], start: usize) -> Option<(usize, Node)> {
    let mut value = 0;
    let mut at = start;
    loop {
        let byte = *bytes.get(at)?;
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            if matches!(byte, b'.' | b'e' | b'E') {
                return number(bytes, start);
            }
            return Some((at, Node::Int(value)));
        }
        if at - start == SHORT_INTEGER {
            return number(bytes, start);
        }
        value = value * 10 + i64::from(digit);
        at += 1;
    }
}

fn number(bytes: &[u8], start: usize) -> Option<(usize, Node)> {
    let (end, _) = scan_word(bytes, start)?;
    Some((end, parse_number(bytes.get(start..end)?)))
}

/// Whether the object at `object`, which is still open, has the key.
#[cold]
fn has_key(bytes: &[u8], nodes: &[Node], object: usize, key: &[u8]) -> bool {
    let mut index = object + 1;
    while let Some(Node::String { start, len }) = nodes.get(index) {
        let start = *start as usize;
        if bytes.get(start..start + *len as usize) == Some(key) {
            return true;
        }
        index = match nodes.get(index + 1) {
            Some(Node::Array { end, .. } | Node::Object { end, .. }) => *end as usize,
            _ => index + 2,
        };
    }
    false
}
