//! Blocks and running text as HTML.

use super::address::address_of;
use super::code;
use super::escape::{push_address, push_text};
use super::page::PageWriter;
use crate::ir::{DocSection, Entity};
use crate::markup::{self, Admonition, Block, Example, Inline, Place, Reference, Table};
use crate::references::Target;

impl<'m> PageWriter<'m, '_> {
    /// The text of a section, in the documentation of `scope`.
    pub(super) fn section(&mut self, section: &DocSection, scope: Option<Entity>) {
        let text = self.manual.text(section);
        let place = if scope.is_some() {
            Place::Definition
        } else {
            Place::FreeForm
        };
        let document = markup::parse(text.as_str(), place);
        self.blocks(&document.blocks, scope);
    }

    /// As [`Self::section`], with `lead` in front of the first paragraph.
    pub(super) fn section_behind(&mut self, lead: &str, section: &DocSection, scope: Entity) {
        let text = self.manual.text(section);
        let document = markup::parse(text.as_str(), Place::Definition);
        let scope = Some(scope);
        self.out.push_str("<p>");
        self.out.push_str(lead);
        let mut blocks = document.blocks.as_slice();
        if let Some((Block::Paragraph(content), rest)) = blocks.split_first() {
            self.out.push_str(" \u{2013} ");
            self.inlines(content, scope);
            blocks = rest;
        }
        self.out.push_str("</p>\n");
        self.blocks(blocks, scope);
    }

    pub(super) fn blocks(&mut self, blocks: &[Block<'_>], scope: Option<Entity>) {
        for block in blocks {
            self.block(block, scope);
        }
    }

    fn block(&mut self, block: &Block<'_>, scope: Option<Entity>) {
        match block {
            Block::Paragraph(content) => {
                self.out.push_str("<p>");
                self.inlines(content, scope);
                self.out.push_str("</p>\n");
            }
            Block::Heading(level, content) => self.text_heading(*level, content),
            Block::Bullets(items) => self.list("ul", "", items, scope),
            Block::Numbered(first, items) => {
                let start = if *first == 1 {
                    String::new()
                } else {
                    format!(" start=\"{first}\"")
                };
                self.list("ol", &start, items, scope);
            }
            Block::Definitions(items) => {
                self.out.push_str("<dl class=\"terms\">\n");
                for (term, body) in items {
                    self.out.push_str("<dt>");
                    self.inlines(term, scope);
                    self.out.push_str("</dt>\n<dd>");
                    self.blocks(body, scope);
                    self.out.push_str("</dd>\n");
                }
                self.out.push_str("</dl>\n");
            }
            Block::Quote(blocks) => {
                self.out.push_str("<blockquote>\n");
                self.blocks(blocks, scope);
                self.out.push_str("</blockquote>\n");
            }
            Block::Code(code) => code::push_code(&mut self.out, self.manual, self.file, code),
            Block::Lines(lines) => {
                self.out.push_str("<p>");
                for (n, line) in lines.iter().enumerate() {
                    if n > 0 {
                        self.out.push_str("<br>\n");
                    }
                    self.inlines(line, scope);
                }
                self.out.push_str("</p>\n");
            }
            Block::Admonition(admonition) => self.admonition(admonition, scope),
            Block::Example(example) => self.example(example, scope),
            Block::Table(table) => self.table(table, scope),
            Block::Rule => self.out.push_str("<hr>\n"),
        }
    }

    fn list(
        &mut self,
        element: &str,
        attributes: &str,
        items: &[Vec<Block<'_>>],
        scope: Option<Entity>,
    ) {
        self.out.push_str(&format!("<{element}{attributes}>\n"));
        for item in items {
            self.out.push_str("<li>");
            // The one paragraph of an item needs no distance.
            if let [Block::Paragraph(content)] = &item[..] {
                self.inlines(content, scope);
            } else {
                self.blocks(item, scope);
            }
            self.out.push_str("</li>\n");
        }
        self.out.push_str(&format!("</{element}>\n"));
    }

    fn admonition(&mut self, admonition: &Admonition<'_>, scope: Option<Entity>) {
        let kind = admonition.kind.title();
        let class = kind.to_ascii_lowercase().replace(' ', "-");
        self.out.push_str(&format!(
            "<div class=\"admonition {class}\">\n<p class=\"title\">"
        ));
        match &admonition.title {
            Some(title) => self.inlines(title, scope),
            None => self.out.push_str(kind),
        }
        self.out.push_str("</p>\n");
        self.blocks(&admonition.blocks, scope);
        self.out.push_str("</div>\n");
    }

    fn example(&mut self, example: &Example<'_>, scope: Option<Entity>) {
        self.out
            .push_str("<div class=\"example\">\n<p class=\"title\">Example");
        if let Some(title) = &example.title {
            self.out.push_str("<span class=\"colon\">:</span> <span>");
            self.inlines(title, scope);
            self.out.push_str("</span>");
        }
        self.out.push_str("</p>\n");
        self.blocks(&example.blocks, scope);
        self.out.push_str("</div>\n");
    }

    fn table(&mut self, table: &Table<'_>, scope: Option<Entity>) {
        self.out
            .push_str("<div class=\"wide\" tabindex=\"0\">\n<table>\n");
        if let Some(title) = &table.title {
            self.out.push_str("<caption>");
            self.inlines(title, scope);
            self.out.push_str("</caption>\n");
        }
        let rows = || table.head.iter().chain(&table.rows);
        let n_columns = rows().map(Vec::len).max().unwrap_or(0);
        let parts = [
            ("thead", "th scope=\"col\"", "th", &table.head),
            ("tbody", "td", "td", &table.rows),
        ];
        for (part, open, close, rows) in parts {
            if rows.is_empty() {
                continue;
            }
            self.out.push_str(&format!("<{part}>\n"));
            for row in rows {
                self.out.push_str("<tr>");
                for n in 0..n_columns {
                    self.out.push_str(&format!("<{open}>"));
                    if let Some(cell) = row.get(n) {
                        self.inlines(cell, scope);
                    }
                    self.out.push_str(&format!("</{close}>"));
                }
                self.out.push_str("</tr>\n");
            }
            self.out.push_str(&format!("</{part}>\n"));
        }
        self.out.push_str("</table>\n</div>\n");
    }

    pub(super) fn inlines(&mut self, inlines: &[Inline<'_>], scope: Option<Entity>) {
        for inline in inlines {
            match inline {
                Inline::Text(text) => push_text(&mut self.out, text),
                Inline::Emphasis(text) => self.element("em", text),
                Inline::Strong(text) => self.element("strong", text),
                Inline::Literal(text) => self.element("code", text),
                Inline::Link(label, address) => {
                    self.out.push_str("<a class=\"external\" href=\"");
                    push_address(&mut self.out, address);
                    self.out.push_str("\">");
                    push_text(&mut self.out, label);
                    self.out.push_str("</a>");
                }
                Inline::Reference(reference) => self.reference(reference, scope),
            }
        }
    }

    fn element(&mut self, element: &str, text: &str) {
        self.out.push_str(&format!("<{element}>"));
        push_text(&mut self.out, text);
        self.out.push_str(&format!("</{element}>"));
    }

    fn reference(&mut self, reference: &Reference<'_>, scope: Option<Entity>) {
        let target = self.manual.references.resolve(scope, reference);
        let address = target.and_then(|target| address_of(self.manual, self.file, target));
        if let Some(address) = &address {
            self.out.push_str("<a href=\"");
            self.out.push_str(address);
            self.out.push_str("\">");
        }
        let is_outside = reference.kind == markup::ReferenceKind::Outside;
        match &reference.label {
            Some(label) => push_text(&mut self.out, label),
            None if target == Some(Target::Index) => self.out.push_str("index"),
            None if is_outside => self.element("cite", reference.name),
            None => self.element("code", reference.name),
        }
        if address.is_some() {
            self.out.push_str("</a>");
        }
    }
}
