//! Explicit markup: what starts with `.. `.

use super::block::BlockParser;
use super::inline::Targets;
use super::line::{Line, body_len};
use super::{Admonition, AdmonitionKind, Block, Code, Example, MistakeKind, table};

/// More targets than this in one comment are not looked up.
const MAX_TARGETS: usize = 200;

/// Options that any directive may have.
const COMMON_OPTIONS: [&str; 2] = ["class", "name"];

/// Directives that say nothing to readers of this manual.
const SILENT: [&str; 9] = [
    "index",
    "contents",
    "toctree",
    "highlight",
    "default-domain",
    "qapi:module",
    "qapi:namespace",
    "sectnum",
    "meta",
];

/// The targets that `text` declares: `.. _name: address`.
pub(super) fn targets_of<'t>(text: &'t str, lines: &[Line]) -> Targets<'t> {
    if !text.contains(".. _") {
        return Vec::new();
    }
    let target = |line: &Line| {
        let rest = line.text(text).strip_prefix(".. _")?;
        let (name, address) = rest.split_once(':')?;
        let name = name.trim_matches('`');
        (!name.is_empty()).then_some((name, address.trim()))
    };
    lines.iter().filter_map(target).take(MAX_TARGETS).collect()
}

/// A directive, taken apart.
struct Directive<'t, 'l> {
    name: &'t str,
    line: Line,
    /// What follows the name in its line.
    argument: Line,
    options: Vec<(&'t str, Line)>,
    /// The lines below.
    body: &'l [Line],
    /// The column of the text below.
    column: usize,
}

/// Parses the explicit markup at the start of `lines`, and returns how many lines it took.
pub(super) fn parse<'t>(
    parser: &mut BlockParser<'t>,
    lines: &[Line],
    base: usize,
    out: &mut Vec<Block<'t>>,
) -> usize {
    let line = lines[0];
    let len = body_len(&lines[1..], base);
    let taken = 1 + len;
    let text = parser.text;
    let rest = line.text(text).strip_prefix("..").unwrap_or_default();
    let Some((name, _)) = rest.trim_start().split_once("::") else {
        // A comment, a target, a footnote: `..` alone takes nothing with it.
        return if rest.is_empty() && lines.get(1).is_some_and(Line::is_blank) {
            1
        } else {
            taken
        };
    };
    let is_name = |ch: char| ch.is_ascii_alphanumeric() || matches!(ch, '-' | '_' | ':' | '.');
    if name.is_empty() || !name.chars().all(is_name) {
        return taken;
    }
    let skipped = line.text(text).find("::").unwrap_or(0) + 2;
    let below = &lines[1..taken];
    let filled = below.iter().filter(|line| !line.is_blank());
    let column = filled.map(|line| line.indent).min().unwrap_or(base + 3);
    let mut directive = Directive {
        name,
        line,
        argument: line.from(text, skipped),
        options: Vec::new(),
        body: below,
        column,
    };
    // Options follow at once, each in lines of its own.
    let mut n_options = 0;
    while let Some(first) = below.get(n_options) {
        let Some((option, value)) = first.text(text).strip_prefix(':').and_then(split_option)
        else {
            break;
        };
        n_options += 1;
        let more = &below[n_options..];
        let is_more = |line: &&Line| !line.is_blank() && line.indent > column;
        let n_more = more.iter().take_while(is_more).count();
        let skipped = first.text(text).len() - value.len();
        let mut value = first.from(text, skipped);
        value.end = more[..n_more].last().map_or(value.end, |line| line.end);
        n_options += n_more;
        directive.options.push((option, value));
    }
    directive.body = &below[n_options..];
    directive.emit(parser, out);
    taken
}

