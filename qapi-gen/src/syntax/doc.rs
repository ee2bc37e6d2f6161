//! Documentation comments (QAPI: section 'Documentation comments').

use hashbrown::HashSet;

use super::ast::{Doc, Section, SectionKind};
use super::error::SyntaxError;
use super::parser::Parser;
use crate::diagnostic::{Code, Diagnostic, Lint};
use crate::source::Span;
use crate::steps::step;

/// A line of a documentation comment has at most this many characters, its `# ` included.
const MAX_DOC_LINE: usize = 70;

/// What an author does who does not keep a rule of QEMU's own documentation.
fn how_to_allow(lint: Lint) -> String {
    format!(
        "QEMU's own schemas keep this rule; '--allow {}' is for schemas that do not",
        lint.as_str()
    )
}

/// Parses the documentation comment that is the current token, and moves past it.
pub(super) fn parse_doc(parser: &mut Parser<'_>) -> Doc {
    let span = parser.token().span;
    let file = parser.shared_text();
    let text = parser.text_in(&file, span);
    let mut doc_parser = DocParser::new(parser, text, span);
    doc_parser.parse();
    let (mut doc, is_terminated) = (doc_parser.doc, doc_parser.is_terminated);
    parser.advance();
    if !is_terminated {
        doc.is_broken = true;
        // Whatever it was meant for is hidden in it, or follows it.
        doc.symbol = None;
        if !parser.is_bad() {
            let at = parser.place();
            parser.error(&SyntaxError::DocUnterminated, at);
        }
    }
    check_texts(parser, &mut doc);
    doc
}

/// Every tagged section, member and feature that is named must have a text.
fn check_texts(parser: &mut Parser<'_>, doc: &mut Doc) {
    for section in &doc.sections {
        let tag = match section.kind {
            SectionKind::Plain => continue,
            SectionKind::Member(_) => "Member",
            SectionKind::Feature(_) => "Feature",
            SectionKind::Returns => "Returns",
            SectionKind::Errors => "Errors",
            SectionKind::Since => "Since",
            SectionKind::Todo => "Todo",
        };
        if doc.is_blank(section) && !doc.is_broken {
            let error = SyntaxError::DocSectionEmpty(tag);
            parser.error_at_line(&error, section.span, section.span);
        }
    }
}

/// A line of the comment.
#[derive(Clone, Copy)]
struct Line<'t> {
    /// The `#`.
    hash: Span,
    /// What follows `# `, without blanks at the end.
    text: &'t str,
    /// Offset of `text` in the source map.
    start: u32,
}

impl<'t> Line<'t> {
    /// The whole line from its `#` on.
    fn span(&self) -> Span {
        self.hash.to(self.text_span(0))
    }

    /// The text from byte `from` on.
    fn text_span(&self, from: usize) -> Span {
        Span::new(
            self.start + from as u32,
            self.start + self.text.len() as u32,
        )
    }

    fn indent(&self) -> usize {
        self.text.len() - self.text.trim_start().len()
    }

    /// `@name: text` as the name and where the text starts.
    fn member(&self) -> Option<(&'t str, usize)> {
        let colon = self.text.strip_prefix('@')?.find(':')? + 1;
        let rest = &self.text[colon + 1..];
        let text = colon + 1 + (rest.len() - rest.trim_start_matches(' ').len());
        Some((&self.text[1..colon], text))
    }

    /// `Tag: text` as the tag and where the text starts. A tag with two colons is markup.
    fn tag(&self) -> Option<(&'t str, usize)> {
        const TAGS: [&str; 8] = [
            "Returns", "Errors", "Since", "Notes", "Note", "Examples", "Example", "TODO",
        ];
        let (tag, rest) = self.text.split_once(':')?;
        if rest.starts_with(':') || !TAGS.contains(&tag) {
            return None;
        }
        Some((tag, self.text.len() - rest.trim_start_matches(' ').len()))
    }
}

