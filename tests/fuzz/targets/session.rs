//! Any bytes from a client: every line of the answer is JSON, and it does not matter how the bytes come in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qapi_runtime::session::{Session, SessionConfig};

fn answer(input: &[u8], piece: usize) -> Vec<u8> {
    let service = tests::service();
    let mut session = Session::new(SessionConfig::default());
    let mut output = Vec::new();
    for mut part in input.chunks(piece) {
        while !part.is_empty() && !session.is_finished() {
            // Every command here runs inline, so no call is handed out.
            assert!(session.advance(&mut part, &service, |_| true).is_none());
            output.extend_from_slice(session.output());
            session.consume_output(session.output().len());
        }
    }
    session.end_of_input();
    assert!(session.advance(&mut &[][..], &service, |_| true).is_none());
    output.extend_from_slice(session.output());
    session.consume_output(session.output().len());
    assert!(session.is_finished());
    output
}

fuzz_target!(|input: &[u8]| {
    let whole = answer(input, input.len().max(1));
    for line in whole
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        serde_json::from_slice::<serde_json::Value>(line).expect("a value a line");
    }
    for piece in [1, 5] {
        assert_eq!(answer(input, piece), whole);
    }
});
