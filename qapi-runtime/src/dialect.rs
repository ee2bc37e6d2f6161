//! What QMP servers and guest agents do differently.

/// Who is at the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// A QMP server: greets, negotiates.
    #[default]
    Qmp,
    /// The guest agent: does not greet, and may still be busy with what an earlier client left;
    /// the connection begins with `guest-sync-delimited`, which is repeated until it is answered.
    ///
    /// An agent may not repeat the `id` of a command (before QEMU 4.0), and a guest may lose a command, when it is rebooted
    /// for example. Until the agent is seen to repeat ids it is given one command at a time; after one without an answer in
    /// time it is synchronized again before the next one is sent.
    GuestAgent,
}

impl Dialect {
    /// What session logs call it: `qmp` or `guest-agent`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Qmp => "qmp",
            Self::GuestAgent => "guest-agent",
        }
    }
}
