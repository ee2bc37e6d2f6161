//! What generated types are on the wire: commands as clients send them, and events.

use crate::visit::{Input, Members, SpecialFeatures, Visit, VisitError};

/// A command as a client sends it: its arguments, and the type of its result.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a command",
    note = "commands are in the generated module `commands`; one whose arguments are a type of the schema is a struct \
            around that type, such as `TargetAdd(Target::new(..))`"
)]
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

/// The command that begins every session.
pub(crate) const CAPABILITIES: &str = "qmp_capabilities";
