//! Diagnostics with the source shown.

use annotate_snippets::{AnnotationKind, Group, Level as Title, Renderer, Snippet};

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
    let related = diagnostic
        .related
        .as_ref()
        .map(|related| printable(&related.message));
    if let Some(primary) = diagnostic.primary {
        let file = sources.file(sources.file_of(primary));
        let mut snippet = snippet(file).annotation(
            AnnotationKind::Primary
                .span(range(file, primary))
                .label(definition.as_deref()),
        );
        let other = diagnostic.related.as_ref().zip(related.as_deref());
        match other {
            Some((other, label)) if sources.file_of(other.span) == sources.file_of(primary) => {
                let kind = AnnotationKind::Context;
                snippet = snippet.annotation(kind.span(range(file, other.span)).label(label));
                group = group.element(snippet);
            }
            Some((other, label)) => {
                let file = sources.file(sources.file_of(other.span));
                let kind = AnnotationKind::Context;
                let second =
                    self::snippet(file).annotation(kind.span(range(file, other.span)).label(label));
                group = group.element(snippet).element(second);
            }
            None => group = group.element(snippet),
        }
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

fn snippet(file: &SourceFile) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
    Snippet::source(file.text()).path(file.name())
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
