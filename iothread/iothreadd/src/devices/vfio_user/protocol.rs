//! Messages of vfio-user. Numbers are in the host's order of bytes.

use qapi_runtime::json::Document;
use thiserror::Error;

/// The length of a header.
pub(super) const HEADER: usize = 16;

/// The longest message that is taken.
pub(super) const MAX_MESSAGE: usize = (1 << 20) + 4096;

/// The version of the protocol.
const MAJOR: u16 = 0;
const MINOR: u16 = 1;

/// What the server may make use of.
const CAPABILITIES: &str = "{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576,\
                            \"migration\":{\"pgsize\":4096}}}\0";

/// The bits of the flags that tell a reply from a command.
const TYPE_MASK: u32 = 0xf;
const TYPE_REPLY: u32 = 1;
/// A reply is not waited for.
const NO_REPLY: u32 = 1 << 4;
/// The reply says only why there is no result.
const ERROR: u32 = 1 << 5;

/// The device is one of PCI.
const DEVICE_IS_PCI: u32 = 1 << 1;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Version = 1,
    DeviceGetInfo = 4,
    DeviceGetRegionInfo = 5,
    RegionRead = 9,
}

/// What the server has sent that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum ProtocolError {
    #[error("message of {0} bytes")]
    Length(u32),
    #[error("reply of {length} bytes to {command:?}")]
    ReplyLength { command: Command, length: usize },
    #[error("incompatible server version {major}.{minor}")]
    Version { major: u16, minor: u16 },
    #[error("capabilities of the server are not a JSON object")]
    Capabilities,
    #[error("no PCI device")]
    NoPciDevice,
}

/// The start of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u16,
    command: u16,
    /// Bytes of the whole message.
    pub(super) size: u32,
    flags: u32,
    error: u32,
}

impl Header {
    /// Reads the header of a message; `None` if there is not enough of it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, ProtocolError> {
        let Some(bytes) = bytes.get(..HEADER) else {
            return Ok(None);
        };
        let header = Self {
            id: short_at(bytes, 0),
            command: short_at(bytes, 2),
            size: word_at(bytes, 4),
            flags: word_at(bytes, 8),
            error: word_at(bytes, 12),
        };
        let size = usize::try_from(header.size).unwrap_or(usize::MAX);
        if !(HEADER..=MAX_MESSAGE).contains(&size) {
            return Err(ProtocolError::Length(header.size));
        }
        Ok(Some(header))
    }

    pub(super) fn is_reply(&self) -> bool {
        self.flags & TYPE_MASK == TYPE_REPLY
    }

    pub(super) fn wants_reply(&self) -> bool {
        !self.is_reply() && self.flags & NO_REPLY == 0
    }

    /// Number of the error that the reply stands for.
    pub(super) fn error(&self) -> Option<u32> {
        (self.flags & ERROR != 0).then_some(self.error)
    }

    /// The reply to a command that is not carried out.
    pub(super) fn refusal(&self, error: u32) -> Vec<u8> {
        let flags = TYPE_REPLY | ERROR;
        encode(self.id, self.command, flags, error, &[])
    }
}

/// A command with what goes with it.
pub(super) fn request(id: u16, command: Command, payload: &[u8]) -> Vec<u8> {
    encode(id, command as u16, 0, 0, payload)
}

