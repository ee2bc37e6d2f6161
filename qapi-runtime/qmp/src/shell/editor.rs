//! The line editor: completion, history, lines that go on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use qapi_gen::ir::Schema;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{ColorMode, CompletionType, Config, Context, Helper};

use super::complete::complete;
use super::history;
use super::later::Later;
use super::printer::Printer;
use crate::output::shown;
use crate::words;

/// How long somebody who wants to see the schema waits for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Reads lines from the terminal.
pub(super) struct Editor {
    editor: rustyline::Editor<Assistant, FileHistory>,
    history: Option<PathBuf>,
}

impl Editor {
    pub(super) fn new() -> Result<Self, ReadlineError> {
        let config = Config::builder()
            .max_history_size(history::MAX_LINES)?
            .history_ignore_dups(true)?
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .color_mode(ColorMode::Disabled)
            .build();
        let mut editor = rustyline::Editor::with_config(config)?;
        editor.set_helper(Some(Assistant::default()));
        let history = history::file();
        if let Some(file) = &history {
            // There may be none yet, and without it lines are read as well.
            let _ = editor.load_history(file);
        }
        Ok(Self { editor, history })
    }

    /// Prints while a line is read.
    pub(super) fn printer(&mut self) -> Printer {
        Printer::new(self.editor.create_external_printer().ok())
    }

    /// Completes by this schema from now on.
    pub(super) fn complete_by(&mut self, schema: Later<Option<Schema>>) {
        self.editor.set_helper(Some(Assistant {
            schema: Some(schema),
        }));
    }

    /// Reads a line, which may be several if quotes or brackets are open.
    pub(super) fn read(&mut self, prompt: &str) -> Result<String, ReadlineError> {
        let line = self.editor.readline(prompt)?;
        if history::may_be_kept(&line) {
            // What cannot be kept is executed as well.
            let _ = self.editor.add_history_entry(line.as_str());
            if let Some(file) = &self.history {
                let _ = self.editor.append_history(file);
            }
        }
        Ok(line)
    }
}

/// What the editor asks while a line is written.
#[derive(Default)]
struct Assistant {
    schema: Option<Later<Option<Schema>>>,
}

impl Assistant {
    fn schema(&self) -> Option<Arc<Option<Schema>>> {
        self.schema.as_ref()?.wait(PATIENCE)
    }
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let Some(line) = line.get(..cursor) else {
            return Ok((cursor, Vec::new()));
        };
        let schema = self.schema();
        let Some(schema) = schema.as_deref().and_then(Option::as_ref) else {
            return Ok((cursor, Vec::new()));
        };
        let (start, candidates) = complete(schema, line);
        // Names of the server, which the checks of schemas hold to letters, digits and a few signs.
        let candidates = candidates.into_iter().map(|text| Pair {
            display: shown(text.trim_end()),
            replacement: text,
        });
        Ok((start, candidates.collect()))
    }
}

impl Hinter for Assistant {
    type Hint = String;
}

impl Highlighter for Assistant {}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let line = context.input().trim_start();
        let is_of_words = !line.starts_with("#") && !line.starts_with(".hmp");
        let (_, is_complete) = words::scan(line);
        Ok(match is_complete || !is_of_words {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Helper for Assistant {}
