//! Several commands as one.

use std::fmt;
use std::time::Duration;

use super::super::options::CallOptions;
use super::super::plan::{PlanError, Steps};
use super::super::request::Draft;
use super::Client;
use super::now::now;
use crate::message::Request;
use crate::value::Value;

/// Several commands as one: when one of them fails, those before are undone, the last first.
///
/// The plan knows what undoes `blockdev-add`, `chardev-add`, `object-add`, `netdev_add`, `device_add`, `add-fd`, `getfd` and
/// `block-export-add`, and waits for the events that tell that a device or an export is gone; [`Plan::undone_by`] is for all else. What
/// was done stays when the plan is dropped, and goes with [`Plan::undo`].
///
/// A command whose reply is late is waited for once more, as long as a step of the way back may take. If it is still not known whether it
/// was executed, nothing more is sent, and the error names all that may be there. It is kept, as is what could not be undone for any
/// other reason, for another [`Plan::undo`].
pub struct Plan(Steps<Client>);

impl Plan {
    pub(super) fn new(client: &Client) -> Self {
        Self(Steps::new(client))
    }

    /// How long each step of the way back may take, its event included: ten seconds, unless it is said here.
    #[must_use]
    pub fn undo_within(mut self, patience: Duration) -> Self {
        self.0.set_patience(patience);
        self
    }

    /// Executes a command, or undoes all that was done before.
    ///
    /// # Errors
    ///
    /// The command has failed, or it is not known how to undo it; with what could not be undone.
    pub fn execute<R: Request>(&mut self, request: &R) -> Result<R::Returns, PlanError> {
        self.execute_with(request, CallOptions::new())
    }

    /// Executes a command in some other way than the usual one, or undoes all that was done before.
    ///
    /// # Errors
    ///
    /// As [`Plan::execute`].
    pub fn execute_with<R: Request>(
        &mut self,
        request: &R,
        options: CallOptions,
    ) -> Result<R::Returns, PlanError> {
        let draft = Draft::of(request, options.out_of_band);
        now(self.0.execute(draft, options))
    }

    /// Executes a command without types, or undoes all that was done before.
    ///
    /// # Errors
    ///
    /// As [`Plan::execute`].
    pub fn execute_raw(
        &mut self,
        command: &str,
        arguments: Option<&Value>,
        options: CallOptions,
    ) -> Result<Value, PlanError> {
        let draft = Draft::new(command, arguments, options.out_of_band);
        now(self.0.execute(draft, options))
    }

    /// Executes a command unless what it makes is there already, as a query tells by its name; whether that is the same in all
    /// else is not looked at. What was there is not undone. Says whether there was something to do.
    ///
    /// `netdev_add` and `getfd` have no query.
    ///
    /// # Errors
    ///
    /// As [`Plan::execute`], and if the query fails or there is none.
    pub fn ensure<R: Request>(
        &mut self,
        request: &R,
        options: CallOptions,
    ) -> Result<bool, PlanError> {
        let draft = Draft::of(request, options.out_of_band);
        now(self.0.ensure(draft, options))
    }

    /// The same without types.
    ///
    /// # Errors
    ///
    /// As [`Plan::ensure`].
    pub fn ensure_raw(
        &mut self,
        command: &str,
        arguments: Option<&Value>,
        options: CallOptions,
    ) -> Result<bool, PlanError> {
        let draft = Draft::new(command, arguments, options.out_of_band);
        now(self.0.ensure(draft, options))
    }

    /// Adds a command that undoes what the caller has done in some other way.
    pub fn undone_by(&mut self, command: &str, arguments: Option<&Value>) {
        self.0.push(command, arguments);
    }

    /// What was done and would be undone, in this order: the commands with the names of what they have made.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names()
    }

    /// Undoes what was done, the last first. What is gone already is undone.
    ///
    /// # Errors
    ///
    /// What could not be undone. It stays in the plan, for another attempt.
    pub fn undo(&mut self) -> Result<(), PlanError> {
        now(self.0.undo())
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.names().collect();
        f.debug_tuple("Plan").field(&names).finish()
    }
}
