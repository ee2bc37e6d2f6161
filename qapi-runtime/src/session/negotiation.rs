//! `qmp_capabilities`.

use super::{Phase, Session};
use crate::error::Error;
use crate::json::ValueRef;
use crate::visit::enumeration::read_enum;
use crate::visit::{Enumeration, Input, Mode, Output, Visit, VisitError};

impl Session {
    /// Executes `qmp_capabilities`.
    pub(super) fn negotiate(&mut self, arguments: ValueRef<'_>) -> Result<(), Error> {
        let mut input = Input::at(arguments, Mode::Strict, self.config.compat);
        let mut object = input.object()?;
        let enable: Option<Vec<Capability>> = object.optional("enable")?;
        object.finish()?;
        if self.is_negotiated() {
            return Err(Error::command_not_found(
                "Capabilities negotiation is already complete, command ignored",
            ));
        }
        let oob = enable.is_some_and(|enable| !enable.is_empty());
        if oob && !self.config.oob {
            return Err(Error::generic("Capability oob not available"));
        }
        self.phase = Phase::Command { oob };
        Ok(())
    }
}

/// QMPCapability.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Capability {
    Oob,
}

impl Enumeration for Capability {
    const NAME: &'static str = "QMPCapability";
    const ALL: &'static [Self] = &[Self::Oob];

    fn from_name(name: &str) -> Option<Self> {
        (name == "oob").then_some(Self::Oob)
    }

    fn as_str(&self) -> &str {
        "oob"
    }

    fn unknown(_name: Box<str>) -> Self {
        // Only a lenient reader asks, and sessions are strict.
        Self::Oob
    }

    fn is_unknown(&self) -> bool {
        false
    }
}

impl Visit for Capability {
    fn read(input: &mut Input<'_>) -> Result<Self, VisitError> {
        read_enum(input)
    }

    fn write(&self, output: &mut Output) -> Result<(), VisitError> {
        output.string(self.as_str());
        Ok(())
    }
}
