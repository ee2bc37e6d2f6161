//! Looks as text, one after the other: for scripts and logs.

mod csv;
mod json;
mod text;

use std::io::{self, Write};
use std::time::Instant;

use crate::sample::{Settings, Watch};
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
}

/// Prints until the count is reached or the reader goes away. Returns whether all guests answered the last time.
pub(crate) fn run(
    watch: &Watch,
    show: &Show,
    count: Option<u64>,
    settings: &Settings,
) -> io::Result<bool> {
    let board = watch.board();
    let mut n_left = count;
    let mut is_first = true;
    board.wait_until_settled(settings);
    loop {
        let looks = board.looks();
        let mut text = match show.format {
            Format::Text => text::table(&looks, show, Instant::now()),
            Format::Json => json::line(&looks, show, Instant::now()),
            Format::Csv => csv::lines(&looks, show, Instant::now(), is_first)?,
        };
        is_first = false;
        n_left = n_left.map(|left| left - 1);
        if show.format == Format::Text {
            let n_left_out = board.n_left_out();
            if n_left_out > 0 {
                text.push_str(&format!("{n_left_out} more guests are not looked at\n"));
            }
            if n_left != Some(0) {
                // A blank line is between two tables.
                text.push('\n');
            }
        }
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(true),
            Err(error) => return Err(error),
        }
        if n_left == Some(0) {
            return Ok(looks.iter().all(|it| it.state.is_fresh()));
        }
        std::thread::sleep(settings.interval);
    }
}
