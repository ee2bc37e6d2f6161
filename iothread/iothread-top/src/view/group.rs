//! Rows that belong together.

use std::time::Instant;

use clap::ValueEnum;

use super::field::Field;
use super::row::{Row, counted};

/// By what rows are put together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Grouping {
    /// They are not.
    #[default]
    None,
    /// The rows of a guest.
    Guest,
    /// The threads that were last on the same processor.
    Cpu,
}

impl Grouping {
    pub(crate) fn next(self) -> Self {
        match self {
            Self::None => Self::Guest,
            Self::Guest => Self::Cpu,
            Self::Cpu => Self::None,
        }
    }
}

/// Some rows, and what is common to them.
#[derive(Debug)]
pub(crate) struct Group {
    /// Nothing where there are no groups.
    pub(crate) title: Option<String>,
    pub(crate) rows: Vec<Row>,
}

/// Puts rows into groups, which are in the order of their first rows; those of processors are in that of their numbers.
pub(crate) fn group(rows: Vec<Row>, by: Grouping, now: Instant) -> Vec<Group> {
    let key = |row: &Row| match by {
        Grouping::None => None,
        Grouping::Guest => Some(Field::Guest.text(row, now)),
        Grouping::Cpu => Some(match Field::On.number(row, now) {
            Some(number) => format!("CPU {number}"),
            None => "no CPU known".to_owned(),
        }),
    };
    let mut groups: indexmap::IndexMap<Option<String>, Vec<Row>> = indexmap::IndexMap::new();
    for row in rows {
        groups.entry(key(&row)).or_default().push(row);
    }
    if by == Grouping::Cpu {
        let number = |rows: &[Row]| Field::On.number(&rows[0], now).unwrap_or(f64::INFINITY);
        groups.sort_by(|_, a, _, b| number(a).total_cmp(&number(b)));
    }
    let groups = groups.into_iter();
    groups
        .map(|(key, rows)| Group {
            title: key.map(|key| format!("{key}: {}", total(&rows))),
            rows,
        })
        .collect()
}

fn total(rows: &[Row]) -> String {
    let threads = rows.iter().filter_map(Row::thread);
    let mut text = counted(threads.clone().count(), "IOThread");
    let cpu = threads.filter_map(|it| it.usage).map(|it| it.cpu);
    if let Some(cpu) = cpu.reduce(|a, b| a + b) {
        text.push_str(&format!(", {:.1}% of a CPU", cpu * 100.0));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::row::rows;
    use super::super::row::tests::{look, thread};
    use super::*;
    use crate::sample::State;

    #[test]
    fn rows_are_put_together() {
        let on = |cpu: u32| {
            let mut thread = thread("io0", 0.25, &[]);
            thread.kernel.as_mut().unwrap().last_cpu = cpu;
            thread
        };
        let looks = [
            look("vm0", State::Alive, vec![on(11), on(2)]),
            look("vm1", State::Alive, vec![on(2)]),
            look("vm2", State::Gone, Vec::new()),
        ];
        let titles = |by: Grouping| -> Vec<_> {
            let groups = group(rows(&looks, false), by, Instant::now());
            groups.into_iter().map(|it| it.title).collect()
        };
        assert_eq!(titles(Grouping::None), [None]);
        assert_eq!(
            titles(Grouping::Guest),
            [
                Some("vm0: 2 IOThreads, 50.0% of a CPU".to_owned()),
                Some("vm1: 1 IOThread, 25.0% of a CPU".to_owned()),
                Some("vm2: 0 IOThreads".to_owned()),
            ]
        );
        assert_eq!(
            titles(Grouping::Cpu),
            [
                Some("CPU 2: 2 IOThreads, 50.0% of a CPU".to_owned()),
                Some("CPU 11: 1 IOThread, 25.0% of a CPU".to_owned()),
                Some("no CPU known: 0 IOThreads".to_owned()),
            ]
        );
        assert_eq!(Grouping::None.next().next().next(), Grouping::None);
    }
}
