//! One map over all source files of a schema, and positions in it.

use std::fmt;
use std::num::NonZeroU32;
#[cfg(feature = "render")]
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use crate::name::Name;
use crate::steps::{step, steps};

/// A file of a [`SourceMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// A range of bytes in a [`SourceMap`]: offsets run over all files, so a span alone names its file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    start: u32,
    /// One more than the end, so that an `Option` of a span is as small as the span.
    after_end: NonZeroU32,
}

impl Span {
    /// The span of the bytes `start..end`.
    pub(crate) fn new(start: u32, end: u32) -> Self {
        debug_assert!(start <= end);
        // A map holds less than 4 GiB.
        let after_end = NonZeroU32::MIN.saturating_add(end);
        Self { start, after_end }
    }

    /// The first byte, as an offset into the map.
    #[must_use]
    pub fn start(self) -> u32 {
        self.start
    }

    /// One past the last byte, as an offset into the map.
    #[must_use]
    pub fn end(self) -> u32 {
        self.after_end.get() - 1
    }

    /// The empty span at the start of this one.
    #[must_use]
    pub fn head(self) -> Self {
        Self::new(self.start, self.start)
    }

    /// The smallest span that holds both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self::new(self.start.min(other.start), self.end().max(other.end()))
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end())
    }
}

/// Line and column, both counted from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineColumn {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// One source file: its name as it was given, its text, and who included it.
#[derive(Debug)]
pub struct SourceFile {
    name: String,
    text: Arc<String>,
    start: u32,
    included_at: Option<Span>,
    lines: OnceLock<Vec<u32>>,
    marks: OnceLock<Vec<Mark>>,
}

/// A place in a long line whose columns are known, so that they are not counted from the line's start each time.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: u32,
    column: Columns,
}

/// A line is counted from its start, or from the last mark, of which there is one for so many bytes.
const MARK_DISTANCE: usize = 1024;

/// The column of a place, counted in both ways.
#[derive(Debug, Clone, Copy)]
struct Columns {
    /// Characters, from 1.
    plain: u32,
    /// As the reference counts: a tab leads to a column that is the old one modulo 8.
    reference: u32,
}

impl Columns {
    const FIRST: Self = Self {
        plain: 1,
        reference: 1,
    };

    /// The columns after `text`.
    fn after(self, text: &str) -> Self {
        steps(text.len() / 64);
        text.chars().fold(self, |column, ch| Self {
            plain: column.plain + 1,
            reference: match ch {
                '\t' => (column.reference + 7) % 8 + 1,
                _ => column.reference + 1,
            },
        })
    }
}

impl SourceFile {
    /// The name that messages print: the path as the user or the including file gave it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text, to be kept while more files are added to the map.
    pub(crate) fn shared_text(&self) -> Arc<String> {
        Arc::clone(&self.text)
    }

    /// Offset of the first byte in the map.
    #[must_use]
    pub fn start(&self) -> u32 {
        self.start
    }

    /// The top-level expression that included this file, `None` for the file given by the user.
    #[must_use]
    pub fn included_at(&self) -> Option<Span> {
        self.included_at
    }

    /// The line that holds byte `at` of this file, counted from 0.
    fn line_index(&self, at: u32) -> usize {
        let starts = self.lines.get_or_init(|| line_starts(&self.text));
        starts.partition_point(|&start| start <= at) - 1
    }

    /// The columns of byte `at` of this file, which is in line `line`, counted from 0.
    fn columns(&self, line: usize, at: u32) -> Columns {
        let starts = self.lines.get_or_init(|| line_starts(&self.text));
        let start = starts[line];
        let from = |mark: Mark| mark.column.after(&self.text[mark.at as usize..at as usize]);
        let first = Mark {
            at: start,
            column: Columns::FIRST,
        };
        if at - start <= MARK_DISTANCE as u32 {
            return from(first);
        }
        let marks = self.marks.get_or_init(|| marks(&self.text, starts));
        let before = marks.partition_point(|mark| mark.at <= at);
        let last = marks[..before].last().filter(|mark| mark.at > start);
        from(*last.unwrap_or(&first))
    }

