//! Blocks.

use super::directive;
use super::inline::{Targets, parse_inline};
use super::line::{Line, Marker, body_len, lines_of, marker_of, rule_of};
use super::{Block, Code, CodeLine, Document, Inline, Mistake, MistakeKind, Place, table};
use crate::limits::MAX_MARKUP_DEPTH;

/// Parses a whole text.
pub(super) fn parse(text: &str, place: Place) -> Document<'_> {
    let lines = lines_of(text);
    let mut parser = BlockParser {
        text,
        targets: directive::targets_of(text, &lines),
        mistakes: Vec::new(),
        place,
        depth: 0,
    };
    let blocks = parser.blocks(&lines, 0);
    Document {
        blocks,
        mistakes: parser.mistakes,
    }
}

/// What all parts of the parser need.
pub(super) struct BlockParser<'t> {
    pub(super) text: &'t str,
    targets: Targets<'t>,
    mistakes: Vec<Mistake>,
    place: Place,
    depth: usize,
}

impl<'t> BlockParser<'t> {
    pub(super) fn mistake(&mut self, kind: MistakeKind, line: &Line) {
        self.mistakes.push(Mistake {
            kind,
            at: line.start..line.end,
        });
    }

    /// The blocks inside of another one, whose text starts at the column `base`.
    pub(super) fn nested(&mut self, lines: &[Line], base: usize) -> Vec<Block<'t>> {
        if self.depth == MAX_MARKUP_DEPTH {
            if let Some(line) = lines.iter().find(|line| !line.is_blank()) {
                self.mistake(MistakeKind::TooDeep(MAX_MARKUP_DEPTH), line);
            }
            let code = self.code(lines, None);
            return if code.lines.is_empty() {
                Vec::new()
            } else {
                vec![Block::Code(code)]
            };
        }
        self.depth += 1;
        let blocks = self.blocks(lines, base);
        self.depth -= 1;
        blocks
    }

    /// Parses a run of lines; a line left of the column `base` counts as being there.
    fn blocks(&mut self, lines: &[Line], base: usize) -> Vec<Block<'t>> {
        let mut blocks = Vec::new();
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            if line.is_blank() {
                at += 1;
                continue;
            }
            at += self.block(&lines[at..], base, &mut blocks);
        }
        blocks
    }

    /// Parses the block at the start of `lines`, and returns how many lines it took.
    fn block(&mut self, lines: &[Line], base: usize, out: &mut Vec<Block<'t>>) -> usize {
        let first = lines[0];
        if first.indent > base {
            let len = body_len(lines, base);
            let filled = lines[..len].iter().filter(|line| !line.is_blank());
            let inner = filled.map(|line| line.indent).min().unwrap_or(base);
            let blocks = self.nested(&lines[..len], inner);
            out.push(Block::Quote(blocks));
            return len;
        }
        let text = first.text(self.text);
        if text == ".." || text.starts_with(".. ") {
            return directive::parse(self, lines, base, out);
        }
        if let Some(taken) = self.heading(lines, out) {
            return taken;
        }
        if let Some((marker, _)) = marker_of(text)
            && self.is_item(lines, marker)
        {
            return self.list(lines, base, marker, out);
        }
        if let Some(taken) = table::parse(self, lines, out) {
            return taken;
        }
        if is_field(text) {
            return self.fields(lines, base, out);
        }
        if text.starts_with("| ") {
            return self.line_block(lines, base, out);
        }
        if text.starts_with(">>> ") {
            let len = lines.iter().position(Line::is_blank).unwrap_or(lines.len());
            let code = self.code(&lines[..len], None);
            out.push(Block::Code(code));
            return len;
        }
        if let Some(next) = lines.get(1)
            && !next.is_blank()
            && next.indent > base
            && !text.ends_with("::")
        {
            return self.definitions(lines, base, out);
        }
        self.paragraph(lines, base, out)
    }

    /// A heading, or a line between passages, if one starts here.
    fn heading(&mut self, lines: &[Line], out: &mut Vec<Block<'t>>) -> Option<usize> {
        let first = lines.first()?;
        let text = first.text(self.text);
        let rule_at = |n: usize| {
            let line = lines.get(n).filter(|line| !line.is_blank())?;
            rule_of(line.text(self.text))
        };
        // `= Title`, which only the first line of a free-form comment is: elsewhere it is text.
        if first.start == 0
            && self.place == Place::FreeForm
            && let Some(title) = old_heading(text)
        {
            let level = (text.len() - text.trim_start_matches('=').len()).min(6) as u8;
            let content = self.inline(&first.from(self.text, text.len() - title.len()));
            return self.push_heading(first, level, content, 1, out);
        }
        if let Some(mark) = rule_of(text) {
            let next = lines.get(1);
            match next {
                Some(title) if !title.is_blank() && rule_at(2) == Some(mark) => {
                    self.check_rule(first, title);
                    let content = self.inline(title);
                    return self.push_heading(title, 1, content, 3, out);
                }
                Some(line) if !line.is_blank() => return None,
                Some(_) | None => {
                    if text.len() < 4 {
                        return None;
                    }
                    out.push(Block::Rule);
                    return Some(1);
                }
            }
        }
        let mark = rule_at(1)?;
        // `::` and `...` under a line are not headings.
        if self.depth > 0 || lines[1].indent != first.indent || matches!(mark, b':' | b'.' | b'|') {
            return None;
        }
        // A line above would be part of a paragraph; a short one under a long text is not a heading.
        if lines[1].text(self.text).len() < 4 && text.len() > 4 {
            return None;
        }
        self.check_rule(&lines[1], first);
        let level = match mark {
            b'*' | b'#' => 1,
            b'=' => 2,
            b'-' | b'_' => 3,
            b'~' | b'^' => 4,
            _ => 5,
        };
        let content = self.inline(first);
        self.push_heading(first, level, content, 2, out)
    }

    fn check_rule(&mut self, rule: &Line, title: &Line) {
        let n_chars = title.text(self.text).chars().count();
        if rule.end - rule.start < n_chars {
            self.mistake(MistakeKind::ShortRule, rule);
        }
    }

    fn push_heading(
        &mut self,
        line: &Line,
        level: u8,
        content: Vec<Inline<'t>>,
        taken: usize,
        out: &mut Vec<Block<'t>>,
    ) -> Option<usize> {
        if self.place == Place::FreeForm && self.depth == 0 {
            out.push(Block::Heading(level, content));
        } else {
            self.mistake(MistakeKind::HeadingInDefinition, line);
            let strong = &self.text[line.start..line.end];
            out.push(Block::Paragraph(vec![Inline::Strong(strong.into())]));
        }
        Some(taken)
    }

    /// Whether the first line is an item of a list: a number may as well stand in a paragraph
    /// that happens to have it at the start of a line.
    fn is_item(&self, lines: &[Line], marker: Marker) -> bool {
        if matches!(marker, Marker::Bullet(_)) {
            return true;
        }
        let Some(next) = lines.get(1) else {
            return true;
        };
        next.is_blank()
            || next.indent > lines[0].indent
            || marker_of(next.text(self.text)).is_some_and(|(next, _)| next.continues(marker))
    }

    fn list(
        &mut self,
        lines: &[Line],
        base: usize,
        kind: Marker,
        out: &mut Vec<Block<'t>>,
    ) -> usize {
        let mut items = Vec::new();
        let mut at = 0;
        let mut was_blank = false;
        while let Some(line) = lines.get(at) {
            if line.is_blank() {
                was_blank = true;
                at += 1;
                continue;
            }
            let text = line.text(self.text);
            let marker = marker_of(text).filter(|(marker, _)| marker.continues(kind));
            let Some((_, marker_len)) = marker.filter(|_| line.indent <= base) else {
                if !was_blank && !text.starts_with(".. ") {
                    self.mistake(MistakeKind::ListEndsWithoutBlank, line);
                }
                break;
            };
            let first = line.from(self.text, marker_len);
            let column = if first.is_blank() {
                line.indent + marker_len + 1
            } else {
                first.indent
            };
            at += 1;
            let len = body_len(&lines[at..], base);
            let mut body = vec![first];
            body.extend_from_slice(&lines[at..at + len]);
            at += len;
            was_blank = false;
            self.align(&mut body, column);
            items.push(self.nested(&body, column));
        }
        // Blank lines after the list belong to nothing.
        out.push(match kind {
            Marker::Bullet(_) => Block::Bullets(items),
            Marker::Number(first) => Block::Numbered(first, items),
            Marker::Automatic => Block::Numbered(1, items),
        });
        at
    }

    /// Lines left of the text of their item are brought in line with it.
    fn align(&mut self, body: &mut [Line], column: usize) {
        let mut is_reported = false;
        for line in body.iter_mut().skip(1) {
            if !line.is_blank() && line.indent < column {
                if !is_reported {
                    self.mistake(MistakeKind::Indentation, line);
                    is_reported = true;
                }
                line.indent = column;
            }
        }
    }

    fn fields(&mut self, lines: &[Line], base: usize, out: &mut Vec<Block<'t>>) -> usize {
        let mut items = Vec::new();
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            let text = line.text(self.text);
            if line.is_blank() || line.indent > base || !is_field(text) {
                break;
            }
            let len = text[1..].find(':').unwrap_or(0);
            let name = Line {
                start: line.start + 1,
                end: line.start + 1 + len,
                ..*line
            };
            let first = line.from(self.text, len + 2);
            at += 1;
            let body_len = body_len(&lines[at..], base);
            let rest = &lines[at..at + body_len];
            at += body_len;
            let filled = rest.iter().filter(|line| !line.is_blank());
            let column = filled.map(|line| line.indent).min().unwrap_or(base + 1);
            let mut body = vec![Line {
                indent: column,
                ..first
            }];
            body.extend_from_slice(rest);
            let term = self.inline(&name);
            items.push((term, self.nested(&body, column)));
            at += lines[at..]
                .iter()
                .take_while(|line| line.is_blank())
                .count();
        }
        out.push(Block::Definitions(items));
        at
    }

    fn line_block(&mut self, lines: &[Line], base: usize, out: &mut Vec<Block<'t>>) -> usize {
        let mut verses = Vec::new();
        for line in lines {
            let text = line.text(self.text);
            if line.is_blank() || (line.indent <= base && !text.starts_with('|')) {
                break;
            }
            let skipped = usize::from(text.starts_with('|'));
            verses.push(self.inline(&line.from(self.text, skipped)));
        }
        let taken = verses.len();
        out.push(Block::Lines(verses));
        taken
    }

    fn definitions(&mut self, lines: &[Line], base: usize, out: &mut Vec<Block<'t>>) -> usize {
        let mut items = Vec::new();
        let mut at = 0;
        while let [term, body @ ..] = &lines[at..] {
            let is_term = body
                .first()
                .is_some_and(|next| !next.is_blank() && next.indent > base)
                && !term.is_blank()
                && term.indent <= base
                && !term.text(self.text).starts_with(".. ");
            if !is_term {
                break;
            }
            let len = body_len(body, base);
            let filled = body[..len].iter().filter(|line| !line.is_blank());
            let column = filled.map(|line| line.indent).min().unwrap_or(base);
            let term = self.inline(term);
            items.push((term, self.nested(&body[..len], column)));
            at += 1 + len;
            at += lines[at..]
                .iter()
                .take_while(|line| line.is_blank())
                .count();
        }
        out.push(Block::Definitions(items));
        at
    }

    fn paragraph(&mut self, lines: &[Line], base: usize, out: &mut Vec<Block<'t>>) -> usize {
        let mut len = lines.iter().position(Line::is_blank).unwrap_or(lines.len());
        // What follows `::` at once was meant to be literal.
        let announced = (1..len)
            .find(|n| lines[*n].indent > base && lines[*n - 1].text(self.text).ends_with("::"));
        len = announced.unwrap_or(len);
        let mut is_reported = false;
        for line in &lines[1..len] {
            let text = line.text(self.text);
            if line.indent > base && !is_reported {
                self.mistake(MistakeKind::Indentation, line);
                is_reported = true;
            }
            if matches!(marker_of(text), Some((Marker::Bullet(_), len)) if text.len() > len) {
                self.mistake(MistakeKind::ListWithoutBlank, line);
            }
        }
        let (first, last) = (&lines[0], &lines[len - 1]);
        let whole = Line {
            end: last.end,
            ..*first
        };
        let Some(before) = whole.text(self.text).strip_suffix("::") else {
            let content = self.inline(&whole);
            out.push(Block::Paragraph(content));
            return len;
        };
        // `text::` shows one colon, `text ::` and a line of its own none.
        let trimmed = before.trim_end();
        let shown = if trimmed.len() < before.len() || trimmed.is_empty() {
            trimmed.len()
        } else {
            trimmed.len() + 1
        };
        if shown > 0 {
            let content = self.inline(&Line {
                end: whole.start + shown,
                ..whole
            });
            out.push(Block::Paragraph(content));
        }
        let body = body_len(&lines[len..], base);
        let code = self.code(&lines[len..len + body], None);
        if code.lines.is_empty() {
            let mark = Line {
                start: whole.end - 2,
                ..whole
            };
            self.mistake(MistakeKind::NoLiteralBlock, &mark);
        } else {
            out.push(Block::Code(code));
        }
        len + body
    }

    /// The lines as they are, without the indentation that they share.
    pub(super) fn code(&mut self, lines: &[Line], language: Option<&'t str>) -> Code<'t> {
        let is_filled = |line: &Line| !line.is_blank();
        let Some(first) = lines.iter().position(is_filled) else {
            let lines = Vec::new();
            return Code { language, lines };
        };
        let last = lines.iter().rposition(is_filled).unwrap_or(first);
        let lines = &lines[first..=last];
        let filled = lines.iter().filter(|line| !line.is_blank());
        let indent = filled.map(|line| line.indent).min().unwrap_or(0);
        let lines = lines.iter().map(|line| {
            // The blanks before the text are spaces, one a column; a tab is kept whole.
            let extra = line.indent.saturating_sub(indent);
            let line_start = self.text[..line.start].rfind('\n').map_or(0, |at| at + 1);
            let mut at = line.start.saturating_sub(extra).max(line_start);
            if !self.text[at..line.start]
                .bytes()
                .all(|byte| matches!(byte, b' ' | b'\t'))
            {
                at = line.start;
            }
            let text = if line.is_blank() {
                ""
            } else {
                &self.text[at..line.end]
            };
            CodeLine { text, at }
        });
        Code {
            language,
            lines: lines.collect(),
        }
    }

    /// The running text of `line`, which may span several lines of the source.
    pub(super) fn inline(&mut self, line: &Line) -> Vec<Inline<'t>> {
        let mut out = Vec::new();
        let (text, targets) = (self.text, &self.targets);
        parse_inline(
            text,
            line.start,
            line.end,
            targets,
            &mut self.mistakes,
            &mut out,
        );
        out
    }
}

/// The title of `= Title`.
fn old_heading(line: &str) -> Option<&str> {
    let title = line.trim_start_matches('=');
    let is_heading = title.len() < line.len() && title.starts_with(' ');
    let title = title.trim_start();
    (is_heading && !title.is_empty() && !title.starts_with('=')).then_some(title)
}

/// `:name: text`
fn is_field(line: &str) -> bool {
    let Some(rest) = line.strip_prefix(':') else {
        return false;
    };
    rest.find(':').is_some_and(|len| {
        let (name, after) = (&rest[..len], &rest[len + 1..]);
        !name.is_empty()
            && !name.starts_with(' ')
            && !name.contains('`')
            && (after.is_empty() || after.starts_with(' '))
    })
}