/// Where a literal block stands, in which the rules of style do not hold.
#[derive(Clone, Copy)]
enum Literal {
    No,
    /// By a line that is `::` or `.. qmp-example::`; the next text line sets the indentation.
    Announced,
    Indented(usize),
}

struct DocParser<'p, 'r, 't> {
    parser: &'p mut Parser<'r>,
    text: &'t str,
    /// Offset of the text in the source map.
    start: u32,
    at: usize,
    line: Option<Line<'t>>,
    literal: Literal,
    is_terminated: bool,
    doc: Doc,
    /// What sections there are so far.
    seen: Seen<'t>,
}

/// Names that were described: a scan while they are few, then a set.
#[derive(Default)]
struct Names<'t> {
    few: Vec<&'t str>,
    many: HashSet<&'t str>,
}

impl<'t> Names<'t> {
    /// Adds `name`; says whether it is new.
    fn insert(&mut self, name: &'t str) -> bool {
        const FEW: usize = 16;
        if self.few.len() < FEW {
            let is_new = !self.few.contains(&name);
            self.few.push(name);
            return is_new;
        }
        if self.many.is_empty() {
            self.many.extend(&self.few);
        }
        self.many.insert(name)
    }
}

/// The sections of which there is one each.
#[derive(Default)]
struct Seen<'t> {
    members: Names<'t>,
    features: Names<'t>,
    has_returns: bool,
    has_errors: bool,
    has_since: bool,
}

impl<'p, 'r, 't> DocParser<'p, 'r, 't> {
    fn new(parser: &'p mut Parser<'r>, text: &'t str, span: Span) -> Self {
        let body = Section {
            span: span.head(),
            kind: SectionKind::Plain,
            lines: 0..0,
        };
        let doc = Doc {
            span,
            symbol: None,
            sections: vec![body],
            // Lines are mostly longer.
            lines: Vec::with_capacity(text.len() / 32),
            is_broken: false,
        };
        let literal = Literal::No;
        let (start, at, line, is_terminated) = (span.start(), 0, None, false);
        Self {
            parser,
            text,
            start,
            at,
            line,
            literal,
            is_terminated,
            doc,
            seen: Seen::default(),
        }
    }

    fn parse(&mut self) {
        let opening = self.raw_line().unwrap_or_default();
        if opening.text.trim_end_matches('\r') != "##" {
            let span = Span::new(opening.start, opening.start + opening.text.len() as u32);
            self.error(&SyntaxError::DocJunkAtStart, span);
            self.at = self.text.len();
            // What follows was meant to be a comment; whether it ends well does not matter now.
            self.is_terminated = true;
            return;
        }
        self.next();
        match self.line {
            Some(line) if line.text.starts_with('@') => self.parse_definition(line),
            Some(_) | None => self.parse_free_form(),
        }
    }

    fn error(&mut self, error: &SyntaxError, span: Span) {
        self.doc.is_broken = true;
        self.parser.error(error, span);
    }

    fn error_at_line(&mut self, error: &SyntaxError, span: Span, line: Span) {
        self.doc.is_broken = true;
        self.parser.error_at_line(error, span, line);
    }

