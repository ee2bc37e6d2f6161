//! From the name of a command to its handler.

mod names;

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use self::names::NameIndex;
use crate::error::Error;
use crate::json::{Document, ValueRef};
use crate::visit::{CompatPolicy, Input, Members, Output, SpecialFeatures, Visit, VisitError};

/// Name, options and features of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandInfo {
    /// The name.
    pub name: &'static str,
    /// 'allow-oob': may be executed out of band.
    pub allow_oob: bool,
    /// 'allow-preconfig': may run before the machine is complete.
    pub allow_preconfig: bool,
    /// Not 'success-response': whether success is answered at all.
    pub success_response: bool,
    /// 'deprecated' and 'unstable', where it is that.
    pub special_features: SpecialFeatures,
}

impl CommandInfo {
    /// A command without options.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            allow_oob: false,
            allow_preconfig: false,
            success_response: true,
            special_features: SpecialFeatures::NONE,
        }
    }
}

/// The future of a command with 'coroutine'.
pub type BoxFuture = Pin<Box<dyn Future<Output = Result<Reply, Error>> + Send>>;

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

/// The return value of a command in its wire form, made away from the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply(Vec<u8>);

impl Reply {
    /// Writes a return value.
    ///
    /// # Errors
    ///
    /// A value that no peer can be sent.
    pub fn new<T: Visit>(value: &T, compat: CompatPolicy) -> Result<Self, VisitError> {
        let mut output = Output::with_buffer(Vec::new(), compat, false);
        value.write(&mut output)?;
        Ok(Self(output.into_bytes()))
    }

    /// A return value that is in wire form already.
    pub fn from_wire(json: Vec<u8>) -> Self {
        Self(json)
    }

    /// What a command without a return value returns.
    pub fn empty() -> Self {
        Self(b"{}".to_vec())
    }

    /// The wire form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What became of a call.
pub enum Outcome {
    /// The return value is in the output.
    Done,
    /// The return value comes later.
    Pending(BoxFuture),
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Done => "Done",
            Self::Pending(_) => "Pending",
        })
    }
}

/// A set of commands that can be called by name.
pub trait Service: Send + Sync {
    /// The commands, in any order that stays the same.
    fn commands(&self) -> &[CommandInfo];

    /// The index of the command `name` in [`Service::commands`]. Unless a service knows better, all are looked at.
    fn find(&self, name: &str) -> Option<usize> {
        self.commands()
            .iter()
            .position(|command| command.name == name)
    }

    /// Calls the command at `index` of [`Service::commands`]. The input is on the arguments, an object.
    ///
    /// # Errors
    ///
    /// What the arguments or the handler refuse. What was written to the output before is void.
    fn call(
        &self,
        index: usize,
        input: &mut Input<'_>,
        output: &mut Output,
    ) -> Result<Outcome, Error>;
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

impl<S: Service + ?Sized> Service for Arc<S> {
    fn commands(&self) -> &[CommandInfo] {
        (**self).commands()
    }

    fn find(&self, name: &str) -> Option<usize> {
        (**self).find(name)
    }

    fn call(
        &self,
        index: usize,
        input: &mut Input<'_>,
        output: &mut Output,
    ) -> Result<Outcome, Error> {
        (**self).call(index, input, output)
    }
}

/// A command as a client sends it: its arguments, and the type of its result.
pub trait Request: Members {
    /// The name.
    const COMMAND: &'static str;
    /// 'allow-oob'.
    const ALLOW_OOB: bool;
    /// Not 'success-response': whether success is answered at all.
    const SUCCESS_RESPONSE: bool = true;
    /// The result; `()` for commands without one.
    type Returns: Visit;
}

/// The data of one kind of event, as a server emits it.
pub trait EventData: Members {
    /// The name.
    const NAME: &'static str;
    /// Special features of the event.
    const SPECIAL_FEATURES: SpecialFeatures = SpecialFeatures::NONE;
    /// Whether the event has members at all; if not, it is sent without `data`.
    const HAS_DATA: bool = true;
}

/// The enum of all events of a schema, as a client receives them.
pub trait Event: Sized {
    /// Reads the data of the event `name`; a name that the schema does not have is kept.
    ///
    /// # Errors
    ///
    /// Data that does not fit.
    fn read_event(name: &str, data: &mut Input<'_>) -> Result<Self, VisitError>;

    /// The name on the wire.
    fn name(&self) -> &str;
}

/// The arguments of a command that has none given.
pub fn no_arguments<'a>() -> ValueRef<'a> {
    static EMPTY: std::sync::LazyLock<Document> =
        std::sync::LazyLock::new(|| Document::parse(b"{}").unwrap_or_default());
    EMPTY.root()
}

/// Calls a command; a panic of its handler becomes an error.
///
/// # Errors
///
/// As [`Service::call`].
pub fn call_guarded(
    service: &dyn Service,
    index: usize,
    input: &mut Input<'_>,
    output: &mut Output,
) -> Result<Outcome, Error> {
    // What a panic leaves behind half done is the handler's own state; the output is void.
    let call = AssertUnwindSafe(|| service.call(index, input, output));
    match std::panic::catch_unwind(call) {
        Ok(outcome) => outcome,
        Err(_) => {
            let command = service.commands().get(index);
            Err(panicked(command.map_or("unknown", |info| info.name)))
        }
    }
}

/// A future whose panics become errors.
pub fn guard_future(command: &'static str, future: BoxFuture) -> BoxFuture {
    Box::pin(Guarded { command, future })
}

struct Guarded {
    command: &'static str,
    future: BoxFuture,
}

impl Future for Guarded {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let future = &mut self.future;
        let poll = AssertUnwindSafe(|| future.as_mut().poll(context));
        match std::panic::catch_unwind(poll) {
            Ok(poll) => poll,
            Err(_) => Poll::Ready(Err(panicked(self.command))),
        }
    }
}

fn panicked(command: &str) -> Error {
    Error::generic(format!(
        "internal error while executing command '{command}'"
    ))
}
