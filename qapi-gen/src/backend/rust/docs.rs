//! Documentation comments: from the schema's markup to rustdoc's.
//!
//! Whatever the schema says stays text: every line is a line comment, characters with a meaning in
//! Markdown are escaped, literal blocks are fenced as `text`.

use std::borrow::Cow;

use crate::ir::{Doc, DocId, DocSectionKind, Entity};

use super::layout;
use super::names;
use super::plan::{Body, Plan};
use super::writer::{LINK_END, LINK_START, ModuleWriter, Place};

impl ModuleWriter<'_, '_> {
    /// The comment of a definition.
    pub(super) fn definition_doc(&mut self, doc: Option<DocId>, synthesised: &str) {
        let mut lines = Vec::new();
        if let Some(doc) = self.carried_doc(doc) {
            self.push_definition(doc, &mut lines);
        }
        self.push_doc(0, &lines, synthesised);
    }

    /// The comment of a member, value or branch.
    pub(super) fn part_doc(&mut self, width: usize, doc: Option<DocId>, name: &str, kind: &str) {
        let mut lines = Vec::new();
        if let Some(doc) = self.carried_doc(doc)
            && let Some(section) = doc.member(name)
        {
            lines = self.markdown(&section.text(self.plan.schema.sources()));
        }
        self.push_doc(width, &lines, &format!("{kind} `{name}`."));
    }

    fn carried_doc(&self, doc: Option<DocId>) -> Option<&Doc> {
        doc.filter(|_| self.plan.options.docs)
            .map(|doc| self.plan.schema.doc(doc))
    }

    fn push_definition(&self, doc: &Doc, lines: &mut Vec<String>) {
        let sources = self.plan.schema.sources();
        let mut has_features = false;
        for section in doc.sections() {
            let text = section.text(sources);
            let mut part = match section.kind() {
                DocSectionKind::Member | DocSectionKind::Todo => continue,
                DocSectionKind::Plain => self.markdown(&text),
                DocSectionKind::Returns => titled("Returns: ", self.markdown(&text)),
                DocSectionKind::Errors => titled("Errors: ", self.markdown(&text)),
                DocSectionKind::Since => vec![format!("Since {}", escape(&text))],
                DocSectionKind::Feature => {
                    if !has_features {
                        push_block(lines, vec!["Features:".to_owned()]);
                    }
                    let name = section.name().unwrap_or_default();
                    let item = titled(&format!("`{name}`: "), self.markdown(&text));
                    let item = as_item(item, "- ");
                    if has_features {
                        lines.extend(item);
                    } else {
                        push_block(lines, item);
                    }
                    has_features = true;
                    continue;
                }
            };
            if !part.is_empty() {
                push_block(lines, std::mem::take(&mut part));
            }
        }
    }

    fn push_doc(&mut self, width: usize, lines: &[String], synthesised: &str) {
        if lines.iter().all(|line| line.is_empty()) {
            self.line(width, &["/// ", synthesised]);
            return;
        }
        for text in lines {
            let text = text.trim_end();
            layout::indent(&mut self.out, width);
            self.out
                .push_str(if text.is_empty() { "///" } else { "/// " });
            self.out.push_str(text);
            self.out.push('\n');
        }
    }