    /// The next line of the comment from its `#` on, its line end excluded.
    fn raw_line(&mut self) -> Option<RawLine<'t>> {
        let bytes = self.text.as_bytes();
        let hash = self.at + memchr::memchr(b'#', &bytes[self.at..])?;
        let rest = &self.text[hash..];
        let len = memchr::memchr2(b'\n', b'\r', rest.as_bytes()).unwrap_or(rest.len());
        self.at = hash + len;
        Some(RawLine {
            text: &rest[..len],
            start: self.start + hash as u32,
        })
    }

    /// Moves to the next line; at the closing `##` and at the end of the text there is no next line.
    fn next(&mut self) {
        step();
        self.line = None;
        let Some(raw) = self.raw_line() else { return };
        let hash = Span::new(raw.start, raw.start + 1);
        if raw.text.starts_with("##") {
            self.is_terminated = true;
            if raw.text != "##" {
                let span = Span::new(raw.start, raw.start + raw.text.len() as u32);
                self.error(&SyntaxError::DocJunkAtEnd, span);
            }
            return;
        }
        let skipped = match raw.text.as_bytes() {
            [_] => 1,
            [_, b' ', ..] => 2,
            _ => {
                let error = SyntaxError::DocMissingSpace;
                // The rest of the comment is usable.
                self.parser.error(&error, hash);
                1
            }
        };
        let text = raw.text[skipped..].trim_end();
        let line = Line {
            hash,
            text,
            start: raw.start + skipped as u32,
        };
        self.line = Some(line);
        self.check_style(&line);
    }

    /// The two rules of style that 10.2 brought.
    fn check_style(&mut self, line: &Line<'_>) {
        self.literal = match self.literal {
            Literal::Announced if !line.text.is_empty() => Literal::Indented(line.indent()),
            Literal::Indented(indent) if !line.text.is_empty() && line.indent() < indent => {
                Literal::No
            }
            other => other,
        };
        if matches!(self.literal, Literal::No) {
            self.check_line_length(line);
            self.check_sentence_space(line);
        }
        // In a literal block, too.
        if announces_literal(line.text) {
            self.literal = Literal::Announced;
        }
    }

    fn check_line_length(&mut self, line: &Line<'_>) {
        // Bytes are at least as many as characters.
        let n_chars = || line.text.chars().count() + "# ".len();
        if line.text.len() + "# ".len() <= MAX_DOC_LINE || n_chars() <= MAX_DOC_LINE {
            return;
        }
        let url = line.text.trim_start();
        let is_url = ["http://", "https://", "ftp://"]
            .iter()
            .any(|scheme| url.starts_with(scheme));
        if is_url && !url.contains(' ') {
            return;
        }
        let message = "documentation line longer than 70 characters".to_owned();
        let code = Code::Lint(Lint::DocLineLength);
        let diagnostic = Diagnostic::new(code, message, line.span())
            .at_column(line.hash)
            .with_help(Some(how_to_allow(Lint::DocLineLength)));
        self.parser.report.lint(Lint::DocLineLength, diagnostic);
    }

    fn check_sentence_space(&mut self, line: &Line<'_>) {
        let bytes = line.text.as_bytes();
        for at in memchr::memchr3_iter(b'.', b'!', b'?', bytes) {
            let [b' ', next, ..] = &bytes[at + 1..] else {
                continue;
            };
            let starts_sentence =
                next.is_ascii_uppercase() || next.is_ascii_digit() || *next == b'(';
            if !starts_sentence || is_no_sentence_end(&line.text[..=at]) {
                continue;
            }
            let message = "Use two spaces between sentences".to_owned();
            let note = "If this not the end of a sentence, please report a bug.".to_owned();
            let end = line.start + at as u32;
            let (span, space) = (Span::new(end, end + 1), Span::new(end + 1, end + 2));
            let code = Code::Lint(Lint::DocSentenceSpace);
            // The reference names the column of the one space.
            let diagnostic = Diagnostic::new(code, message, span)
                .at_column(space)
                .with_note(Some(note))
                .with_help(Some(how_to_allow(Lint::DocSentenceSpace)));
            self.parser.report.lint(Lint::DocSentenceSpace, diagnostic);
        }
    }

    fn new_section(&mut self, line: &Line<'t>, kind: SectionKind, text_at: usize) {
        self.start_section(line.span(), kind);
        if text_at < line.text.len() {
            self.append_span(line.text_span(text_at));
        }
    }

    fn start_section(&mut self, span: Span, kind: SectionKind) {
        let end = self.doc.lines.len();
        let lines = end..end;
        self.doc.sections.push(Section { span, kind, lines });
    }

    fn append(&mut self, line: &Line<'_>) {
        self.append_span(line.text_span(0));
    }

    /// Adds a line to the last section.
    fn append_span(&mut self, line: Span) {
        self.doc.lines.push(line);
        if let Some(section) = self.doc.sections.last_mut() {
            section.lines.end = self.doc.lines.len();
        }
    }

    fn parse_free_form(&mut self) {
        while let Some(line) = self.line {
            if let Some((name, _)) = line.member() {
                let error = SyntaxError::DocMemberInFreeForm(name.to_owned());
                self.error(&error, line.hash.to(line.text_span(0)));
                return self.skip_rest();
            }
            self.append(&line);
            self.next();
        }
    }

    fn skip_rest(&mut self) {
        while self.line.is_some() {
            self.next();
        }
    }

    fn parse_definition(&mut self, first: Line<'t>) {
        let Some(symbol) = first.text.strip_suffix(':') else {
            self.error(&SyntaxError::DocSymbolWithoutColon, first.span());
            return self.skip_rest();
        };
        if symbol.len() == 1 {
            self.error(&SyntaxError::DocSymbolWithoutName, first.span());
            return self.skip_rest();
        }
        let symbol_start = first.start + 1;
        self.doc.symbol = Some(Span::new(
            symbol_start,
            symbol_start + symbol.len() as u32 - 1,
        ));
        self.next();
        let mut after_members = false;
        while let Some(line) = self.line {
            if line.text.is_empty() {
                self.next();
            } else if line.text == "Features:" {
                self.parse_features(line);
                after_members = true;
            } else if let Some((name, _)) = line.member() {
                if after_members {
                    let error = SyntaxError::DocMemberAfterSection(name.to_owned());
                    self.error(&error, line.span());
                }
                self.parse_members(line);
                after_members = true;
            } else if let Some((tag, text_at)) = line.tag() {
                self.parse_tagged(line, tag, text_at);
                after_members = true;
            } else {
                self.parse_paragraph(line);
            }
        }
    }

    /// `Features:` and the descriptions below it.
    fn parse_features(&mut self, line: Line<'t>) {
        if !self.seen.features.few.is_empty() {
            self.error(&SyntaxError::DocDuplicateFeatures, line.span());
        }
        self.next();
        while self.line.is_some_and(|line| line.text.is_empty()) {
            self.next();
        }
        let before = self.doc.sections.len();
        while let Some(line) = self.line {
            let Some((name, text_at)) = line.member() else {
                break;
            };
            self.check_name(&line, name, |seen| &mut seen.features);
            let kind = SectionKind::Feature(name_span(&line, name));
            self.new_section(&line, kind, text_at);
            self.parse_indented();
        }
        if self.doc.sections.len() == before {
            match self.line {
                Some(line) => self.error(&SyntaxError::DocFeaturesEmpty, line.span()),
                // A comment that does not end has that mistake instead.
                None if !self.is_terminated => {}
                // The reference points at the closing line.
                None => {
                    let end = self.start + self.at as u32;
                    self.error(&SyntaxError::DocFeaturesEmpty, Span::new(end - 2, end));
                }
            }
        }
    }

    fn parse_members(&mut self, first: Line<'t>) {
        self.line = Some(first);
        while let Some(line) = self.line {
            let Some((name, text_at)) = line.member() else {
                break;
            };
            self.check_name(&line, name, |seen| &mut seen.members);
            let kind = SectionKind::Member(name_span(&line, name));
            self.new_section(&line, kind, text_at);
            self.parse_indented();
        }
    }

    /// A description must have a name of its own among those of its kind, which are `known`.
    fn check_name(
        &mut self,
        line: &Line<'t>,
        name: &'t str,
        known: impl for<'s> Fn(&'s mut Seen<'t>) -> &'s mut Names<'t>,
    ) {
        let is_new = known(&mut self.seen).insert(name);
        if name.is_empty() {
            let error = SyntaxError::DocMemberWithoutName;
            return self.error_at_line(&error, line.span(), line.span());
        }
        if !is_new {
            let error = SyntaxError::DocDuplicateMember(name.to_owned());
            self.error_at_line(&error, name_span(line, name), line.span());
        }
    }

    fn parse_tagged(&mut self, line: Line<'t>, tag: &str, text_at: usize) {
        let kind = match tag {
            "Returns" => SectionKind::Returns,
            "Errors" => SectionKind::Errors,
            "Since" => SectionKind::Since,
            "TODO" => SectionKind::Todo,
            _ => {
                let error = if tag.starts_with("Note") {
                    SyntaxError::DocRetiredNote(tag.to_owned())
                } else {
                    SyntaxError::DocRetiredExample(tag.to_owned())
                };
                self.error(&error, line.span());
                SectionKind::Todo
            }
        };
        let seen = match kind {
            SectionKind::Returns => Some(&mut self.seen.has_returns),
            SectionKind::Errors => Some(&mut self.seen.has_errors),
            SectionKind::Since => Some(&mut self.seen.has_since),
            SectionKind::Plain
            | SectionKind::Member(_)
            | SectionKind::Feature(_)
            | SectionKind::Todo => None,
        };
        if seen.is_some_and(|seen| std::mem::replace(seen, true)) {
            let error = SyntaxError::DocDuplicateSection(tag.to_owned());
            self.error_at_line(&error, line.span(), line.span());
        }
        self.new_section(&line, kind, text_at);
        self.parse_indented();
    }

    /// The indented lines that continue a description or a tagged section.
    fn parse_indented(&mut self) {
        self.next();
        while let Some(line) = self.line.filter(|line| line.text.is_empty()) {
            self.append(&line);
            self.next();
        }
        let Some(first) = self.line else { return };
        let indent = first.indent();
        if indent == 0 {
            return;
        }
        self.append(&first);
        // The reference insists on the indentation in the second line only: further down, and
        // below a blank line, a line with less of it ends the section.
        let mut is_second = true;
        loop {
            self.next();
            let Some(line) = self.line else { return };
            if line.member().is_some() {
                return;
            }
            if !line.text.is_empty() && line.indent() < indent {
                if is_second {
                    self.error(&SyntaxError::DocDeindent(indent), line.hash);
                }
                return;
            }
            self.append(&line);
            is_second = false;
        }
    }

    /// Plain text up to a blank line.
    fn parse_paragraph(&mut self, first: Line<'t>) {
        let last = self.doc.sections.last();
        match last.filter(|section| section.kind == SectionKind::Plain) {
            Some(section) => {
                let is_blank = self.doc.is_blank(section);
                if let Some(section) = self.doc.sections.last_mut().filter(|_| is_blank) {
                    section.span = first.span();
                }
                self.append_span(first.text_span(0).head());
            }
            None => self.start_section(first.span(), SectionKind::Plain),
        }
        self.append(&first);
        loop {
            self.next();
            match self.line {
                Some(line) if !line.text.is_empty() => self.append(&line),
                Some(_) | None => return,
            }
        }
    }
}