impl<'t> Directive<'t, '_> {
    fn emit(&self, parser: &mut BlockParser<'t>, out: &mut Vec<Block<'t>>) {
        let kind = match self.name {
            "note" | "attention" => AdmonitionKind::Note,
            "todo" | "versionadded" | "versionchanged" => AdmonitionKind::Note,
            "seealso" => AdmonitionKind::SeeAlso,
            "tip" | "hint" => AdmonitionKind::Tip,
            "important" => AdmonitionKind::Important,
            "caution" => AdmonitionKind::Caution,
            "warning" | "deprecated" => AdmonitionKind::Warning,
            "danger" | "error" => AdmonitionKind::Danger,
            "admonition" | "topic" | "sidebar" => {
                self.check_options(parser, &["collapsible"]);
                let title = parser.inline(&self.argument);
                let blocks = self.content(parser);
                if blocks.is_empty() {
                    self.empty(parser);
                }
                out.push(Block::Admonition(Admonition {
                    kind: AdmonitionKind::Note,
                    title: (!title.is_empty()).then_some(title),
                    blocks,
                }));
                return;
            }
            "qmp-example" => return self.example(parser, out),
            "code-block" | "code" | "sourcecode" | "parsed-literal" | "literalinclude" => {
                return self.code(parser, out);
            }
            "table" => return self.table(parser, out),
            "list-table" => return self.list_table(parser, out),
            "rubric" => {
                let title = &parser.text[self.argument.start..self.argument.end];
                out.push(Block::Paragraph(vec![super::Inline::Strong(title.into())]));
                return;
            }
            "container" | "only" | "compound" | "rst-class" | "class" => {
                out.extend(self.content(parser));
                return;
            }
            "epigraph" | "highlights" | "pull-quote" => {
                out.push(Block::Quote(self.content(parser)));
                return;
            }
            name if SILENT.contains(&name) => return,
            name => {
                let kind = MistakeKind::UnknownDirective(name.to_owned());
                parser.mistake(kind, &self.line);
                let code = parser.code(self.body, None);
                if !code.lines.is_empty() {
                    out.push(Block::Code(code));
                }
                return;
            }
        };
        self.check_options(parser, &[]);
        let mut lines = vec![Line {
            indent: self.column,
            ..self.argument
        }];
        lines.extend_from_slice(self.body);
        let blocks = parser.nested(&lines, self.column);
        if blocks.is_empty() {
            self.empty(parser);
            return;
        }
        let title = None;
        out.push(Block::Admonition(Admonition {
            kind,
            title,
            blocks,
        }));
    }

    fn content(&self, parser: &mut BlockParser<'t>) -> Vec<Block<'t>> {
        parser.nested(self.body, self.column)
    }

    fn empty(&self, parser: &mut BlockParser<'t>) {
        let kind = MistakeKind::EmptyDirective(self.name.to_owned());
        parser.mistake(kind, &self.line);
    }

    fn option(&self, name: &str) -> Option<Line> {
        let option = self.options.iter().find(|(option, _)| *option == name);
        option.map(|(_, value)| *value)
    }

    fn check_options(&self, parser: &mut BlockParser<'t>, known: &[&str]) {
        for (option, _) in &self.options {
            if !known.contains(option) && !COMMON_OPTIONS.contains(option) {
                let kind = MistakeKind::UnknownOption(self.name.to_owned(), (*option).to_owned());
                parser.mistake(kind, &self.line);
            }
        }
    }

    /// `.. qmp-example::`
    fn example(&self, parser: &mut BlockParser<'t>, out: &mut Vec<Block<'t>>) {
        self.check_options(parser, &["annotated", "title"]);
        let title = self.option("title").filter(|title| !title.is_blank());
        let title = title.map(|title| parser.inline(&title));
        let blocks = if self.option("annotated").is_some() {
            let mut blocks = self.content(parser);
            mark_qmp(&mut blocks);
            blocks
        } else {
            let mut lines = vec![Line {
                indent: self.column,
                ..self.argument
            }];
            lines.extend_from_slice(self.body);
            let code = parser.code(&lines, Some("QMP"));
            if code.lines.is_empty() {
                Vec::new()
            } else {
                vec![Block::Code(code)]
            }
        };
        if blocks.is_empty() {
            return self.empty(parser);
        }
        out.push(Block::Example(Example { title, blocks }));
    }

    fn code(&self, parser: &mut BlockParser<'t>, out: &mut Vec<Block<'t>>) {
        let known = ["linenos", "emphasize-lines", "caption", "dedent", "force"];
        self.check_options(parser, &known);
        let argument = self.argument.text(parser.text);
        let language = (!argument.is_empty()).then_some(argument);
        let code: Code<'t> = parser.code(self.body, language);
        if code.lines.is_empty() {
            return self.empty(parser);
        }
        out.push(Block::Code(code));
    }

    /// `.. table:: Title`, which has a table as its content.
    fn table(&self, parser: &mut BlockParser<'t>, out: &mut Vec<Block<'t>>) {
        self.check_options(parser, &["widths", "align", "width"]);
        let title = parser.inline(&self.argument);
        let mut blocks = self.content(parser);
        if blocks.is_empty() {
            return self.empty(parser);
        }
        if let Some(Block::Table(table)) = blocks.first_mut()
            && !title.is_empty()
        {
            table.title = Some(title);
        }
        out.append(&mut blocks);
    }

    /// `.. list-table:: Title`, whose rows are lists in a list.
    fn list_table(&self, parser: &mut BlockParser<'t>, out: &mut Vec<Block<'t>>) {
        let known = ["widths", "align", "width", "header-rows", "stub-columns"];
        self.check_options(parser, &known);
        let title = parser.inline(&self.argument);
        let n_head = self.option("header-rows");
        let n_head = n_head.and_then(|n| n.text(parser.text).parse().ok());
        let blocks = self.content(parser);
        match table::from_list(blocks, n_head.unwrap_or(0)) {
            Ok(mut table) => {
                table.title = (!title.is_empty()).then_some(title);
                out.push(Block::Table(table));
            }
            Err(blocks) => {
                parser.mistake(MistakeKind::Table, &self.line);
                out.extend(blocks);
            }
        }
    }
}

/// `option: value` after its first colon.
fn split_option(text: &str) -> Option<(&str, &str)> {
    let (option, value) = text.split_once(':')?;
    (!option.is_empty() && !option.contains(' ')).then_some((option, value))
}

/// Code without a language in an example is QMP.
fn mark_qmp(blocks: &mut [Block<'_>]) {
    for block in blocks {
        match block {
            Block::Code(code) => {
                code.language.get_or_insert("QMP");
            }
            Block::Bullets(items) | Block::Numbered(_, items) => {
                items.iter_mut().for_each(|item| mark_qmp(item));
            }
            Block::Definitions(items) => {
                items.iter_mut().for_each(|(_, body)| mark_qmp(body));
            }
            Block::Quote(blocks) => mark_qmp(blocks),
            Block::Admonition(admonition) => mark_qmp(&mut admonition.blocks),
            Block::Paragraph(_)
            | Block::Heading(..)
            | Block::Lines(_)
            | Block::Example(_)
            | Block::Table(_)
            | Block::Rule => {}
        }
    }
}
