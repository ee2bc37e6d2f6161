//! The table of commands that is generated from a schema, with the handlers of one value.

use std::fmt;
use std::sync::Arc;

use super::names::NameIndex;
use super::{BoxFuture, CommandInfo, Outcome, Service};
use crate::error::Error;
use crate::visit::{Input, Output};

/// How a command runs.
pub enum Handler<H: ?Sized> {
    /// At once; writes its return value to the output.
    Sync(fn(&H, &mut Input<'_>, &mut Output) -> Result<(), Error>),
    /// As a future that owns its arguments.
    Async(fn(Arc<H>, &mut Input<'_>) -> Result<BoxFuture, Error>),
}

/// One row of a dispatch table.
pub struct Command<H: ?Sized> {
    /// Name, options and features.
    pub info: CommandInfo,
    /// The handler.
    pub call: Handler<H>,
}

impl<H: ?Sized> fmt::Debug for Command<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.info.fmt(f)
    }
}

/// A [`Service`] made of a static table and one handler value.
#[derive(Debug)]
pub struct Table<H: ?Sized + 'static> {
    commands: &'static [Command<H>],
    infos: Arc<[CommandInfo]>,
    names: NameIndex,
    handler: Arc<H>,
}

impl<H: ?Sized> Clone for Table<H> {
    fn clone(&self) -> Self {
        Self {
            commands: self.commands,
            infos: Arc::clone(&self.infos),
            names: self.names.clone(),
            handler: Arc::clone(&self.handler),
        }
    }
}

impl<H: ?Sized> Table<H> {
    /// A service of commands with distinct names.
    pub fn new(commands: &'static [Command<H>], handler: Arc<H>) -> Self {
        Self {
            commands,
            infos: commands.iter().map(|command| command.info).collect(),
            names: NameIndex::new(commands.iter().map(|command| command.info.name)),
            handler,
        }
    }

    /// The handler value.
    pub fn handler(&self) -> &Arc<H> {
        &self.handler
    }
}

impl<H: ?Sized + Send + Sync> Service for Table<H> {
    fn commands(&self) -> &[CommandInfo] {
        &self.infos
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.names
            .find(name, |index| self.commands[index].info.name == name)
    }

    fn call(
        &self,
        index: usize,
        input: &mut Input<'_>,
        output: &mut Output,
    ) -> Result<Outcome, Error> {
        let Some(command) = self.commands.get(index) else {
            return Err(Error::generic("no such command"));
        };
        match command.call {
            Handler::Sync(call) => call(&self.handler, input, output).map(|()| Outcome::Done),
            Handler::Async(call) => call(Arc::clone(&self.handler), input).map(Outcome::Pending),
        }
    }
}
