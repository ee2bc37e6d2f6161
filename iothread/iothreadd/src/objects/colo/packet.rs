//! What a packet is about: its connection, and the part that is compared.

use super::frame::Frame;

const ETHERNET_HEADER: usize = 14;
const VLAN_TAG: usize = 4;
const TYPE_VLAN: [u8; 2] = [0x81, 0x00];
const TYPE_IPV4: [u8; 2] = [0x08, 0x00];

const PROTOCOL_TCP: u8 = 6;
/// Protocols that have two ports at the start of their header, beside TCP: UDP, DCCP, ESP, SCTP and UDP-Lite.
const PROTOCOLS_WITH_PORTS: [u8; 5] = [17, 33, 50, 132, 136];

/// The shortest header of TCP.
const TCP_HEADER: usize = 20;

/// Packets with the same are those of one connection in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Tuple {
    source: [u8; 4],
    destination: [u8; 4],
    protocol: u8,
    /// Zero where there are none.
    ports: [u8; 4],
}

/// A packet that can be compared.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) frame: Frame,
    pub(super) tuple: Tuple,
    /// Where in the frame that begins which has to be equal.
    start: usize,
    /// Where it ends; the frame may be padded.
    end: usize,
    /// Absent for other protocols.
    pub(super) tcp: Option<Tcp>,
}

/// What TCP says about its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tcp {
    /// Number of the first byte.
    pub(super) sequence: u32,
    /// All bytes before this number have been received.
    pub(super) acknowledged: u32,
}

impl Packet {
    /// Looks into a frame; `None` unless it is a whole IPv4 packet.
    pub(super) fn parse(frame: Frame) -> Option<Self> {
        let data = &frame.data;
        let ethernet = frame.header_length;
        let type_at = |at: usize| data.get(at..at + 2).and_then(|it| it.try_into().ok());
        let mut network = ethernet + ETHERNET_HEADER;
        let mut kind: [u8; 2] = type_at(network - 2)?;
        if kind == TYPE_VLAN {
            network += VLAN_TAG;
            kind = type_at(network - 2)?;
        }
        let ip = data.get(network..network + 20)?;
        if kind != TYPE_IPV4 || ip[0] >> 4 != 4 {
            return None;
        }
        let header = usize::from(ip[0] & 0xf) * 4;
        let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
        if header < 20 || total < header || network + total > data.len() {
            return None;
        }
        let protocol = ip[9];
        let transport = network + header;
        let end = network + total;
        let four = |at: usize| -> Option<[u8; 4]> { data.get(at..at + 4)?.try_into().ok() };
        let is_later_fragment = u16::from_be_bytes([ip[6], ip[7]]) & 0x1fff != 0;
        let has_ports = protocol == PROTOCOL_TCP || PROTOCOLS_WITH_PORTS.contains(&protocol);
        let ports = match has_ports && !is_later_fragment && transport + 4 <= end {
            true => four(transport)?,
            false => [0; 4],
        };
        let tuple = Tuple {
            source: four(network + 12)?,
            destination: four(network + 16)?,
            protocol,
            ports,
        };
        let tcp = match protocol == PROTOCOL_TCP && !is_later_fragment {
            true => Some(parse_tcp(data.get(transport..end)?)?),
            false => None,
        };
        let start = match tcp {
            Some((_, header)) => transport + header,
            None => transport,
        };
        Some(Self {
            tuple,
            start,
            end,
            tcp: tcp.map(|(tcp, _)| tcp),
            frame,
        })
    }

    /// What has to be equal: the data of TCP, or all after the IP header.
    pub(super) fn payload(&self) -> &[u8] {
        self.frame
            .data
            .get(self.start..self.end)
            .unwrap_or_default()
    }

    /// Number of the byte after the last one.
    pub(super) fn sequence_end(&self) -> u32 {
        let length = u32::try_from(self.end - self.start).unwrap_or(0);
        let sequence = self.tcp.map_or(0, |tcp| tcp.sequence);
        sequence.wrapping_add(length)
    }
}

