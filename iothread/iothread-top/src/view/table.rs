//! Columns that are as wide as they must.

use std::time::Instant;

use unicode_width::UnicodeWidthStr as _;

use super::field::Field;
use super::printable::{cut, padded, right_aligned};
use super::row::Row;

/// The widest that a column of text becomes. What is longer stands out of its column where there is room.
const MAX_WIDTH: usize = 64;

/// The least that is left to the last column.
const LEAST_REST: usize = 10;

/// Between two columns.
const GAP: usize = 2;

/// How wide lines may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// As wide as they like: scripts read them.
    Any,
    /// So many columns of a terminal, into which fields are fitted, and those left out that are needed least.
    Columns(usize),
}

/// Fields and the widths of their columns.
#[derive(Debug)]
pub(crate) struct Layout {
    columns: Vec<(Field, usize)>,
    room: Room,
}

impl Layout {
    pub(crate) fn new(fields: &[Field], rows: &[&Row], now: Instant, room: Room) -> Self {
        let width = |field: &Field| {
            let cells = rows.iter().map(|row| match (field, room) {
                // It takes what is left.
                (Field::Holders, Room::Columns(_)) => LEAST_REST,
                _ => field.text(row, now).width(),
            });
            let width = cells.max().unwrap_or(0).min(MAX_WIDTH);
            (*field, width.max(field.heading().len()))
        };
        let mut columns: Vec<(Field, usize)> = fields.iter().map(width).collect();
        if let Room::Columns(most) = room {
            // No name takes all the room from others.
            for (field, width) in &mut columns {
                if !field.is_number() {
                    *width = (*width).min((most / 4).max(field.heading().len()));
                }
            }
            let total = |columns: &[(Field, usize)]| -> usize {
                columns.iter().map(|(_, width)| width + GAP).sum()
            };
            while columns.len() > 1 && total(&columns) > most + GAP {
                let lightest = (0..columns.len()).min_by_key(|it| columns[*it].0.weight());
                columns.remove(lightest.unwrap_or(0));
            }
        }
        Self { columns, room }
    }

    /// The heads of the columns.
    pub(crate) fn head(&self) -> String {
        self.line(|field, _| field.heading().to_owned())
    }

    pub(crate) fn row(&self, row: &Row, now: Instant) -> String {
        self.line(|field, left| match self.room {
            Room::Any => field.text(row, now),
            Room::Columns(_) => field.brief(row, now, left),
        })
    }

    fn line(&self, text: impl Fn(Field, usize) -> String) -> String {
        let mut line = String::new();
        let mut used = 0;
        for (index, (field, width)) in self.columns.iter().enumerate() {
            let is_last = index + 1 == self.columns.len();
            let left = match self.room {
                Room::Any => usize::MAX,
                Room::Columns(most) if is_last => most.saturating_sub(used),
                Room::Columns(_) => *width,
            };
            let cell = cut(&text(*field, left), left);
            let cell = match (field.is_number(), is_last) {
                (true, _) => right_aligned(&cell, *width),
                (false, true) => cell,
                (false, false) => padded(&cell, *width),
            };
            used += width + GAP;
            line.push_str(&cell);
            if !is_last {
                line.push_str(&" ".repeat(GAP));
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::FieldList;
    use super::super::row::tests::{look, thread};
    use super::super::row::{Row, rows};
    use super::*;
    use crate::sample::State;

    fn drawn(rows: &[Row], room: Room) -> Vec<String> {
        let now = Instant::now();
        let all: Vec<&Row> = rows.iter().collect();
        let layout = Layout::new(&FieldList::default().columns(&all), &all, now, room);
        let rows = rows.iter().map(|row| layout.row(row, now));
        std::iter::once(layout.head()).chain(rows).collect()
    }

    fn all() -> Vec<Row> {
        let long = "/machine/peripheral/blk0/virtio-backend";
        let threads = vec![
            thread("io0", 0.5, &[long, "m0"]),
            thread("a-long-one", 0.0, &[]),
        ];
        let looks = [
            look("vm0", State::Alive, threads),
            look("vm1", State::Silent, Vec::new()),
        ];
        rows(&looks, false)
    }

    #[test]
    fn columns_are_as_wide_as_they_must() {
        assert_eq!(
            drawn(&all(), Room::Any),
            [
                "GUEST  STATE   IOTHREAD    TID    CPU  DELAY  HELD  FROM     HOLDERS",
                "vm0    alive   io0          41  50.0%   0.0%     2  derived  /machine/peripheral/blk0/virtio-backend m0",
                "vm0    alive   a-long-one   41   0.0%   0.0%     0  derived  none",
                "vm1    silent  -             -      -      -     -  -        silent for 0s: for a reason",
            ]
        );
    }

    #[test]
    fn a_narrow_screen_has_what_is_needed_most() {
        assert_eq!(
            drawn(&all(), Room::Columns(50)),
            [
                "GUEST  IOTHREAD      CPU  DELAY  HELD  HOLDERS",
                "vm0    io0         50.0%   0.0%     2  blk0 m0",
                "vm0    a-long-one   0.0%   0.0%     0  none",
                "vm1    -               -      -     -  silent for+",
            ]
        );
    }

    #[test]
    fn nothing_is_wider_than_its_room() {
        let long = "x".repeat(1 << 16);
        let wide = "線".repeat(40_000);
        let names = [long.as_str(), wide.as_str(), "\u{1b}[2J\n", ""];
        let threads = names
            .map(|name| thread(name, f64::NAN, &[name, name]))
            .to_vec();
        let looks = [look(&long, State::Alive, threads)];
        let rows = rows(&looks, false);
        for most in [12, 40, 80, 400] {
            for line in drawn(&rows, Room::Columns(most)) {
                assert!(line.width() <= most, "{most}: {} {line:.100}", line.width());
                assert!(!line.contains('\u{1b}'));
            }
        }
        // For scripts nothing is cut.
        assert!(drawn(&rows, Room::Any)[1].contains(&long));
    }
}
