//! A table.

use std::sync::Arc;
use std::time::Instant;

use super::Show;
use crate::sample::Look;
use crate::view::{Layout, Room, Row, group, printable, rows};

/// The table of a round, and what could not be known below it.
pub(super) fn table(looks: &[Arc<Look>], show: &Show, now: Instant) -> String {
    let mut all = rows(looks, show.shows_internal);
    show.filter.apply(&mut all, now);
    show.order.sort(&mut all, now);
    let every: Vec<&Row> = all.iter().collect();
    let layout = Layout::new(&show.fields.columns(&every), &every, now, Room::Any);
    let mut text = layout.head();
    text.push('\n');
    for group in group(all, show.grouping, now) {
        if let Some(title) = group.title {
            text.push_str(&format!("{title}\n"));
        }
        for row in &group.rows {
            text.push_str(&format!("{}\n", layout.row(row, now)));
        }
    }
    for look in looks {
        for note in look.fresh().iter().flat_map(|it| &it.notes) {
            let line = printable(&format!("{}: {note}", look.title()));
            text.push_str(&format!("{line}\n"));
        }
    }
    text
}
