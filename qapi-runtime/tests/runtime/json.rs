//! Properties of the wire form, with serde_json as the oracle on plain JSON.

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
        let (mut piece, after) = rest.split_at(length);
        rest = after;
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
            "1:17: JSON parse error, invalid keyword 'aaaaaaaaaaaaaaa'"
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
        format!("1:{}: JSON parse error, duplicate key", duplicate.len() - 1)
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
        ("", "1:1: JSON parse error, premature end of input"),
        ("[1,\n", "2:1: JSON parse error, premature end of input"),
        (" 'a", "1:2: JSON parse error, stray ''a'"),
        ("-", "1:1: JSON parse error, stray '-'"),
        ("1  2", "1:4: JSON parse error, expecting end of input"),
        ("[1 2", "1:4: JSON parse error, expected ',' or ']'"),
    ] {
        let error = Document::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.message(), message, "{text}");
    }
}

/// Each mistake is told once, at once and with its place; what is left of its value is dropped.
#[test]
fn mistakes_have_places_and_cost_their_value_alone() {
    let syntax = |place: &str, message: &str| format!("{place}: JSON parse error, {message}");
    let cases: [(&[u8], &[String]); 21] = [
        (
            b"7 {'a' 1} 8 ",
            &["7".into(), syntax("1:8", "expecting ':'"), "8".into()],
        ),
        (
            b"\n\n [1 2,[3]] 8 ",
            &[syntax("3:5", "expected ',' or ']'"), "8".into()],
        ),
        (
            b"{'a':1 'b':2} 8 ",
            &[syntax("1:8", "expected ',' or '}'"), "8".into()],
        ),
        (b"{1:2} 8 ", &[syntax("1:2", "expecting key"), "8".into()]),
        (b"{{}:2} 8 ", &[syntax("1:2", "expecting key"), "8".into()]),
        (
            b"{'a':1,} 8 ",
            &[syntax("1:8", "expecting key"), "8".into()],
        ),
        (
            b"{'a':} 8 ",
            &[syntax("1:6", "expecting value"), "8".into()],
        ),
        (
            b"{'\\x':1} 8 ",
            &[
                syntax("1:2", "invalid escape sequence in string"),
                "8".into(),
            ],
        ),
        (
            b"{'a':1, 'a':[2]} 8 ",
            &[syntax("1:16", "duplicate key"), "8".into()],
        ),
        // Told before the brackets balance.
        (b"{'a':[1  }", &[syntax("1:10", "expected ',' or ']'")]),
        (b"{'a' [[[[", &[syntax("1:6", "expecting ':'")]),
        // A byte that ended a number, a keyword or a recovery begins a token one column further on.
        (b"[1}", &[syntax("1:4", "expected ',' or ']'")]),
        (b"[null}", &[syntax("1:7", "expected ',' or ']'")]),
        (
            b"@]",
            &[syntax("1:1", "stray '@'"), syntax("1:3", "expecting value")],
        ),
        (
            b"[1@ ] 8 ",
            &[
                syntax("1:4", "stray '@'"),
                syntax("1:6", "expecting value"),
                "8".into(),
            ],
        ),
        (b"[\"a\"}", &[syntax("1:5", "expected ',' or ']'")]),
        (b"[1 }", &[syntax("1:4", "expected ',' or ']'")]),
        // A token that is wrong in itself ends what is dropped, and is not told.
        (
            b"{'a' [[ \xff\n8 ",
            &[syntax("1:6", "expecting ':'"), "8".into()],
        ),
        (
            b"{'a' [[ @ 8 ] 8 ",
            &[
                syntax("1:6", "expecting ':'"),
                syntax("1:14", "expecting value"),
                "8".into(),
            ],
        ),
        // Columns count bytes.
        (
            "'\u{e9}' [1 2]".as_bytes(),
            &["\"\\u00E9\"".into(), syntax("1:9", "expected ',' or ']'")],
        ),
        (
            b"]]",
            &[
                syntax("1:1", "expecting value"),
                syntax("1:2", "expecting value"),
            ],
        ),
    ];
    for (input, expected) in cases {
        assert_eq!(
            found(input, Limits::QMP),
            expected,
            "{}",
            String::from_utf8_lossy(input)
        );
    }
}

#[test]
fn a_value_that_passes_a_limit_is_dropped_to_its_end() {
    let limits = Limits {
        token_size: 64,
        token_count: 8,
        nesting: 3,
    };
    for (input, message) in [
        ("[[[[1],2],3],{}] 8 ", "JSON nesting depth limit exceeded"),
        ("[1,[2,[3,4,5],6],7] 8 ", "JSON token count limit exceeded"),
    ] {
        assert_eq!(found(input.as_bytes(), limits), [message, "8"]);
    }
}
