//! The view that a user has of a context.

use std::time::Duration;

use super::clock::Clock;
use super::contain::PanicReport;
use super::core::Core;
use super::failure::{ContextError, LoopFailure};
use super::stats::LoopStats;
use crate::debug::debug_by;
use crate::holder::Holder;
use crate::holders::Attachment;
use crate::parameters::Parameters;
use crate::slab::Key;
use crate::sync::{Arc, OnceLock};

/// The context of an event loop, as one of its users sees it.
///
/// It is only ever seen through a [`HeldAioContext`](crate::HeldAioContext), which has recorded its holder, through a
/// [`MainContext`](crate::MainContext), through what is made of these ([`SharedContext`](crate::SharedContext),
/// [`WeakContext`](crate::WeakContext)), or inside a callback. Everything may be called from any thread.
pub struct AioContext {
    core: Arc<Core>,
    /// Made when the user first does something with the context: of a million holders, most never do.
    attachment: OnceLock<Arc<Attachment>>,
    /// The record of the holder that the attachment is to be made for; `None` where none is needed.
    record: Option<Key>,
}

impl AioContext {
    /// The view of a user, with the record of its holder where one is needed.
    pub(crate) fn new(core: Arc<Core>, record: Option<Key>) -> Self {
        Self {
            core,
            attachment: OnceLock::new(),
            record,
        }
    }

    /// The same user's view once more; stays inside the crate, since it would outlive the holder.
    pub(crate) fn share(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
            attachment: OnceLock::from(Arc::clone(self.attachment())),
            record: self.record,
        }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn attachment(&self) -> &Arc<Attachment> {
        self.attachment.get_or_init(|| {
            // Shared views have theirs from the start, so the record is still there.
            let holder = self.record.and_then(|key| self.core.holders.recorded(key));
            let attachment = Arc::new(Attachment::new(holder));
            self.core.users.add(&attachment);
            attachment
        })
    }

    /// What the user has on the context, if it has ever done something there.
    pub(crate) fn used(&self) -> Option<&Arc<Attachment>> {
        self.attachment.get()
    }

    /// The record of the holder; `None` where none is needed.
    pub(crate) fn record(&self) -> Option<Key> {
        self.record
    }

    /// Name of the context: the id of its IOThread.
    pub fn name(&self) -> &str {
        self.core.name()
    }

    /// On whose behalf this user is there; `None` on a main context.
    pub fn holder(&self) -> Option<&Holder> {
        self.attachment().holder()
    }

    /// Whether the calling thread is the one that runs the loop, at this moment.
    pub fn is_current(&self) -> bool {
        self.core.is_current()
    }

    /// Whether this user has been released, and is taken nothing of any more.
    pub fn is_released(&self) -> bool {
        self.used().is_some_and(|it| it.is_released())
    }

    /// The time on one of the context's clocks.
    pub fn now(&self, clock: Clock) -> Duration {
        self.core.now(clock)
    }

    /// The parameters of the loop at this moment.
    pub fn parameters(&self) -> Parameters {
        self.core.parameters()
    }

    /// The last panic of a callback of the loop, if there was any.
    pub fn last_panic(&self) -> Option<PanicReport> {
        self.core.last_panic()
    }

    /// Why the loop has ended, if its wait for events was refused.
    pub fn failure(&self) -> Option<LoopFailure> {
        self.core.failure().cloned()
    }

    /// What the loop has done so far.
    pub fn stats(&self) -> LoopStats {
        self.core.stats()
    }

    /// Why the user is taken nothing of any more.
    pub(super) fn released(&self) -> ContextError {
        if self.core.is_over() {
            self.core.has_ended()
        } else {
            ContextError::Released {
                context: self.name().to_owned(),
            }
        }
    }
}

debug_by!(AioContext, [impl] AioContext, |it| name = it.name(), holder = it.holder());
