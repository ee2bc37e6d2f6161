//! Drives protocols in tests and fuzz targets.

use super::protocol::{Protocol, Step};
use super::stream::Passed;
use super::unsent::Unsent;

/// What became of a conversation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It waits for its owner.
    Waits,
    /// It is over, with these bytes of input left.
    Over(usize),
}

impl Fate {
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Over(_) => true,
            Self::Waits => false,
        }
    }
}

/// Output that can be taken without a stream.
pub(crate) trait Drain {
    /// Takes all of it.
    fn drain(&mut self) -> Vec<u8>;
}

impl Drain for Unsent {
    fn drain(&mut self) -> Vec<u8> {
        let all = self.bytes().to_vec();
        self.consume(all.len());
        all
    }
}

/// Lets a protocol have all of the input, in pieces of at most `piece` bytes, and then the end of it. Whatever it sends
/// is taken at once, and returned.
///
/// # Panics
///
/// It does not get on, or wants more than there is.
pub(crate) fn drive<P: Protocol<Output: Drain>>(
    protocol: &mut P,
    input: &[u8],
    piece: usize,
    mut handle: impl FnMut(&mut P, P::Event),
) -> (Vec<u8>, Fate) {
    let mut rest = input;
    let mut output = Vec::new();
    let mut has_ended = false;
    loop {
        let mut n_events = 0;
        let step = loop {
            let step = protocol.advance();
            let sent = protocol.output().drain();
            output.extend_from_slice(&sent);
            match step {
                Step::Event(event) => handle(protocol, event),
                // What has been sent has made room.
                Step::Read | Step::Wait if !sent.is_empty() => {}
                Step::Read | Step::Wait | Step::Close | Step::Abort => break step,
            }
            n_events += 1;
            assert!(n_events <= 4 * input.len() + 64, "it does not get on");
        };
        match step {
            Step::Event(_) | Step::Wait => return (output, Fate::Waits),
            Step::Close | Step::Abort => return (output, Fate::Over(rest.len())),
            Step::Read => {}
        }
        assert!(!has_ended, "it wants more than there is");
        if rest.is_empty() {
            protocol.end_of_input();
            has_ended = true;
            continue;
        }
        let space = protocol.space();
        let count = space.len().min(piece).min(rest.len());
        assert!(count > 0, "it has no place for what it wants");
        space[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        protocol.received(count, Passed::default());
    }
}

/// Asserts that the same comes of an input however it is cut into pieces. `run` is given the length of the pieces.
pub(crate) fn check_pieces<T: PartialEq + std::fmt::Debug>(input: &[u8], run: impl Fn(usize) -> T) {
    let whole = run(input.len().max(1));
    for piece in [1, 5] {
        assert_eq!(run(piece), whole, "in pieces of {piece}");
    }
}