    /// Line and column of byte `at` of this file.
    pub(crate) fn position(&self, at: u32) -> LineColumn {
        let line = self.line_index(at);
        LineColumn {
            line: line + 1,
            column: self.columns(line, at).plain as usize,
        }
    }

    /// The whole lines that hold the bytes from `from` to `to` of this file: the number of the first
    /// one, counted from 1, and where they are, the last line end included.
    #[cfg(feature = "render")]
    pub(crate) fn lines(&self, from: usize, to: usize) -> (usize, Range<usize>) {
        let first = self.line_index(from as u32);
        let last = self.line_index(to as u32);
        let starts = self.lines.get_or_init(|| line_starts(&self.text));
        let end = starts
            .get(last + 1)
            .map_or(self.text.len(), |&end| end as usize);
        (first + 1, starts[first] as usize..end)
    }

    /// The text of line `line`, counted from 1, without its line end.
    #[must_use]
    pub fn line_text(&self, line: usize) -> &str {
        let starts = self.lines.get_or_init(|| line_starts(&self.text));
        let Some(&start) = starts.get(line.wrapping_sub(1)) else {
            return "";
        };
        let end = starts
            .get(line)
            .map_or(self.text.len(), |&end| end as usize);
        self.text[start as usize..end].trim_end_matches(['\n', '\r'])
    }
}

/// Where each line starts. A line ends at LF, CR LF or a lone CR.
fn line_starts(text: &str) -> Vec<u32> {
    let bytes = text.as_bytes();
    let mut starts = vec![0];
    for at in memchr::memchr2_iter(b'\n', b'\r', bytes) {
        if bytes[at] == b'\n' || bytes.get(at + 1) != Some(&b'\n') {
            starts.push(at as u32 + 1);
        }
    }
    starts
}

/// The marks of all long lines.
fn marks(text: &str, starts: &[u32]) -> Vec<Mark> {
    let mut marks = Vec::new();
    for (line, &start) in starts.iter().enumerate() {
        let end = starts.get(line + 1).map_or(text.len(), |&end| end as usize);
        let mut mark = Mark {
            at: start,
            column: Columns::FIRST,
        };
        while end - mark.at as usize > MARK_DISTANCE {
            let from = mark.at as usize;
            let mut at = from + MARK_DISTANCE;
            while !text.is_char_boundary(at) {
                at += 1;
            }
            mark = Mark {
                at: at as u32,
                column: mark.column.after(&text[from..at]),
            };
            marks.push(mark);
        }
    }
    marks
}

/// All source files of a run.
///
/// Together they hold less than 4 GiB, so that an offset fits 32 bits.
#[derive(Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
    /// The file of the last look-up: the next one is mostly in the same.
    last: AtomicU32,
}

impl SourceMap {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file; `None` when the map would pass 4 GiB.
    pub(crate) fn add(
        &mut self,
        name: String,
        text: String,
        included_at: Option<Span>,
    ) -> Option<FileId> {
        // One byte lies between two files, so that the end of one is not the start of the next.
        let start = self
            .files
            .last()
            .map_or(0, |file| file.start as usize + file.text.len() + 1);
        let end = start.checked_add(text.len())?;
        if end >= u32::MAX as usize {
            return None;
        }
        let id = FileId(self.files.len() as u32);
        self.files.push(SourceFile {
            name,
            // The bytes stay where they were read to.
            text: Arc::new(text),
            start: start as u32,
            included_at,
            lines: OnceLock::new(),
            marks: OnceLock::new(),
        });
        Some(id)
    }

