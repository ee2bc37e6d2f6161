//! What is said on a human monitor, without I/O: lines come out of what is typed, and what they print goes in.

use qapi_runtime::session::Opening;

use super::editor::{Complete, Editor, PROMPT};
use crate::net::input::Input;
use crate::net::protocol::{Protocol, Step};
use crate::net::stream::Passed;
use crate::net::unsent::Unsent;

/// The longest line, as in QEMU.
const MAX_LINE: usize = 4095;

/// Bytes received at a time.
const RECEIVE_SIZE: usize = 4096;

/// Unsent bytes from which on no further line is executed.
pub(super) const MAX_UNSENT: usize = 1 << 20;

/// One client's side of it.
pub(super) struct Conversation {
    input: Input,
    editor: Editor,
    unsent: Unsent,
    /// Whether it is a browser that has connected.
    opening: Opening,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open {
        is_ending: bool,
        is_busy: bool,
    },
    /// It is another protocol, which has not been told.
    Foreign(&'static str),
    Over,
}

/// What has to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// A line is to be executed; what it prints is the answer.
    Line(String),
    /// The client speaks another protocol, and is cut off.
    Foreign(&'static str),
}

impl Conversation {
    /// Begins with a banner and the first prompt. `echoes` is whether what is typed is shown from the start, and
    /// `may_be_foreign` whether the client may be a program that speaks something else.
    pub(super) fn new(
        banner: &str,
        echoes: bool,
        may_be_foreign: bool,
        complete: Complete,
    ) -> Self {
        let mut unsent = Unsent::default();
        unsent.end().extend_from_slice(banner.as_bytes());
        unsent.end().extend_from_slice(PROMPT.as_bytes());
        Self {
            input: Input::new(RECEIVE_SIZE, RECEIVE_SIZE),
            editor: Editor::new(echoes, complete),
            unsent,
            opening: Opening::new(may_be_foreign),
            state: State::Open {
                is_ending: false,
                is_busy: false,
            },
        }
    }

    /// No further line is executed, and it is over when all is sent.
    pub(super) fn finish(&mut self) {
        self.input.clear();
        self.end_of_input();
    }

    /// The answer to a line comes later; no other line is executed until then.
    pub(super) fn wait(&mut self) {
        self.set_busy(true);
    }

    /// Shows what a line has printed, and asks for the next one.
    pub(super) fn answer(&mut self, text: &str) {
        self.unsent.end().extend_from_slice(text.as_bytes());
        self.unsent.end().extend_from_slice(PROMPT.as_bytes());
        self.set_busy(false);
    }

    fn set_busy(&mut self, busy: bool) {
        match &mut self.state {
            State::Open { is_busy, .. } => *is_busy = busy,
            State::Foreign(_) | State::Over => {}
        }
    }

    /// The next line, if all of it is there, and there is room for what it shows on the way.
    fn next_line(&mut self) -> Option<String> {
        let mut line = None;
        let mut n_taken = 0;
        for &byte in self.input.bytes() {
            if self.unsent.bytes().len() >= MAX_UNSENT {
                break;
            }
            n_taken += 1;
            line = self.editor.take(byte, self.unsent.end());
            if line.is_some() || self.editor.len() > MAX_LINE {
                break;
            }
        }
        self.input.take(n_taken);
        line
    }
}

impl Protocol for Conversation {
    type Event = Said;
    type Output = Unsent;

    fn space(&mut self) -> &mut [u8] {
        self.input.space()
    }

    fn received(&mut self, count: usize, _: Passed) {
        let before = self.input.len();
        self.input.fill(count);
        let piece = &self.input.bytes()[before..];
        if let Some(protocol) = self.opening.look(piece) {
            self.state = State::Foreign(protocol);
            return;
        }
        if before == 0 {
            self.editor.look(piece);
        }
    }

    fn end_of_input(&mut self) {
        match &mut self.state {
            State::Open { is_ending, .. } => *is_ending = true,
            State::Foreign(_) | State::Over => {}
        }
    }

    fn advance(&mut self) -> Step<Said> {
        let is_ending = match self.state {
            State::Over => return Step::Abort,
            State::Foreign(protocol) => {
                self.state = State::Over;
                return Step::Event(Said::Foreign(protocol));
            }
            State::Open { is_busy: true, .. } => return Step::Wait,
            State::Open { is_ending, .. } => is_ending,
        };
        if let Some(line) = self.next_line() {
            return Step::Event(Said::Line(line));
        }
        if self.editor.len() > MAX_LINE {
            self.unsent.end().extend_from_slice(b"line too long\r\n");
            self.finish();
            return Step::Close;
        }
        if !self.input.is_empty() {
            // What is shown has to be sent first.
            return Step::Wait;
        }
        match is_ending {
            true => Step::Close,
            false => Step::Read,
        }
    }

    fn output(&mut self) -> &mut Unsent {
        &mut self.unsent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::drive::{Fate, drive};

    fn conversation(may_be_foreign: bool) -> Conversation {
        Conversation::new("hello\r\n", false, may_be_foreign, |_| Vec::new())
    }

    /// The lines that come out, and what is sent; each line is answered with its length.
    fn talk(input: &[u8], piece: usize) -> (Vec<String>, String, Fate) {
        let mut lines = Vec::new();
        let mut conversation = conversation(true);
        let (output, fate) = drive(
            &mut conversation,
            input,
            piece,
            |conversation, said| match said {
                Said::Line(line) => {
                    conversation.answer(&format!("{}\r\n", line.len()));
                    lines.push(line);
                }
                Said::Foreign(protocol) => lines.push(format!("foreign: {protocol}")),
            },
        );
        (lines, String::from_utf8(output).unwrap(), fate)
    }

    #[test]
    fn lines_come_out_however_they_are_cut() {
        let input = b"info name\r\n\nquit\n";
        for piece in 2..input.len() {
            let (lines, output, fate) = talk(input, piece);
            assert_eq!(lines, ["info name", "", "quit"], "{piece}");
            let prompts = "(iothreadd) 9\r\n(iothreadd) 0\r\n(iothreadd) 4\r\n(iothreadd) ";
            assert_eq!(output, format!("hello\r\n{prompts}"));
            assert_eq!(fate, Fate::Over(0));
        }
    }

    #[test]
    fn a_line_too_long_ends_it() {
        let longest = vec![b'x'; MAX_LINE];
        let (lines, _, _) = talk(&[&longest[..], b"\n"].concat(), 4096);
        assert_eq!(lines.len(), 1);
        let (lines, output, fate) = talk(&[&longest[..], b"xy\nmore\n"].concat(), 4096);
        assert_eq!((lines.len(), fate), (0, Fate::Over(7)));
        assert!(output.ends_with("(iothreadd) line too long\r\n"));
    }

    #[test]
    fn a_browser_is_cut_off() {
        let (lines, _, fate) = talk(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 4096);
        assert_eq!((lines.len(), fate), (1, Fate::Over(0)));
        assert!(lines[0].starts_with("foreign: "), "{lines:?}");
    }

    #[test]
    fn nothing_is_taken_while_a_line_is_executed() {
        let mut conversation = conversation(false);
        let mut lines = Vec::new();
        let (_, fate) = drive(&mut conversation, b"a\nb\n", 9, |conversation, said| {
            lines.push(said);
            conversation.wait();
        });
        assert_eq!((lines.len(), fate), (1, Fate::Waits));
        conversation.answer("done");
        assert_eq!(
            conversation.advance(),
            Step::Event(Said::Line("b".to_owned()))
        );
        conversation.finish();
        assert_eq!(conversation.advance(), Step::Close);
    }
}
