//! What fuzz targets drive, with any bytes.

use super::arguments::{Arguments, Parameter};
use super::block::nbd_server_options;
use super::commands::complete;
use super::conversation::{Conversation, Said};
use super::expression::evaluate;
use super::line::{split_name, split_word};
use crate::net::drive::{check_pieces, drive};

/// Parameters of all kinds.
const PARAMETERS: [&[Parameter]; 6] = [
    &[],
    &[Parameter::Flag('a'), Parameter::Flag('b'), Parameter::Word],
    &[Parameter::OptionalDevice, Parameter::Integer],
    &[Parameter::Device, Parameter::Size],
    &[Parameter::OptionalWord, Parameter::Rest],
    &[Parameter::OptionalRest],
];

/// The lines that come out, each answered with its length; a line that begins with `w` only later.
fn talk(input: &[u8], piece: usize, echoes: bool, may_be_foreign: bool) -> (Vec<Said>, Vec<u8>) {
    let mut conversation = Conversation::new("hello\r\n", echoes, may_be_foreign, complete);
    let mut all = Vec::new();
    let (output, _) = drive(&mut conversation, input, piece, |conversation, said| {
        if let Said::Line(line) = &said {
            assert!(!line.contains('\n'));
            conversation.wait();
            conversation.answer(&format!("{}\r\n", line.len()));
        }
        all.push(said);
    });
    (all, output)
}

/// What a client types.
pub(crate) fn conversation(input: &[u8]) {
    // A terminal is shown the same however its keys come.
    check_pieces(input, |piece| talk(input, piece, true, false));
    // Others are taken for terminals if they send single keys, or for browsers.
    for piece in [1, 5, input.len().max(1)] {
        talk(input, piece, false, true);
    }
}

/// Where an NBD server is to listen.
pub(crate) fn address(text: &str) {
    let parameters = [Parameter::Flag('a'), Parameter::Flag('w'), Parameter::Word];
    if let Ok(given) = Arguments::parse(&parameters, text) {
        let _ = nbd_server_options(&given);
    }
}

/// A line.
pub(crate) fn line(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (before, name, rest) = split_name(&text);
    assert!(before.ends_with(name) && text.ends_with(rest));
    complete(&text);
    for parameters in PARAMETERS {
        let _ = Arguments::parse(parameters, rest);
    }
    for text in [&*text, rest] {
        if let Ok((_, rest)) = evaluate(text) {
            assert!(text.ends_with(rest) && rest.len() < text.len());
        }
        if let Some((_, rest)) = split_word(text) {
            assert!(text.ends_with(rest) && rest.len() < text.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations() {
        for input in [
            &b"info name\r\nquit\n"[..],
            b"i\t\x1b[A\x1b[3~\x7f\x01x\n\xff\xc3\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"",
        ] {
            conversation(input);
        }
        conversation(&[b'x'; 5000]);
    }

    #[test]
    fn addresses() {
        for text in [
            "unix:/run/x",
            "-a [::1]:10809",
            "-w host:1",
            ":",
            "[:",
            "x",
            "]]:[[",
            "",
        ] {
            address(text);
        }
    }

    #[test]
    fn lines() {
        for input in [
            "info block -n \"a\\\"b\" 1+2*(3-'x')",
            "x 1.5M",
            "x é",
            "-",
            "((((",
            "block_resize d 0x10g",
            "",
        ] {
            line(input.as_bytes());
        }
        line(&[b'('; 4000]);
    }
}
