//! What comes from a server, without I/O: replies, and commands, all of which are refused.

use rustix::io::Errno;

use super::protocol::{HEADER, Header, MAX_MESSAGE, ProtocolError};
use crate::net::input::Input;
use crate::net::protocol::{Protocol, Step};
use crate::net::stream::Passed;
use crate::net::unsent::Unsent;

/// Bytes received at a time.
const RECEIVE_SIZE: usize = 64 << 10;

/// Messages of both sides. Descriptors for mapping regions are of no use without a guest, so none are taken.
pub(super) struct Messages {
    input: Input,
    unsent: Unsent,
    is_over: bool,
}

/// What the server has sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A reply to the request of this number: its payload, or the number of an error.
    Reply {
        id: u16,
        result: Result<Vec<u8>, u32>,
    },
    /// A command of the server's own, which has been answered if it wants that.
    Command,
    /// Something that is not a message. The connection ends with it.
    Nonsense(ProtocolError),
}

impl Messages {
    pub(super) fn new() -> Self {
        Self {
            input: Input::new(RECEIVE_SIZE, MAX_MESSAGE),
            unsent: Unsent::default(),
            is_over: false,
        }
    }

    /// Sends a message.
    pub(super) fn send(&mut self, message: &[u8]) {
        self.unsent.end().extend_from_slice(message);
    }

    /// Forgets what was to be sent, and takes nothing more.
    pub(super) fn give_up(&mut self) {
        self.unsent.clear();
        self.is_over = true;
    }

    /// Takes the next message, if all of it is there.
    fn take(&mut self) -> Result<Option<Said>, ProtocolError> {
        let input = self.input.bytes();
        let Some(header) = Header::parse(input)? else {
            return Ok(None);
        };
        let size = usize::try_from(header.size).unwrap_or(MAX_MESSAGE);
        let Some(message) = input.get(..size) else {
            return Ok(None);
        };
        let said = if header.is_reply() {
            Said::Reply {
                id: header.id,
                result: match header.error() {
                    Some(number) => Err(number),
                    None => Ok(message[HEADER..].to_vec()),
                },
            }
        } else {
            if header.wants_reply() {
                // There is no guest whose memory the server could reach.
                let number = Errno::NOSYS.raw_os_error().unsigned_abs();
                self.unsent.end().extend(header.refusal(number));
            }
            Said::Command
        };
        self.input.take(size);
        Ok(Some(said))
    }
}

impl Protocol for Messages {
    type Event = Said;
    type Output = Unsent;

    fn space(&mut self) -> &mut [u8] {
        self.input.space()
    }

    fn received(&mut self, count: usize, _: Passed) {
        self.input.fill(count);
    }

    fn end_of_input(&mut self) {
        self.is_over = true;
    }

    fn advance(&mut self) -> Step<Said> {
        if self.is_over {
            return Step::Abort;
        }
        match self.take() {
            Ok(Some(said)) => Step::Event(said),
            Ok(None) => Step::Read,
            Err(error) => {
                self.is_over = true;
                Step::Event(Said::Nonsense(error))
            }
        }
    }

    fn output(&mut self) -> &mut Unsent {
        &mut self.unsent
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::{Command, request};
    use super::*;
    use crate::net::drive::{Fate, drive};

    /// What comes out, and what is sent.
    fn said(input: &[u8], piece: usize) -> (Vec<Said>, Vec<u8>, Fate) {
        let mut all = Vec::new();
        let mut messages = Messages::new();
        let (output, fate) = drive(&mut messages, input, piece, |_, said| all.push(said));
        (all, output, fate)
    }

    fn reply(id: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = request(id, Command::RegionRead, payload);
        // The type among the flags.
        bytes[8..12].copy_from_slice(&1_u32.to_ne_bytes());
        bytes
    }

    #[test]
    fn messages_come_out_however_they_are_cut() {
        let command = request(9, Command::DeviceGetInfo, b"what?");
        let refusal = Header::parse(&command).unwrap().unwrap().refusal(38);
        let input = [reply(1, b"one"), command, refusal.clone(), reply(2, b"")].concat();
        let expected = [
            Said::Reply {
                id: 1,
                result: Ok(b"one".to_vec()),
            },
            Said::Command,
            Said::Reply {
                id: 9,
                result: Err(38),
            },
            Said::Reply {
                id: 2,
                result: Ok(Vec::new()),
            },
        ];
        for piece in 1..input.len() {
            let (said, output, fate) = said(&input, piece);
            assert_eq!((&said[..], fate), (&expected[..], Fate::Over(0)));
            assert_eq!(output, refusal);
        }
    }

    #[test]
    fn the_longest_message_is_taken_and_no_longer_one() {
        let longest = reply(3, &vec![7; MAX_MESSAGE - HEADER]);
        let (taken, ..) = said(&longest, longest.len());
        assert!(
            matches!(&taken[..], [Said::Reply { id: 3, result: Ok(it) }] if it.len() == MAX_MESSAGE - HEADER)
        );
        let longer = reply(3, &vec![7; MAX_MESSAGE - HEADER + 1]);
        let error = ProtocolError::Length(u32::try_from(MAX_MESSAGE + 1).unwrap());
        assert_eq!(said(&longer, longer.len()).0, [Said::Nonsense(error)]);
    }
}