    fn markdown(&self, text: &str) -> Vec<String> {
        let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) || byte == b'\n';
        let clean = if text.bytes().all(is_plain) {
            Cow::Borrowed(text)
        } else {
            let kept = text.chars().filter(|ch| !is_direction_mark(*ch));
            let is_control = |ch: char| ch.is_control() && ch != '\n';
            Cow::Owned(
                kept.map(|ch| if is_control(ch) { ' ' } else { ch })
                    .collect(),
            )
        };
        let lines: Vec<&str> = clean.lines().collect();
        self.blocks(&lines, 0)
    }

    /// Converts a run of lines block by block.
    fn blocks(&self, lines: &[&str], depth: usize) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let mut paragraph: Vec<&str> = Vec::new();
        let mut at = 0;
        while let Some(&line) = lines.get(at) {
            let trimmed = line.trim();
            let indent = indent_of(line);
            at += 1;
            if trimmed.is_empty() {
                self.flush(&mut paragraph, &mut out);
                continue;
            }
            if let Some(directive) = trimmed.strip_prefix(".. ") {
                self.flush(&mut paragraph, &mut out);
                let body = body_of(lines, at, indent);
                at += body.len();
                push_block(&mut out, self.directive(directive, &dedent(body), depth));
                continue;
            }
            if let Some(marker) = marker_of(trimmed)
                && depth < MAX_DEPTH
                && (paragraph.is_empty() || !marker.starts_with(|ch: char| ch.is_ascii_digit()))
            {
                self.flush(&mut paragraph, &mut out);
                let first = trimmed[marker.len()..].trim_start();
                let column = indent + trimmed.len() - first.len();
                let mut body = vec![first];
                let rest = body_of(lines, at, indent);
                at += rest.len();
                // What stands deeper than the item's text stays deeper.
                body.extend(rest.iter().map(|line| &line[indent_of(line).min(column)..]));
                let item = self.blocks(&body, depth + 1);
                let prefix = if marker.ends_with('.') { "1. " } else { "- " };
                let item = as_item(item, prefix);
                // Items follow each other without a blank line.
                let in_list = out
                    .last()
                    .is_some_and(|last| last.starts_with(prefix) || last.starts_with("  "));
                if in_list {
                    out.extend(item);
                } else {
                    push_block(&mut out, item);
                }
                continue;
            }
            if is_table(trimmed) {
                self.flush(&mut paragraph, &mut out);
                let rest = lines[at..]
                    .iter()
                    .take_while(|line| !line.trim().is_empty())
                    .count();
                let table: Vec<&str> = lines[at - 1..at + rest].to_vec();
                at += rest;
                push_block(&mut out, fenced(&dedent(&table)));
                continue;
            }
            if is_rule(trimmed) {
                continue;
            }
            if let Some(before) = trimmed.strip_suffix("::") {
                let opened = if before.is_empty() {
                    ""
                } else {
                    &trimmed[..trimmed.len() - 1]
                };
                if !opened.is_empty() {
                    paragraph.push(opened);
                }
                self.flush(&mut paragraph, &mut out);
                let body = body_of(lines, at, indent);
                at += body.len();
                push_block(&mut out, fenced(&dedent(body)));
                continue;
            }
            paragraph.push(trimmed);
        }
        self.flush(&mut paragraph, &mut out);
        out
    }

    fn flush(&self, paragraph: &mut Vec<&str>, out: &mut Vec<String>) {
        if paragraph.is_empty() {
            return;
        }
        let text = self.inline(&paragraph.join("\n"));
        paragraph.clear();
        push_block(out, text.lines().map(guard_line_start).collect());
    }

    fn directive(&self, directive: &str, body: &[&str], depth: usize) -> Vec<String> {
        let Some((name, argument)) = directive.split_once("::") else {
            // A comment, a label or a substitution.
            return Vec::new();
        };
        let is_option = |line: &&&str| line.starts_with(':') || line.trim().is_empty();
        let n_options = body.iter().take_while(is_option).count();
        let (options, text) = body.split_at(n_options);
        let is_annotated = options
            .iter()
            .any(|option| option.starts_with(":annotated:"));
        let title = match name {
            "note" => "**Note:** ",
            "warning" => "**Warning:** ",
            "caution" => "**Caution:** ",
            "important" => "**Important:** ",
            "tip" | "hint" => "**Hint:** ",
            "seealso" => "**See also:** ",
            "admonition" => "**Note:** ",
            "qmp-example" if is_annotated => "Example: ",
            "qmp-example" => {
                let mut lines = vec!["Example:".to_owned()];
                push_block(&mut lines, fenced(text));
                return lines;
            }
            _ => return fenced(text),
        };
        let mut lines = vec![argument.trim()];
        lines.extend(text);
        let inner = if depth < MAX_DEPTH {
            self.blocks(&lines, depth + 1)
        } else {
            fenced(&lines)
        };
        titled(title, inner)
    }

    /// Converts the markup inside a paragraph.
    fn inline(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 16);
        let mut rest = text;
        let mut before = ' ';
        loop {
            // Runs of plain text make up nearly all of it.
            let end = rest.bytes().position(is_marked).unwrap_or(rest.len());
            if end > 0 {
                out.push_str(&rest[..end]);
                before = rest[..end].chars().next_back().unwrap_or(' ');
                rest = &rest[end..];
            }
            let Some(ch) = rest.chars().next() else { break };
            let taken = self.span(rest, before, &mut out);
            let taken = if taken > 0 {
                taken
            } else {
                let after = rest[ch.len_utf8()..].chars().next().unwrap_or(' ');
                push_escaped(&mut out, before, ch, after);
                ch.len_utf8()
            };
            before = rest[..taken].chars().next_back().unwrap_or(' ');
            rest = &rest[taken..];
        }
        out
    }

    /// Converts the marked-up span at the start of `text`; returns its length, 0 if there is none.
    fn span(&self, text: &str, before: char, out: &mut String) -> usize {
        if let Some(rest) = text.strip_prefix("``") {
            let Some((literal, _)) = rest.split_once("``") else {
                return 0;
            };
            if literal.is_empty() || literal.contains('`') {
                return 0;
            }
            push_code(out, literal);
            return literal.len() + 4;
        }
        if let Some(rest) = text.strip_prefix('`') {
            let Some((name, after)) = rest.split_once('`') else {
                return 0;
            };
            if name.trim().is_empty() {
                return 0;
            }
            let underscores = after.len() - after.trim_start_matches('_').len();
            match name.split_once('<') {
                Some((label, url)) if underscores > 0 => {
                    out.push_str(&escape(label.trim()));
                    out.push(' ');
                    push_url(out, url.trim_end_matches('>'));
                }
                _ => self.push_reference(out, name),
            }
            return name.len() + 2 + underscores.min(2);
        }
        if before.is_alphanumeric() {
            return 0;
        }
        if let Some(rest) = text.strip_prefix('@') {
            let is_name = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '-' | '_' | '.');
            let end = rest.find(|ch| !is_name(ch)).unwrap_or(rest.len());
            let name = rest[..end].trim_end_matches(['.', '-']);
            if name.is_empty() {
                return 0;
            }
            self.push_reference(out, name);
            return name.len() + 1;
        }
        if let Some(rest) = text.strip_prefix(':')
            && let Some((role, after)) = rest.split_once(":`")
            && role
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && let Some((name, _)) = after.split_once('`')
            && !name.is_empty()
        {
            self.push_reference(out, name);
            return role.len() + name.len() + 4;
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            let end = text.find(|ch: char| ch.is_whitespace() || "<>()\"`\\".contains(ch));
            let url =
                text[..end.unwrap_or(text.len())].trim_end_matches(['.', ',', ';', ':', '\'']);
            push_url(out, url);
            return url.len();
        }
        for mark in ["**", "*"] {
            if let Some(rest) = text.strip_prefix(mark)
                && let Some((inner, _)) = rest.split_once(mark)
                && inner.starts_with(|ch: char| ch.is_alphanumeric())
                && inner.ends_with(|ch: char| ch.is_alphanumeric())
                && !inner.contains(['*', '`'])
            {
                out.push_str(mark);
                out.push_str(&escape(inner));
                out.push_str(mark);
                return inner.len() + 2 * mark.len();
            }
        }
        0
    }

    /// A name in code; a link where it is the name of a definition that is always there.
    fn push_reference(&self, out: &mut String, name: &str) {
        let Some((target, rust, is_local)) = self.target(name) else {
            push_code(out, name);
            return;
        };
        out.push('[');
        push_code(out, name);
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

    /// The path, the Rust name and whether the item is in the same module.
    fn target(&self, name: &str) -> Option<(String, String, bool)> {
        let plan: &Plan<'_> = self.plan;
        Some(match plan.schema.entity(name)? {
            Entity::Include(_) => return None,
            Entity::Type(id) => {
                let ty = plan.ty(id)?;
                if !ty.gate.is_always() || matches!(ty.body, Body::Replaced(_)) {
                    return None;
                }
                match self.place {
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
                let rust = names::camel(name);
                (
                    format!("{}::{rust}", self.place.sibling("commands")),
                    String::new(),
                    false,
                )
            }
            Entity::Event(id) => {
                let event = plan.events[id.index()].as_ref()?;
                if !event.gate.is_always() {
                    return None;
                }
                let rust = names::camel(name);
                (
                    format!("{}::{rust}", self.place.sibling("events")),
                    String::new(),
                    false,
                )
            }
        })
    }
}

/// Whether a byte may begin markup of the schema or be markup for rustdoc.
fn is_marked(byte: u8) -> bool {
    // `h` begins the address of a page.
    matches!(
        byte,
        b'`' | b'@'
            | b':'
            | b'h'
            | b'*'
            | b'\\'
            | b'['
            | b']'
            | b'<'
            | b'>'
            | b'|'
            | b'~'
            | b'&'
            | b'_'
    )
}

/// Lists and directives nest as deep as this; below, text is taken as it is.
const MAX_DEPTH: usize = 8;

/// Adds a block behind a blank line.
fn push_block(out: &mut Vec<String>, block: Vec<String>) {
    if block.is_empty() {
        return;
    }
    if !out.is_empty() {
        out.push(String::new());
    }
    out.extend(block);
}

fn titled(title: &str, mut lines: Vec<String>) -> Vec<String> {
    match lines.first_mut() {
        Some(first) if first.starts_with("```") || first.starts_with("- ") => {
            let mut titled = vec![title.trim_end().to_owned(), String::new()];
            titled.append(&mut lines);
            return titled;
        }
        Some(first) => first.insert_str(0, title),
        None => {}
    }
    lines
}

/// The lines as an item of a list.
fn as_item(lines: Vec<String>, prefix: &str) -> Vec<String> {
    let blanks = " ".repeat(prefix.len());
    let mut item = Vec::with_capacity(lines.len());
    for (n, line) in lines.into_iter().enumerate() {
        item.push(match (n, line.is_empty()) {
            (0, _) => format!("{prefix}{line}"),
            (_, true) => line,
            (_, false) => format!("{blanks}{line}"),
        });
    }
    item
}

fn fenced(lines: &[&str]) -> Vec<String> {
    let is_blank = |line: &&str| line.trim().is_empty();
    let Some(first) = lines.iter().position(|line| !is_blank(line)) else {
        return Vec::new();
    };
    let last = lines
        .iter()
        .rposition(|line| !is_blank(line))
        .unwrap_or(first);
    let lines = dedent(&lines[first..=last]);
    let mut fence = 3;
    for line in lines.iter().filter(|line| line.contains("```")) {
        let runs = line.split(|ch| ch != '`').map(str::len);
        fence = fence.max(runs.max().unwrap_or(0) + 1);
    }
    let fence = "`".repeat(fence);
    let mut out = vec![format!("{fence}text")];
    out.extend(lines.iter().map(|line| line.trim_end().to_owned()));
    out.push(fence);
    out
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The lines from `at` that are blank or indented by more than `indent`.
fn body_of<'l, 't>(lines: &'l [&'t str], at: usize, indent: usize) -> &'l [&'t str] {
    let rest = &lines[at..];
    let end = rest
        .iter()
        .position(|line| !line.trim().is_empty() && indent_of(line) <= indent)
        .unwrap_or(rest.len());
    let body = &rest[..end];
    let last = body
        .iter()
        .rposition(|line| !line.trim().is_empty())
        .map_or(0, |last| last + 1);
    &body[..last]
}

