//! The table on a terminal, with keys.

use std::time::{Duration, Instant};

use qapi_runtime::client::ClientError;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table, TableState};

use super::source::{Snapshot, Source, Thread};
use super::table::{self, COLUMNS, Order};

const KEYS: &str = "q quit   up/down select   s sort   i internal threads   space refresh";

/// What the screen shows.
struct View {
    title: String,
    snapshot: Snapshot,
    /// Why the last look gave nothing: what is shown is not of now then.
    trouble: Option<Trouble>,
    order: Order,
    selected: TableState,
}

/// Why nothing is known of a server.
struct Trouble {
    text: String,
    /// What rows are marked with.
    mark: &'static str,
}

/// What a key asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Nothing,
    Quit,
    Refresh,
    ToggleInternal,
}

/// Shows the server's threads until the user has seen enough. A server that goes away may come back.
pub(crate) fn run(source: &mut Source, interval: Duration) -> Result<(), ClientError> {
    let mut view = View {
        title: source.address().to_string(),
        snapshot: source.look()?,
        trouble: None,
        order: Order::Server,
        selected: TableState::default().with_selected(0),
    };
    let mut terminal = ratatui::try_init()?;
    let result = (|| {
        let mut next_look = Instant::now() + interval;
        loop {
            terminal.draw(|frame| view.draw(frame))?;
            let wish = if event::poll(next_look.saturating_duration_since(Instant::now()))? {
                view.react(&event::read()?)
            } else {
                Wish::Refresh
            };
            match wish {
                Wish::Nothing => continue,
                Wish::Quit => return Ok(()),
                Wish::ToggleInternal => source.shows_internal = !source.shows_internal,
                Wish::Refresh => {}
            }
            view.take(source.look(), source.is_connected());
            next_look = Instant::now() + interval;
        }
    })();
    ratatui::restore();
    result
}

impl View {
    fn take(&mut self, look: Result<Snapshot, ClientError>, is_connected: bool) {
        match look {
            Ok(mut snapshot) => {
                table::sort(&mut snapshot, self.order);
                self.snapshot = snapshot;
                self.trouble = None;
            }
            Err(error) => {
                self.trouble = Some(Trouble {
                    text: error.to_string(),
                    mark: if is_connected { "late" } else { "gone" },
                });
            }
        }
    }