    /// The files in the order in which they were read.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter()
    }

    /// The file `id`.
    #[must_use]
    pub fn file(&self, id: FileId) -> &SourceFile {
        &self.files[id.0 as usize]
    }

    /// The file that holds `span`.
    #[must_use]
    pub fn file_of(&self, span: Span) -> FileId {
        let last = self.last.load(Ordering::Relaxed);
        if let Some(file) = self.files.get(last as usize) {
            let offset = span.start.wrapping_sub(file.start) as usize;
            if offset <= file.text.len() {
                return FileId(last);
            }
        }
        let after = self.files.partition_point(|file| file.start <= span.start);
        let found = after.saturating_sub(1) as u32;
        self.last.store(found, Ordering::Relaxed);
        FileId(found)
    }

    /// The text of `span`.
    #[must_use]
    pub fn text(&self, span: Span) -> &str {
        step();
        let file = self.file(self.file_of(span));
        let start = (span.start - file.start) as usize;
        let end = (span.end() - file.start) as usize;
        &file.text[start..end.min(file.text.len())]
    }

    /// The text of `span` as a name.
    pub(crate) fn name(&self, span: Span) -> Name {
        let file = self.file(self.file_of(span));
        let (start, end) = (span.start - file.start, span.end() - file.start);
        Name::within(Arc::clone(&file.text), start, end)
    }

    /// Line and column of the start of `span`.
    #[must_use]
    pub fn position(&self, span: Span) -> LineColumn {
        self.position_at(self.file_of(span), span.start)
    }

    /// The line of the start of `span`, counted from 1.
    #[must_use]
    pub fn line(&self, span: Span) -> usize {
        let file = self.file(self.file_of(span));
        file.line_index(span.start - file.start) + 1
    }

    /// Line and column of the end of `span`.
    #[must_use]
    pub fn end_position(&self, span: Span) -> LineColumn {
        self.position_at(self.file_of(span), span.end())
    }

    fn position_at(&self, file: FileId, at: u32) -> LineColumn {
        let file = self.file(file);
        file.position(at - file.start)
    }

    /// The column of the start of `span` as the reference counts it: a tab leads to a column that
    /// is the old one modulo 8.
    #[must_use]
    pub fn reference_column(&self, span: Span) -> usize {
        let file = self.file(self.file_of(span));
        let at = span.start - file.start;
        let line = file.line_index(at);
        file.columns(line, at).reference as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_span_files_and_line_ends() {
        let mut map = SourceMap::new();
        let first = map
            .add("a".into(), "x\r\nyé z\n".into(), None)
            .expect("small");
        let second = map.add("b".into(), "1\r2\n".into(), None).expect("small");
        let in_first = Span::new(7, 8);
        assert_eq!(map.file_of(in_first), first);
        assert_eq!(map.text(in_first), "z");
        assert_eq!(map.position(in_first), LineColumn { line: 2, column: 4 });
        let start = map.file(second).start();
        let in_second = Span::new(start + 2, start + 3);
        assert_eq!(map.text(in_second), "2");
        assert_eq!(map.position(in_second), LineColumn { line: 2, column: 1 });
        assert_eq!(map.file(second).line_text(1), "1");
    }

    #[test]
    fn reference_columns_fold_at_tabs() {
        let mut map = SourceMap::new();
        map.add("a".into(), "\t\t12345678\tx".into(), None)
            .expect("small");
        assert_eq!(map.reference_column(Span::new(2, 3)), 1);
        assert_eq!(map.reference_column(Span::new(11, 12)), 1);
    }

    /// In a long line, columns from a mark are those from its start.
    #[test]
    fn columns_far_from_the_start_of_a_line() {
        let line = "a\té\u{20ac} bc".repeat(2000);
        let mut map = SourceMap::new();
        let text = format!("short\n{line}\n{line}\n");
        map.add("a".into(), text.clone(), None).expect("small");
        let second = "short\n".len() + line.len() + 1;
        for (start, line_number) in [("short\n".len(), 2), (second, 3)] {
            let (mut plain, mut reference) = (1, 1);
            for (at, ch) in text[start..start + line.len()].char_indices() {
                let at = (start + at) as u32;
                let span = Span::new(at, at);
                let place = LineColumn {
                    line: line_number,
                    column: plain,
                };
                assert_eq!(map.position(span), place);
                assert_eq!(map.reference_column(span), reference);
                plain += 1;
                reference = match ch {
                    '\t' => (reference + 7) % 8 + 1,
                    _ => reference + 1,
                };
            }
        }
    }
}
