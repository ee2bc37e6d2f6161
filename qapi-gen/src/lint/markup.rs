//! The markup of documentation comments.

use super::findings::{Findings, context};
use crate::diagnostic::Definition;
use crate::ir::{Doc, DocSectionKind, Entity, Schema};
use crate::markup::{self, Document, Inline, Place, ReferenceKind, Text};
use crate::references::References;

/// Where a section of documentation belongs.
pub(super) struct Section {
    pub(super) entity: Option<Entity>,
    pub(super) context: Option<Definition>,
}

/// Calls `visit` for every section that a manual shows.
pub(super) fn for_each_section(
    schema: &Schema,
    mut visit: impl FnMut(&Section, &Text, &Document<'_>),
) {
    let mut visit_doc = |doc: &Doc, entity, context: Option<Definition>, place| {
        for section in doc.sections() {
            if section.kind() == DocSectionKind::Todo {
                continue;
            }
            let text = Text::new(section, schema.sources());
            let document = markup::parse(text.as_str(), place);
            let context = context.clone();
            visit(&Section { entity, context }, &text, &document);
        }
    };
    for doc in schema.docs().iter().filter(|doc| doc.symbol().is_none()) {
        visit_doc(doc, None, None, Place::FreeForm);
    }
    for defined in schema.definitions() {
        if let Some(doc) = defined.header().doc() {
            let (doc, context) = (schema.doc(doc), context(&defined));
            visit_doc(doc, Some(defined.entity()), context, Place::Definition);
        }
    }
}

/// Markup is well-formed.
pub(super) fn check_markup(schema: &Schema, findings: &mut Findings<'_>) {
    for_each_section(schema, |section, text, document| {
        for mistake in &document.mistakes {
            let span = text.span(mistake.at.clone());
            findings.push(mistake.kind.to_string(), span, section.context.clone());
        }
    });
}

/// Every name that is referred to exists.
pub(super) fn check_references(schema: &Schema, findings: &mut Findings<'_>) {
    let references = References::new(schema);
    for_each_section(schema, |section, text, document| {
        markup::for_each_inline(&document.blocks, &mut |inline| {
            let Inline::Reference(reference) = inline else {
                return;
            };
            let is_unknown = reference.kind != ReferenceKind::Outside
                && references.resolve(section.entity, reference).is_none();
            if is_unknown {
                let words: Vec<&str> = reference.name.split_whitespace().collect();
                let message = format!("reference to unknown '{}'", words.join(" "));
                let span = text.span(reference.at.clone());
                findings.push(message, span, section.context.clone());
            }
        });
    });
}
