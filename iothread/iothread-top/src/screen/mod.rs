//! The table on a terminal, with keys. The thread of the screen asks nobody: it shows what was found last.

mod details;
mod draw;
mod keys;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ratatui::crossterm::event;

use crate::sample::{Board, Look};
use crate::view::{FieldList, Filter, Grouping, Order, Row, group, rows};

/// How often what was found is shown, where no key is pressed.
const FRAME: Duration = Duration::from_millis(250);

/// What the screen shows, and how.
#[derive(Debug, Clone)]
pub(crate) struct Showing {
    pub(crate) fields: FieldList,
    pub(crate) filter: Filter,
    pub(crate) order: Order,
    pub(crate) grouping: Grouping,
    pub(crate) shows_internal: bool,
    /// Whether states have colours.
    pub(crate) has_colour: bool,
}

/// What is on the screen.
struct View {
    showing: Showing,
    /// What was asked for with a key, beside the filter of the command line.
    typed: String,
    looks: Vec<Arc<Look>>,
    items: Vec<Item>,
    selected: usize,
    /// The first line of the list, and of the details, that is seen.
    list_top: usize,
    details_top: usize,
    mode: Mode,
    now: Instant,
}

/// A line of the list.
enum Item {
    Title(String),
    Row(Row),
}

/// What keys are for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    List,
    /// The whole screen is about the selected row.
    Details,
    /// A filter is typed; what is wrong with it, if something is.
    Filter {
        text: String,
        error: String,
    },
    Help,
}

/// What a key asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Nothing,
    Quit,
    Refresh,
}

/// Shows what is on the board until the user has seen enough; `refresh` asks for newer looks.
pub(crate) fn run(board: &Board, refresh: impl Fn(), showing: Showing) -> io::Result<()> {
    let mut view = View::new(showing);
    let mut terminal = ratatui::try_init()?;
    let result = (|| {
        loop {
            view.take(board.looks(), Instant::now());
            terminal.draw(|frame| view.draw(frame))?;
            let until = Instant::now() + FRAME;
            // A key is shown at once, and so are all that were pressed meanwhile.
            let mut patience = FRAME;
            while event::poll(patience)? {
                match view.react(&event::read()?) {
                    Wish::Nothing => {}
                    Wish::Quit => return Ok(()),
                    Wish::Refresh => refresh(),
                }
                patience = Duration::ZERO;
                if Instant::now() > until {
                    break;
                }
            }
        }
    })();
    ratatui::restore();
    result
}

impl View {
    fn new(showing: Showing) -> Self {
        Self {
            showing,
            typed: String::new(),
            looks: Vec::new(),
            items: Vec::new(),
            selected: 0,
            list_top: 0,
            details_top: 0,
            mode: Mode::List,
            now: Instant::now(),
        }
    }

    /// Takes what was found. The selection stays with its row.
    fn take(&mut self, looks: Vec<Arc<Look>>, now: Instant) {
        self.now = now;
        self.looks = looks;
        self.arrange();
    }

    fn arrange(&mut self) {
        let selected = self.selected_row().cloned();
        let mut all = rows(&self.looks, self.showing.shows_internal);
        self.showing.filter.apply(&mut all, self.now);
        // What is being typed counts only when it is one.
        if let Ok(condition) = self.typed.parse()
            && !self.typed.is_empty()
        {
            Filter(vec![condition]).apply(&mut all, self.now);
        }
        self.showing.order.sort(&mut all, self.now);
        self.items.clear();
        for group in group(all, self.showing.grouping, self.now) {
            self.items.extend(group.title.map(Item::Title));
            self.items.extend(group.rows.into_iter().map(Item::Row));
        }
        if let Some(selected) = selected {
            let is_it = |item: &Item| matches!(item, Item::Row(row) if row.is_same(&selected));
            if let Some(index) = self.items.iter().position(is_it) {
                self.selected = index;
            }
        }
        self.selected = self.selected.min(self.items.len().saturating_sub(1));
        if matches!(self.items.get(self.selected), Some(Item::Title(_))) {
            self.selected += 1;
        }
    }

    fn selected_row(&self) -> Option<&Row> {
        match self.items.get(self.selected)? {
            Item::Row(row) => Some(row),
            Item::Title(_) => None,
        }
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.items.iter().filter_map(|item| match item {
            Item::Row(row) => Some(row),
            Item::Title(_) => None,
        })
    }
}
