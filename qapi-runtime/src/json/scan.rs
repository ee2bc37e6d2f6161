//! Fast ways over the bytes of a token.

use super::lexer::{LexState, Step, TokenKind, step};

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The high bit of each byte that ends a run of plain string content: the quote, a backslash, a
/// control character, anything beyond ASCII. Bits above the lowest one may be wrong.
#[inline]
fn special_bytes(word: u64, quote: u8) -> u64 {
    let quotes = word ^ (LOW * u64::from(quote));
    let backslashes = word ^ (LOW * u64::from(b'\\'));
    let zero =
        (quotes.wrapping_sub(LOW) & !quotes) | (backslashes.wrapping_sub(LOW) & !backslashes);
    let control = word.wrapping_sub(LOW * 0x20) & !word;
    (zero | control | word) & HIGH
}

/// The first byte at or after `at` that is no blank.
#[inline]
pub(super) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// The first byte at or after `at` that ends a run of plain string content.
#[inline]
pub(super) fn skip_plain(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let special = special_bytes(u64::from_le_bytes(*chunk), quote);
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte == quote || byte == b'\\' || !(0x20..=0x7f).contains(&byte) {
            break;
        }
        at += 1;
    }
    at
}

/// Where the closing quote of the string that goes on at `at` stands, and whether the content
/// stands for itself; `None` if the string is cut short or wrong.
#[inline]
pub(super) fn scan_string(bytes: &[u8], mut at: usize, quote: u8) -> Option<(usize, bool)> {
    let mut plain = true;
    loop {
        at = skip_plain(bytes, at, quote);
        match *bytes.get(at)? {
            byte if byte == quote => return Some((at, plain)),
            b'\\' => {
                plain = false;
                match bytes.get(at + 1)? {
                    0x20..=0xfd => at += 2,
                    0..=0x1f | 0xfe..=0xff => return None,
                }
            }
            0x80..=0xfd => {
                plain = false;
                at += 1;
            }
            0..=0x7f | 0xfe..=0xff => return None,
        }
    }
}

/// How many of the next bytes are inside of a string for sure.
pub(super) fn scan_string_part(bytes: &[u8], quote: u8) -> usize {
    bytes
        .iter()
        .position(|&byte| byte == quote || byte == b'\\' || !(0x20..=0xfd).contains(&byte))
        .unwrap_or(bytes.len())
}

/// The end of a number or keyword, if it ends inside `bytes` and is well formed.
#[inline]
pub(super) fn scan_word(bytes: &[u8], start: usize) -> Option<(usize, TokenKind)> {
    let first = *bytes.get(start)?;
    let is_keyword = first.is_ascii_lowercase();
    let mut at = start + 1;
    if is_keyword {
        while bytes.get(at)?.is_ascii_lowercase() {
            at += 1;
        }
        return Some((at, TokenKind::Keyword));
    }
    if matches!(first, b'1'..=b'9') {
        while bytes.get(at)?.is_ascii_digit() {
            at += 1;
        }
        if !matches!(bytes.get(at)?, b'.' | b'e' | b'E') {
            return Some((at, TokenKind::Number));
        }
    }
    scan_number(bytes, start)
}

/// The general case of [`scan_word`].
fn scan_number(bytes: &[u8], start: usize) -> Option<(usize, TokenKind)> {
    let mut at = start;
    let mut state = LexState::Start;
    loop {
        match step(state, *bytes.get(at)?) {
            Step::Continue(next) => {
                state = next;
                at += 1;
            }
            Step::Before(kind) => return Some((at, kind)),
            Step::Last(_) | Step::Skip | Step::Restart | Step::Wrong => return None,
        }
    }
}
