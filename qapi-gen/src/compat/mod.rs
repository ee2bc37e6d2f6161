//! With which servers does a program work?
//!
//! What a program really sends and reads is in the log of a session, as clients and `qmp record` write it
//! ([`qapi_runtime::transcript`]), or in a manifest, a list of paths. [`judge`] looks for all of it in the interfaces of servers:
//!
//! ```text
//! log or manifest --learn, by the eyes of a version--> Interface --diff::compare with that version--> changes, a verdict
//! ```
//!
//! So the rules are those of [`diff`](crate::diff), and so are the codes. What is learned is an interface in which everything is
//! that was seen, and nothing else: each command with the arguments that were sent, each place in them with the values that it
//! had, the members of results and events that came. A place is a way of names, in which all elements of a list are one.
//!
//! # What counts
//!
//! - **Sent**: the command, its arguments at any depth, values of enumerations, kinds of values, integers and their ranges, and
//!   what has to be there and was not sent each time. A command that was refused counts as far as the server has looked:
//!   nothing of one that it did not know, the name of one that failed with a `GenericError`, everything of others. What
//!   never worked cannot break.
//! - **Read**: events, members of results and of events. A member that the version never has breaks a program that always got it,
//!   and degrades one that got it only at times. A value of an enumeration that came and that the version does not know degrades.
//!   The log does not say which members the program looks at: all count, but for those of `query-qmp-schema`, since who asks
//!   for a schema looks for what is there.
//! - **Optional or not** can only be told beside the interface of the server with which the log was recorded. With that one, a
//!   member that the version may leave out breaks, if it was mandatory and came. Without it, members that may be absent count as
//!   if they always could.
//! - **Features**: what is deprecated or unstable degrades, where it is used. So does what is there under a condition that
//!   the configuration leaves open.
//! - **Masked** values count as values that fit.
//!
//! # Manifests
//!
//! A text of lines, each with a path as [`qapi_runtime::introspection`] describes it: `blockdev-add/arguments/driver=qcow2`. Blank
//! lines and those that begin with `#` are passed over. Code that `qapi-gen` makes with `--probes` has every path as a
//! constant, and all of them as `ALL`: a program prints those that it uses. A path in arguments is something that is sent, one in
//! results or events something that is read, always. What is sent together a manifest does not say: arguments that have to be
//! there and are not listed are nobody's trouble.

mod judge;
mod learner;
mod log;
mod manifest;
mod paths;
mod places;
mod shapes;
mod shown;

use qapi_runtime::transcript::TranscriptError;

pub use self::judge::judge;
use crate::diagnostic::{Code, Level};
use crate::diff::Change;

/// What is said of a program and a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The server has all that the program uses.
    Works,
    /// It has, but the program should know something.
    Degrades,
    /// Something that the program uses is not there.
    Breaks,
}

impl Verdict {
    /// The worst of these changes.
    #[must_use]
    pub fn of(changes: &[Change]) -> Self {
        let verdict = |change: &Change| match change.diagnostic.level {
            Level::Deny => Self::Breaks,
            Level::Warn | Level::Allow => Self::Degrades,
        };
        changes.iter().map(verdict).max().unwrap_or(Self::Works)
    }

    /// The word that is printed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Degrades => "degrades",
            Self::Breaks => "breaks",
        }
    }
}

impl Answer {
    /// The answer for somebody who does not mind changes with these codes.
    #[must_use]
    pub fn without(mut self, codes: &[Code]) -> Self {
        self.changes
            .retain(|change| !codes.contains(&change.diagnostic.code));
        self.verdict = Verdict::of(&self.changes);
        self
    }
}

/// The answer for one version.
#[derive(Debug)]
pub struct Answer {
    /// The worst of the changes.
    pub verdict: Verdict,
    /// What is wrong, in the order in which the program used commands, then events. Each has the line of the log or manifest.
    pub changes: Vec<Change>,
    /// How many commands the program uses.
    pub n_commands: usize,
    /// How many events it uses.
    pub n_events: usize,
}

/// A text that is neither a log nor a manifest, or not a good one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompatError {
    /// It is a log, but not a good one.
    #[error(transparent)]
    Log(#[from] TranscriptError),
    /// A line of a manifest is no path.
    #[error("line {0}: '{1}' is no path, such as 'query-block/returns/inserted'")]
    NoPath(usize, String),
    /// A line of a manifest names what no schema has.
    #[error("line {0}: no schema has '{1}'")]
    Unknown(usize, String),
    /// There are no lines.
    #[error("line 1: neither a session log nor a manifest, which has a path on each line")]
    Empty,
}
