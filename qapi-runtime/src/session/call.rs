//! Calls that run away from their session.

use std::fmt;

use crate::dispatch::guard::{call_guarded, guard_future};
use crate::dispatch::{BoxFuture, CommandInfo, Outcome, Reply, Service};
use crate::error::Error;
use crate::json::{Document, ValueRef, empty_object};
use crate::visit::{CompatPolicy, Input, Mode, Output};

/// Names a call inside its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId(pub(super) u64);

/// A command that its session does not execute itself.
///
/// It owns its arguments and may be started on any thread. Its session is answered with
/// [`Session::complete`](super::Session::complete); until then it executes no other in-band
/// command.
pub struct Call {
    id: CallId,
    info: CommandInfo,
    work: Work,
}

enum Work {
    Request {
        index: usize,
        document: Document,
        /// The entry of the arguments.
        arguments: Option<usize>,
        compat: CompatPolicy,
    },
    Future(BoxFuture),
}

/// What became of a call that was started.
///
/// There will be no third way: who drives a session has to finish each call, and could not finish one of an unknown kind.
pub enum Started {
    /// It is over.
    Done(Result<Reply, Error>),
    /// It goes on. A panic inside ends it with an error.
    Pending(BoxFuture),
}

impl Call {
    pub(super) fn request(
        id: CallId,
        index: usize,
        info: CommandInfo,
        document: Document,
        arguments: Option<usize>,
        compat: CompatPolicy,
    ) -> Self {
        Self {
            id,
            info,
            work: Work::Request {
                index,
                document,
                arguments,
                compat,
            },
        }
    }

    pub(super) fn future(id: CallId, info: CommandInfo, future: BoxFuture) -> Self {
        Self {
            id,
            info,
            work: Work::Future(future),
        }
    }

    /// What [`Session::complete`](super::Session::complete) is told.
    pub fn id(&self) -> CallId {
        self.id
    }

    /// Name, options and features of the command.
    pub fn info(&self) -> &CommandInfo {
        &self.info
    }

    /// Whether the call only has to be polled: its handler is a future that has begun.
    pub fn is_future(&self) -> bool {
        matches!(self.work, Work::Future(_))
    }

    /// Runs the handler. One that blocks, blocks here.
    pub fn start(self, service: &dyn Service) -> Started {
        let name = self.info.name;
        match self.work {
            Work::Future(future) => Started::Pending(guard_future(name, future)),
            Work::Request {
                index,
                document,
                arguments,
                compat,
            } => {
                let arguments = match arguments {
                    Some(index) => ValueRef {
                        document: &document,
                        index,
                    },
                    None => empty_object(),
                };
                let mut input = Input::at(arguments, Mode::Strict, compat);
                let mut output = Output::with_buffer(Vec::new(), compat, false);
                match call_guarded(service, index, &mut input, &mut output) {
                    Ok(Outcome::Done) => Started::Done(Ok(Reply::from_wire(output.into_bytes()))),
                    Ok(Outcome::Pending(future)) => Started::Pending(guard_future(name, future)),
                    Err(error) => Started::Done(Err(error)),
                }
            }
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("id", &self.id)
            .field("command", &self.info.name)
            .finish()
    }
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(result) => f.debug_tuple("Done").field(result).finish(),
            Self::Pending(_) => f.write_str("Pending"),
        }
    }
}
