//! Lines of a text and what they look like.

/// A line without the blanks around its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// Where its first character that is not a blank stands; for a blank line equal to `end`.
    pub(super) start: usize,
    /// Where its last character that is not a blank ends.
    pub(super) end: usize,
    /// The column of its first character that is not a blank.
    pub(super) indent: usize,
}

impl Line {
    pub(super) fn is_blank(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn text<'t>(&self, text: &'t str) -> &'t str {
        &text[self.start..self.end]
    }

    /// The line from the byte `skipped` of its text on.
    pub(super) fn from(&self, text: &str, skipped: usize) -> Self {
        let rest = &self.text(text)[skipped..];
        let blanks = rest.len() - rest.trim_start().len();
        Self {
            start: self.start + skipped + blanks,
            end: self.end,
            indent: self.indent + skipped + blanks,
        }
    }
}

/// The lines of `text`.
pub(super) fn lines_of(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = 0;
    for raw in text.split('\n') {
        let (indent, blanks) = indent_of(raw);
        let end = start + raw.trim_end().len();
        let first = (start + blanks).min(end.max(start));
        lines.push(Line {
            start: if end <= start { start } else { first },
            end: end.max(start),
            indent: if end <= start { 0 } else { indent },
        });
        start += raw.len() + 1;
    }
    lines
}

/// The column of the first character that is not a blank, and the bytes before it. A tab leads to
/// the next multiple of 8.
pub(super) fn indent_of(line: &str) -> (usize, usize) {
    let mut column = 0;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b' ' => column += 1,
            b'\t' => column = (column / 8 + 1) * 8,
            _ => return (column, at),
        }
    }
    (column, line.len())
}

/// The number of lines at the start of `lines` that are blank or deeper than `indent`, blank ones
/// at the end left out.
pub(super) fn body_len(lines: &[Line], indent: usize) -> usize {
    let end = lines
        .iter()
        .position(|line| !line.is_blank() && line.indent <= indent)
        .unwrap_or(lines.len());
    lines[..end]
        .iter()
        .rposition(|line| !line.is_blank())
        .map_or(0, |last| last + 1)
}

/// The character that a line under a heading is made of; at least three of one.
pub(super) fn rule_of(line: &str) -> Option<u8> {
    let bytes = line.as_bytes();
    let first = *bytes.first()?;
    let is_rule =
        bytes.len() >= 3 && first.is_ascii_punctuation() && bytes.iter().all(|byte| *byte == first);
    is_rule.then_some(first)
}

/// How an item of a list is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    Bullet(u8),
    Number(u32),
    /// `#.`, or a letter.
    Automatic,
}

impl Marker {
    /// Whether an item with this marker belongs to a list that started with `first`.
    pub(super) fn continues(self, first: Self) -> bool {
        match (first, self) {
            (Self::Bullet(left), Self::Bullet(right)) => left == right,
            (Self::Number(_) | Self::Automatic, Self::Number(_) | Self::Automatic) => true,
            (Self::Bullet(_), Self::Number(_) | Self::Automatic)
            | (Self::Number(_) | Self::Automatic, Self::Bullet(_)) => false,
        }
    }
}

/// The marker at the start of `line`, and its length.
pub(super) fn marker_of(line: &str) -> Option<(Marker, usize)> {
    let bytes = line.as_bytes();
    let is_end = |at: usize| bytes.get(at).is_none_or(|byte| *byte == b' ');
    match bytes.first()? {
        bullet @ (b'-' | b'*' | b'+') if is_end(1) => Some((Marker::Bullet(*bullet), 1)),
        b'#' if matches!(bytes.get(1), Some(b'.' | b')')) && is_end(2) => {
            Some((Marker::Automatic, 2))
        }
        b'0'..=b'9' => {
            let digits = bytes
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            let is_number = digits <= 4
                && matches!(bytes.get(digits), Some(b'.' | b')'))
                && is_end(digits + 1)
                && bytes.len() > digits + 1;
            let number = line[..digits].parse().unwrap_or(1);
            is_number.then_some((Marker::Number(number), digits + 1))
        }
        letter
            if letter.is_ascii_alphabetic()
                && matches!(bytes.get(1), Some(b'.' | b')'))
                && bytes.len() > 2
                && is_end(2) =>
        {
            Some((Marker::Automatic, 2))
        }
        _ => None,
    }
}
