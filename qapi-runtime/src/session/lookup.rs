//! From a request to the command that it asks for.

use super::envelope::Envelope;
use super::{Phase, Session};
use crate::dispatch::{CommandInfo, Service};
use crate::error::{Error, ErrorClass};
use crate::json::{ValueRef, empty_object};
use crate::message::CAPABILITIES;

/// What a request asks for.
pub(super) enum Command<'a> {
    /// `qmp_capabilities`, which the session executes itself.
    Capabilities(ValueRef<'a>),
    Service(Envelope<'a>, usize, &'a CommandInfo),
}

impl Session {
    /// The checks between the parser and the handler, in the reference's order.
    pub(super) fn look_up<'a>(
        &self,
        request: ValueRef<'a>,
        service: &'a dyn Service,
    ) -> Result<Command<'a>, Error> {
        let envelope = Envelope::check(request, self.oob_enabled())?;
        let name = envelope.command;
        let arguments = envelope.arguments.unwrap_or_else(empty_object);
        if name == CAPABILITIES {
            if envelope.out_of_band {
                return Err(no_oob(name));
            }
            return Ok(Command::Capabilities(arguments));
        }
        let found = match self.phase {
            Phase::Negotiation => None,
            Phase::Command { .. } => service
                .find(name)
                .and_then(|index| Some((index, service.commands().get(index)?))),
        };
        let Some((index, info)) = found else {
            return Err(Error::command_not_found(format!(
                "The command {name} has not been found"
            )));
        };
        self.config
            .compat
            .check_command(name, info.special_features)?;
        if envelope.out_of_band && !info.allow_oob {
            return Err(no_oob(name));
        }
        let is_early = self.config.preconfig && !self.control.has_left_preconfig();
        if is_early && !info.allow_preconfig {
            return Err(Error::generic(format!(
                "The command '{name}' is permitted only after machine initialization has completed"
            )));
        }
        Ok(Command::Service(envelope, index, info))
    }

    /// Before negotiation, an unknown command gets a more useful text.
    pub(super) fn explain(&self, error: Error) -> Error {
        if self.phase == Phase::Negotiation && error.class == ErrorClass::CommandNotFound {
            Error::command_not_found("Expecting capabilities negotiation with 'qmp_capabilities'")
        } else {
            error
        }
    }
}

fn no_oob(name: &str) -> Error {
    Error::generic(format!("The command {name} does not support OOB"))
}
