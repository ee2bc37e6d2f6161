//! Diagnostics as JSON, one object a line.

use serde_json::{Value, json};

use super::Diagnostic;
use crate::source::{SourceMap, Span};

/// Renders `diagnostic` as one line of JSON, line end included.
///
/// | member | what it is |
/// |---|---|
/// | `code` | the code, or the name of the lint |
/// | `level` | `"error"` or `"warning"` |
/// | `message` | one line, as in the other formats |
/// | `note` | a second line of the message, or null |
/// | `help` | what to do about it, or null |
/// | `definition` | `{"kind", "name"}` of the definition at hand, or null |
/// | `spans` | places, the first with `"primary": true`; empty when a file cannot be read |
/// | `included_from` | how the file came to be read, innermost first: `[{"file", "line"}]` |
///
/// A span is `{"file", "byte_start", "byte_end", "line_start", "column_start", "line_end",
/// "column_end", "primary", "label"}`: bytes count from 0 within the file, lines and columns
/// from 1, columns in characters.
#[must_use]
pub fn render_json(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let mut spans = Vec::new();
    let mut included_from = Vec::new();
    if let Some(primary) = diagnostic.primary {
        spans.push(span_json(sources, primary, None));
        let mut at = sources.file(sources.file_of(primary)).included_at();
        while let Some(span) = at {
            let file = sources.file(sources.file_of(span));
            included_from.push(json!({ "file": file.name(), "line": sources.position(span).line }));
            at = file.included_at();
        }
    }
    if let Some(related) = &diagnostic.related {
        spans.push(span_json(sources, related.span, Some(&related.message)));
    }
    let definition = diagnostic
        .definition
        .as_ref()
        .map(|definition| json!({ "kind": definition.kind, "name": definition.name }));
    let object = json!({
        "code": diagnostic.code.as_str(),
        "level": diagnostic.level.as_str(),
        "message": diagnostic.message,
        "note": diagnostic.note,
        "help": diagnostic.help,
        "definition": definition,
        "spans": spans,
        "included_from": included_from,
    });
    format!("{object}\n")
}

fn span_json(sources: &SourceMap, span: Span, label: Option<&str>) -> Value {
    let file = sources.file(sources.file_of(span));
    let start = sources.position(span);
    let end = sources.end_position(span);
    json!({
        "file": file.name(),
        "byte_start": span.start() - file.start(),
        "byte_end": span.end() - file.start(),
        "line_start": start.line,
        "column_start": start.column,
        "line_end": end.line,
        "column_end": end.column,
        "primary": label.is_none(),
        "label": label,
    })
}