    fn react(&mut self, event: &Event) -> Wish {
        let Event::Key(key) = event else {
            return Wish::Nothing;
        };
        if key.kind == KeyEventKind::Release {
            return Wish::Nothing;
        }
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::Quit,
            KeyCode::Char('q') | KeyCode::Esc => Wish::Quit,
            KeyCode::Char(' ') => Wish::Refresh,
            KeyCode::Char('i') => Wish::ToggleInternal,
            KeyCode::Char('s') => {
                self.order = self.order.next();
                // The server's own order comes back with the next look.
                Wish::Refresh
            }
            KeyCode::Down | KeyCode::Char('j') => {
                let last = self.snapshot.threads.len().saturating_sub(1);
                let next = self
                    .selected
                    .selected()
                    .map_or(0, |row| (row + 1).min(last));
                self.selected.select(Some(next));
                Wish::Nothing
            }
            KeyCode::Up | KeyCode::Char('k') => {
                let next = self
                    .selected
                    .selected()
                    .map_or(0, |row| row.saturating_sub(1));
                self.selected.select(Some(next));
                Wish::Nothing
            }
            _ => Wish::Nothing,
        }
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let n_threads = self.snapshot.threads.len();
        let selected = self
            .selected
            .selected()
            .unwrap_or(0)
            .min(n_threads.saturating_sub(1));
        self.selected.select(Some(selected));
        let [head, list, details, foot] = Layout::vertical([
            Constraint::Length(2),
            Constraint::Min(3),
            Constraint::Percentage(35),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let summary = match &self.trouble {
            Some(trouble) => Line::styled(table::printable(&trouble.text), Color::Red),
            None => Line::raw(table::summary(&self.snapshot)),
        };
        let title = table::printable(&self.title);
        let title = format!("{title}   sorted by {}", self.order.name());
        let title = Line::styled(title, Modifier::BOLD);
        frame.render_widget(Paragraph::new(vec![title, summary]), head);
        frame.render_stateful_widget(self.table(), list, &mut self.selected);
        if let Some(thread) = self.snapshot.threads.get(selected)
            && self.trouble.is_none()
        {
            frame.render_widget(holders(thread), details);
        }
        frame.render_widget(Line::styled(KEYS, Modifier::DIM), foot);
    }

    fn table(&self) -> Table<'static> {
        let row = |thread: &Thread| {
            let (cells, is_dim) = match &self.trouble {
                None => (table::cells(thread), thread.is_internal),
                Some(trouble) => (table::stale_cells(thread, trouble.mark), true),
            };
            (cells, is_dim)
        };
        let rows: Vec<_> = self.snapshot.threads.iter().map(row).collect();
        let id = table::width_of(rows.iter().map(|(cells, _)| cells[0].as_str()));
        let rows = rows.into_iter().map(|(cells, is_dim)| {
            let modifier = if is_dim {
                Modifier::DIM
            } else {
                Modifier::empty()
            };
            Row::new(cells).style(Style::new().add_modifier(modifier))
        });
        let widths = [
            Constraint::Length(u16::try_from(id).unwrap_or(u16::MAX).clamp(8, 32)),
            Constraint::Length(8),
            Constraint::Length(7),
            Constraint::Length(5),
            Constraint::Fill(1),
        ];
        Table::new(rows, widths)
            .header(Row::new(COLUMNS).style(Modifier::UNDERLINED))
            .row_highlight_style(Modifier::REVERSED)
    }
}

/// Columns of the terminal for what a holder is.
const KIND_WIDTH: usize = 14;

