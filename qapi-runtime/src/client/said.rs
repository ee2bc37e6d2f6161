//! What a peer says that is not a message of the protocol, for people.

/// Bytes of it that are kept and shown.
const SHOWN: usize = 80;

/// The beginning of what came and was not understood yet.
#[derive(Debug, Default)]
pub(super) struct Said {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Said {
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        let room = SHOWN.saturating_sub(self.bytes.len());
        let kept = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..kept]);
        self.is_cut |= kept < bytes.len();
    }

    /// All of it was a message.
    pub(super) fn understood(&mut self) {
        self.bytes.clear();
        self.is_cut = false;
    }

    /// In quotes, with escapes; nothing if there is nothing but white space.
    pub(super) fn text(&self) -> Option<String> {
        let bytes = self.bytes.trim_ascii();
        if bytes.is_empty() {
            return None;
        }
        let mut text = String::from("'");
        for &byte in bytes {
            match byte {
                b'\n' => text.push_str("\\n"),
                b'\r' => text.push_str("\\r"),
                b'\t' => text.push_str("\\t"),
                b'\\' => text.push_str("\\\\"),
                b' '..=b'~' => text.push(char::from(byte)),
                _ => text.push_str(&format!("\\x{byte:02x}")),
            }
        }
        text.push_str(if self.is_cut { "...'" } else { "'" });
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_escaped_and_cut() {
        let mut said = Said::default();
        assert_eq!(said.text(), None);
        said.hear(b"\r\n ");
        assert_eq!(said.text(), None);
        said.hear(b"a\x1b[2J\xff\\'\n b\r\n");
        assert_eq!(said.text().unwrap(), r"'a\x1b[2J\xff\\'\n b'");
        said.understood();
        said.hear(&[b'x'; 100]);
        assert_eq!(said.text().unwrap(), format!("'{}...'", "x".repeat(80)));
    }
}
