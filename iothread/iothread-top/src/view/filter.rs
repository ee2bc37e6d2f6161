//! Which rows are shown.

use std::str::FromStr;
use std::time::Instant;

use super::field::Field;
use super::row::Row;

/// All of these hold for a row that is shown.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter(pub(crate) Vec<Condition>);

impl Filter {
    pub(crate) fn apply(&self, rows: &mut Vec<Row>, now: Instant) {
        rows.retain(|row| self.0.iter().all(|it| it.holds(row, now)));
    }
}

/// `FIELD=PATTERN`, `FIELD!=PATTERN`, `FIELD>NUMBER`, `FIELD<NUMBER`, or a part of a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    Matches(Field, glob::Pattern),
    Differs(Field, glob::Pattern),
    Above(Field, f64),
    Below(Field, f64),
    Has(String),
}

/// Where a part of a name is looked for.
const NAMES: [Field; 4] = [Field::Guest, Field::Iothread, Field::Holders, Field::Disks];

impl Condition {
    fn holds(&self, row: &Row, now: Instant) -> bool {
        let number = |field: Field| field.number(row, now);
        match self {
            Self::Matches(field, pattern) => pattern.matches(&field.plain(row, now)),
            Self::Differs(field, pattern) => !pattern.matches(&field.plain(row, now)),
            Self::Above(field, least) => number(*field).is_some_and(|it| it > *least),
            Self::Below(field, most) => number(*field).is_some_and(|it| it < *most),
            Self::Has(part) => NAMES
                .into_iter()
                .any(|field| field.plain(row, now).contains(part)),
        }
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(at) = text.find(['=', '<', '>']) else {
            return Ok(Self::Has(text.to_owned()));
        };
        let (name, value) = (&text[..at], &text[at + 1..]);
        let field: Field = name.trim_end_matches('!').trim().parse()?;
        let value = value.trim();
        let number = || {
            let number: f64 = value
                .parse()
                .map_err(|_| format!("'{value}' is not a number"))?;
            match field.is_number() {
                true => Ok(number),
                false => Err(format!(
                    "'{}' is not a number, so it is compared with =",
                    field.name()
                )),
            }
        };
        let pattern =
            || glob::Pattern::new(value).map_err(|error| format!("'{value}': {}", error.msg));
        Ok(match text.as_bytes()[at] {
            b'>' => Self::Above(field, number()?),
            b'<' => Self::Below(field, number()?),
            _ if name.ends_with('!') => Self::Differs(field, pattern()?),
            _ => Self::Matches(field, pattern()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::rows;
    use super::super::row::tests::{look, thread};
    use super::*;
    use crate::sample::State;

    fn shown(conditions: &[&str]) -> Vec<String> {
        let threads = vec![thread("io0", 0.5, &["disk0"]), thread("io1", 0.0, &[])];
        let looks = [
            look("vm0", State::Alive, threads),
            look("web", State::Gone, Vec::new()),
        ];
        let mut rows = rows(&looks, false);
        let conditions = conditions.iter().map(|it| it.parse().unwrap());
        Filter(conditions.collect()).apply(&mut rows, Instant::now());
        let name = |row: &Row| row.thread().map_or("-".to_owned(), |it| it.id.clone());
        rows.iter().map(name).collect()
    }

    #[test]
    fn conditions_choose_rows() {
        assert_eq!(shown(&[]), ["io0", "io1", "-"]);
        assert_eq!(shown(&["guest=vm*"]), ["io0", "io1"]);
        assert_eq!(shown(&["guest=vm*", "cpu>10"]), ["io0"]);
        assert_eq!(shown(&["cpu<10"]), ["io1"]);
        assert_eq!(shown(&["state!=alive"]), ["-"]);
        assert_eq!(shown(&["sk0"]), ["io0"]);
        assert_eq!(shown(&["held=0"]), ["io1"]);
    }

    #[test]
    fn what_is_no_condition() {
        for wrong in ["nothing=1", "guest>1", "cpu>much", "guest=[", "=x"] {
            assert!(wrong.parse::<Condition>().is_err(), "{wrong}");
        }
    }
}
