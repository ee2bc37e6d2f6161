//! A line for each row.

use std::io;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::Show;
use crate::sample::Look;
use crate::view::{Row, printable, rows};

/// The rows of a round, each with the time in front, in seconds since 1970; before the first, the names of the fields.
pub(super) fn lines(
    looks: &[Arc<Look>],
    show: &Show,
    now: Instant,
    with_names: bool,
) -> io::Result<String> {
    let mut all = rows(looks, show.shows_internal);
    show.filter.apply(&mut all, now);
    show.order.sort(&mut all, now);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let time = format!("{:.3}", since.unwrap_or_default().as_secs_f64());
    let every: Vec<&Row> = all.iter().collect();
    let fields = show.fields.columns(&every);
    let mut writer = csv::Writer::from_writer(Vec::new());
    if with_names {
        let names = fields.iter().map(|it| it.name());
        writer.write_record(std::iter::once("at").chain(names))?;
    }
    for row in &all {
        let values = fields.iter().map(|it| printable(&it.plain(row, now)));
        writer.write_record(std::iter::once(time.clone()).chain(values))?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    String::from_utf8(bytes).map_err(io::Error::other)
}
