//! Markup as Markdown: CommonMark with the tables of GitHub and rustdoc.

use super::{
    Admonition, Block, Cell, Code, Example, Inline, Reference, Table, is_hostile, push_visible,
};

/// What differs between the users of Markdown.
pub(crate) trait Links {
    /// Puts a reference out, as a link where there is something to link to.
    fn push_reference(&self, out: &mut String, reference: &Reference<'_>);

    /// The language that the fence of a block of code names.
    fn language<'c>(&self, code: &Code<'c>) -> &'c str;

    /// The number of `#` of a heading.
    fn heading_level(&self, level: u8) -> usize;
}

/// Renders blocks.
pub(crate) struct Markdown<'l, L> {
    links: &'l L,
    out: String,
    /// What every line starts with: the indentation of an item, the mark of a quote.
    prefix: String,
    /// Nothing was put out yet that the next block must be separated from.
    is_fresh: bool,
}

impl<'l, L: Links> Markdown<'l, L> {
    pub(crate) fn new(links: &'l L) -> Self {
        Self {
            links,
            out: String::new(),
            prefix: String::new(),
            is_fresh: true,
        }
    }

    /// The text, without a line end at its end.
    pub(crate) fn finish(self) -> String {
        self.out
    }

    /// Starts a block: after a blank line if there is something before it.
    pub(crate) fn start_block(&mut self) {
        if !self.is_fresh {
            self.out.push('\n');
            self.out.push_str(self.prefix.trim_end());
            self.new_line();
        }
        self.is_fresh = false;
    }

    fn new_line(&mut self) {
        self.out.push('\n');
        self.out.push_str(&self.prefix);
    }

    /// A block of one line that is Markdown already.
    pub(crate) fn raw_block(&mut self, line: &str) {
        self.start_block();
        self.out.push_str(line);
    }

