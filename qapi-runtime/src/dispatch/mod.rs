//! From the name of a command to its handler.

pub(crate) mod guard;
mod names;
pub(crate) mod table;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::Error;
use crate::visit::{CompatPolicy, Input, Output, SpecialFeatures, Visit, VisitError};

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
///
/// There will be no third way: who calls a service has to finish each call, and could not finish one of an unknown kind.
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
