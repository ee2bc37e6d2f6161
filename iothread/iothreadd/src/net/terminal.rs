//! Terminals whose keys are taken one by one.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, tcgetattr,
    tcsetattr,
};

/// A terminal that neither edits lines nor shows what is typed, until this is dropped.
pub(crate) struct RawTerminal {
    descriptor: Arc<OwnedFd>,
    before: Termios,
}

impl RawTerminal {
    /// `None` if the descriptor does not belong to a terminal.
    pub(crate) fn new(descriptor: &Arc<OwnedFd>) -> Option<Self> {
        let before = tcgetattr(descriptor).ok()?;
        let mut raw = before.clone();
        raw.input_modes -= InputModes::IGNBRK
            | InputModes::BRKINT
            | InputModes::PARMRK
            | InputModes::ISTRIP
            | InputModes::INLCR
            | InputModes::IGNCR
            | InputModes::ICRNL
            | InputModes::IXON;
        raw.output_modes |= OutputModes::OPOST;
        // The keys that send signals go on to do so.
        raw.local_modes -=
            LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::IEXTEN;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(descriptor, OptionalActions::Now, &raw).ok()?;
        Some(Self {
            descriptor: Arc::clone(descriptor),
            before,
        })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // One that is gone needs nothing.
        let _ = tcsetattr(&self.descriptor, OptionalActions::Now, &self.before);
    }
}
