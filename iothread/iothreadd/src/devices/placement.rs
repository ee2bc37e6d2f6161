//! Which event loops serve a device: its properties `iothread` and `iothread-vq-mapping`.

use iothread::{IoThread, MainContext, OnMain, SharedContext, holder};
use qapi_runtime::Error;

use super::properties::Properties;
use super::vq_mapping::{self, Assignment};
use crate::finally::Finally;
use crate::host::Host;
use crate::leaving;
use crate::qapi::IoThreadVirtQueueMapping;
use crate::qemu_text::QemuText;
use crate::threads::Threads;

/// The threads that serve a device, and which of its queues each of them does; none if the main loop serves it.
#[derive(Debug, Default)]
pub(super) struct Placement(Vec<Assignment>);

impl Placement {
    /// Reads the properties of a device with that many queues to be placed.
    ///
    /// # Errors
    ///
    /// In QEMU's words: both properties at once, threads without notification by eventfd, or a mapping that is wrong.
    pub(super) fn resolve(
        threads: &Threads,
        properties: &Properties,
        n_queues: u16,
    ) -> Result<Self, Error> {
        let thread = iothread_of(threads, properties)?;
        let mapping: Option<Vec<IoThreadVirtQueueMapping>> = properties.get(VQ_MAPPING)?;
        let mapping = mapping.filter(|mapping| !mapping.is_empty());
        let has_ioeventfd = properties.get_or("ioeventfd", true)?;
        if (thread.is_some() || mapping.is_some()) && !has_ioeventfd {
            return Err(Error::generic("ioeventfd is required for iothread"));
        }
        let assignments = match (thread, mapping) {
            (Some(_), Some(_)) => {
                return Err(Error::generic(
                    "iothread and iothread-vq-mapping properties cannot be set at the same time",
                ));
            }
            (None, Some(mapping)) => vq_mapping::resolve(threads, &mapping, n_queues)?,
            (Some(thread), None) => vec![Assignment {
                thread,
                queues: (0..n_queues).collect(),
            }],
            (None, None) => Vec::new(),
        };
        Ok(Self(assignments))
    }

    /// Everything on one thread.
    pub(super) fn on_thread(thread: IoThread, n_queues: u16) -> Self {
        Self(vec![Assignment {
            thread,
            queues: (0..n_queues).collect(),
        }])
    }

    /// Where the data of the device are: with its first queue.
    pub(super) fn home(&self) -> Option<&IoThread> {
        let serves_first = |assignment: &&Assignment| assignment.queues.contains(&0);
        self.0
            .iter()
            .find(serves_first)
            .map(|assignment| &assignment.thread)
    }

    /// Takes hold of each thread once, on behalf of the object at `path`. All are given back if one is refused.
    pub(super) fn hold(self, path: &str) -> Result<HeldPlacement, Error> {
        let hold = |assignment: &Assignment| {
            let held = assignment.thread.get_aio_context(holder::qom_object(path));
            Ok(held.map_err(|error| error.to_answer())?.share())
        };
        let contexts = self.0.iter().map(hold).collect::<Result<_, Error>>()?;
        let assignments = self.0;
        Ok(HeldPlacement {
            assignments,
            contexts,
        })
    }
}

/// A placement whose threads are held, at the longest until the value is dropped.
pub(super) struct HeldPlacement {
    assignments: Vec<Assignment>,
    /// One per assignment.
    contexts: Vec<SharedContext>,
}

impl HeldPlacement {
    /// The event loop that serves a queue.
    pub(super) fn context(&self, queue: u16, main: &MainContext) -> SharedContext {
        let serves = |assignment: &Assignment| assignment.queues.contains(&queue);
        match self.assignments.iter().position(serves) {
            Some(it) => self.contexts[it].clone(),
            None => main.share(),
        }
    }

    /// Gives the threads back, and keeps `gone` until everything of the device is over that runs on them.
    pub(super) fn release(&self, main: OnMain<'_>, gone: &Finally) {
        for context in &self.contexts {
            leaving::release(main, context, gone);
        }
    }
}

impl Drop for HeldPlacement {
    fn drop(&mut self) {
        self.contexts.iter().for_each(SharedContext::close);
    }
}

/// The property with a list of threads and queues.
pub(super) const VQ_MAPPING: &str = "iothread-vq-mapping";

/// The number of queues unless it is given: one, or one for each thread of the mapping.
pub(super) fn default_queues(properties: &Properties, limit: u16) -> Result<u16, Error> {
    let mapping: Option<Vec<IoThreadVirtQueueMapping>> = properties.get(VQ_MAPPING)?;
    let n_threads = mapping.map_or(1, |mapping| mapping.len().max(1));
    Ok(u16::try_from(n_threads).map_or(limit, |n_threads| n_threads.min(limit)))
}

/// What the property `iothread` names. An empty text names nothing.
fn link_of(properties: &Properties) -> Result<Option<String>, Error> {
    let link: Option<String> = properties.get("iothread")?;
    Ok(link.filter(|link| !link.is_empty()))
}

/// The thread that the property `iothread` links to.
pub(super) fn iothread_of(
    threads: &Threads,
    properties: &Properties,
) -> Result<Option<IoThread>, Error> {
    let find = |link: String| {
        let missing = || Error::device_not_found(format!("Device '{link}' not found"));
        threads.find(&link).ok_or_else(missing)
    };
    link_of(properties)?.map(find).transpose()
}

/// Checks the property `iothread` before all others.
pub(super) fn check_link(host: &Host, properties: &Properties) -> Result<(), Error> {
    match link_of(properties)? {
        Some(link) => host.linked_iothread(&link).map(|_| ()),
        None => Ok(()),
    }
}
