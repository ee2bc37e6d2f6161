//! Documentation comments: from the schema's markup to rustdoc's.
//!
//! Whatever the schema says stays text: every line is a line comment, characters with a meaning in
//! Markdown are escaped, literal blocks are fenced as `text`, so that none is a doctest.

use crate::ir::{Doc, DocId, DocSection, DocSectionKind, Entity};
use crate::markup::{self, Code, Links, Markdown, Place as TextPlace, Reference, Text};

use super::layout;
use super::plan::{Body, Plan};
use super::writer::{LINK_END, LINK_START, ModuleWriter, Place};

impl ModuleWriter<'_, '_> {
    /// The comment of a definition.
    pub(super) fn definition_doc(&mut self, doc: Option<DocId>, synthesised: &str) {
        let text = match self.carried_doc(doc) {
            Some(doc) => self.definition_text(doc),
            None => String::new(),
        };
        self.push_doc(&text, synthesised);
    }

    /// The comment of a member, value or branch.
    pub(super) fn part_doc(&mut self, doc: Option<DocId>, name: &str, kind: &str) {
        let section = self.carried_doc(doc).and_then(|doc| doc.member(name));
        let text = match section {
            Some(section) => {
                let links = RustdocLinks { writer: self };
                let mut markdown = Markdown::new(&links);
                let text = Text::new(section, self.plan.schema.sources());
                markdown.blocks(&markup::parse(text.as_str(), TextPlace::Definition).blocks);
                markdown.finish()
            }
            None => String::new(),
        };
        self.push_doc(&text, &format!("{kind} `{name}`."));
    }

    fn carried_doc(&self, doc: Option<DocId>) -> Option<&Doc> {
        doc.filter(|_| self.plan.options.docs)
            .map(|doc| self.plan.schema.doc(doc))
    }

    fn definition_text(&self, doc: &Doc) -> String {
        let links = RustdocLinks { writer: self };
        let mut markdown = Markdown::new(&links);
        let mut has_features = false;
        for section in doc.sections() {
            match section.kind() {
                DocSectionKind::Member | DocSectionKind::Todo => {}
                DocSectionKind::Plain => self.push_section(&mut markdown, "", section),
                DocSectionKind::Returns => self.push_section(&mut markdown, "Returns: ", section),
                DocSectionKind::Errors => self.push_section(&mut markdown, "Errors: ", section),
                DocSectionKind::Since => self.push_section(&mut markdown, "Since ", section),
                DocSectionKind::Feature => {
                    if !has_features {
                        markdown.raw_block("Features:");
                    }
                    let title = format!("`{}`: ", section.name().unwrap_or_default());
                    markdown.item("- ", !has_features, |markdown| {
                        self.push_section(markdown, &title, section);
                    });
                    has_features = true;
                }
            }
        }
        markdown.finish()
    }

    fn push_section<L: Links>(
        &self,
        markdown: &mut Markdown<'_, L>,
        title: &str,
        section: &DocSection,
    ) {
        let text = Text::new(section, self.plan.schema.sources());
        let blocks = markup::parse(text.as_str(), TextPlace::Definition).blocks;
        if title.is_empty() {
            markdown.blocks(&blocks);
        } else {
            markdown.titled(title, &blocks);
        }
    }

    fn push_doc(&mut self, text: &str, synthesised: &str) {
        if text.is_empty() {
            return self.line(&format!("/// {synthesised}"));
        }
        for line in text.split('\n') {
            let line = line.trim_end();
            layout::indent(&mut self.out, self.indent);
            self.out
                .push_str(if line.is_empty() { "///" } else { "/// " });
            self.out.push_str(line);
            self.out.push('\n');
        }
    }
}

/// References as rustdoc has them.
struct RustdocLinks<'w, 'p, 'a> {
    writer: &'w ModuleWriter<'p, 'a>,
}

impl Links for RustdocLinks<'_, '_, '_> {
    /// A name in code; a link where it is the name of a definition that is always there.
    fn push_reference(&self, out: &mut String, reference: &Reference<'_>) {
        let name = reference.name;
        if let Some(label) = &reference.label {
            let target = self.target(name);
            out.push_str(if target.is_some() { "[" } else { "" });
            markup::escape_markdown(out, label);
            if let Some((target, ..)) = target {
                out.push_str("](");
                out.push_str(&target);
                out.push(')');
            }
            return;
        }
        let Some((target, rust, is_local)) = self.target(name) else {
            markup::push_code_span(out, name);
            return;
        };
        out.push('[');
        markup::push_code_span(out, name);
        out.push(']');
        if is_local && rust == name {
            return;
        }
        // The label alone is enough where it names the same item.
        let is_needless = rust == name;
        if is_needless {
            out.push(LINK_START);
        }
        out.push('(');
        out.push_str(&target);
        out.push(')');
        if is_needless {
            out.push(LINK_END);
        }
    }

    fn language<'c>(&self, _: &Code<'c>) -> &'c str {
        "text"
    }

    fn heading_level(&self, level: u8) -> usize {
        // Definitions have no headings.
        usize::from(level)
    }
}

impl RustdocLinks<'_, '_, '_> {
    /// The path, the Rust name and whether the item is in the same module.
    fn target(&self, name: &str) -> Option<(String, String, bool)> {
        let writer = self.writer;
        let plan: &Plan<'_> = writer.plan;
        Some(match plan.schema.entity(name)? {
            Entity::Include(_) => return None,
            Entity::Type(id) => {
                let ty = plan.ty(id)?;
                if !ty.gate.is_always() || matches!(ty.body, Body::Replaced(_)) {
                    return None;
                }
                match writer.place {
                    Place::Types(module) => {
                        let is_local = module == ty.ty.module();
                        (format!("super::{}", ty.name), ty.name.clone(), is_local)
                    }
                    // Requests may hide types of the same name.
                    place => {
                        let path = format!("{}::{}", place.sibling("types"), ty.name);
                        (path, String::new(), false)
                    }
                }
            }
            Entity::Command(id) => {
                let command = plan.commands[id.index()].as_ref()?;
                if !command.gate.is_always() {
                    return None;
                }
                let rust = &command.name;
                (
                    format!("{}::{rust}", writer.place.sibling("commands")),
                    String::new(),
                    false,
                )
            }
            Entity::Event(id) => {
                let event = plan.events[id.index()].as_ref()?;
                if !event.gate.is_always() {
                    return None;
                }
                let rust = &event.name;
                (
                    format!("{}::{rust}", writer.place.sibling("events")),
                    String::new(),
                    false,
                )
            }
        })
    }
}
