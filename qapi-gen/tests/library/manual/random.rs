//! Random and mutated documentation: nothing panics, nothing is invalid, no link is broken.

use std::collections::HashMap;
use std::path::Path;

use proptest::prelude::*;
use qapi_gen::backend::doc::Format;
use qapi_gen::ir::Schema;
use qapi_gen::loader::{FileLoader, Loader, MemoryLoader};

use super::completeness::broken_links;
use super::page::{self, Page, is_forbidden};
use super::{emit, load_with, outside_of_code};

/// Pieces of lines that mean something to the parser, to a renderer or to its reader.
const PIECES: &[&str] = &[
    "text",
    "a",
    " ",
    "  ",
    "    ",
    "\t",
    "-",
    "- ",
    "* ",
    "+ ",
    "1. ",
    "2) ",
    "#. ",
    "::",
    " ::",
    ".. ",
    "..",
    ".. note::",
    ".. qmp-example::",
    ":annotated:",
    ":title: x",
    ".. table:: t",
    ".. list-table::",
    ":header-rows: 1",
    ".. code-block:: json",
    ".. raw:: html",
    ".. _t: a",
    ".. _t: https://example.org",
    ".. admonition:: x",
    ".. unknown:: y",
    "====",
    "====  ====",
    "=",
    "*****",
    "-----",
    "+---+---+",
    "+===+===+",
    "| a | b |",
    "| ",
    "|",
    ">>> x",
    ":field: y",
    "*",
    "**",
    "`",
    "``",
    "_",
    "__",
    "\\",
    "*em*",
    "**st**",
    "``lit``",
    "`cmd`",
    "`x <y>`_",
    "`x <http://y/>`__",
    ":ref:`x`",
    ":qapi:cmd:`cmd`",
    ":bad:`x`",
    "@cmd",
    "@arg",
    "@",
    "@nobody",
    "t_",
    "http://x/(y)",
    "https://",
    "://",
    "<",
    ">",
    "</p>",
    "<script>",
    "&",
    "&amp;",
    "\"",
    "'",
    "-->",
    "*/",
    "```",
    "~~~",
    "#",
    "$",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ".",
    "...",
    "-> ",
    "<- ",
    "{ \"execute\": \"cmd\" }",
    "\"open",
    "\u{202e}",
    "\u{2066}",
    "\u{7}",
    "\u{0}",
    "\u{1b}",
    "\u{feff}",
    "\u{e9}",
    "\u{4e2d}",
    "\u{1f980}",
    "\u{a0}",
    "\u{3000}",
    "\u{ad}",
    "e\u{301}",
];

fn line() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(PIECES);
    (0usize..9, prop::collection::vec(piece, 0..6))
        .prop_map(|(indent, pieces)| format!("{}{}", " ".repeat(indent), pieces.concat()))
}

/// A schema around the lines of a free-form comment, a definition's comment and a description.
fn schema(free: &[String], body: &[String], member: &[String]) -> String {
    let comment = |lines: &[String], indent: &str| {
        let lines = lines.iter().map(|line| format!("# {indent}{line}\n"));
        lines.collect::<String>()
    };
    format!(
        "##\n# Text\n#\n{}##\n\n##\n# @cmd:\n#\n# Overview\n#\n{}#\n# @arg: first\n{}#\n# Since: 1\n##\n\
         {{ 'command': 'cmd', 'data': {{ 'arg': 'str' }} }}\n",
        comment(free, ""),
        comment(body, ""),
        comment(member, "    "),
    )
}