fn dedent<'t>(lines: &[&'t str]) -> Vec<&'t str> {
    let filled = lines.iter().filter(|line| !line.trim().is_empty());
    let indent = filled.map(|line| indent_of(line)).min().unwrap_or(0);
    lines
        .iter()
        .map(|line| line.get(indent..).unwrap_or(""))
        .collect()
}

/// The marker of a list item: `-`, `*`, `1.` or `#.`.
fn marker_of(line: &str) -> Option<&str> {
    let (marker, rest) = line.split_once(' ')?;
    let is_number = marker.strip_suffix('.').is_some_and(|number| {
        number == "#"
            || (number.len() < 3
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && !number.is_empty())
    });
    (!rest.trim().is_empty() && (matches!(marker, "-" | "*" | "+") || is_number)).then_some(marker)
}

fn is_table(line: &str) -> bool {
    line.starts_with("+-")
        || line.starts_with("|")
        || (line.starts_with("==") && line.contains(' '))
}

/// The line under or over a heading.
fn is_rule(line: &str) -> bool {
    let mut bytes = line.bytes();
    let first = bytes.next().unwrap_or(b' ');
    line.len() >= 3 && b"=-~^*#\"+".contains(&first) && bytes.all(|byte| byte == first)
}

fn is_direction_mark(ch: char) -> bool {
    matches!(ch, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

fn push_code(out: &mut String, text: &str) {
    out.push('`');
    out.push_str(&text.replace('`', "'"));
    out.push('`');
}

fn push_url(out: &mut String, url: &str) {
    out.push('<');
    out.push_str(&url.replace(|ch: char| ch.is_whitespace() || "<>`".contains(ch), ""));
    out.push('>');
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(ch) = chars.next() {
        push_escaped(&mut out, before, ch, chars.peek().copied().unwrap_or(' '));
        before = ch;
    }
    out
}

fn push_escaped(out: &mut String, before: char, ch: char, after: char) {
    let is_active = match ch {
        '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '~' | '&' => true,
        // Inside a word it is plain.
        '_' => !(before.is_alphanumeric() && after.is_alphanumeric()),
        _ => false,
    };
    if is_active {
        out.push('\\');
    }
    out.push(ch);
}

/// A line of text must not begin like a list, heading or rule.
fn guard_line_start(line: &str) -> String {
    let line = line.trim();
    let digits = line.len()
        - line
            .trim_start_matches(|ch: char| ch.is_ascii_digit())
            .len();
    if digits > 0 && line[digits..].starts_with(['.', ')']) {
        return format!("{}\\{}", &line[..digits], &line[digits..]);
    }
    if line.starts_with(['#', '-', '+', '=', ':']) {
        return format!("\\{line}");
    }
    line.to_owned()
}
