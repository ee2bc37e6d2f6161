//! Any bytes as JSON values: the same is found however they come in pieces, and serde_json agrees on plain JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qapi_runtime::json::{Document, Limits, Parsed, Parser};

fn found(input: &[u8], piece: usize) -> Vec<String> {
    let mut parser = Parser::new(Limits::QMP);
    let mut found = Vec::new();
    for mut part in input.chunks(piece) {
        loop {
            match parser.feed(&mut part) {
                Parsed::Incomplete => break,
                Parsed::Value => found.push(parser.document().root().to_string()),
                Parsed::Error(error) => found.push(error.to_string()),
            }
        }
        assert!(part.is_empty());
    }
    match parser.finish() {
        Some(Parsed::Value) => found.push(parser.document().root().to_string()),
        Some(Parsed::Error(error)) => found.push(error.to_string()),
        Some(Parsed::Incomplete) | None => {}
    }
    found
}

fuzz_target!(|input: &[u8]| {
    let whole = found(input, input.len().max(1));
    for piece in [1, 2, 7] {
        assert_eq!(found(input, piece), whole);
    }
    if let Ok(document) = Document::parse(input) {
        // What we write is plain JSON, and means the same.
        let text = document.root().to_string();
        let again = Document::parse(text.as_bytes()).expect("we have written it");
        assert_eq!(again.root().to_string(), text);
        serde_json::from_str::<serde::de::IgnoredAny>(&text).expect("plain JSON");
    }
});
