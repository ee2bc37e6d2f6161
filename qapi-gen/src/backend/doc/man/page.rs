//! A page and the blocks in it.

use super::roff::{push_code, push_text};
use crate::backend::doc::manual::Manual;
use crate::ir::DocSection;
use crate::markup::{
    self, Admonition, Block, Cell, Code, Inline, Place, Reference, ReferenceKind, Table, plain_text,
};

/// Writes a page.
pub(super) struct PageWriter<'m, 's> {
    pub(super) manual: &'m Manual<'s>,
    /// The name of the first page, to which the others refer.
    stem: &'m str,
    pub(super) out: String,
    /// Nothing stands before the next paragraph that it must be separated from.
    pub(super) is_fresh: bool,
    has_section: bool,
    has_title: bool,
}

impl<'m, 's> PageWriter<'m, 's> {
    pub(super) fn new(manual: &'m Manual<'s>, stem: &'m str) -> Self {
        Self {
            manual,
            stem,
            out: String::new(),
            is_fresh: true,
            has_section: false,
            has_title: false,
        }
    }

    /// What stands before the content.
    pub(super) fn head(&self, name: &str, title: &str) -> String {
        let mut out = String::from(".\\\" ");
        // A comment ends with its line.
        out.push_str(&self.manual.marker().replace(['\n', '\r'], " "));
        out.push_str("\n.TH \"");
        push_code(&mut out, &name.to_uppercase());
        out.push_str("\" \"7\" \"");
        push_text(&mut out, &self.manual.date);
        out.push_str("\" \"\" \"");
        push_text(&mut out, &self.manual.title);
        out.push_str("\"\n.SH NAME\n");
        push_code(&mut out, name);
        out.push_str(" \\- ");
        push_text(&mut out, if title.is_empty() { name } else { title });
        out.push('\n');
        out
    }

    /// What follows it.
    pub(super) fn foot(&self, name: &str) -> String {
        let mut out = String::new();
        if name != self.stem {
            out.push_str(".SH SEE ALSO\n.BR ");
            push_code(&mut out, self.stem);
            out.push_str(" (7)\n");
        }
        out
    }

    /// A heading of the first level.
    pub(super) fn section(&mut self, title: &str) {
        self.out.push_str(".SH \"");
        push_text(&mut self.out, title);
        self.out.push_str("\"\n");
        self.is_fresh = true;
        self.has_section = true;
    }

    /// There is a heading before what comes.
    pub(super) fn need_section(&mut self) {
        if !self.has_section {
            self.section("DESCRIPTION");
        }
    }

    /// A free-form comment.
    pub(super) fn text(&mut self, sections: &[DocSection], title: &str) {
        for section in sections {
            let text = self.manual.text(section);
            let document = markup::parse(text.as_str(), Place::FreeForm);
            for block in &document.blocks {
                match block {
                    Block::Heading(_, content) => {
                        let heading = plain_text(content);
                        if !self.has_title && heading == title {
                            self.has_title = true;
                        } else {
                            self.section(&heading);
                        }
                    }
                    _ => {
                        self.need_section();
                        self.block(block);
                    }
                }
            }
        }
    }

    /// The text of a section of a definition's documentation.
    pub(super) fn doc_section(&mut self, section: &DocSection) {
        let text = self.manual.text(section);
        let document = markup::parse(text.as_str(), Place::Definition);
        self.blocks(&document.blocks);
    }

    /// Starts a paragraph.
    pub(super) fn paragraph(&mut self) {
        if !self.is_fresh {
            self.out.push_str(".PP\n");
        }
        self.is_fresh = false;
    }

