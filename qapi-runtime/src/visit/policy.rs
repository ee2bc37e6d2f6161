//! What deprecated and unstable parts of an interface are allowed to do.

use super::error::VisitError;
use crate::error::{Error, ErrorClass};

/// The special features of a command, member or enum value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SpecialFeatures(u8);

impl SpecialFeatures {
    /// Neither feature.
    pub const NONE: Self = Self(0);
    /// Feature 'deprecated'.
    pub const DEPRECATED: Self = Self(1);
    /// Feature 'unstable'.
    pub const UNSTABLE: Self = Self(2);

    /// Both of them.
    pub const BOTH: Self = Self(1 | 2);

    /// Both sets together; usable in constants.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// What to do with input that uses a special feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CompatInput {
    /// Take it silently.
    #[default]
    Accept,
    /// Refuse it with an error.
    ///
    /// QEMU's third choice, `crash`, is absent: a server here does not abort on input.
    Reject,
}

/// What to do with output that has a special feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CompatOutput {
    /// Send it.
    #[default]
    Accept,
    /// Leave it out.
    Hide,
}

/// The policy of one peer: QEMU's option `-compat`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CompatPolicy {
    /// `deprecated-input`
    pub deprecated_input: CompatInput,
    /// `deprecated-output`
    pub deprecated_output: CompatOutput,
    /// `unstable-input`
    pub unstable_input: CompatInput,
    /// `unstable-output`
    pub unstable_output: CompatOutput,
}

/// What a special feature is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicyKind {
    Command,
    Parameter,
    Value,
}

impl CompatPolicy {
    /// Everything is taken and sent.
    pub const ACCEPT: Self = Self {
        deprecated_input: CompatInput::Accept,
        deprecated_output: CompatOutput::Accept,
        unstable_input: CompatInput::Accept,
        unstable_output: CompatOutput::Accept,
    };

    /// The adjective of the feature for which input is refused.
    fn refused(self, features: SpecialFeatures) -> Option<&'static str> {
        if features.contains(SpecialFeatures::DEPRECATED)
            && self.deprecated_input == CompatInput::Reject
        {
            Some("Deprecated")
        } else if features.contains(SpecialFeatures::UNSTABLE)
            && self.unstable_input == CompatInput::Reject
        {
            Some("Unstable")
        } else {
            None
        }
    }

    /// Whether output with these features is left out.
    pub fn hides(self, features: SpecialFeatures) -> bool {
        (features.contains(SpecialFeatures::DEPRECATED)
            && self.deprecated_output == CompatOutput::Hide)
            || (features.contains(SpecialFeatures::UNSTABLE)
                && self.unstable_output == CompatOutput::Hide)
    }

    /// Checks a command that is about to run.
    ///
    /// # Errors
    ///
    /// Class `CommandNotFound` if the policy refuses it.
    pub fn check_command(self, name: &str, features: SpecialFeatures) -> Result<(), Error> {
        match self.refused(features) {
            None => Ok(()),
            Some(adjective) => Err(Error::new(
                ErrorClass::CommandNotFound,
                message(adjective, PolicyKind::Command, name),
            )),
        }
    }

    pub(crate) fn check(
        self,
        kind: PolicyKind,
        name: &str,
        features: SpecialFeatures,
    ) -> Result<(), VisitError> {
        match self.refused(features) {
            None => Ok(()),
            Some(adjective) => Err(VisitError::policy(message(adjective, kind, name))),
        }
    }
}

fn message(adjective: &str, kind: PolicyKind, name: &str) -> String {
    let kind = match kind {
        PolicyKind::Command => "command",
        PolicyKind::Parameter => "parameter",
        PolicyKind::Value => "value",
    };
    format!("{adjective} {kind} {name} disabled by policy")
}