/// The numbers, and the length of the header.
fn parse_tcp(segment: &[u8]) -> Option<(Tcp, usize)> {
    let number = |at: usize| -> Option<u32> {
        let bytes = segment.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    };
    let header = usize::from(*segment.get(12)? >> 4) * 4;
    if header < TCP_HEADER || header > segment.len() {
        return None;
    }
    let tcp = Tcp {
        sequence: number(4)?,
        acknowledged: number(8)?,
    };
    Some((tcp, header))
}

/// Whether a number of TCP is after another, as they wrap around.
pub(super) fn is_after(number: u32, other: u32) -> bool {
    other.wrapping_sub(number) > u32::MAX / 2
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A frame with an IPv4 packet from port 1 to `port`.
    pub(crate) fn frame(protocol: u8, port: u8, transport: &[u8]) -> Frame {
        let mut data = vec![0; 12];
        data.extend_from_slice(&TYPE_IPV4);
        let total = u16::try_from(20 + 4 + transport.len())
            .unwrap()
            .to_be_bytes();
        data.extend_from_slice(&[0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, protocol, 0, 0]);
        data.extend_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, port]);
        data.extend_from_slice(transport);
        Frame {
            data,
            header_length: 0,
        }
    }

    /// A frame with a segment of TCP.
    pub(crate) fn segment(sequence: u32, acknowledged: u32, payload: &[u8]) -> Frame {
        let mut transport = Vec::new();
        transport.extend_from_slice(&sequence.to_be_bytes());
        transport.extend_from_slice(&acknowledged.to_be_bytes());
        transport.extend_from_slice(&[0x50, 0x10, 0, 0, 0, 0, 0, 0]);
        transport.extend_from_slice(payload);
        frame(PROTOCOL_TCP, 80, &transport)
    }

    #[test]
    fn connections_are_told_apart() {
        let tuple = |frame| Packet::parse(frame).unwrap().tuple;
        assert_eq!(tuple(frame(17, 5, b"x")), tuple(frame(17, 5, b"other")));
        assert_ne!(tuple(frame(17, 5, b"x")), tuple(frame(17, 6, b"x")));
        assert_ne!(tuple(frame(17, 5, b"x")), tuple(frame(132, 5, b"x")));
        // ICMP has no ports.
        assert_eq!(tuple(frame(1, 5, b"x")), tuple(frame(1, 6, b"x")));
    }

    #[test]
    fn padding_is_not_compared() {
        let mut padded = segment(7, 9, b"data");
        padded.data.extend_from_slice(&[0; 20]);
        let packet = Packet::parse(padded).unwrap();
        assert_eq!(packet.payload(), b"data");
        assert_eq!(packet.sequence_end(), 11);
    }

    #[test]
    fn a_tag_and_a_header_are_skipped() {
        let mut tagged = frame(17, 5, b"x");
        tagged.data.splice(12..12, [0x81, 0, 0, 1]);
        tagged.data.splice(0..0, [9; 12]);
        tagged.header_length = 12;
        let packet = Packet::parse(tagged).unwrap();
        assert_eq!(
            packet.tuple,
            Packet::parse(frame(17, 5, b"x")).unwrap().tuple
        );
    }

    #[test]
    fn whatever_is_cut_off_is_no_packet() {
        for whole in [frame(17, 5, b"x"), segment(1, 2, b"data")] {
            for length in 0..whole.data.len() {
                let cut = Frame {
                    data: whole.data[..length].to_vec(),
                    header_length: 0,
                };
                assert!(Packet::parse(cut).is_none());
            }
        }
        let other = Frame {
            data: vec![0x60; 100],
            header_length: 0,
        };
        assert!(Packet::parse(other).is_none());
    }

    #[test]
    fn numbers_wrap_around() {
        assert!(is_after(2, 1));
        assert!(!is_after(1, 1));
        assert!(!is_after(1, 2));
        assert!(is_after(5, u32::MAX - 5));
    }
}
