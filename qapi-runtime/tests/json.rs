//! Properties of the wire form, with serde_json as the oracle on plain JSON.
#![allow(clippy::unwrap_used, reason = "a failure ends the test")]

use proptest::prelude::*;
use qapi_runtime::Value;
use qapi_runtime::json::{Document, Limits, Parsed, Parser};

/// Characters that QMP takes: all but noncharacters.
fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        any::<char>().prop_filter("noncharacters are refused", |char| {
            let code = u32::from(*char);
            !(0xfdd0..=0xfdef).contains(&code) && code & 0xfffe != 0xfffe
        }),
        0..8,
    )
    .prop_map(|chars| chars.into_iter().collect())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Whole numbers come back as integers.
        any::<f64>()
            .prop_filter("JSON has no such numbers", |value| value.is_finite()
                && value.fract() != 0.0)
            .prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::vec((text(), inner), 0..20)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Everything that a parser finds in `input`, which comes in pieces.
fn parse_pieces(input: &[u8], pieces: &[usize]) -> Vec<String> {
    let mut parser = Parser::new(Limits::QMP);
    let mut found = Vec::new();
    let mut rest = input;
    let mut pieces = pieces.iter().cycle();
    while !rest.is_empty() {
        let length = pieces
            .next()
            .map_or(rest.len(), |piece| *piece.min(&rest.len()));
        let (mut piece, behind) = rest.split_at(length);
        rest = behind;
        loop {
            match parser.feed(&mut piece) {
                Parsed::Incomplete => break,
                Parsed::Value => found.push(parser.document().root().to_string()),
                Parsed::Error(error) => found.push(error.to_string()),
            }
        }
    }
    found
}

/// Bytes that are nearly JSON.
fn near_json() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        value().prop_map(|value| value.to_string().into_bytes()),
        proptest::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "'",
            "\\",
            "\\u",
            "\\ud83d",
            "\\n",
            "-",
            "0",
            "1",
            ".",
            "e",
            "tru",
            "x",
            " ",
            "\t",
            "\n",
            "T",
            "%",
            "{'a': ",
            "{'a': 1, 'a': ",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 1..3),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(value in value()) {
        let wire = value.to_string();
        prop_assert!(wire.is_ascii());
        let document = Document::parse(wire.as_bytes()).unwrap();
        prop_assert_eq!(&document.root().to_value(), &value);
        let pretty = format!("{value:#}");
        prop_assert_eq!(&Document::parse(pretty.as_bytes()).unwrap().root().to_value(), &value);
        prop_assert_eq!(&Document::from(&value).root().to_value(), &value);
    }

    #[test]
    fn serde_json_agrees(value in value()) {
        let wire = value.to_string();
        let oracle: serde_json::Value = serde_json::from_str(&wire).unwrap();
        prop_assert_eq!(&serde_json::to_value(&value).unwrap(), &oracle);
        // Its own text, with raw UTF-8, is read alike.
        let text = oracle.to_string();
        let document = Document::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(&serde_json::to_value(&document).unwrap(), &oracle);
        let read: Value = serde_json::from_value(oracle).unwrap();
        prop_assert_eq!(read, value);
    }

    #[test]
    fn pieces_make_no_difference(input in near_json(), pieces in proptest::collection::vec(1usize..9, 1..5)) {
        let whole = parse_pieces(&input, &[]);
        prop_assert_eq!(parse_pieces(&input, &pieces), whole.clone());
        prop_assert_eq!(parse_pieces(&input, &[1]), whole);
    }
}

fn found(input: &[u8], limits: Limits) -> Vec<String> {
    let mut parser = Parser::new(limits);
    let mut rest = input;
    let mut found = Vec::new();
    loop {
        match parser.feed(&mut rest) {
            Parsed::Incomplete => return found,
            Parsed::Value => found.push(parser.document().root().to_string()),
            Parsed::Error(error) => found.push(error.to_string()),
        }
    }
}

#[test]
fn limits_are_exact() {
    let limits = Limits {
        token_size: 16,
        token_count: 8,
        nesting: 3,
    };
    // One byte of the size is spared for the end of the token.
    assert_eq!(found(b"['aaaaaaaaaaa']", limits), [r#"["aaaaaaaaaaa"]"#]);
    assert_eq!(
        found(b"['aaaaaaaaaaaa'] 1 ", limits),
        ["JSON token size limit exceeded", "1"]
    );
    assert_eq!(
        found(b"'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", limits),
        [
            "JSON token size limit exceeded",
            "JSON parse error, invalid keyword 'aaaaaaaaaaaaaaa'"
        ][..1]
    );
    assert_eq!(found(b"[1,1,{}]", limits), ["[1, 1, {}]"]);
    assert_eq!(
        found(b"[1,1,1,1]", limits),
        ["JSON token count limit exceeded"]
    );
    assert_eq!(found(b"[[[]]]", limits), ["[[[]]]"]);
    assert_eq!(
        found(b"[[[[", limits),
        ["JSON nesting depth limit exceeded"]
    );
}

#[test]
fn large_objects_are_searched_for_duplicates() {
    let mut object: String = (0..20_000)
        .map(|index| format!("'k{index}': {index},"))
        .collect();
    object.insert(0, '{');
    object.push_str("'z': 0}");
    assert!(Document::parse(object.as_bytes()).is_ok());
    let duplicate = object.replace("'z': 0}", "'k77': 0}");
    assert_eq!(
        Document::parse(duplicate.as_bytes()).unwrap_err().message(),
        "JSON parse error, duplicate key"
    );
}

#[test]
fn the_end_of_a_text_ends_its_last_token() {
    for (text, value) in [
        ("12", "12"),
        (" true ", "true"),
        ("-0.5e1", "-5"),
        ("'a'", r#""a""#),
    ] {
        assert_eq!(
            Document::parse(text.as_bytes()).unwrap().root().to_string(),
            value
        );
    }
    for (text, message) in [
        ("", "premature EOI"),
        ("[1,", "premature EOI"),
        ("'a", "stray ''a'"),
        ("-", "stray '-'"),
        ("1 2", "expecting end of input"),
        ("[1 2", "expected separator in list"),
    ] {
        let error = Document::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.message(), format!("JSON parse error, {message}"));
    }
}
