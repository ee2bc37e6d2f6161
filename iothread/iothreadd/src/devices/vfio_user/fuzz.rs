//! What fuzz targets drive, with any bytes.

use super::messages::{Messages, Said};
use super::protocol;
use crate::net::drive::{check_pieces, drive};

/// Messages of a server, and what replies say.
pub(crate) fn messages(input: &[u8]) {
    check_pieces(input, |piece| {
        let mut all = Vec::new();
        let mut messages = Messages::new();
        let (output, fate) = drive(&mut messages, input, piece, |_, said| all.push(said));
        (all, output, fate.is_over())
    });
    let mut messages = Messages::new();
    drive(&mut messages, input, input.len().max(1), |_, said| {
        if let Said::Reply {
            result: Ok(payload),
            ..
        } = said
        {
            reply(&payload);
        }
    });
    reply(input);
}

fn reply(payload: &[u8]) {
    let _ = protocol::check_version(payload);
    let _ = protocol::parse_device_info(payload);
    let _ = protocol::parse_region_info(payload);
    for count in [0, 4, u32::MAX] {
        if let Ok(read) = protocol::parse_region_read(payload, count) {
            assert_eq!(read.len(), count as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_messages() {
        let request = protocol::request(1, protocol::Command::Version, &protocol::version());
        messages(&request);
        messages(&[&request[..], &request[..20]].concat());
        messages(&protocol::version());
        messages(&[0; 64]);
        messages(&[255; 64]);
    }
}
