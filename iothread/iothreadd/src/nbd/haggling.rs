//! The haggling with one client, without I/O, as its bytes come.

use std::sync::Arc;

use super::handshake::{Handshake, MAX_INPUT, Progress};
use super::offer::{Choice, Exported, Offer};
use crate::net::input::Input;
use crate::net::protocol::{Protocol, Step};
use crate::net::stream::Passed;
use crate::net::unsent::Unsent;

/// Bytes received at a time.
const RECEIVE_SIZE: usize = 16 << 10;

/// The server's side of it. The one event is the client's choice; with it this is over.
pub(super) struct Haggling<E> {
    handshake: Handshake<E>,
    offers: Arc<dyn Offer<E> + Send + Sync>,
    input: Input,
    unsent: Unsent,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Chosen,
    /// The client is to be disconnected.
    Closing,
    /// The client is gone.
    Gone,
}

impl<E: Exported> Haggling<E> {
    /// Begins with the greeting.
    pub(super) fn new(offers: Arc<dyn Offer<E> + Send + Sync>) -> Self {
        let mut unsent = Unsent::default();
        Self {
            handshake: Handshake::new(unsent.end()),
            offers,
            input: Input::new(RECEIVE_SIZE, MAX_INPUT),
            unsent,
            state: State::Open,
        }
    }

    /// What the client has sent beyond its choice, and what it has not been sent yet.
    pub(super) fn into_rest(self) -> (Vec<u8>, Vec<u8>) {
        (self.input.bytes().to_vec(), self.unsent.bytes().to_vec())
    }
}

impl<E: Exported> Protocol for Haggling<E> {
    type Event = Choice<E>;
    type Output = Unsent;

    fn space(&mut self) -> &mut [u8] {
        self.input.space()
    }

    fn received(&mut self, count: usize, _: Passed) {
        self.input.fill(count);
    }

    fn end_of_input(&mut self) {
        self.state = State::Gone;
    }

    fn advance(&mut self) -> Step<Choice<E>> {
        match self.state {
            State::Open => {}
            State::Chosen => return Step::Wait,
            State::Closing => return Step::Close,
            State::Gone => return Step::Abort,
        }
        let mut input = self.input.bytes();
        let before = input.len();
        let progress = self
            .handshake
            .advance(&mut input, self.unsent.end(), &*self.offers);
        let n_taken = before - input.len();
        self.input.take(n_taken);
        match progress {
            Progress::More => Step::Read,
            Progress::Close => {
                self.state = State::Closing;
                Step::Close
            }
            Progress::Transmission(choice) => {
                self.state = State::Chosen;
                Step::Event(choice)
            }
        }
    }

    fn output(&mut self) -> &mut Unsent {
        &mut self.unsent
    }
}

#[cfg(test)]
mod tests {
    use super::super::handshake::tests::{Disk, disks, go, option};
    use super::*;
    use crate::net::drive::{Fate, drive};

    /// What is chosen, what is sent, and what becomes of it.
    fn haggle(input: &[u8], piece: usize) -> (Option<Arc<Disk>>, Vec<u8>, Fate) {
        let mut haggling = Haggling::new(disks());
        let mut chosen = None;
        let (output, fate) = drive(&mut haggling, input, piece, |_, choice| {
            chosen = Some(choice.export);
        });
        (chosen, output, fate)
    }

    #[test]
    fn a_choice_ends_it_however_it_is_cut() {
        let mut input = 3_u32.to_be_bytes().to_vec();
        input.extend(option(3, &[]));
        input.extend(option(7, &go("two")));
        let whole = haggle(&input, input.len());
        assert_eq!(whole.0.as_ref().map(|it| it.name()), Some("two"));
        assert_eq!(whole.2, Fate::Waits);
        for piece in 1..input.len() {
            assert_eq!(haggle(&input, piece).1, whole.1, "{piece}");
        }
    }

    #[test]
    fn what_comes_with_the_choice_is_kept() {
        let mut haggling = Haggling::new(disks());
        let mut input = 3_u32.to_be_bytes().to_vec();
        input.extend(option(7, &go("one")));
        input.extend(b"requests");
        haggling.space()[..input.len()].copy_from_slice(&input);
        haggling.received(input.len(), Passed::default());
        assert!(matches!(haggling.advance(), Step::Event(_)));
        let (rest, unsent) = haggling.into_rest();
        assert_eq!(rest, b"requests");
        // The greeting, too, which has not been sent yet.
        assert!(unsent.starts_with(b"NBDMAGICIHAVEOPT"));
    }

    #[test]
    fn nonsense_and_an_early_end_end_it() {
        let (chosen, _, fate) = haggle(&[0xff; 64], 64);
        assert_eq!((chosen.is_none(), fate), (true, Fate::Over(0)));
        let (chosen, _, fate) = haggle(&3_u32.to_be_bytes(), 64);
        assert_eq!((chosen.is_none(), fate), (true, Fate::Over(0)));
    }
}
