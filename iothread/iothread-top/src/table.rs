//! What people read of a thread.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::source::{Snapshot, Thread};

/// The heads of the columns.
pub(crate) const COLUMNS: [&str; 5] = ["IOTHREAD", "TID", "BUSY", "HELD", "HOLDERS"];

/// The widest that a column of text becomes. What is longer stands out of its column, and is not cut: scripts read it.
const MAX_WIDTH: usize = 64;

/// The order of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// As the server lists them: in the order of creation.
    Server,
    /// The busiest first.
    Busy,
    /// The one with the most holders first.
    Holders,
}

impl Order {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Busy => "busy",
            Self::Holders => "holders",
        }
    }

    pub(crate) fn next(self) -> Self {
        match self {
            Self::Server => Self::Busy,
            Self::Busy => Self::Holders,
            Self::Holders => Self::Server,
        }
    }
}

/// Sorts threads; those that are equal keep the server's order.
pub(crate) fn sort(snapshot: &mut Snapshot, order: Order) {
    match order {
        Order::Server => {}
        Order::Busy => snapshot
            .threads
            .sort_by(|a, b| b.busy.unwrap_or(-1.0).total_cmp(&a.busy.unwrap_or(-1.0))),
        Order::Holders => snapshot
            .threads
            .sort_by_key(|thread| std::cmp::Reverse(n_holders(thread))),
    }
}

fn n_holders(thread: &Thread) -> usize {
    thread.holders.as_ref().map_or(0, Vec::len)
}

/// The cells of a thread's row.
pub(crate) fn cells(thread: &Thread) -> [String; 5] {
    let held = thread
        .holders
        .as_ref()
        .map(|holders| holders.len().to_string());
    [
        printable(&thread.id),
        thread.thread_id.to_string(),
        thread
            .busy
            .map_or_else(unknown, |busy| format!("{:.1}%", busy * 100.0)),
        held.unwrap_or_else(unknown),
        holders(thread),
    ]
}

fn unknown() -> String {
    "-".to_owned()
}

/// The names of all holders.
fn holders(thread: &Thread) -> String {
    match &thread.holders {
        None => unknown(),
        Some(holders) if holders.is_empty() => "none".to_owned(),
        Some(holders) => {
            let names: Vec<_> = holders
                .iter()
                .map(|holder| printable(&holder.name))
                .collect();
            names.join(" ")
        }
    }
}

/// The cells of a row that is not of now, with what it is instead. Its name is all that is known to last.
pub(crate) fn stale_cells(thread: &Thread, mark: &str) -> [String; 5] {
    [
        printable(&thread.id),
        unknown(),
        mark.to_owned(),
        unknown(),
        unknown(),
    ]
}

/// What a server calls things goes to a terminal, so it must not steer that, nor change the direction of the line. What does
/// such things, or is not to be seen, is named, as in `<U+202E>`.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for ch in text.chars() {
        let is_hidden = match ch {
            // Line and paragraph separators; marks that embed, override or isolate a direction, and those without a width.
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
            '\u{61c}' | '\u{feff}' => true,
            ch => ch.width().is_none(),
        };
        if is_hidden {
            shown.push_str(&format!("<U+{:04X}>", u32::from(ch)));
        } else {
            shown.push(ch);
        }
    }
    shown
}

/// Fills a text up to so many columns of the terminal, on the right.
pub(crate) fn padded(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.width());
    format!("{text}{}", " ".repeat(missing))
}

/// Fills it up on the left.
fn right_aligned(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.width());
    format!("{}{text}", " ".repeat(missing))
}

/// How many columns of the terminal the texts of a column take.
pub(crate) fn width_of<'t>(texts: impl Iterator<Item = &'t str>) -> usize {
    texts
        .map(UnicodeWidthStr::width)
        .max()
        .unwrap_or(0)
        .min(MAX_WIDTH)
}

/// One line about all threads.
pub(crate) fn summary(snapshot: &Snapshot) -> String {
    let threads = &snapshot.threads;
    let n_threads = counted(threads.len(), "IOThread");
    let holders = match threads.iter().any(|thread| thread.holders.is_some()) {
        true => {
            let n_held: usize = threads.iter().map(n_holders).sum();
            let is_idle = |thread: &&Thread| thread.holders.as_ref().is_some_and(Vec::is_empty);
            let n_idle = threads.iter().filter(is_idle).count();
            format!(", {n_idle} of them unheld; {}", counted(n_held, "holder"))
        }
        false if threads.is_empty() => String::new(),
        false => "; the server does not tell holders".to_owned(),
    };
    let busy: Option<f64> = threads
        .iter()
        .filter_map(|thread| thread.busy)
        .reduce(|a, b| a + b);
    let busy = busy.map_or_else(String::new, |busy| format!("; {:.1}% busy", busy * 100.0));
    format!("{n_threads}{holders}{busy}")
}

fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// The table as lines of text.
pub(crate) fn lines(snapshot: &Snapshot) -> Vec<String> {
    let rows: Vec<_> = snapshot.threads.iter().map(cells).collect();
    let width = |column: usize| {
        let head = COLUMNS[column];
        width_of(rows.iter().map(|row| row[column].as_str()).chain([head]))
    };
    let widths = [0, 1, 2, 3].map(width);
    let line = |row: [&str; 5]| {
        let [id, thread, busy, held, holders] = row;
        let id = padded(id, widths[0]);
        let thread = right_aligned(thread, widths[1]);
        let busy = right_aligned(busy, widths[2]);
        let held = right_aligned(held, widths[3]);
        format!("{id}  {thread}  {busy}  {held}  {holders}")
    };
    let body = rows
        .iter()
        .map(|row| line(row.each_ref().map(String::as_str)));
    std::iter::once(line(COLUMNS)).chain(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Holder;

    fn snapshot() -> Snapshot {
        let holder = |name: &str| Holder {
            kind: "monitor".to_owned(),
            name: name.to_owned(),
        };
        let idle = Thread {
            id: "io0".to_owned(),
            thread_id: 7,
            holders: Some(Vec::new()),
            ..Thread::default()
        };
        let busy = Thread {
            id: "a-long-one".to_owned(),
            thread_id: 123_456,
            busy: Some(0.5),
            holders: Some(vec![holder("m1"), holder("m\u{1b}0")]),
            ..Thread::default()
        };
        let qemu = Thread {
            id: "io1".to_owned(),
            busy: Some(0.75),
            ..Thread::default()
        };
        Snapshot {
            threads: vec![idle, busy, qemu],
        }
    }

    #[test]
    fn columns_are_as_wide_as_they_must() {
        assert_eq!(
            lines(&snapshot()),
            [
                "IOTHREAD       TID   BUSY  HELD  HOLDERS",
                "io0              7      -     0  none",
                "a-long-one  123456  50.0%     2  m1 m<U+001B>0",
                "io1              0  75.0%     -  -",
            ]
        );
        assert_eq!(
            summary(&snapshot()),
            "3 IOThreads, 1 of them unheld; 2 holders; 125.0% busy"
        );
        let mut qemu = snapshot();
        qemu.threads.drain(..2);
        assert_eq!(
            summary(&qemu),
            "1 IOThread; the server does not tell holders; 75.0% busy"
        );
        assert_eq!(summary(&Snapshot::default()), "0 IOThreads");
    }

    /// A server may call its threads what it likes.
    #[test]
    fn absurd_names() {
        let named = |id: &str| Thread {
            id: id.to_owned(),
            ..Thread::default()
        };
        let long = "x".repeat(1 << 16);
        let names = [
            long.as_str(),
            "\u{1b}[2J\r\n\0\u{85}",
            "a\u{202e}b\u{200b}",
            "線程零",
            "e\u{301}",
            "",
        ];
        let threads = names.map(named).to_vec();
        let shown = lines(&Snapshot { threads });
        let row =
            |name: &str, width: usize| format!("{name}{}    0     -     -  -", " ".repeat(width));
        assert_eq!(
            shown[1..],
            [
                row(&long, 0),
                row("<U+001B>[2J<U+000D><U+000A><U+0000><U+0085>", 21),
                row("a<U+202E>b<U+200B>", 46),
                // Each takes two columns.
                row("線程零", 58),
                row("e\u{301}", 63),
                row("", 64),
            ]
        );
    }

    #[test]
    fn orders() {
        for (order, expected) in [
            (Order::Server, ["io0", "a-long-one", "io1"]),
            (Order::Busy, ["io1", "a-long-one", "io0"]),
            (Order::Holders, ["a-long-one", "io0", "io1"]),
        ] {
            let mut snapshot = snapshot();
            sort(&mut snapshot, order);
            let ids: Vec<_> = snapshot.threads.iter().map(|it| it.id.as_str()).collect();
            assert_eq!(ids, expected, "{}", order.name());
        }
        assert_eq!(Order::Server.next().next().next(), Order::Server);
    }
}
