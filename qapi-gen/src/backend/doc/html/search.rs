//! What the search looks through: a script, since a page that is a file may load nothing else.

use super::escape::push_js_string;
use crate::backend::doc::entity::{Kind, View};
use crate::backend::doc::manual::Manual;
use crate::ir::{DocSectionKind, Entity};
use crate::markup::{self, Block, Inline, Place, plain_text};
use crate::output::Out;

/// A list with one entry a definition: kind, name, page, first sentence, names of its parts, their
/// anchors, text.
pub(super) fn index(manual: &Manual<'_>, file: &mut Out<'_>) {
    file.push("window.qapiSearch = [\n");
    let mut out = String::new();
    for chapter in &manual.chapters {
        for entity in chapter.entities() {
            let Some(view) = View::new(manual, entity) else {
                continue;
            };
            let parts: Vec<&str> = view.parts.iter().map(|part| part.name).collect();
            let mut anchors: Vec<String> = Vec::with_capacity(parts.len());
            for &part in &parts {
                anchors.push(manual.anchor(view.name, part));
            }
            let fields = [
                Kind::of(manual, entity).as_str(),
                view.name,
                &chapter.file,
                &manual.summary(entity),
                &parts.join(" "),
                &anchors.join(" "),
                &text_of(manual, entity),
            ];
            out.push('[');
            for (n, field) in fields.into_iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                push_js_string(&mut out, field);
            }
            out.push_str("],\n");
            file.push(&out);
            out.clear();
        }
    }
    file.push("];\n");
}

/// All that is said about a definition, in one line.
fn text_of(manual: &Manual<'_>, entity: Entity) -> String {
    let mut words = String::new();
    for section in manual.sections(entity) {
        if matches!(section.kind(), DocSectionKind::Todo | DocSectionKind::Since) {
            continue;
        }
        let text = manual.text(section);
        let document = markup::parse(text.as_str(), Place::Definition);
        for block in &document.blocks {
            push_words(&mut words, block);
        }
    }
    words
}

fn push_words(words: &mut String, block: &Block<'_>) {
    let mut inlines: Vec<&[Inline<'_>]> = Vec::new();
    match block {
        // Names in examples are found by the definitions that have them.
        Block::Example(_) => return,
        Block::Paragraph(content) | Block::Heading(_, content) => inlines.push(content),
        Block::Definitions(items) => inlines.extend(items.iter().map(|(term, _)| &term[..])),
        Block::Lines(lines) => inlines.extend(lines.iter().map(Vec::as_slice)),
        Block::Table(table) => {
            let cells = table.head.iter().chain(&table.rows).flatten();
            inlines.extend(cells.map(Vec::as_slice));
        }
        Block::Bullets(_)
        | Block::Numbered(..)
        | Block::Quote(_)
        | Block::Admonition(_)
        | Block::Code(_)
        | Block::Rule => {}
    }
    for content in inlines {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(&plain_text(content));
    }
    for block in block.children() {
        push_words(words, block);
    }
}
