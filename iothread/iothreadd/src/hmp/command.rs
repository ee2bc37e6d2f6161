//! What a command of the human monitor is.

use std::sync::Arc;

use iothread::OnMain;
use qapi_runtime::Error;

use super::arguments::{Arguments, Parameter};
use super::line::LINE_END;
use crate::parts::Parts;
use crate::task::Work;

/// A command, or a topic of `info`.
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) parameters: &'static [Parameter],
    /// How its help shows what it takes.
    pub(super) usage: &'static str,
    pub(super) help: &'static str,
    pub(super) run: Run,
}

pub(super) enum Run {
    /// Prints a text.
    Text(fn(&Arc<Parts>, &Arguments) -> String),
    /// Prints a text, or why there is no text.
    Query(fn(&Arc<Parts>, &Arguments) -> Result<String, Error>),
    /// Prints a text when it has done something that may take its time.
    Late(PrintInTime),
    /// Does something, and prints only why it failed.
    Action(fn(OnMain<'_>, &Arc<Parts>, &Arguments) -> Result<(), Error>),
    /// The same, and it may have to wait, also for a name server.
    InTime(ActInTime),
    /// The same with options, of which it is not told what is wrong with their form, as in QEMU. The number says which of the
    /// arguments they are.
    Options(usize, ActWithOptions),
}

/// Why a command with options failed.
pub(super) enum OptionsError {
    /// Options that the command does not have.
    Malformed,
    /// The same, and what is wrong with them is told before.
    Told {
        text: String,
        error: Error,
    },
    Refused(Error),
}

impl From<Error> for OptionsError {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

pub(super) type PrintInTime = for<'a> fn(&'a Arc<Parts>, &'a Arguments) -> Work<'a, String>;

pub(super) type ActInTime =
    for<'a> fn(&'a Arc<Parts>, &'a Arguments) -> Work<'a, Result<(), Error>>;

pub(super) type ActWithOptions =
    for<'a> fn(&'a Arc<Parts>, &'a Arguments) -> Work<'a, Result<(), OptionsError>>;

impl Command {
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name.split('|').any(|known| known == name)
    }

    pub(super) fn usage(&self, prefix: &str) -> String {
        format!(
            "{prefix}{} {} -- {}{LINE_END}",
            self.name, self.usage, self.help
        )
    }
}
