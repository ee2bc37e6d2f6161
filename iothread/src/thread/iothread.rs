//! IOThreads: threads that run an event loop and know who holds them.

use std::io;
use std::thread::JoinHandle;

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use thiserror::Error;

use crate::context::{
    AioContext, ContextError, Core, Dispatch, LoopFailure, LoopStats, PanicReport, PauseAll,
    Target, Wait, number_of,
};
use crate::debug::debug_by;
use crate::held::HeldAioContext;
use crate::holder::{Holder, HolderCounts};
use crate::holders::{Allowed, CloseError, HoldError, Released, UnrefError};
use crate::info::IoThreadInfo;
use crate::parameters::{Parameter, ParameterError, Parameters};
use crate::sync::{Arc, Mutex};
use crate::trace;

/// Why an IOThread could not be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeleteError {
    /// Somebody holds it.
    #[error("IOThread '{id}' is in use, the number of its holders is {n_holders}")]
    InUse {
        /// Id of the IOThread.
        id: String,
        /// How many holders keep it.
        n_holders: usize,
    },
    /// It has been deleted already, or never existed.
    #[error("there is no IOThread '{id}'")]
    NotFound {
        /// Id of the IOThread.
        id: String,
    },
}

/// Why [`IoThread::delete_then`] does not call its callback.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeleteThenError {
    /// The thread could not be deleted.
    #[error(transparent)]
    Delete(#[from] DeleteError),
    /// The thread is deleted, but the context that was to be told of the end takes nothing any more.
    #[error(transparent)]
    Context(#[from] ContextError),
}

/// A thread that runs an event loop. Clones are the same thread.
///
/// The thread lives until it is [deleted](Self::delete), which is refused while somebody holds it. Its context is
/// reached only by taking hold of it, with [`get_aio_context`](Self::get_aio_context).
#[derive(Clone)]
pub struct IoThread {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    kernel_id: Pid,
    internal: bool,
    /// Dropped when the thread is deleted, which takes it out of the list of threads.
    place: Mutex<Option<Box<dyn Send>>>,
    /// `None` once the thread has been told to end. Locked while anything uses the thread's kernel id.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl IoThread {
    /// A thread that runs, and what keeps its place among others.
    pub(crate) fn new(
        core: Arc<Core>,
        kernel_id: Pid,
        internal: bool,
        place: Box<dyn Send>,
        thread: JoinHandle<()>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                core,
                kernel_id,
                internal,
                place: Mutex::new(Some(place)),
                thread: Mutex::new(Some(thread)),
            }),
        }
    }

    /// The id.
    pub fn id(&self) -> &str {
        self.inner.core.name()
    }

    /// Kernel's id of the thread.
    pub fn thread_id(&self) -> u32 {
        number_of(self.inner.kernel_id)
    }

    /// Whether the thread is one of the program's own, not listed under `/objects`.
    pub fn is_internal(&self) -> bool {
        self.inner.internal
    }

    /// Takes hold of the thread: records `holder` and hands out the context, in one step.
    ///
    /// Takes constant time, however many holders there are.
    ///
    /// # Errors
    ///
    /// The thread has been deleted.
    pub fn get_aio_context(&self, holder: Holder) -> Result<HeldAioContext, HoldError> {
        let core = &self.inner.core;
        trace::held(self.id(), &holder);
        let record = core
            .holders
            .record_guard(holder)
            .ok_or_else(|| self.deleted())?;
        let context = AioContext::new(Arc::clone(core), Some(record));
        Ok(HeldAioContext::new(context))
    }

    /// Records `holder` without handing out the context, until [`unref_holder`](Self::unref_holder) is called as many
    /// times with an equal one.
    ///
    /// # Errors
    ///
    /// As for [`get_aio_context`](Self::get_aio_context).
    pub fn ref_holder(&self, holder: Holder) -> Result<(), HoldError> {
        self.inner
            .core
            .holders
            .record_named(holder)
            .ok_or_else(|| self.deleted())
    }

    /// Releases the most recent record equal to `holder` that [`ref_holder`](Self::ref_holder) made; never one that a
    /// [`HeldAioContext`] stands for. Takes constant time.
    ///
    /// # Errors
    ///
    /// There is no such record. Differs from QEMU: the series that QEMU was offered aborts.
    pub fn unref_holder(&self, holder: &Holder) -> Result<(), UnrefError> {
        let core = &self.inner.core;
        match core.holders.release_named(holder) {
            Some(released) => {
                core.after_release(released);
                Ok(())
            }
            None => Err(UnrefError::NotHeld {
                id: self.id().to_owned(),
                holder: holder.clone(),
            }),
        }
    }

    fn deleted(&self) -> HoldError {
        HoldError::Deleted {
            id: self.id().to_owned(),
        }
    }

    /// Who holds the thread at this moment, newest first.
    pub fn holders(&self) -> Vec<Holder> {
        self.inner.core.holders.snapshot()
    }

    /// At most so many of those who hold the thread at this moment, newest first; for lists of limited length.
    pub fn newest_holders(&self, most: usize) -> Vec<Holder> {
        self.inner.core.holders.newest(most)
    }

    /// How many holders of each kind there are, in constant time.
    pub fn holder_counts(&self) -> HolderCounts {
        self.inner.core.holders.counts()
    }

    /// The thread at this moment: its entry in `query-iothreads`.
    pub fn info(&self) -> IoThreadInfo {
        IoThreadInfo {
            id: self.id().to_owned(),
            thread_id: self.thread_id(),
            holders: self.holders(),
            parameters: self.parameters(),
        }
    }

    /// The parameters at this moment.
    pub fn parameters(&self) -> Parameters {
        self.inner.core.parameters()
    }

    /// Changes a parameter of the running thread.
    ///
    /// # Errors
    ///
    /// A value that the parameter cannot take, by itself or beside the others; nothing is changed then.
    pub fn set_parameter(&self, parameter: Parameter, value: i64) -> Result<(), ParameterError> {
        self.inner.core.set_parameter(parameter, value)
    }

    /// What the thread's loop has done so far.
    pub fn stats(&self) -> LoopStats {
        self.inner.core.stats()
    }

    /// The last panic of a callback, if there was any.
    pub fn last_panic(&self) -> Option<PanicReport> {
        self.inner.core.last_panic()
    }

    /// Why the thread has stopped, if its wait for events was refused.
    pub fn failure(&self) -> Option<LoopFailure> {
        self.inner.core.failure().cloned()
    }

    /// The CPUs on which the thread may run.
    ///
    /// # Errors
    ///
    /// `NotFound` once the thread has been deleted, and ENOSYS or EPERM where a sandbox does not allow to ask.
    pub fn cpu_affinity(&self) -> io::Result<Vec<usize>> {
        let set = self.with_kernel_id(|id| Ok(sched_getaffinity(Some(id))?))?;
        Ok((0..CpuSet::MAX_CPU)
            .filter(|cpu| set.is_set(*cpu))
            .collect())
    }

    /// Sets the CPUs on which the thread may run; its workers that exist keep theirs.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a number of a CPU beyond what the kernel can have, and if none of the CPUs is there or allowed;
    /// `NotFound` once the thread has been deleted; ENOSYS or EPERM where a sandbox does not allow it.
    pub fn set_cpu_affinity(&self, cpus: &[usize]) -> io::Result<()> {
        let mut set = CpuSet::new();
        for &cpu in cpus {
            if cpu >= CpuSet::MAX_CPU {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            set.set(cpu);
        }
        self.with_kernel_id(|id| Ok(sched_setaffinity(Some(id), &set)?))
    }

    /// Calls `f` with the kernel's id of the thread, which stays the thread's meanwhile.
    fn with_kernel_id<R>(&self, f: impl FnOnce(Pid) -> io::Result<R>) -> io::Result<R> {
        let thread = self.inner.thread.lock();
        match &*thread {
            Some(_) => f(self.inner.kernel_id),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Deletes the thread: it gets no new holder, it does what it has accepted, and ends. Waits for that, and
    /// so for the blocking work of holders that have been released; a loop uses [`try_delete`](Self::try_delete) or
    /// [`delete_then`](Self::delete_then).
    ///
    /// It goes on without waiting where that would be for itself: on the thread itself, on one of its workers, and where any
    /// of these waits for the caller.
    ///
    /// # Errors
    ///
    /// [`DeleteError::InUse`] while somebody holds it who has not been released. Differs from QEMU: there it vanishes from
    /// view, and lives on.
    pub fn delete(&self) -> Result<(), DeleteError> {
        self.close(Allowed::Leaving)?;
        self.inner.end();
        Ok(())
    }

    /// As [`delete`](Self::delete), but refused as long as anything of a holder is left, released or not: exactly while
    /// [`holders`](Self::holders) are listed. So it does not wait for anybody's work, and suits a loop.
    ///
    /// # Errors
    ///
    /// [`DeleteError::InUse`] while a holder is listed.
    pub fn try_delete(&self) -> Result<(), DeleteError> {
        self.close(Allowed::None)?;
        self.inner.end();
        Ok(())
    }

    /// As [`delete`](Self::delete) without waiting: when the loop has ended, `callback` runs on `context`.
    ///
    /// # Errors
    ///
    /// As for [`delete`](Self::delete), and [`DeleteThenError::Context`] if `context` does not take the callback: the thread is
    /// deleted then, and its end is not told.
    pub fn delete_then(
        &self,
        context: &AioContext,
        callback: impl FnOnce(&mut Dispatch<'_>) + Send + 'static,
    ) -> Result<(), DeleteThenError> {
        self.close(Allowed::Leaving)?;
        let core = &self.inner.core;
        let delivery = context.expect(|| Target::End(Arc::<Core>::clone(core)), callback);
        // Dropping the handle detaches the thread, which ends by itself.
        drop(self.inner.thread.lock().take());
        core.request_stop();
        let delivery = delivery?;
        core.ended.then(move || delivery.deliver());
        Ok(())
    }

    /// Forbids to take hold of the thread.
    fn close(&self, allowed: Allowed) -> Result<(), DeleteError> {
        let id = || self.id().to_owned();
        match self.inner.core.holders.close(allowed) {
            Ok(()) => {}
            Err(CloseError::Held(n_holders)) => {
                return Err(DeleteError::InUse {
                    id: id(),
                    n_holders,
                });
            }
            Err(CloseError::AlreadyClosed) => return Err(DeleteError::NotFound { id: id() }),
        }
        let place = self.inner.place.lock().take();
        drop(place);
        Ok(())
    }

    /// Lets no callback of any holder start until the value is dropped; see [`Pause`](crate::Pause).
    pub fn pause_all(&self) -> PauseAll {
        PauseAll::new(&self.inner.core)
    }

    /// Whether both are the same thread.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

debug_by!(IoThread, [impl] IoThread, |it| id = it.id(), thread_id = it.thread_id());

impl Inner {
    /// Ends the thread and waits for it.
    fn end(&self) {
        let Some(thread) = self.thread.lock().take() else {
            return;
        };
        self.core.request_stop();
        // One that this thread would wait for in vain ends later by itself.
        if let Some(_wait) = Wait::begin(|| Target::End(Arc::<Core>::clone(&self.core))) {
            // Callbacks are contained, so the thread does not panic.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    /// Without handles and registry, only holders are left to want the thread.
    fn drop(&mut self) {
        match self.core.holders.abandon() {
            Released::EndThread => self.end(),
            Released::StillWanted => {}
        }
    }
}
