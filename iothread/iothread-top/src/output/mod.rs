//! Looks as text, one after the other: for scripts and logs.

mod csv;
mod html;
mod json;
mod markup;
mod record;
mod replay;
mod svg;
mod text;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

pub(crate) use self::json::to_line;
pub(crate) use self::record::{Recorder, Recording};
pub(crate) use self::replay::Replay;
use crate::sample::{Look, Settings, Watch};
use crate::view::{FieldList, Filter, Grouping, Order};

/// What is printed of each round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Show {
    pub(crate) format: Format,
    pub(crate) fields: FieldList,
    pub(crate) filter: Filter,
    pub(crate) order: Order,
    pub(crate) grouping: Grouping,
    pub(crate) shows_internal: bool,
}

/// How it is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// Columns.
    #[default]
    Text,
    /// A line for each round.
    Json,
    /// A line for each row, and one with the names of the fields in front.
    Csv,
    /// A page with a picture of the pool, and the rows.
    Html,
    /// The picture alone.
    Svg,
}

/// All guests at a moment, and how many more there are that are not looked at.
pub(crate) struct Round {
    pub(crate) looks: Vec<Arc<Look>>,
    pub(crate) n_left_out: usize,
}

/// The rounds of guests that are there: the first when all were looked at, further ones in intervals.
pub(crate) fn rounds(
    watch: &Watch,
    settings: Settings,
) -> impl FnMut() -> io::Result<Option<Round>> {
    let mut is_first = true;
    move || {
        let board = watch.board();
        match std::mem::take(&mut is_first) {
            true => board.wait_until_settled(&settings),
            false => std::thread::sleep(settings.interval),
        }
        Ok(Some(Round {
            looks: board.looks(),
            n_left_out: board.n_left_out(),
        }))
    }
}

/// Prints until the count is reached, there are no more rounds, or the reader goes away. Returns whether all guests answered
/// the last time.
pub(crate) fn run(
    mut next: impl FnMut() -> io::Result<Option<Round>>,
    show: &Show,
    count: Option<u64>,
) -> io::Result<bool> {
    let mut n_left = count;
    let mut is_first = true;
    let mut is_well = true;
    while n_left != Some(0) {
        let Some(Round { looks, n_left_out }) = next()? else {
            break;
        };
        let mut text = match show.format {
            Format::Text => text::table(&looks, show, Instant::now()),
            Format::Json => json::line(&looks, show, Instant::now()),
            Format::Csv => csv::lines(&looks, show, Instant::now(), is_first)?,
            Format::Html => html::page(&looks, show, Instant::now()),
            Format::Svg => svg::picture(&looks, show, Instant::now()),
        };
        n_left = n_left.map(|left| left - 1);
        if show.format == Format::Text {
            if n_left_out > 0 {
                text.push_str(&format!("{n_left_out} more guests are not looked at\n"));
            }
            if !is_first {
                // A blank line is between two tables.
                text.insert(0, '\n');
            }
        }
        is_first = false;
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(true),
            Err(error) => return Err(error),
        }
        is_well = looks.iter().all(|it| it.state.is_fresh());
    }
    Ok(is_well)
}