/// All holders of one thread, a line each, the newest first.
fn holders(thread: &Thread) -> Paragraph<'static> {
    let title = match thread.poll_max_ns {
        Some(limit) => format!(
            " {}: holders, newest first; polls at most {limit} ns ",
            thread.id
        ),
        None => format!(" {}: holders, newest first ", thread.id),
    };
    let lines: Vec<_> = match &thread.holders {
        None => vec![Line::raw("the server does not tell")],
        Some(holders) if holders.is_empty() => vec![Line::raw("none")],
        Some(holders) => holders
            .iter()
            .map(|holder| {
                let (kind, name) = (
                    table::printable(&holder.kind),
                    table::printable(&holder.name),
                );
                Line::raw(format!("{}{name}", table::padded(&kind, KIND_WIDTH)))
            })
            .collect(),
    };
    Paragraph::new(lines).block(
        Block::new()
            .borders(Borders::TOP)
            .title(table::printable(&title)),
    )
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::KeyEvent;

    use super::*;
    use crate::source::Holder;

    fn view() -> View {
        let holder = Holder {
            kind: "block-node".to_owned(),
            name: "disk0".to_owned(),
        };
        let held = Thread {
            id: "io0".to_owned(),
            thread_id: 41,
            busy: Some(0.25),
            holders: Some(vec![holder]),
            poll_max_ns: Some(32_768),
            is_internal: false,
        };
        let idle = Thread {
            id: "io1".to_owned(),
            thread_id: 42,
            holders: Some(Vec::new()),
            ..held.clone()
        };
        View {
            title: "unix:/run/q".to_owned(),
            snapshot: Snapshot {
                threads: vec![held, idle],
            },
            trouble: None,
            order: Order::Server,
            selected: TableState::default().with_selected(0),
        }
    }

    fn drawn(view: &mut View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    fn gone(text: &str) -> Trouble {
        Trouble {
            text: text.to_owned(),
            mark: "gone",
        }
    }

    /// Nothing of a server that does not answer looks as if it were of now.
    #[test]
    fn rows_of_a_server_that_is_gone_are_marked() {
        let mut view = view();
        for (is_connected, mark) in [(false, "gone"), (true, "late")] {
            let error = std::io::Error::other("it is away");
            view.take(Err(error.into()), is_connected);
            let text = drawn(&mut view, 80, 16);
            assert!(text.contains("it is away"), "{text}");
            assert_eq!(text.matches(mark).count(), 2, "{text}");
            for stale in ["25.0%", "41", "disk0", "32768"] {
                assert!(!text.contains(stale), "{stale} is in\n{text}");
            }
        }
        let snapshot = view.snapshot.clone();
        view.take(Ok(snapshot), true);
        let text = drawn(&mut view, 80, 16);
        assert!(text.contains("25.0%") && !text.contains("gone"), "{text}");
    }

    /// Columns are those of the terminal: what is wide takes two.
    #[test]
    fn wide_names_do_not_shift_columns() {
        let mut view = view();
        view.snapshot.threads[0].holders = Some(vec![
            Holder {
                kind: "線程".to_owned(),
                name: "AAA".to_owned(),
            },
            Holder {
                kind: "block".to_owned(),
                name: "BBB".to_owned(),
            },
        ]);
        let mut terminal = Terminal::new(TestBackend::new(60, 16)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer();
        // Below the title of the list of holders.
        let column = |symbol: &str| {
            let area = buffer.area;
            let cells = (10..area.height).flat_map(|y| (0..area.width).map(move |x| (x, y)));
            cells
                .clone()
                .find(|at| buffer[*at].symbol() == symbol)
                .map(|(x, _)| x)
        };
        assert_eq!(column("A"), Some(14));
        assert_eq!(column("B"), Some(14));
    }

    fn key(code: KeyCode) -> Event {
        Event::Key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn the_selected_thread_shows_its_holders() {
        let mut view = view();
        let text = drawn(&mut view, 80, 16);
        for part in [
            "io0",
            "41",
            "25.0%",
            "disk0",
            "block-node    disk0",
            "at most 32768 ns",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert_eq!(view.react(&key(KeyCode::Down)), Wish::Nothing);
        let text = drawn(&mut view, 80, 16);
        assert!(text.contains("io1: holders"), "{text}");
        // There is no third thread.
        view.react(&key(KeyCode::Down));
        assert_eq!(view.selected.selected(), Some(1));
    }

    #[test]
    fn keys() {
        let mut view = view();
        assert_eq!(view.react(&key(KeyCode::Char('q'))), Wish::Quit);
        assert_eq!(view.react(&key(KeyCode::Char('i'))), Wish::ToggleInternal);
        assert_eq!(view.react(&key(KeyCode::Char('s'))), Wish::Refresh);
        assert_eq!(view.order, Order::Busy);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.react(&Event::Key(interrupt)), Wish::Quit);
    }

    /// Nothing that a server says makes the screen fail, or reaches the terminal as a command.
    #[test]
    fn absurd_names() {
        let long = "x".repeat(1 << 17);
        for name in [
            long.as_str(),
            "\u{1b}[2J\n",
            "線".repeat(40_000).as_str(),
            "\u{301}",
            "\u{202e}",
        ] {
            let mut view = view();
            let thread = &mut view.snapshot.threads[0];
            thread.id = name.to_owned();
            thread.busy = Some(f64::NAN);
            thread.thread_id = i64::MIN;
            let holder = Holder {
                kind: name.to_owned(),
                name: name.to_owned(),
            };
            thread.holders = Some(vec![holder; 3]);
            for (width, height) in [(1, 1), (30, 9), (400, 60)] {
                for trouble in [None, Some(gone(name))] {
                    view.trouble = trouble;
                    let text = drawn(&mut view, width, height);
                    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{name:.9}");
                }
            }
        }
    }

    /// A terminal may be of any size.
    #[test]
    fn small_screens() {
        for (width, height) in [(1, 1), (10, 2), (30, 4), (200, 60)] {
            let mut view = view();
            drawn(&mut view, width, height);
            view.snapshot.threads.clear();
            view.trouble = Some(gone("it is away"));
            drawn(&mut view, width, height);
        }
    }
}
