//! Documentation comments.

use std::fmt::{self, Write as _};

use crate::ir::{Doc, DocSectionKind, Schema};
use crate::source::Span;

pub(super) fn print_free_form(out: &mut String, doc: &Doc, schema: &Schema) -> fmt::Result {
    out.push_str("##\n");
    for section in doc.sections() {
        print_lines(out, section.lines(), schema)?;
    }
    out.push_str("##\n");
    Ok(())
}

pub(super) fn print_definition(out: &mut String, doc: &Doc, schema: &Schema) -> fmt::Result {
    writeln!(out, "##\n# @{}:", doc.symbol().unwrap_or_default())?;
    let mut has_features = false;
    for section in doc.sections() {
        // A member that is not documented has an empty section.
        let Some(span) = section.span() else { continue };
        let lines = trim(section.lines());
        if lines.is_empty() {
            continue;
        }
        out.push_str("#\n");
        let name = section.name().unwrap_or_default();
        let tag = match section.kind() {
            DocSectionKind::Plain => {
                print_lines(out, lines, schema)?;
                continue;
            }
            DocSectionKind::Member => format!("@{name}:"),
            DocSectionKind::Feature => {
                if !has_features {
                    out.push_str("# Features:\n#\n");
                    has_features = true;
                }
                format!("@{name}:")
            }
            DocSectionKind::Returns => "Returns:".to_owned(),
            DocSectionKind::Errors => "Errors:".to_owned(),
            DocSectionKind::Since => "Since:".to_owned(),
            DocSectionKind::Todo => "TODO:".to_owned(),
        };
        // The text starts on the line of the tag, or below it.
        match lines.split_first() {
            Some((first, rest)) if first.start() < span.end() => {
                writeln!(out, "# {tag} {}", schema.sources().text(*first))?;
                print_lines(out, rest, schema)?;
            }
            Some(_) | None => {
                writeln!(out, "# {tag}")?;
                print_lines(out, lines, schema)?;
            }
        }
    }
    out.push_str("##\n");
    Ok(())
}

/// The lines without blank ones at start and end, which are not part of the text.
fn trim(lines: &[Span]) -> &[Span] {
    let has_text = |line: &Span| line.start() != line.end();
    match (
        lines.iter().position(has_text),
        lines.iter().rposition(has_text),
    ) {
        (Some(first), Some(last)) => &lines[first..=last],
        (None, _) | (_, None) => &[],
    }
}

fn print_lines(out: &mut String, lines: &[Span], schema: &Schema) -> fmt::Result {
    for line in lines {
        if line.start() == line.end() {
            out.push_str("#\n");
        } else {
            writeln!(out, "# {}", schema.sources().text(*line))?;
        }
    }
    Ok(())
}
