//! Diagnostics with the source shown.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level as Title, Origin, Renderer, Snippet};

use super::{Diagnostic, Level};
use crate::source::{SourceFile, SourceMap, Span};

/// Renders `diagnostic` for people: code, message, the source lines with the place underlined,
/// the first of a pair, and help. Coloured with ANSI sequences if `color` is set.
#[must_use]
pub fn render_human(diagnostic: &Diagnostic, sources: &SourceMap, color: bool) -> String {
    let title = match diagnostic.level {
        Level::Deny => Title::ERROR,
        Level::Warn => Title::WARNING,
        Level::Allow => Title::NOTE,
    };
    let message = printable(&diagnostic.message);
    let mut group = title
        .primary_title(message.as_str())
        .id(diagnostic.code.as_str())
        .elements(std::iter::empty::<
            Snippet<'_, annotate_snippets::Annotation<'_>>,
        >());
    let definition = diagnostic
        .definition
        .as_ref()
        .map(|definition| printable(&format!("in {} '{}'", definition.kind, definition.name)));
    let related_label = diagnostic
        .related
        .as_ref()
        .map(|related| printable(&related.message));
    if let Some(primary) = diagnostic.primary {
        let file = sources.file(sources.file_of(primary));
        let first = Mark {
            kind: AnnotationKind::Primary,
            range: range(file, primary),
            label: definition.as_deref(),
        };
        let second = diagnostic.related.as_ref().map(|related| {
            let file = sources.file(sources.file_of(related.span));
            let mark = Mark {
                kind: AnnotationKind::Context,
                range: range(file, related.span),
                label: related_label.as_deref(),
            };
            (file, mark)
        });
        group = match second {
            Some((other, mark)) if std::ptr::eq(other, file) && are_near(&first, &mark) => {
                show(group, file, &[first, mark])
            }
            Some((other, mark)) => show(show(group, file, &[first]), other, &[mark]),
            None => show(group, file, &[first]),
        };
    }
    let note = diagnostic.note.as_deref().map(printable);
    let help = diagnostic.help.as_deref().map(printable);
    if let Some(note) = &note {
        group = group.element(Title::NOTE.message(note.as_str()));
    }
    if let Some(help) = &help {
        group = group.element(Title::HELP.message(help.as_str()));
    }
    let chain: Vec<String> = include_chain(diagnostic, sources);
    for line in &chain {
        group = group.element(Title::NOTE.message(line.as_str()));
    }
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let report: &[Group<'_>] = &[group];
    format!("{}\n", renderer.render(report))
}

/// A place in a file that is underlined.
struct Mark<'d> {
    kind: AnnotationKind,
    range: Range<usize>,
    label: Option<&'d str>,
}

/// Two places further apart are shown one after the other.
const MAX_BETWEEN: usize = 2 << 10;

/// A line that is longer is not shown.
const MAX_SHOWN: usize = 4 << 10;

fn are_near(first: &Mark<'_>, second: &Mark<'_>) -> bool {
    first.range.start.abs_diff(second.range.start) <= MAX_BETWEEN
}

/// Adds `marks` in `file` to `group`, with the lines in which they are and no others: the renderer
/// looks at everything that it is given, and a file may be large.
fn show<'d>(group: Group<'d>, file: &'d SourceFile, marks: &[Mark<'d>]) -> Group<'d> {
    let from = marks.iter().map(|mark| mark.range.start).min().unwrap_or(0);
    let to = marks.iter().map(|mark| mark.range.end).max().unwrap_or(0);
    let (line, lines) = file.lines(from, to);
    if lines.len() > MAX_SHOWN + MAX_BETWEEN || marks.len() == 1 && lines.len() > MAX_SHOWN {
        let at = file.position(marks[0].range.start as u32);
        let origin = Origin::path(file.name())
            .line(at.line)
            .char_column(at.column);
        return group.element(origin);
    }
    let snippet = Snippet::source(&file.text()[lines.clone()])
        .path(file.name())
        .line_start(line);
    let annotations = marks.iter().map(|mark| {
        let range = mark.range.start - lines.start..mark.range.end - lines.start;
        mark.kind.span(range).label(mark.label)
    });
    group.element(snippet.annotations(annotations))
}

/// The bytes of `span` in its file; a place without extent shows one character, as far as there
/// is one.
fn range(file: &SourceFile, span: Span) -> std::ops::Range<usize> {
    let start = (span.start() - file.start()) as usize;
    let end = ((span.end() - file.start()) as usize).min(file.text().len());
    // A definition is shown by its first line.
    let first_line = file.text()[start..end]
        .find(['\n', '\r'])
        .map_or(end, |len| start + len);
    start..first_line
}

fn include_chain(diagnostic: &Diagnostic, sources: &SourceMap) -> Vec<String> {
    let mut chain = Vec::new();
    let mut at = diagnostic
        .primary
        .and_then(|span| sources.file(sources.file_of(span)).included_at());
    while let Some(span) = at {
        let file = sources.file(sources.file_of(span));
        chain.push(format!(
            "included from {}:{}",
            file.name(),
            sources.position(span).line
        ));
        at = file.included_at();
    }
    chain
}

/// Text without control characters.
fn printable(text: &str) -> String {
    let mut out = String::new();
    super::short::push_escaped(&mut out, text);
    out
}
