//! What a schema says of what is deprecated, for the compiler's warnings.

use std::collections::HashMap;

use crate::backend::rust::options::Options;
use crate::ir::{Doc, DocId, DocSectionKind, Schema};
use crate::markup::{self, Block, Code, Links, Markdown, Place, Reference, Text};

/// The longest note in bytes: each deprecated member of a definition has that of the definition.
const MAX_NOTE: usize = 200;

/// The notes of all definitions that describe the feature `deprecated`.
pub(super) fn notes(schema: &Schema, options: &Options) -> HashMap<DocId, String> {
    let docs = schema.definitions().filter_map(|it| it.header().doc());
    let docs = docs.filter(|_| options.docs);
    let note = |id| Some((id, note(schema, schema.doc(id))?));
    docs.filter_map(note).collect()
}

/// The first paragraph about the feature, on one line. It is Markdown, as rustdoc shows it, but has no links.
fn note(schema: &Schema, doc: &Doc) -> Option<String> {
    let mut sections = doc.sections().iter();
    let section = sections.find(|section| {
        section.kind() == DocSectionKind::Feature && section.name() == Some("deprecated")
    })?;
    let text = Text::new(section, schema.sources());
    let document = markup::parse(text.as_str(), Place::Definition);
    let first = document.blocks.first();
    let first = first.filter(|block| matches!(block, Block::Paragraph(_)))?;
    let mut markdown = Markdown::new(&Names);
    markdown.blocks(std::slice::from_ref(first));
    let text = markdown.finish();
    let mut note = String::new();
    for word in text.split_whitespace() {
        if note.len() + 1 + word.len() > MAX_NOTE {
            note.push_str(" ...");
            break;
        }
        if !note.is_empty() {
            note.push(' ');
        }
        note.push_str(word);
    }
    (!note.is_empty()).then_some(note)
}

/// Names that lead nowhere.
struct Names;

impl Links for Names {
    fn push_reference(&self, out: &mut String, reference: &Reference<'_>) {
        match &reference.label {
            Some(label) => markup::escape_markdown(out, label),
            None => markup::push_code_span(out, reference.name),
        }
    }

    fn language<'c>(&self, _: &Code<'c>) -> &'c str {
        "text"
    }

    fn heading_level(&self, level: u8) -> usize {
        usize::from(level)
    }
}
