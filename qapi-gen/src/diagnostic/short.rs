//! The reference's own format: `file:line:col: message`, with its context lines.

use std::fmt::Write as _;

use super::{Anchor, Definition, Diagnostic};
use crate::source::{SourceMap, Span};

/// Renders `diagnostic` as the reference prints it, every line with its line end.
///
/// Lines `In file included from FILE:LINE:` say how the file came to be read, a line
/// `FILE: In struct 'X':` names the definition. A mistake that concerns a whole definition has
/// its line but no column.
#[must_use]
pub fn render_short(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let mut out = String::new();
    if let Some(at) = diagnostic.anchor_span() {
        let definition = diagnostic.definition.as_ref();
        write_place(
            &mut out,
            sources,
            at,
            definition,
            !matches!(diagnostic.anchor, Anchor::Line(_)),
        );
        out.push_str(": ");
    }
    push_escaped(&mut out, &diagnostic.message);
    out.push('\n');
    if let Some(note) = &diagnostic.note {
        push_escaped(&mut out, note);
        out.push('\n');
    }
    if let Some(related) = diagnostic
        .related
        .as_ref()
        .filter(|_| diagnostic.code.shows_related())
    {
        write_place(
            &mut out,
            sources,
            related.line.unwrap_or(related.span),
            related.definition.as_ref(),
            false,
        );
        out.push_str(": ");
        push_escaped(&mut out, &related.message);
        out.push('\n');
    }
    out
}

fn write_place(
    out: &mut String,
    sources: &SourceMap,
    at: Span,
    definition: Option<&Definition>,
    with_column: bool,
) {
    let file = sources.file(sources.file_of(at));
    let mut chain = Vec::new();
    let mut included_at = file.included_at();
    while let Some(span) = included_at {
        chain.push(span);
        included_at = sources.file(sources.file_of(span)).included_at();
    }
    // The outermost file comes first.
    for span in chain.into_iter().rev() {
        let name = sources.file(sources.file_of(span)).name();
        let line = sources.position(span).line;
        let _ = writeln!(out, "In file included from {name}:{line}:");
    }
    let name = file.name();
    // The reference takes a definition with an empty name for none.
    if let Some(definition) = definition.filter(|definition| !definition.name.is_empty()) {
        let _ = writeln!(out, "{name}: In {} '{}':", definition.kind, definition.name);
    }
    let _ = write!(out, "{name}:{}", sources.position(at).line);
    if with_column {
        let _ = write!(out, ":{}", sources.reference_column(at));
    }
}

/// Control characters other than a tab would let a schema write to the user's terminal.
pub(super) fn push_escaped(out: &mut String, text: &str) {
    for ch in text.chars() {
        if ch.is_control() && ch != '\t' {
            let _ = write!(out, "\\x{:02x}", ch as u32);
        } else {
            out.push(ch);
        }
    }
}
