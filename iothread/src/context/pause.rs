//! Sections in which no callback of a user starts, or of all users.

use std::sync::mpsc;

use super::aio_context::AioContext;
use super::call::CallError;
use super::core::Core;
use super::failure::ContextError;
use super::wait::{Target, Wait};
use crate::debug::debug_by;
use crate::holders::Attachment;
use crate::sync::Arc;

/// A section in which no callback starts that a user has registered: of file descriptors, timers and bottom halves, futures among
/// these. What would have run does so when the section is over. What was posted, blocking work and its completions go on, so that
/// requests under way come to their end.
///
/// Sections may overlap; the last one that is dropped lets callbacks run. A handler that is polled may be told of the
/// [begin](crate::FdHandler::poll_begin) and [end](crate::FdHandler::poll_end) of polling meanwhile.
#[derive(Debug)]
#[must_use = "dropping the value lets callbacks run again"]
pub struct Pause {
    view: AioContext,
}

/// A [`Pause`] of all users of a loop, those that come later included.
#[must_use = "dropping the value lets callbacks run again"]
pub struct PauseAll {
    core: Arc<Core>,
}

impl AioContext {
    /// Begins a section in which no callback of this user starts. One that is running goes on; [`Pause::drain`] waits for it.
    ///
    /// # Errors
    ///
    /// [`ContextError::Released`] once the holder has been released, whose callbacks are gone.
    pub fn pause(&self) -> Result<Pause, ContextError> {
        if self.is_released() {
            return Err(self.released());
        }
        self.attachment().pause();
        Ok(Pause { view: self.share() })
    }
}

impl Pause {
    /// Waits until no callback of the user runs, and nothing is left that was accepted of it: posted closures, blocking work, completions.
    ///
    /// # Errors
    ///
    /// [`CallError::WouldDeadlock`], as for [`AioContext::call`], and where it would be for work that waits for the caller.
    /// [`ContextError::Released`] once the holder has been released.
    pub fn drain(&self) -> Result<(), CallError> {
        self.view.synchronize()?;
        drain(self.view.core(), self.view.attachment())
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        self.view.attachment().resume();
    }
}

impl PauseAll {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        core.users.pause();
        Self {
            core: Arc::clone(core),
        }
    }

    /// As [`Pause::drain`], for each user that there is now.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn drain(&self) -> Result<(), CallError> {
        let own = AioContext::new(Arc::clone(&self.core), None);
        let synchronized = own.synchronize();
        own.release();
        synchronized?;
        for attachment in self.core.users.all() {
            drain(&self.core, &attachment)?;
        }
        Ok(())
    }
}

impl Drop for PauseAll {
    fn drop(&mut self) {
        self.core.users.resume();
    }
}

debug_by!(PauseAll, [impl] PauseAll, |it| context = it.core.name());

/// Waits until nothing is left that was accepted.
fn drain(core: &Arc<Core>, attachment: &Arc<Attachment>) -> Result<(), CallError> {
    let (told, idle) = mpsc::channel();
    attachment.when_idle(move || {
        // It may not be waited for.
        let _ = told.send(());
    });
    let target = || Target::Holder(Arc::<Core>::clone(core), Arc::clone(attachment));
    let Some(_wait) = Wait::begin(target) else {
        return Err(CallError::WouldDeadlock {
            context: core.name().to_owned(),
        });
    };
    // What is to tell it is kept until then.
    let _ = idle.recv();
    Ok(())
}
