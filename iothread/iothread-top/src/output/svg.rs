//! The pool as a picture.

use std::sync::Arc;
use std::time::Instant;

use super::Show;
use super::markup::escape;
use crate::facts::{Standing, Thread};
use crate::sample::Look;
use crate::view::{Row, counted, cut, rows, short};

// All in units of the picture, of which a letter takes seven.
const WIDTH: usize = 960;
const MARGIN: usize = 16;
const BOX: usize = 220;
const GAP: usize = 12;
const LINE: usize = 16;
const HEAD: usize = 46;
const LETTERS: usize = (BOX - 16) / 7;

/// The most holders that a box names.
const MAX_NAMED: usize = 8;

/// A picture of all guests: a box for each IOThread, with its holders in it.
pub(super) fn picture(looks: &[Arc<Look>], show: &Show, now: Instant) -> String {
    let mut shown = rows(looks, show.shows_internal);
    show.filter.apply(&mut shown, now);
    show.order.sort(&mut shown, now);
    let mut body = String::new();
    let mut y = MARGIN;
    for look in looks {
        let of_guest: Vec<&Row> = shown
            .iter()
            .filter(|row| Arc::ptr_eq(&row.look, look))
            .collect();
        if of_guest.is_empty() {
            continue;
        }
        y = guest(&mut body, &of_guest, now, y);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" height=\"{y}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"IOThreads and their holders\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

fn text(body: &mut String, (x, y): (usize, usize), style: &str, text: &str) {
    let text = escape(text);
    body.push_str(&format!(
        "<text x=\"{x}\" y=\"{y}\" {style}>{text}</text>\n"
    ));
}

/// Draws a guest from a line on; where the next one begins.
fn guest(body: &mut String, rows: &[&Row], now: Instant, mut y: usize) -> usize {
    let look = &rows[0].look;
    y += LINE;
    text(
        body,
        (MARGIN, y),
        "font-weight=\"bold\" font-size=\"15\"",
        &cut(&look.title(), 100),
    );
    y += LINE / 2;
    let threads: Vec<&Thread> = rows.iter().filter_map(|it| it.thread()).collect();
    if let Some(remark) = rows[0].remark(now) {
        y += LINE;
        text(body, (MARGIN, y), "fill=\"#a11\"", &cut(&remark, 120));
    }
    let n_columns = (WIDTH - 2 * MARGIN + GAP) / (BOX + GAP);
    for line in threads.chunks(n_columns) {
        let heights = line.iter().map(|it| height(it));
        let tallest = heights.max().unwrap_or(0);
        for (column, it) in line.iter().enumerate() {
            thread(body, it, (MARGIN + column * (BOX + GAP), y), tallest);
        }
        y += tallest + GAP;
    }
    y + LINE
}

fn n_lines(thread: &Thread) -> usize {
    match thread.holders.as_ref().map_or(0, Vec::len) {
        0 => 1,
        count if count > MAX_NAMED => MAX_NAMED + 1,
        count => count,
    }
}

fn height(thread: &Thread) -> usize {
    HEAD + n_lines(thread) * LINE + 8
}

/// A bar: what is work, or may be, is dark; what is known to be polling is light.
fn load(body: &mut String, thread: &Thread, (x, y): (usize, usize)) {
    let (dark, light, share) = match (thread.usage, thread.loop_usage) {
        (_, Some(told)) => {
            let share = format!("work {:.1}%", told.dispatching * 100.0);
            (told.dispatching, told.polling, share)
        }
        (Some(usage), None) => (usage.cpu, 0.0, format!("CPU {:.1}%", usage.cpu * 100.0)),
        (None, None) => return,
    };
    text(body, (x + BOX - 8, y + 18), "text-anchor=\"end\"", &share);
    let room = BOX - 16;
    let at = |used: f64| {
        // What a recording says may be anything.
        let used = if used.is_finite() {
            used.clamp(0.0, 1.0)
        } else {
            0.0
        };
        used * room as f64
    };
    for (width, colour) in [
        (room as f64, "#d5dde5"),
        (at(dark + light), "#9c6"),
        (at(dark), "#27c"),
    ] {
        let (x, y) = (x + 8, y + 26);
        body.push_str(&format!(
            "<rect x=\"{x}\" y=\"{y}\" height=\"6\" width=\"{width:.1}\" fill=\"{colour}\"/>\n"
        ));
    }
}

fn thread(body: &mut String, thread: &Thread, (x, y): (usize, usize), height: usize) {
    let is_deleted = thread.standing == Standing::Deleted;
    let border = if is_deleted { "#a11" } else { "#567" };
    body.push_str(&format!(
        "<rect x=\"{x}\" y=\"{y}\" width=\"{BOX}\" height=\"{height}\" rx=\"4\" fill=\"#f4f7fa\" stroke=\"{border}\"/>\n"
    ));
    let deleted = if is_deleted { " (deleted)" } else { "" };
    let name = cut(&format!("{}{deleted}", thread.id), LETTERS - 11);
    text(body, (x + 8, y + 18), "font-weight=\"bold\"", &name);
    load(body, thread, (x, y));
    let mut at = y + HEAD;
    let mut line = |style: &str, what: &str| {
        text(body, (x + 8, at + 4), style, &cut(what, LETTERS));
        at += LINE;
    };
    let holders = thread.holders.as_deref();
    match holders {
        None => line("fill=\"#777\"", "nobody tells its holders"),
        Some([]) => line("fill=\"#777\"", "no holder"),
        Some(holders) => {
            for holder in holders.iter().take(MAX_NAMED) {
                line("", short(&holder.name));
            }
            if holders.len() > MAX_NAMED {
                let more = counted(holders.len() - MAX_NAMED, "more holder");
                line("fill=\"#777\"", &more);
            }
        }
    }
}
