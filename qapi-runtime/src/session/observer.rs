//! Who looks on at the commands of a session.

use std::fmt;
use std::sync::Arc;

use super::{CallId, Session};
use crate::error::Error;

/// Looks on at the commands of a session and has a say in them: for logs, metrics and access rules.
///
/// It is called where the session is driven, so it must not block. What it does by default is nothing.
pub trait Observer: Send + Sync {
    /// A command is about to run. It exists and may run now; its arguments are not looked at yet. With an error it does not
    /// run, and this is its answer.
    ///
    /// # Errors
    ///
    /// What the client is to be told.
    fn begins(&self, call: CallId, command: &str) -> Result<(), Error> {
        let _ = (call, command);
        Ok(())
    }

    /// A command is over: it has returned something, or failed. Of input that is refused before anything runs, such as a
    /// command that does not exist, only this is told; `command` is empty where the input names none.
    fn ends(&self, call: CallId, command: &str, result: Result<(), &Error>) {
        let _ = (call, command, result);
    }
}

/// The observer of a session, if it has one.
#[derive(Clone, Default)]
pub(super) struct Observed(Option<Arc<dyn Observer>>);

impl Observed {
    pub(super) fn begins(&self, call: CallId, command: &str) -> Result<(), Error> {
        match &self.0 {
            Some(observer) => observer.begins(call, command),
            None => Ok(()),
        }
    }

    pub(super) fn ends(&self, call: CallId, command: &str, result: Result<(), &Error>) {
        if let Some(observer) = &self.0 {
            observer.ends(call, command, result);
        }
    }
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(_) => "Some(_)",
            None => "None",
        })
    }
}

impl Session {
    /// Has somebody look on at the commands that come from now on.
    pub fn observe(&mut self, observer: Arc<dyn Observer>) {
        self.observed = Observed(Some(observer));
    }

    pub(super) fn next_call(&mut self) -> CallId {
        let call = CallId(self.next_call);
        self.next_call += 1;
        call
    }
}