/// Makes every kind of manual and looks at it.
fn check_manuals(schema: &Schema) -> Result<(), TestCaseError> {
    let emission = emit(schema, Format::Html);
    let mut pages: HashMap<String, Page> = HashMap::new();
    for file in emission.files() {
        let name = file.path.display().to_string();
        let contents = &file.contents;
        prop_assert!(!contents.chars().any(is_forbidden), "{name}");
        if name.ends_with(".html") {
            match page::read(contents) {
                Ok(page) => pages.insert(name, page),
                Err(error) => return Err(TestCaseError::fail(format!("{name}: {error}"))),
            };
        } else {
            pages.insert(name, Page::default());
        }
    }
    let broken = broken_links(&pages);
    prop_assert!(broken.is_empty(), "{broken:?}");
    for file in emit(schema, Format::Markdown).files() {
        prop_assert!(!file.contents.chars().any(is_forbidden));
        match outside_of_code(&file.contents) {
            Ok(lines) => {
                let is_blank = |pair: &[&str]| pair.iter().all(|line| line.is_empty());
                prop_assert!(!lines.windows(2).any(is_blank), "{}", file.contents);
            }
            Err(error) => return Err(TestCaseError::fail(format!("{error}\n{}", file.contents))),
        }
    }
    for file in emit(schema, Format::Man).files() {
        prop_assert!(file.contents.is_ascii());
        let is_quoted = |line: &str| line.starts_with('\'');
        prop_assert!(!file.contents.lines().any(is_quoted), "{}", file.contents);
    }
    Ok(())
}

fn check_text(text: &str) -> Result<(), TestCaseError> {
    let loader = MemoryLoader::new().with("schema.json", text);
    match load_with("schema.json", &loader).schema {
        Some(schema) => check_manuals(&schema),
        // Not all that is random is a documentation comment.
        None => Ok(()),
    }
}

/// Our schema in memory, for changes to its comments.
fn our_schema() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("there") {
        let path = entry.expect("readable").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let text = FileLoader.read(&path).expect("readable");
            files.push((name, String::from_utf8(text).expect("UTF-8")));
        }
    }
    files.sort();
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_comments_make_valid_manuals(
        free in prop::collection::vec(line(), 0..14),
        body in prop::collection::vec(line(), 0..14),
        member in prop::collection::vec(line(), 0..8),
    ) {
        check_text(&schema(&free, &body, &member))?;
    }

    #[test]
    fn any_characters_make_valid_manuals(text in "\\PC{0,200}", more in any::<String>()) {
        let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
        check_text(&schema(&lines(&more), &lines(&text), &[]))?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn mutated_comments_make_valid_manuals(
        edits in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::sample::select(PIECES), 0usize..12),
            1..40,
        ),
    ) {
        let mut files = our_schema();
        for (file, line, piece, column) in edits {
            let (_, text) = file.get(&files);
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let comments: Vec<usize> = (0..lines.len())
                .filter(|n| lines[*n].starts_with("# "))
                .collect();
            if comments.is_empty() {
                continue;
            }
            let line = &mut lines[*line.get(&comments)];
            let at = (2 + column).min(line.len());
            if line.is_char_boundary(at) {
                line.insert_str(at, piece);
            }
            let n = file.index(files.len());
            files[n].1 = lines.join("\n") + "\n";
        }
        let mut loader = MemoryLoader::new();
        for (name, text) in files {
            loader = loader.with(name, text);
        }
        if let Some(schema) = load_with("qapi-schema.json", &loader).schema {
            check_manuals(&schema)?;
        }
    }
}

/// Work that grows faster than its input would show here.
#[test]
fn long_comments_are_no_trouble() {
    let long = 20_000;
    for piece in [
        "*a ", "`a ", "``a ", "a_", ":a", "@a", "\\", "a*", "**", "====  ", "| ", "- ",
    ] {
        let text = piece.repeat(long);
        check_text(&schema(&[], &[text], &[])).unwrap_or_else(|error| panic!("{piece}: {error}"));
    }
    for line in [
        "- a",
        "*a",
        "1. a",
        "====  ====",
        "+---+---+",
        ".. note::",
        ".. _a: b",
        "a::",
        ":a: b",
        "| a",
        "a\n#   b",
    ] {
        let lines = vec![line.to_owned(); long / 4];
        check_text(&schema(&lines, &lines, &[])).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    let stairs: Vec<String> = (0..2000).map(|n| format!("{}- a", " ".repeat(n))).collect();
    check_text(&schema(&stairs, &[], &[])).unwrap_or_else(|error| panic!("{error}"));
}
