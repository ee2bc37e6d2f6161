//! The text of a section, and where it stands in the sources.

use std::ops::Range;

use super::line::indent_of;
use crate::ir::{DocSection, DocSectionKind};
use crate::source::{SourceMap, Span};

/// The text of a section of documentation without the comment around it and without the
/// indentation that a description has.
#[derive(Debug, Default)]
pub struct Text {
    text: String,
    /// For each line where it starts in the text, and where in the sources.
    lines: Vec<(usize, u32)>,
}

impl Text {
    /// The text of `section`.
    #[must_use]
    pub fn new(section: &DocSection, sources: &SourceMap) -> Self {
        let lines = section.lines();
        let is_filled = |line: &Span| line.start() != line.end();
        let Some(first) = lines.iter().position(is_filled) else {
            return Self::default();
        };
        let last = lines.iter().rposition(is_filled).unwrap_or(first);
        let lines = &lines[first..=last];
        // The text after a tag starts in its line and goes on indented.
        let is_described = section.kind() != DocSectionKind::Plain;
        let starts_in_tag = is_described && indent_of(sources.text(lines[0])).0 == 0;
        let indented = if is_described {
            usize::from(starts_in_tag)..lines.len()
        } else if section.is_below_name {
            // What stands indented below the name of a definition is its description.
            let is_flush = |line: &Span| is_filled(line) && indent_of(sources.text(*line)).1 == 0;
            0..lines.iter().position(is_flush).unwrap_or(lines.len())
        } else {
            0..0
        };
        let filled = lines[indented.clone()]
            .iter()
            .filter(|line| is_filled(line));
        let indents = filled.map(|line| indent_of(sources.text(*line)).1);
        let indent = indents.min().unwrap_or(0);
        let size = lines.iter().map(|line| line.end() - line.start() + 1);
        let mut text = String::with_capacity(size.sum::<u32>() as usize);
        let mut starts = Vec::with_capacity(lines.len());
        for (n, line) in lines.iter().enumerate() {
            if n > 0 {
                text.push('\n');
            }
            let source = if is_filled(line) {
                sources.text(*line)
            } else {
                ""
            };
            let skipped = if indented.contains(&n) && !source.is_empty() {
                indent.min(indent_of(source).1)
            } else {
                0
            };
            starts.push((text.len(), line.start() + skipped as u32));
            text.push_str(&source[skipped..]);
        }
        Self {
            text,
            lines: starts,
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The place in the sources of a range of the text; it ends where its first line does. A text without lines has no place.
    #[must_use]
    pub fn span(&self, range: Range<usize>) -> Option<Span> {
        let line = self
            .lines
            .partition_point(|(start, _)| *start <= range.start);
        let (start, source) = self.lines.get(line.saturating_sub(1)).copied()?;
        let line_end = self
            .lines
            .get(line)
            .map_or(self.text.len(), |(next, _)| next - 1);
        let end = range.end.min(line_end).max(range.start);
        Some(Span::new(
            source + (range.start - start) as u32,
            source + (end - start) as u32,
        ))
    }
}
