//! Strings: decoding of tokens, and text for error messages.
//!
//! The encoding is UTF-8 with three differences: noncharacters are refused like surrogates, the
//! overlong pair `C0 80` stands for U+0000, and a decoding error covers all bytes that its lead
//! byte claims as far as they are continuation bytes.

/// Why a string token has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StringError {
    /// A byte sequence that encodes no character.
    Utf8,
    /// A backslash before something that it does not escape.
    Escape,
    /// `\u` with something that is not a character; the text of the escape as it was written.
    Unicode(Vec<u8>),
}

/// Decodes one character; the number of bytes it takes, and the character if they encode one.
fn decode_char(bytes: &[u8]) -> (usize, Option<char>) {
    let Some(&lead) = bytes.first() else {
        return (0, None);
    };
    if lead < 0x80 {
        return (1, Some(char::from(lead)));
    }
    let len = lead.leading_ones() as usize;
    if len == 1 || len > 6 {
        return (1, None);
    }
    let mut code = u32::from(lead) & ((0x80 >> len) - 1);
    for index in 1..len {
        match bytes.get(index) {
            Some(&byte) if byte & 0xc0 == 0x80 => code = (code << 6) | u32::from(byte & 0x3f),
            _ => return (index, None),
        }
    }
    let minimum = [0x80, 0x800, 0x1_0000, 0x20_0000, 0x400_0000][len - 2];
    let overlong = code < minimum && !(code == 0 && len == 2);
    (len, valid_char(code).filter(|_| !overlong))
}

/// The character with this code point, unless it is a surrogate or a noncharacter.
fn valid_char(code: u32) -> Option<char> {
    let noncharacter = (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe;
    char::from_u32(code).filter(|_| !noncharacter)
}

/// Text for a message: ends at the first NUL byte, and each wrong sequence is one U+FFFD.
pub(super) fn lossy(bytes: &[u8]) -> String {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or(bytes);
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let (len, char) = decode_char(rest);
        text.push(char.unwrap_or(char::REPLACEMENT_CHARACTER));
        rest = rest.get(len.max(1)..).unwrap_or(&[]);
    }
    text
}

fn hex4(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.get(..4)?;
    digits.iter().try_fold(0, |code, byte| {
        Some((code << 4) | char::from(*byte).to_digit(16)?)
    })
}

/// Appends the value of a string token, given without its quotes, to `out` as UTF-8.
///
/// `quote` is the closing quote; it shows in the message about an escape that is cut short.
pub(super) fn decode_string(
    content: &[u8],
    quote: u8,
    out: &mut Vec<u8>,
) -> Result<(), StringError> {
    let mut rest = content;
    let mut utf8 = [0; 4];
    while let Some(&byte) = rest.first() {
        if byte != b'\\' {
            if byte < 0x80 {
                out.push(byte);
                rest = &rest[1..];
                continue;
            }
            let (len, char) = decode_char(rest);
            let char = char.ok_or(StringError::Utf8)?;
            out.extend_from_slice(char.encode_utf8(&mut utf8).as_bytes());
            rest = &rest[len..];
            continue;
        }
        let plain = match rest.get(1) {
            Some(&escaped @ (b'"' | b'\'' | b'\\' | b'/')) => escaped,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let (len, code) = unicode_escape(rest);
                let Some(char) = code.and_then(valid_char) else {
                    let mut written = rest.get(..len).unwrap_or(rest).to_vec();
                    if len > rest.len() {
                        written.push(quote);
                    }
                    return Err(StringError::Unicode(written));
                };
                out.extend_from_slice(char.encode_utf8(&mut utf8).as_bytes());
                rest = &rest[len..];
                continue;
            }
            _ => return Err(StringError::Escape),
        };
        out.push(plain);
        rest = &rest[2..];
    }
    Ok(())
}

/// Length and code point of the escape at the start of `text`, a pair of surrogates taken as one.
fn unicode_escape(text: &[u8]) -> (usize, Option<u32>) {
    let first = text.get(2..).and_then(hex4);
    let Some(lead @ 0xd800..=0xdbff) = first else {
        return (6, first);
    };
    if text.get(6..8) != Some(b"\\u") {
        return (6, first);
    }
    match text.get(8..).and_then(hex4) {
        Some(trail @ 0xdc00..=0xdfff) => {
            (12, Some(0x1_0000 + ((lead & 0x3ff) << 10 | trail & 0x3ff)))
        }
        _ => (6, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(content: &[u8]) -> Result<String, StringError> {
        let mut out = Vec::new();
        decode_string(content, b'"', &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn escapes_decode() {
        assert_eq!(
            decode(br#"\"\'\\\/\b\f\n\r\t\u0041\ud83d\ude00\u0000"#).unwrap(),
            "\"'\\/\u{8}\u{c}\n\r\tA\u{1f600}\0"
        );
        assert_eq!(decode(b"\xc0\x80").unwrap(), "\0");
    }

    #[test]
    fn wrong_escapes_are_named() {
        assert_eq!(decode(br"\x"), Err(StringError::Escape));
        assert_eq!(
            decode(br"\u1"),
            Err(StringError::Unicode(br#"\u1""#.to_vec()))
        );
        assert_eq!(
            decode(br"\ud83f\udfff"),
            Err(StringError::Unicode(br"\ud83f\udfff".to_vec()))
        );
        assert_eq!(
            decode(br"\ud83d\u0041"),
            Err(StringError::Unicode(br"\ud83d".to_vec()))
        );
    }

    #[test]
    fn wrong_utf8_is_refused_and_shown() {
        for bytes in [
            b"\xc0\xaf".as_slice(),
            b"\xed\xa0\x80",
            b"\xef\xbf\xbf",
            b"\xf4\x90\x80\x80",
            b"\x80",
            b"\xe2\x82",
        ] {
            assert_eq!(decode(bytes), Err(StringError::Utf8), "{bytes:x?}");
            assert_eq!(lossy(bytes), "\u{fffd}");
        }
        assert_eq!(lossy(b"a\0b"), "a");
    }
}