    /// The blocks one after the other.
    pub(crate) fn blocks(&mut self, blocks: &[Block<'_>]) {
        for block in blocks {
            self.block(block);
        }
    }

    /// The blocks with `title`, which is Markdown, before the first one.
    pub(crate) fn titled(&mut self, title: &str, blocks: &[Block<'_>]) {
        self.start_block();
        let start = self.out.len();
        if let Some((Block::Paragraph(content), rest)) = blocks.split_first() {
            self.out.push_str(title);
            self.inlines(content);
            self.end_text();
            self.guard(start);
            self.blocks(rest);
        } else {
            self.out.push_str(title.trim_end());
            self.blocks(blocks);
        }
    }

    /// An item of a list, which follows other ones at once.
    pub(crate) fn item(&mut self, marker: &str, is_first: bool, inside: impl FnOnce(&mut Self)) {
        if is_first {
            self.start_block();
        } else {
            self.new_line();
        }
        self.out.push_str(marker);
        let outer = self.prefix.len();
        self.prefix.extend(std::iter::repeat_n(' ', marker.len()));
        self.is_fresh = true;
        inside(self);
        self.prefix.truncate(outer);
        if self.is_fresh {
            // An item without a text leaves its marker.
            self.out.truncate(self.out.trim_end_matches(' ').len());
        }
        self.is_fresh = false;
    }

    fn block(&mut self, block: &Block<'_>) {
        match block {
            Block::Paragraph(content) => self.paragraph(content),
            Block::Heading(level, content) => {
                self.start_block();
                let level = self.links.heading_level(*level);
                self.out.extend(std::iter::repeat_n('#', level));
                self.out.push(' ');
                self.on_one_line(|writer| writer.inlines(content));
            }
            Block::Bullets(items) => {
                for (n, item) in items.iter().enumerate() {
                    self.item("- ", n == 0, |writer| writer.blocks(item));
                }
            }
            Block::Numbered(first, items) => {
                for (n, item) in items.iter().enumerate() {
                    let marker = format!("{}. ", *first as usize + n);
                    self.item(&marker, n == 0, |writer| writer.blocks(item));
                }
            }
            Block::Definitions(items) => {
                for (n, (term, body)) in items.iter().enumerate() {
                    self.item("- ", n == 0, |writer| {
                        writer.paragraph(term);
                        writer.blocks(body);
                    });
                }
            }
            Block::Quote(blocks) => self.quote(|writer| writer.blocks(blocks)),
            Block::Code(code) => self.code(code),
            Block::Lines(lines) => self.verses(lines),
            Block::Admonition(admonition) => self.admonition(admonition),
            Block::Example(example) => self.example(example),
            Block::Table(table) => self.table(table),
            Block::Rule => self.raw_block("---"),
        }
    }

    /// Lines that stay lines; those that show nothing are left out.
    fn verses(&mut self, lines: &[Vec<Inline<'_>>]) {
        let (before, was_fresh) = (self.out.len(), self.is_fresh);
        self.start_block();
        let start = self.out.len();
        for line in lines {
            let end = self.out.len();
            if end > start {
                self.out.push('\\');
                self.new_line();
            }
            let line_start = self.out.len();
            self.on_one_line(|writer| writer.inlines(line));
            if self.out[line_start..].trim().is_empty() {
                self.out.truncate(end);
            }
        }
        if self.out.len() == start {
            self.out.truncate(before);
            self.is_fresh = was_fresh;
            return;
        }
        self.end_text();
        self.guard(start);
    }

    pub(crate) fn paragraph(&mut self, content: &[Inline<'_>]) {
        let (before, was_fresh) = (self.out.len(), self.is_fresh);
        self.start_block();
        let start = self.out.len();
        self.inlines(content);
        if self.out[start..].trim().is_empty() {
            // Blanks that were escaped are nothing to be seen.
            self.out.truncate(before);
            self.is_fresh = was_fresh;
            return;
        }
        self.end_text();
        self.guard(start);
    }

    /// Running text ends where it is seen to.
    fn end_text(&mut self) {
        self.out.truncate(self.out.trim_end().len());
    }

    fn quote(&mut self, inside: impl FnOnce(&mut Self)) {
        self.start_block();
        self.out.push_str("> ");
        let outer = self.prefix.len();
        self.prefix.push_str("> ");
        self.is_fresh = true;
        inside(self);
        self.prefix.truncate(outer);
        if self.is_fresh {
            self.out.truncate(self.out.trim_end_matches(' ').len());
        }
        self.is_fresh = false;
    }

    fn admonition(&mut self, admonition: &Admonition<'_>) {
        self.quote(|writer| {
            let mut title = "**".to_owned();
            match &admonition.title {
                Some(content) => escape_markdown(&mut title, &plain_text(content)),
                None => title.push_str(admonition.kind.title()),
            }
            title.push_str(":** ");
            writer.titled(&title, &admonition.blocks);
        });
    }

    fn example(&mut self, example: &Example<'_>) {
        self.start_block();
        match &example.title {
            Some(title) => {
                self.out.push_str("**Example:** ");
                self.on_one_line(|writer| writer.inlines(title));
            }
            None => self.out.push_str("**Example:**"),
        }
        self.blocks(&example.blocks);
    }

    fn code(&mut self, code: &Code<'_>) {
        self.start_block();
        // A fence is longer than any run of its character inside.
        let mut fence = 3;
        for line in code.lines.iter().filter(|line| line.text.contains("```")) {
            let runs = line.text.split(|ch| ch != '`').map(str::len);
            fence = fence.max(runs.max().unwrap_or(0) + 1);
        }
        self.out.extend(std::iter::repeat_n('`', fence));
        self.out.push_str(self.links.language(code));
        for line in &code.lines {
            self.out.push('\n');
            if line.text.is_empty() {
                self.out.push_str(self.prefix.trim_end());
                continue;
            }
            self.out.push_str(&self.prefix);
            push_plain(&mut self.out, line.text);
        }
        self.new_line();
        self.out.extend(std::iter::repeat_n('`', fence));
    }

    fn table(&mut self, table: &Table<'_>) {
        if let Some(title) = &table.title {
            self.paragraph(title);
        }
        let rows = || table.head.iter().chain(&table.rows);
        let n_columns = rows().map(Vec::len).max().unwrap_or(0);
        if n_columns == 0 {
            return;
        }
        self.start_block();
        let no_head = Vec::new();
        let (head, rows) = match table.head.split_first() {
            Some((head, rest)) => (head, rest.iter().chain(&table.rows)),
            None => (&no_head, [].iter().chain(&table.rows)),
        };
        self.row(head, n_columns);
        self.new_line();
        self.out.push('|');
        for _ in 0..n_columns {
            self.out.push_str(" --- |");
        }
        for row in rows {
            self.new_line();
            self.row(row, n_columns);
        }
    }

    fn row(&mut self, cells: &[Cell<'_>], n_columns: usize) {
        self.out.push('|');
        for n in 0..n_columns {
            self.out.push(' ');
            if let Some(cell) = cells.get(n) {
                let start = self.out.len();
                self.on_one_line(|writer| writer.inlines(cell));
                // Escaped in text already; the table sees it inside of code too.
                if self.out[start..].contains('|') {
                    let cell = self.out.split_off(start);
                    let cell = cell.replace("\\|", "|").replace('|', "\\|");
                    self.out.push_str(&cell);
                }
            }
            self.out.push_str(" |");
        }
    }

    /// What `inside` writes, with line ends as blanks.
    fn on_one_line(&mut self, inside: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        inside(self);
        if self.out[start..].contains('\n') {
            let text = self.out.split_off(start);
            let words: Vec<&str> = text
                .split('\n')
                .map(|line| line.strip_prefix(self.prefix.as_str()).unwrap_or(line))
                .collect();
            self.out.push_str(&words.join(" "));
        }
    }

    pub(crate) fn inlines(&mut self, inlines: &[Inline<'_>]) {
        for inline in inlines {
            match inline {
                Inline::Text(text) => self.text(text),
                Inline::Emphasis(text) => self.marked("*", text),
                Inline::Strong(text) => self.marked("**", text),
                Inline::Literal(text) => push_code_span(&mut self.out, text),
                Inline::Link(label, address) => self.link(label, address),
                Inline::Reference(reference) => {
                    self.links.push_reference(&mut self.out, reference);
                }
            }
        }
    }

    fn text(&mut self, text: &str) {
        let mut lines = text.split('\n');
        escape_markdown(&mut self.out, lines.next().unwrap_or_default());
        for line in lines {
            // Blanks at the end of a line would break it, a blank line the paragraph.
            self.out.truncate(self.out.trim_end_matches(' ').len());
            let is_blank = self.out.is_empty()
                || self.out.ends_with('\n')
                || (self.out.ends_with(self.prefix.trim_end())
                    && self.out[..self.out.len() - self.prefix.trim_end().len()].ends_with('\n'));
            if !is_blank {
                self.new_line();
            }
            escape_markdown(&mut self.out, line.trim_start());
        }
    }

    fn marked(&mut self, mark: &str, text: &str) {
        self.out.push_str(mark);
        let text = text.trim();
        if text.contains('\n') {
            let words: Vec<&str> = text.split_whitespace().collect();
            escape_markdown(&mut self.out, &words.join(" "));
        } else {
            escape_markdown(&mut self.out, text);
        }
        self.out.push_str(mark);
    }

    fn link(&mut self, label: &str, address: &str) {
        if label == address {
            self.out.push('<');
            push_address(&mut self.out, address);
            self.out.push('>');
            return;
        }
        self.out.push('[');
        let words: Vec<&str> = label.split_whitespace().collect();
        escape_markdown(&mut self.out, &words.join(" "));
        self.out.push_str("](<");
        push_address(&mut self.out, address);
        self.out.push_str(">)");
    }

    /// No line of the text from `start` on may look like the start of another block.
    fn guard(&mut self, start: usize) {
        let is_line_start = |at: usize| at == start || self.out.as_bytes()[at - 1] == b'\n';
        let mut at = start;
        let mut guards = Vec::new();
        while at < self.out.len() {
            if is_line_start(at) {
                let line = &self.out[at..];
                let skipped = if at == start { 0 } else { self.prefix.len() };
                if let Some(found) = guard_at(line.get(skipped..).unwrap_or_default()) {
                    guards.push(at + skipped + found);
                }
            }
            let next = self.out[at..].find('\n');
            at = next.map_or(self.out.len(), |len| at + len + 1);
        }
        if guards.is_empty() {
            return;
        }
        let text = self.out.split_off(start);
        let mut done = 0;
        for at in guards {
            self.out.push_str(&text[done..at - start]);
            self.out.push('\\');
            done = at - start;
        }
        self.out.push_str(&text[done..]);
    }
}

/// Where a backslash keeps the start of a line from being a list, heading or rule.
fn guard_at(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    match bytes.first()? {
        b'#' | b'-' | b'+' | b'=' | b':' => Some(0),
        b'0'..=b'9' => {
            let digits = bytes
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            matches!(bytes.get(digits), Some(b'.' | b')')).then_some(digits)
        }
        _ => None,
    }
}

/// Whether a character of text may need a backslash.
fn is_active(byte: u8) -> bool {
    matches!(
        byte,
        b'\\' | b'`' | b'*' | b'[' | b']' | b'<' | b'>' | b'|' | b'~' | b'&' | b'_' | b'$'
    )
}

/// Appends `text` so that Markdown takes none of it for markup.
pub(crate) fn escape_markdown(out: &mut String, text: &str) {
    let mut plain = 0;
    let bytes = text.as_bytes();
    let is_word = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
    };
    let special = |byte: u8| is_active(byte) || !(b' '..=b'~').contains(&byte);
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|byte| special(*byte)) {
        at += found;
        if bytes[at].is_ascii() && is_active(bytes[at]) {
            // Inside of a word an underscore is plain.
            let is_plain = bytes[at] == b'_' && is_word(at.checked_sub(1)) && is_word(Some(at + 1));
            if !is_plain {
                out.push_str(&text[plain..at]);
                out.push('\\');
                plain = at;
            }
            at += 1;
            continue;
        }
        let Some(ch) = text[at..].chars().next() else {
            break;
        };
        if is_hostile(ch) || ch == '\t' {
            out.push_str(&text[plain..at]);
            if ch == '\t' {
                out.push(' ');
            } else {
                push_visible(out, ch);
            }
            plain = at + ch.len_utf8();
        }
        at += ch.len_utf8();
    }
    out.push_str(&text[plain..]);
}

/// Appends text in which Markdown sees no markup.
fn push_plain(out: &mut String, text: &str) {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        out.push_str(text);
        return;
    }
    for ch in text.chars() {
        match ch {
            '\n' => out.push(' '),
            _ if is_hostile(ch) => push_visible(out, ch),
            _ => out.push(ch),
        }
    }
}

/// Appends a span of code.
pub(crate) fn push_code_span(out: &mut String, text: &str) {
    let text = text.trim();
    let runs = text.split(|ch| ch != '`').map(str::len);
    let fence = runs.max().unwrap_or(0) + 1;
    out.extend(std::iter::repeat_n('`', fence));
    let is_padded = text.starts_with('`') || text.ends_with('`');
    if is_padded {
        out.push(' ');
    }
    if text.contains('\n') {
        let words: Vec<&str> = text.split_whitespace().collect();
        push_plain(out, &words.join(" "));
    } else {
        push_plain(out, text);
    }
    if is_padded {
        out.push(' ');
    }
    out.extend(std::iter::repeat_n('`', fence));
}

fn push_address(out: &mut String, address: &str) {
    for ch in address.chars() {
        if !(ch.is_whitespace() || is_hostile(ch) || matches!(ch, '<' | '>' | '\\' | '`')) {
            out.push(ch);
        }
    }
}

/// The text without markup.
pub(crate) fn plain_text(inlines: &[Inline<'_>]) -> String {
    let mut text = String::new();
    for inline in inlines {
        match inline {
            Inline::Text(part) | Inline::Literal(part) => text.push_str(part),
            Inline::Emphasis(part) | Inline::Strong(part) | Inline::Link(part, _) => {
                text.push_str(part);
            }
            Inline::Reference(reference) => {
                text.push_str(reference.label.as_deref().unwrap_or(reference.name));
            }
        }
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}