#[derive(Default)]
struct RawLine<'t> {
    text: &'t str,
    start: u32,
}

fn name_span(line: &Line<'_>, name: &str) -> Span {
    Span::new(line.start + 1, line.start + 1 + name.len() as u32)
}

/// Whether a literal block follows `text`, for the rules of style. Other directives, and a
/// paragraph that ends in `::`, do not keep the reference from looking at what follows.
fn announces_literal(text: &str) -> bool {
    let Some(directive) = text.strip_suffix("::") else {
        return false;
    };
    match directive.trim_end_matches(' ').strip_prefix("..") {
        Some(name) => name.starts_with(' ') && name.trim_start_matches(' ') == "qmp-example",
        None => directive.trim_start_matches(' ').is_empty(),
    }
}

/// Whether the punctuation at the end of `text` ends no sentence: that of `e.g.`, and that of
/// the number of a list item, which to the reference has one digit.
fn is_no_sentence_end(text: &str) -> bool {
    if let Some(before) = text.strip_suffix("e.g.") {
        return !before.ends_with(|ch: char| ch.is_alphanumeric() || ch == '_');
    }
    text.strip_suffix('.').is_some_and(|before| {
        let number = before.trim_start_matches(' ');
        matches!(number.as_bytes(), [digit] if digit.is_ascii_digit())
    })
}
