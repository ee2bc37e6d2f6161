//! What fuzz targets drive, with any bytes.

use std::time::Duration;

use super::compare::{Comparison, Side};
use super::wire::Wire;
use crate::net::drive::{check_pieces, drive};

/// The most packets that wait.
const LIMIT: usize = 8;

/// Frames of both copies of a guest, which are compared.
pub(crate) fn comparison(input: &[u8]) {
    let Some((kind, input)) = input.split_first() else {
        return;
    };
    let has_headers = kind & 1 != 0;
    let frames = |piece| {
        let mut frames = Vec::new();
        let mut wire = Wire::new(has_headers);
        let (_, fate) = drive(&mut wire, input, piece, |_, frame| frames.push(frame));
        (frames, fate.is_over())
    };
    check_pieces(input, frames);
    let (frames, _) = frames(input.len().max(1));
    let mut comparison = Comparison::default();
    let (mut n_primary, mut n_released) = (0, 0);
    for (index, frame) in frames.into_iter().flatten().enumerate() {
        let mut encoded = Vec::new();
        frame.encode(has_headers, &mut encoded);
        assert!(encoded.len() >= frame.data.len() + 4);
        let (side, now) = match index % 2 {
            0 => (Side::Primary, index),
            _ => (Side::Secondary, index),
        };
        n_primary += usize::from(side == Side::Primary);
        let now = Duration::from_millis(now as u64);
        let has_room = kind & 2 == 0 || index % 3 > 0;
        n_released += comparison
            .add(side, frame, now, LIMIT, has_room)
            .released
            .len();
        comparison.scan(now, Duration::from_millis(3));
        comparison.side_ahead();
    }
    n_released += comparison.checkpoint().len();
    assert!(n_released <= n_primary, "more is let through than has come");
    assert_eq!(comparison.used(), 0);
    assert_eq!(comparison.counts().released, n_released as u64);
}

#[cfg(test)]
mod tests {
    use super::super::packet::tests::{frame, segment};
    use super::*;

    #[test]
    fn any_frames() {
        for kind in 0..4 {
            let has_headers = kind & 1 != 0;
            let mut input = vec![kind];
            for packet in [
                frame(17, 5, b"x"),
                frame(17, 5, b"x"),
                segment(1, 2, b"data"),
                segment(1, 2, b"da"),
                segment(3, 2, b"ta"),
                segment(3, 2, b"ta"),
            ] {
                packet.encode(has_headers, &mut input);
                comparison(&input);
            }
            comparison(&[kind, 255, 255, 255, 255]);
        }
    }
}
