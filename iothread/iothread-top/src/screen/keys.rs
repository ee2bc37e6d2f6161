//! What keys do.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{Item, Mode, View, Wish};
use crate::view::Condition;

/// How far a page goes.
const PAGE: usize = 10;

/// The help: keys, and what they do. It fits on a screen of 40 columns and 10 lines.
pub(super) const HELP: [(&str, &str); 8] = [
    ("q", "quit"),
    ("arrows, j, k", "select, page, home, end"),
    ("enter", "all about the row"),
    ("s, r", "sort; the other way round"),
    ("g", "group by guest, CPU"),
    ("/, esc", "filter, as --filter; none"),
    ("i", "internal threads"),
    ("space", "look now"),
];

impl View {
    pub(super) fn react(&mut self, event: &Event) -> Wish {
        let Event::Key(key) = event else {
            return Wish::Nothing;
        };
        if key.kind == KeyEventKind::Release {
            return Wish::Nothing;
        }
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Wish::Quit;
        }
        match &self.mode {
            Mode::Filter { .. } => self.type_filter(key),
            Mode::Help | Mode::Details | Mode::List => return self.command(key.code),
        }
        Wish::Nothing
    }

    fn command(&mut self, code: KeyCode) -> Wish {
        match code {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Esc if self.mode == Mode::List => {
                self.typed.clear();
                self.arrange();
            }
            KeyCode::Esc => self.mode = Mode::List,
            KeyCode::Char('h' | '?') => {
                self.mode = match self.mode {
                    Mode::Help => Mode::List,
                    Mode::List | Mode::Details | Mode::Filter { .. } => Mode::Help,
                };
            }
            KeyCode::Enter => {
                self.details_top = 0;
                self.mode = match self.mode {
                    Mode::List => Mode::Details,
                    Mode::Details | Mode::Help | Mode::Filter { .. } => Mode::List,
                };
            }
            KeyCode::Char(' ') => return Wish::Refresh,
            KeyCode::Char('i') => {
                self.showing.shows_internal = !self.showing.shows_internal;
                self.arrange();
            }
            KeyCode::Char('s') => {
                self.showing.order = self.showing.order.next();
                self.arrange();
            }
            KeyCode::Char('r') => {
                self.showing.order.is_reversed = !self.showing.order.is_reversed;
                self.arrange();
            }
            KeyCode::Char('g') => {
                self.showing.grouping = self.showing.grouping.next();
                self.arrange();
            }
            KeyCode::Char('/') => {
                self.mode = Mode::Filter {
                    text: self.typed.clone(),
                    error: String::new(),
                };
            }
            KeyCode::Down | KeyCode::Char('j') => self.go(1, true),
            KeyCode::Up | KeyCode::Char('k') => self.go(1, false),
            KeyCode::PageDown => self.go(PAGE, true),
            KeyCode::PageUp => self.go(PAGE, false),
            KeyCode::Home => self.go(usize::MAX, false),
            KeyCode::End => self.go(usize::MAX, true),
            _ => {}
        }
        Wish::Nothing
    }

    fn go(&mut self, by: usize, is_down: bool) {
        if self.mode == Mode::Details {
            // It is kept within the text when that is drawn.
            self.details_top = match is_down {
                true => self.details_top.saturating_add(by),
                false => self.details_top.saturating_sub(by),
            };
            return;
        }
        let last = self.items.len().saturating_sub(1);
        let mut to = match is_down {
            true => self.selected.saturating_add(by).min(last),
            false => self.selected.saturating_sub(by),
        };
        // A title is passed over; the first line may be one.
        if matches!(self.items.get(to), Some(Item::Title(_))) {
            to = match is_down || to == 0 {
                true => to + 1,
                false => to - 1,
            };
        }
        self.selected = to.min(last);
    }

    fn type_filter(&mut self, key: &KeyEvent) {
        let Mode::Filter { text, error } = &mut self.mode else {
            return;
        };
        match key.code {
            KeyCode::Esc => self.mode = Mode::List,
            KeyCode::Enter => match text.parse::<Condition>() {
                Ok(_) => {
                    self.typed = std::mem::take(text);
                    self.mode = Mode::List;
                    self.arrange();
                }
                Err(wrong) => *error = wrong,
            },
            KeyCode::Backspace => {
                text.pop();
                error.clear();
            }
            KeyCode::Char(ch) => {
                text.push(ch);
                error.clear();
            }
            _ => {}
        }
    }
}
