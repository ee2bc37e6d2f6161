//! Commands and events.

use super::{Header, TypeId};

/// A command.
#[derive(Debug)]
pub struct Command {
    pub(crate) header: Header,
    pub(crate) arguments: Option<TypeId>,
    pub(crate) returns: Option<TypeId>,
    pub(crate) boxed: bool,
    pub(crate) gen_: bool,
    pub(crate) success_response: bool,
    pub(crate) allow_oob: bool,
    pub(crate) allow_preconfig: bool,
    pub(crate) coroutine: bool,
}

impl Command {
    /// The object type of its arguments, `None` when it takes none.
    #[must_use]
    pub fn arguments(&self) -> Option<TypeId> {
        self.arguments
    }

    /// The type of its result, `None` when it returns nothing.
    #[must_use]
    pub fn returns(&self) -> Option<TypeId> {
        self.returns
    }

    /// `'boxed': true`: the arguments are handled as one value.
    #[must_use]
    pub fn is_boxed(&self) -> bool {
        self.boxed
    }

    /// False with `'gen': false`: its handler takes and gives JSON.
    #[must_use]
    pub fn is_generated(&self) -> bool {
        self.gen_
    }

    /// False with `'success-response': false`: success has no reply.
    #[must_use]
    pub fn has_success_response(&self) -> bool {
        self.success_response
    }

    /// Whether it may run out of band.
    #[must_use]
    pub fn allows_oob(&self) -> bool {
        self.allow_oob
    }

    /// Whether it may run before the machine is built.
    #[must_use]
    pub fn allows_preconfig(&self) -> bool {
        self.allow_preconfig
    }

    /// Whether its handler may yield.
    #[must_use]
    pub fn is_coroutine(&self) -> bool {
        self.coroutine
    }
}

/// An event.
#[derive(Debug)]
pub struct Event {
    pub(crate) header: Header,
    pub(crate) arguments: Option<TypeId>,
    pub(crate) boxed: bool,
}

impl Event {
    /// The object type of its data, `None` when it carries none.
    #[must_use]
    pub fn arguments(&self) -> Option<TypeId> {
        self.arguments
    }

    /// `'boxed': true`: the data is handled as one value.
    #[must_use]
    pub fn is_boxed(&self) -> bool {
        self.boxed
    }
}