fn encode(id: u16, command: u16, flags: u32, error: u32, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(HEADER + payload.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend_from_slice(&id.to_ne_bytes());
    bytes.extend_from_slice(&command.to_ne_bytes());
    for word in [size, flags, error] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// The proposal of a version.
pub(super) fn version() -> Vec<u8> {
    let mut payload = MAJOR.to_ne_bytes().to_vec();
    payload.extend_from_slice(&MINOR.to_ne_bytes());
    payload.extend_from_slice(CAPABILITIES.as_bytes());
    payload
}

/// Checks what the server has made of the proposal.
pub(super) fn check_version(payload: &[u8]) -> Result<(), ProtocolError> {
    let payload = at_least(Command::Version, payload, 4)?;
    let (major, minor) = (short_at(payload, 0), short_at(payload, 2));
    if major != MAJOR || minor > MINOR {
        return Err(ProtocolError::Version { major, minor });
    }
    // They may be left out.
    let Some(text) = payload[4..].strip_suffix(b"\0") else {
        return match payload.len() {
            4 => Ok(()),
            _ => Err(ProtocolError::Capabilities),
        };
    };
    match Document::parse(text) {
        Ok(document) if document.root().to_value().as_object().is_some() => Ok(()),
        Ok(_) | Err(_) => Err(ProtocolError::Capabilities),
    }
}

/// What the question about the device consists of, and its answer.
pub(super) fn device_info() -> Vec<u8> {
    words(&[16, 0, 0, 0])
}

/// The number of regions of a PCI device.
pub(super) fn parse_device_info(payload: &[u8]) -> Result<u32, ProtocolError> {
    let payload = at_least(Command::DeviceGetInfo, payload, 16)?;
    match word_at(payload, 4) & DEVICE_IS_PCI {
        0 => Err(ProtocolError::NoPciDevice),
        _ => Ok(word_at(payload, 8)),
    }
}

/// What a region of a device is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RegionInfo {
    pub(super) flags: u32,
    pub(super) size: u64,
}

pub(super) fn region_info(index: u32) -> Vec<u8> {
    let mut payload = words(&[32, 0, index, 0]);
    payload.extend_from_slice(&[0; 16]);
    payload
}

pub(super) fn parse_region_info(payload: &[u8]) -> Result<RegionInfo, ProtocolError> {
    let payload = at_least(Command::DeviceGetRegionInfo, payload, 32)?;
    Ok(RegionInfo {
        flags: word_at(payload, 4),
        size: long_at(payload, 16),
    })
}

pub(super) fn region_read(region: u32, offset: u64, count: u32) -> Vec<u8> {
    let mut payload = offset.to_ne_bytes().to_vec();
    payload.extend_from_slice(&words(&[region, count]));
    payload
}

/// The bytes that were read.
pub(super) fn parse_region_read(payload: &[u8], count: u32) -> Result<&[u8], ProtocolError> {
    let wanted = 16 + usize::try_from(count).unwrap_or(usize::MAX - 16);
    let payload = at_least(Command::RegionRead, payload, wanted)?;
    Ok(&payload[16..wanted])
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn at_least(command: Command, payload: &[u8], length: usize) -> Result<&[u8], ProtocolError> {
    match payload.len() >= length {
        true => Ok(payload),
        false => Err(ProtocolError::ReplyLength {
            command,
            length: HEADER + payload.len(),
        }),
    }
}

/// A number; zero beyond the end, which the callers have checked.
fn short_at(bytes: &[u8], at: usize) -> u16 {
    let found = bytes.get(at..at + 2).and_then(|it| it.try_into().ok());
    u16::from_ne_bytes(found.unwrap_or_default())
}

fn word_at(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..at + 4).and_then(|it| it.try_into().ok());
    u32::from_ne_bytes(found.unwrap_or_default())
}

fn long_at(bytes: &[u8], at: usize) -> u64 {
    let found = bytes.get(at..at + 8).and_then(|it| it.try_into().ok());
    u64::from_ne_bytes(found.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let message = request(7, Command::RegionRead, &region_read(7, 0, 4));
        let header = Header::parse(&message).unwrap().unwrap();
        assert_eq!(header.size, 32);
        assert!(header.wants_reply());
        let refusal = header.refusal(38);
        let header = Header::parse(&refusal).unwrap().unwrap();
        assert!(header.is_reply());
        assert_eq!((header.id, header.error()), (7, Some(38)));
        assert_eq!(Header::parse(&refusal[..15]), Ok(None));
        let mut wrong = refusal;
        wrong[4..8].copy_from_slice(&15_u32.to_ne_bytes());
        assert_eq!(Header::parse(&wrong), Err(ProtocolError::Length(15)));
    }

    #[test]
    fn versions() {
        let reply = |major: u16, minor: u16, text: &str| {
            let mut payload = major.to_ne_bytes().to_vec();
            payload.extend_from_slice(&minor.to_ne_bytes());
            payload.extend_from_slice(text.as_bytes());
            check_version(&payload)
        };
        assert_eq!(check_version(&version()), Ok(()));
        assert_eq!(reply(0, 0, ""), Ok(()));
        assert_eq!(reply(0, 1, "{}\0"), Ok(()));
        assert_eq!(reply(0, 1, "{}"), Err(ProtocolError::Capabilities));
        assert_eq!(reply(0, 1, "[]\0"), Err(ProtocolError::Capabilities));
        let version = ProtocolError::Version { major: 1, minor: 0 };
        assert_eq!(reply(1, 0, "{}\0"), Err(version));
        assert!(check_version(&[0, 0]).is_err());
    }

    #[test]
    fn answers_that_are_too_short_are_refused() {
        for length in 0..16 {
            assert!(parse_device_info(&vec![0; length]).is_err());
        }
        assert_eq!(
            parse_device_info(&words(&[16, 1, 9, 5])),
            Err(ProtocolError::NoPciDevice)
        );
        assert_eq!(parse_device_info(&words(&[16, 3, 9, 5])), Ok(9));
        assert!(parse_region_info(&[0; 31]).is_err());
        assert!(parse_region_read(&[0; 19], 4).is_err());
        assert!(parse_region_read(&[0; 20], u32::MAX).is_err());
        assert_eq!(parse_region_read(&[0; 20], 4), Ok(&[0; 4][..]));
    }
}
