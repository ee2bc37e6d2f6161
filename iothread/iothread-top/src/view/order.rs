//! The order of rows.

use std::cmp::Ordering;
use std::str::FromStr;
use std::time::Instant;

use super::field::Field;
use super::row::Row;

/// By a field; rows that are equal keep the servers' order, and what nobody knows is last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Order {
    /// `None`: as the servers list threads, in the order of creation.
    pub(crate) field: Option<Field>,
    /// Whether it is the other way round: numbers from small to large, words from the end of the alphabet.
    pub(crate) is_reversed: bool,
}

/// The orders that a key goes through.
const USUAL: [Option<Field>; 5] = [
    None,
    Some(Field::Cpu),
    Some(Field::Held),
    Some(Field::Delay),
    Some(Field::Time),
];

impl Order {
    pub(crate) fn sort(self, rows: &mut [Row], now: Instant) {
        let Some(field) = self.field else {
            return;
        };
        let direct = |ordering: Ordering| match self.is_reversed {
            true => ordering.reverse(),
            false => ordering,
        };
        if field.is_number() {
            rows.sort_by_cached_key(|row| {
                let number = field.number(row, now).filter(|it| !it.is_nan());
                Largest(number, self.is_reversed)
            });
        } else {
            let key = |row: &Row| field.plain(row, now);
            rows.sort_by(|a, b| {
                let (a, b) = (key(a), key(b));
                a.is_empty()
                    .cmp(&b.is_empty())
                    .then_with(|| direct(a.cmp(&b)))
            });
        }
    }

    pub(crate) fn name(self) -> &'static str {
        self.field.map_or("server", Field::name)
    }

    pub(crate) fn next(self) -> Self {
        let at = USUAL.iter().position(|it| *it == self.field);
        Self {
            field: USUAL[at.map_or(0, |it| (it + 1) % USUAL.len())],
            is_reversed: false,
        }
    }
}

/// Sorts the largest first, or last.
struct Largest(Option<f64>, bool);

impl Ord for Largest {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.0, other.0) {
            (Some(a), Some(b)) if self.1 => a.total_cmp(&b),
            (Some(a), Some(b)) => b.total_cmp(&a),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
    }
}

impl PartialOrd for Largest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Largest {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Largest {}

impl FromStr for Order {
    type Err = String;

    /// A field, with a `-` in front for the other way round; `server` is the servers' order.
    fn from_str(text: &str) -> Result<Self, String> {
        let (is_reversed, name) = match text.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, text),
        };
        if name == "server" {
            return Ok(Self::default());
        }
        Ok(Self {
            field: Some(name.parse()?),
            is_reversed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::rows;
    use super::super::row::tests::{look, thread};
    use super::*;
    use crate::sample::State;

    #[test]
    fn orders() {
        let threads = vec![
            thread("io0", 0.25, &[]),
            thread("io2", 0.5, &["a"]),
            thread("io1", f64::NAN, &["a", "b"]),
        ];
        let looks = [look("vm0", State::Alive, threads)];
        for (text, expected) in [
            ("server", ["io0", "io2", "io1"]),
            ("cpu", ["io2", "io0", "io1"]),
            ("-cpu", ["io0", "io2", "io1"]),
            ("held", ["io1", "io2", "io0"]),
            ("iothread", ["io0", "io1", "io2"]),
            ("-iothread", ["io2", "io1", "io0"]),
            ("holders", ["io2", "io1", "io0"]),
        ] {
            let mut rows = rows(&looks, false);
            text.parse::<Order>()
                .unwrap()
                .sort(&mut rows, Instant::now());
            let ids: Vec<_> = rows.iter().map(|it| &it.thread().unwrap().id[..]).collect();
            assert_eq!(ids, expected, "{text}");
        }
        assert!("nothing".parse::<Order>().is_err());
        let mut order = Order::default();
        for _ in USUAL {
            order = order.next();
        }
        assert_eq!(order, Order::default());
    }
}
