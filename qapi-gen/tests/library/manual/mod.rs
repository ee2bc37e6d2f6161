//! Manuals: `qapi-gen doc` in its three formats.

#[cfg(not(target_family = "wasm"))]
mod command;
mod completeness;
mod examples;
mod hostile;
mod inherited;
mod page;
mod paragraph;
mod random;

use std::path::PathBuf;

use qapi_gen::backend::doc::{DocBackend, Format, Options};
use qapi_gen::diagnostic::{LintLevels, render_short};
use qapi_gen::ir::Schema;
use qapi_gen::loader::{FileLoader, Loader, MemoryLoader};
use qapi_gen::output::Emission;

use crate::{Checked, load};

const FORMATS: [Format; 3] = [Format::Html, Format::Markdown, Format::Man];

/// Checks a schema without rules of style, which older ones do not keep.
fn load_with(path: &str, loader: &dyn Loader) -> Checked {
    load(path, loader, LintLevels::allow_all())
}

/// The schema in `text`; panics if it has mistakes.
fn schema_of(text: &str) -> Schema {
    let checked = load_with(
        "schema.json",
        &MemoryLoader::new().with("schema.json", text),
    );
    let texts: Vec<String> = checked
        .report
        .diagnostics()
        .iter()
        .map(|diagnostic| render_short(diagnostic, &checked.sources))
        .collect();
    checked
        .schema
        .unwrap_or_else(|| panic!("{}\n{text}", texts.concat()))
}

fn emit(schema: &Schema, format: Format) -> Emission {
    let backend = DocBackend::new(Options::new(format));
    let manual = backend.generate(schema).expect("the whole");
    manual.emission()
}

/// The schemas that manuals are made of here: ours, and QEMU's where they are present.
fn schemas() -> Vec<(PathBuf, Schema)> {
    let load = |path: PathBuf| {
        let name = path.to_str().expect("UTF-8");
        let schema = load_with(name, &FileLoader).schema.expect("no mistakes");
        (path, schema)
    };
    let paths = tests::schemas("manuals of QEMU's schemas");
    paths.into_iter().map(load).collect()
}

/// The lines of Markdown, a block of code as one line; fails if a fence never ends.
fn outside_of_code(markdown: &str) -> Result<Vec<&str>, String> {
    let mut fence: Option<usize> = None;
    let mut lines = Vec::new();
    for line in markdown.lines() {
        // A fence may be the first thing of a quote or of an item.
        let text = line.trim_start_matches(|ch: char| "> -.".contains(ch) || ch.is_ascii_digit());
        let ticks = text.bytes().take_while(|byte| *byte == b'`').count();
        match fence {
            Some(open) if ticks >= open && text.len() == ticks => {
                fence = None;
                lines.push("```");
            }
            Some(_) => {}
            // A span of code has its end in the line.
            None if ticks >= 3 && !text[ticks..].contains('`') => fence = Some(ticks),
            None => lines.push(line),
        }
    }
    match fence {
        None => Ok(lines),
        Some(_) => Err("a fence that never ends".to_owned()),
    }
}

#[test]
fn same_input_same_bytes() {
    let schema = schema_of("##\n# @a:\n#\n# Text, `a`.\n##\n{ 'command': 'a' }\n");
    for format in FORMATS {
        assert_eq!(emit(&schema, format), emit(&schema, format));
        assert!(!emit(&schema, format).files().is_empty());
    }
}
