//! Character devices that keep what is written to them in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use base64::{Engine as _, alphabet};
use qapi_runtime::Error;

use crate::net::log::Log;
use crate::qapi::DataFormat;
use crate::sync::Mutex;

/// The largest buffer.
const MAX_SIZE: usize = 1 << 30;

/// The bytes that were written last.
pub(crate) struct Ringbuf {
    size: usize,
    bytes: Mutex<VecDeque<u8>>,
    log: Option<Arc<Log>>,
}

impl Ringbuf {
    pub(super) fn new(size: i64, log: Option<Arc<Log>>) -> Result<Self, Error> {
        let size = usize::try_from(size)
            .ok()
            .filter(|size| size.is_power_of_two())
            .ok_or_else(|| Error::generic("size of ringbuf chardev must be power of two"))?;
        if size > MAX_SIZE {
            return Err(Error::generic(format!(
                "size of ringbuf chardev must not be larger than {MAX_SIZE}"
            )));
        }
        Ok(Self {
            size,
            bytes: Mutex::default(),
            log,
        })
    }

    /// `ringbuf-write`
    pub(crate) fn write(&self, data: &str, format: Option<&DataFormat>) -> Result<(), Error> {
        let decoded = match format {
            Some(DataFormat::Base64) => decode(data)?,
            Some(DataFormat::Utf8 | DataFormat::Unknown(_)) | None => data.as_bytes().to_vec(),
        };
        self.push(&decoded);
        Ok(())
    }

    /// The same for a front end. Only that is in the log.
    pub(super) fn send(&self, bytes: &[u8]) {
        self.push(bytes);
        if let Some(log) = &self.log {
            log.add(bytes);
        }
    }

    /// Keeps bytes, for which the oldest make room.
    fn push(&self, new: &[u8]) {
        let mut bytes = self.bytes.lock();
        bytes.extend(new);
        let surplus = bytes.len().saturating_sub(self.size);
        bytes.drain(..surplus);
    }

    /// `ringbuf-read`
    pub(crate) fn read(&self, size: i64, format: Option<&DataFormat>) -> Result<String, Error> {
        let size = usize::try_from(size).unwrap_or(0);
        if size == 0 {
            return Err(Error::generic("size must be greater than zero"));
        }
        let mut bytes = self.bytes.lock();
        let count = size.min(bytes.len());
        let taken: Vec<u8> = bytes.drain(..count).collect();
        drop(bytes);
        Ok(match format {
            Some(DataFormat::Base64) => BASE64_STANDARD.encode(taken),
            Some(DataFormat::Utf8 | DataFormat::Unknown(_)) | None => {
                String::from_utf8_lossy(&taken).into_owned()
            }
        })
    }
}

/// Takes what QEMU takes: breaks between lines, and an incomplete group at the end, which is dropped.
fn decode(data: &str) -> Result<Vec<u8>, Error> {
    let is_symbol = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=\n".contains(&byte);
    if !data.bytes().all(is_symbol) {
        return Err(Error::generic("Base64 data contains invalid characters"));
    }
    let mut symbols: Vec<u8> = data.bytes().filter(|byte| *byte != b'\n').collect();
    symbols.truncate(symbols.len() / 4 * 4);
    // The last group may have bits that no byte is made of.
    let lenient = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&alphabet::STANDARD, lenient)
        .decode(symbols)
        .map_err(|error| Error::generic(format!("Base64 data is not valid: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_taken_as_qemu_takes_it() {
        // Observed on QEMU 10.0.2.
        for (data, bytes) in [
            ("", ""),
            ("a", ""),
            ("aGVsbG8", "hel"),
            ("aGVs\nbG8=", "hello"),
        ] {
            assert_eq!(decode(data).unwrap(), bytes.as_bytes(), "{data:?}");
        }
        for data in ["!!", "\u{e9}", "aGVs bG8="] {
            let error = decode(data).unwrap_err();
            assert_eq!(error.desc, "Base64 data contains invalid characters");
        }
        assert!(decode("aG=VsbG8").is_err());
    }

    #[test]
    fn the_oldest_bytes_make_room() {
        let ringbuf = Ringbuf::new(8, None).unwrap();
        ringbuf.write("abcdefgh", None).unwrap();
        ringbuf.write("aWo=", Some(&DataFormat::Base64)).unwrap();
        assert_eq!(ringbuf.read(3, None).unwrap(), "cde");
        let rest = ringbuf.read(100, Some(&DataFormat::Base64)).unwrap();
        assert_eq!(rest, BASE64_STANDARD.encode("fghij"));
        assert_eq!(ringbuf.read(1, None).unwrap(), "");
        assert!(ringbuf.read(0, None).is_err());
        assert!(ringbuf.write("?", Some(&DataFormat::Base64)).is_err());
        assert!(Ringbuf::new(1000, None).is_err());
        assert!(Ringbuf::new(-8, None).is_err());
        assert!(Ringbuf::new(1 << 40, None).is_err());
    }
}
