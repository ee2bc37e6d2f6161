//! What it looks like.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr as _;

use super::{Item, Mode, View, details, keys};
use crate::sample::State;
use crate::view::{self, Grouping, Room, Row, cut, padded, printable, summary};

const KEYS: &str = "q quit  h help  enter details  s sort  g group  / filter";

/// From so many lines on, the selected row is told about below the list.
const TALL: u16 = 18;

impl View {
    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let details = match self.mode {
            Mode::List | Mode::Filter { .. } if area.height >= TALL => area.height * 2 / 5,
            Mode::List | Mode::Filter { .. } | Mode::Details | Mode::Help => 0,
        };
        let [head, body, details, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Length(details),
            Constraint::Length(1),
        ])
        .areas(area);
        let width = usize::from(area.width);
        frame.render_widget(Line::styled(self.title(width), Modifier::BOLD), head);
        match self.mode {
            Mode::List | Mode::Filter { .. } => {
                frame.render_widget(self.list(body), body);
                self.draw_pane(frame, details);
            }
            Mode::Details => frame.render_widget(self.details(body), body),
            Mode::Help => frame.render_widget(help(width), body),
        }
        let foot_text = match &self.mode {
            Mode::Filter { text, error } if error.is_empty() => format!("filter: {text}_"),
            Mode::Filter { text, error } => format!("filter: {text}  {error}"),
            Mode::List | Mode::Details | Mode::Help => KEYS.to_owned(),
        };
        let foot_text = cut(&printable(&foot_text), width);
        frame.render_widget(Line::styled(foot_text, Modifier::DIM), foot);
    }

    fn title(&self, width: usize) -> String {
        let rows: Vec<Row> = self.rows().cloned().collect();
        let mut title = summary(&self.looks, &rows);
        let order = self.showing.order;
        if order.field.is_some() {
            let way = if order.is_reversed { "-" } else { "" };
            title.push_str(&format!("  sorted by {way}{}", order.name()));
        }
        title.push_str(match self.showing.grouping {
            Grouping::None => "",
            Grouping::Guest => "  by guest",
            Grouping::Cpu => "  by CPU",
        });
        if !self.typed.is_empty() {
            title.push_str(&format!("  only {}", printable(&self.typed)));
        }
        cut(&title, width)
    }

    /// The rows that fit, the selected one among them.
    fn list(&mut self, area: Rect) -> Paragraph<'static> {
        let width = usize::from(area.width);
        let all: Vec<&Row> = self.rows().collect();
        let columns = Room::Columns(width);
        let fields = self.showing.fields.columns(&all);
        let layout = view::Layout::new(&fields, &all, self.now, columns);
        let mut lines = vec![Line::styled(layout.head(), Modifier::UNDERLINED)];
        let n_seen = usize::from(area.height).saturating_sub(1).max(1);
        let lowest_top = (self.selected + 1).saturating_sub(n_seen);
        self.list_top = self.list_top.clamp(lowest_top, self.selected);
        // A title stands above its first row.
        if self.list_top == 1 && n_seen > 1 {
            self.list_top = 0;
        }
        let seen = self.items.iter().enumerate();
        for (index, item) in seen.skip(self.list_top).take(n_seen) {
            lines.push(match item {
                Item::Title(title) => Line::styled(cut(title, width), Modifier::BOLD),
                Item::Row(row) => {
                    let line = padded(&layout.row(row, self.now), width);
                    let style = self.style(row.look.state);
                    Line::styled(
                        line,
                        match index == self.selected {
                            true => style.add_modifier(Modifier::REVERSED),
                            false => style,
                        },
                    )
                }
            });
        }
        Paragraph::new(lines)
    }

    fn style(&self, state: State) -> Style {
        let colour = match state {
            State::Alive => return Style::new(),
            State::New => return Style::new().add_modifier(Modifier::DIM),
            State::Slow | State::Busy => Color::Yellow,
            State::Silent | State::Gone | State::Foreign => Color::Red,
        };
        match self.showing.has_colour {
            true => Style::new().fg(colour),
            false => Style::new().add_modifier(Modifier::DIM),
        }
    }

    /// The beginning of what there is to tell of the selected row.
    fn draw_pane(&self, frame: &mut Frame<'_>, area: Rect) {
        let Some(row) = self.selected_row().filter(|_| area.height > 0) else {
            return;
        };
        let width = usize::from(area.width);
        let n_lines = details::count(row, self.now);
        let room = usize::from(area.height) - 1;
        let mut lines = vec![Line::raw("-".repeat(width))];
        let shown = if n_lines > room {
            room.saturating_sub(1)
        } else {
            room
        };
        lines.extend(
            details::lines(row, self.now)
                .take(shown)
                .map(|line| Line::raw(cut(&line, width))),
        );
        if n_lines > room {
            let rest = format!("and {} more lines: enter", n_lines - shown);
            lines.push(Line::styled(cut(&rest, width), Modifier::DIM));
        }
        frame.render_widget(Paragraph::new(lines), area);
    }

    /// Everything that there is to tell of the selected row. Lines that are too long go on in the next.
    fn details(&mut self, area: Rect) -> Paragraph<'static> {
        let Some(row) = self.selected_row().cloned() else {
            return Paragraph::new("nothing is selected");
        };
        let height = usize::from(area.height);
        let n_lines = details::count(&row, self.now);
        // The last page is a full one. Only its lines are looked at: there may be thousands before.
        let tail = n_lines.saturating_sub(height);
        let width = usize::from(area.width).max(1);
        let rows: Vec<usize> = details::lines(&row, self.now)
            .skip(tail)
            .map(|line| line.width().div_ceil(width).max(1))
            .collect();
        let mut left = height;
        let fits = rows.iter().rev().take_while(|it| {
            let has_room = **it <= left;
            left = left.saturating_sub(**it);
            has_room
        });
        let n_last = fits.count().max(1);
        self.details_top = self.details_top.min(n_lines.saturating_sub(n_last));
        let lines = details::lines(&row, self.now).skip(self.details_top);
        let lines: Vec<_> = lines.take(height).map(Line::raw).collect();
        Paragraph::new(lines).wrap(ratatui::widgets::Wrap { trim: false })
    }
}

fn help(width: usize) -> Paragraph<'static> {
    let lines = keys::HELP.iter().map(|(keys, what)| {
        let line = format!("{}  {what}", padded(keys, 12));
        Line::raw(cut(&line, width))
    });
    Paragraph::new(lines.collect::<Vec<_>>())
}
