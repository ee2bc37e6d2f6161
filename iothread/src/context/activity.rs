//! What a context has accepted of a user, and the end of that.

use std::cell::Cell;
use std::sync::mpsc;

use super::aio_context::AioContext;
use super::contain::CallbackKind;
use super::core::Job;
use super::dispatch::{Dispatch, Task};
use super::failure::ContextError;
use super::wait::{Target, Wait};
use crate::slab::Key;
use crate::sync::Arc;

/// Something of a user that was accepted and is over when the value is dropped.
///
/// The last one after the release strikes out the record of the holder.
pub(super) struct Activity(AioContext);

impl Activity {
    pub(super) fn context(&self) -> &AioContext {
        &self.0
    }

    /// Runs a closure on the loop's thread. It is over before this returns, and so is the activity.
    pub(super) fn run<R>(self, task: impl FnOnce(&mut Dispatch<'_>) -> R) -> Result<R, String> {
        let core = self.0.core();
        core.stats.posted.add(1);
        let remove = Cell::new(false);
        core.run(CallbackKind::Posted, self.0.attachment(), || {
            task(&mut Dispatch::new(&self.0, &remove))
        })
    }

    /// Runs a closure on the loop's thread without waiting for its outcome.
    pub(super) fn into_job(self, task: impl FnOnce(&mut Dispatch<'_>) + Send + 'static) -> Job {
        Job::Run(Box::new(move || {
            // A panic has been reported.
            let _ = self.run(task);
        }))
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        let (core, user) = (self.0.core(), self.0.attachment());
        if user.end() {
            core.users.remove(user);
            if let Some(holder) = user.holder() {
                crate::trace::released(core.name(), holder);
            }
            core.strike_out(self.0.record());
            user.over().finish();
        }
    }
}

/// A closure that a context has accepted, and runs when something else is over.
pub(crate) struct Delivery {
    activity: Activity,
    task: Task,
    key: Key,
}

impl Delivery {
    /// Lets the closure run.
    pub(crate) fn deliver(self) {
        let Self {
            activity,
            task,
            key,
        } = self;
        let core = Arc::clone(activity.context().core());
        core.deliveries.remove(key);
        core.deliver(activity.into_job(task));
    }
}

impl AioContext {
    /// Counts something as accepted.
    pub(super) fn begin(&self) -> Result<Activity, ContextError> {
        if self.attachment().begin() {
            Ok(Activity(self.share()))
        } else {
            Err(self.released())
        }
    }

    /// Accepts a closure that runs when `from` is over.
    pub(crate) fn expect(
        &self,
        from: impl FnOnce() -> Target,
        task: impl FnOnce(&mut Dispatch<'_>) + Send + 'static,
    ) -> Result<Delivery, ContextError> {
        let activity = self.begin()?;
        let core = self.core();
        core.expect_delivery()?;
        let key = core.deliveries.insert(self.attachment().id(), from());
        Ok(Delivery {
            activity,
            task: Box::new(task),
            key,
        })
    }

    /// Ends what the user has registered, and forbids more. The record goes now, if nothing of the user runs or is still
    /// to run, else with the last of that.
    pub(crate) fn release(&self) {
        let core = self.core();
        let Some(attachment) = self.used() else {
            // Nothing was ever done with the context.
            core.strike_out(self.record());
            return;
        };
        let Some(leaving) = attachment.release() else {
            return;
        };
        let may_run = core.running.may_be_of(attachment);
        let is_over = leaving.idle && !may_run;
        if let Some(record) = self.record()
            && !is_over
        {
            core.holders.leave_guard(record);
        }
        let own = Activity(self.share());
        if may_run {
            // Kept up until the loop's thread is out of all callbacks. A loop that will not look any more is, and drops it at once.
            let flushed = core.inbox.push_last(Job::Flush(Box::new(own)));
            core.count_wakeup(flushed == Ok(true));
        }
    }

    /// As [`release`](Self::release), and waits until nothing of the user is left, unless that would be for itself.
    pub(crate) fn release_and_wait(&self) {
        let attachment = Arc::clone(self.attachment());
        let core = Arc::clone(self.core());
        let (told, over) = mpsc::channel();
        attachment.over().then(move || {
            // It may not be waited for.
            let _ = told.send(());
        });
        self.release();
        if let Some(_wait) = Wait::begin(|| Target::Holder(core, attachment)) {
            // What is to tell it is kept until then.
            let _ = over.recv();
        }
    }

    /// As [`release`](Self::release), and runs `callback` on `context` when nothing of the user is left.
    pub(crate) fn release_then(
        &self,
        context: &Self,
        callback: impl FnOnce(&mut Dispatch<'_>) + Send + 'static,
    ) -> Result<(), ContextError> {
        let attachment = Arc::clone(self.attachment());
        let core = Arc::clone(self.core());
        // Released first: so two holders never wait for each other's callbacks.
        self.release();
        let from = || Target::Holder(core, Arc::clone(&attachment));
        let delivery = context.expect(from, callback)?;
        attachment.over().then(move || delivery.deliver());
        Ok(())
    }
}