    pub(super) fn blocks(&mut self, blocks: &[Block<'_>]) {
        for block in blocks {
            self.block(block);
        }
    }

    fn block(&mut self, block: &Block<'_>) {
        match block {
            Block::Paragraph(content) => {
                self.paragraph();
                self.line(content);
            }
            Block::Heading(_, content) => {
                self.paragraph();
                self.bold(&plain_text(content));
            }
            Block::Bullets(items) => {
                for item in items {
                    self.item("\\(bu", 3, item);
                }
            }
            Block::Numbered(first, items) => {
                for (n, item) in items.iter().enumerate() {
                    let marker = format!("{}.", *first as usize + n);
                    self.item(&marker, 4, item);
                }
            }
            Block::Definitions(items) => {
                for (term, body) in items {
                    self.out.push_str(".TP\n");
                    self.line(term);
                    self.tagged(body);
                }
            }
            Block::Quote(blocks) => self.indented(blocks),
            Block::Code(code) => self.code(code),
            Block::Lines(lines) => {
                self.paragraph();
                for (n, line) in lines.iter().enumerate() {
                    if n > 0 {
                        self.out.push_str(".br\n");
                    }
                    self.line(line);
                }
            }
            Block::Admonition(admonition) => self.admonition(admonition),
            Block::Example(example) => {
                self.paragraph();
                let mut title = String::from("Example");
                if let Some(content) = &example.title {
                    title.push_str(": ");
                    title.push_str(&plain_text(content));
                }
                self.bold(&title);
                self.blocks(&example.blocks);
            }
            Block::Table(table) => self.table(table),
            Block::Rule => self.out.push_str(".sp\n"),
        }
    }

    fn bold(&mut self, text: &str) {
        self.out.push_str("\\fB");
        push_text(&mut self.out, text);
        self.out.push_str("\\fR\n");
    }

    fn item(&mut self, marker: &str, width: usize, item: &[Block<'_>]) {
        self.out.push_str(&format!(".IP {marker} {width}\n"));
        self.tagged(item);
    }

    /// The text after a tag: its first paragraph belongs to it, the rest is indented as it is.
    pub(super) fn tagged(&mut self, blocks: &[Block<'_>]) {
        let rest = match blocks.split_first() {
            Some((Block::Paragraph(content), rest)) => {
                self.line(content);
                rest
            }
            Some(_) => blocks,
            None => {
                self.out.push_str("\\&\n");
                blocks
            }
        };
        self.is_fresh = false;
        if !rest.is_empty() {
            self.indented(rest);
        }
    }

    fn indented(&mut self, blocks: &[Block<'_>]) {
        self.out.push_str(".RS\n");
        self.is_fresh = false;
        self.blocks(blocks);
        self.out.push_str(".RE\n");
        self.is_fresh = false;
    }

    fn admonition(&mut self, admonition: &Admonition<'_>) {
        self.paragraph();
        let title = match &admonition.title {
            Some(content) => plain_text(content),
            None => admonition.kind.title().to_owned(),
        };
        self.bold(&format!("{title}:"));
        match &admonition.blocks[..] {
            // A short one goes on in the line.
            [Block::Paragraph(content)] => self.line(content),
            blocks => self.indented(blocks),
        }
    }

    fn code(&mut self, code: &Code<'_>) {
        self.paragraph();
        self.out.push_str(".RS 4\n.nf\n");
        for line in &code.lines {
            let text = line.text.trim_end();
            let indent = text.len() - text.trim_start_matches(' ').len();
            if text.is_empty() {
                // A blank line would be a request to some.
                self.out.push_str("\\&\n");
                continue;
            }
            self.out.extend(std::iter::repeat_n(' ', indent));
            push_code(&mut self.out, &text[indent..]);
            self.out.push('\n');
        }
        self.out.push_str(".fi\n.RE\n");
        self.is_fresh = false;
    }

    /// A table as a list of its rows: what is wide on paper need not be on a terminal.
    fn table(&mut self, table: &Table<'_>) {
        if let Some(title) = &table.title {
            self.paragraph();
            self.line(title);
        }
        for row in table.head.iter().chain(&table.rows) {
            self.paragraph();
            self.row(row);
        }
    }

    fn row(&mut self, row: &[Cell<'_>]) {
        for (n, cell) in row.iter().enumerate() {
            if n > 0 {
                self.out.push_str(" | ");
            }
            self.inlines(cell);
        }
        self.out.push('\n');
    }

    /// Running text as one line of the source.
    pub(super) fn line(&mut self, inlines: &[Inline<'_>]) {
        let start = self.out.len();
        self.inlines(inlines);
        if self.out.len() == start {
            self.out.push_str("\\&");
        }
        let text = self.out.split_off(start);
        self.fill(&text);
    }

    /// Lines of a convenient length, as people write them; none starts with a request.
    pub(super) fn fill(&mut self, text: &str) {
        let mut column = 0;
        for word in text.split_whitespace() {
            if column > 0 && column + word.len() > 78 {
                self.out.push('\n');
                column = 0;
            } else if column > 0 {
                self.out.push(' ');
                column += 1;
            }
            if column == 0 && word.starts_with(['.', '\'']) {
                self.out.push_str("\\&");
            }
            self.out.push_str(word);
            column += word.len();
        }
        self.out.push('\n');
    }

    fn inlines(&mut self, inlines: &[Inline<'_>]) {
        for inline in inlines {
            match inline {
                Inline::Text(text) => push_text(&mut self.out, text),
                Inline::Emphasis(text) => self.font('I', text, push_text),
                Inline::Strong(text) => self.font('B', text, push_text),
                Inline::Literal(text) => self.font('B', text, push_code),
                Inline::Link(label, address) if label == address => {
                    self.font('I', address, push_code);
                }
                Inline::Link(label, address) => {
                    push_text(&mut self.out, label);
                    self.out.push_str(" (");
                    self.font('I', address, push_code);
                    self.out.push(')');
                }
                Inline::Reference(reference) => self.reference(reference),
            }
        }
    }

    fn font(&mut self, font: char, text: &str, push: fn(&mut String, &str)) {
        self.out.push_str("\\f");
        self.out.push(font);
        push(&mut self.out, text.trim());
        self.out.push_str("\\fR");
    }

    fn reference(&mut self, reference: &Reference<'_>) {
        match (&reference.label, reference.kind) {
            (Some(label), _) => push_text(&mut self.out, label),
            (None, ReferenceKind::Outside) => self.font('I', reference.name, push_text),
            (None, ReferenceKind::Member | ReferenceKind::Definition) => {
                self.font('B', reference.name, push_code);
            }
        }
    }
}
