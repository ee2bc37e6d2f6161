//! Input that takes the rare ways through the reader: many pieces, many keys, odd places.

use std::fmt::Write as _;

use qapi_gen::diagnostic::{LintLevels, render_short};
use qapi_gen::loader::MemoryLoader;

use crate::{Checked, load};

fn check_text(text: impl Into<Vec<u8>>) -> Checked {
    let files = MemoryLoader::new().with("main.json", text);
    load("main.json", &files, LintLevels::default())
}

/// Every diagnostic in the reference's form.
fn messages(checked: &Checked) -> Vec<String> {
    let diagnostics = checked.report.diagnostics().iter();
    diagnostics
        .map(|diagnostic| render_short(diagnostic, &checked.sources))
        .collect()
}

#[test]
fn a_schema_of_many_pieces_is_read_whole() {
    let mut text = String::new();
    let mut n_types = 0;
    while text.len() < 5 << 20 {
        let _ = write!(
            text,
            "##\n# @Type{n_types}x:\n#\n# @member: One of many.\n##\n\
             {{ 'struct': 'Type{n_types}x', 'data': {{ 'member': 'Type0x' }} }}\n\n"
        );
        n_types += 1;
    }
    let checked = check_text(text);
    assert_eq!(messages(&checked), [""; 0]);
    let schema = checked.schema.expect("a schema without mistakes");
    let n_named = schema.types().filter(|(_, ty)| ty.is_named()).count();
    assert_eq!(n_named, n_types);
}

#[test]
fn a_duplicate_among_many_keys_is_found() {
    let mut members = String::new();
    for n in 0..40 {
        let _ = write!(members, "'member-{n}': 'int', ");
    }
    let text = format!("{{ 'struct': 'Foo', 'data': {{ {members}'member-20': 'int' }} }}\n");
    let checked = check_text(text);
    assert_eq!(checked.report.n_errors(), 1);
    assert!(messages(&checked)[0].ends_with("duplicate key 'member-20'\n"));
}

#[test]
fn a_documentation_comment_behind_code_is_one() {
    let checked = check_text("{ 'event': 'EV' } ##\n# @EV:\n##\n");
    let message = "main.json:1: documentation for 'EV' is not followed by the definition\n";
    assert_eq!(messages(&checked), [message]);
}

#[test]
fn text_that_is_no_utf8_is_checked_up_to_there() {
    let checked = check_text(b"{ 'event': 'ev' }\n\xff".to_vec());
    let expected = [
        "main.json:2:1: file is not UTF-8\n",
        "main.json: In event 'ev':\nmain.json:1: name of event must not use lowercase or '-'\n",
    ];
    assert_eq!(messages(&checked), expected);
}
