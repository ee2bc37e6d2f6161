//! What virtio devices have in common: queues on event loops, and the object that holds these.

use std::sync::Arc;

use iothread::{MainContext, OnMain};
use qapi_runtime::{Error, Value};

use super::drive::Disks;
use super::notify::Queue;
use super::placement::{HeldPlacement, Placement};
use crate::finally::Finally;
use crate::qom::Object;
use crate::qom::types::{Property, Type, ValueType};

/// Where the object is, below its device.
pub(super) const NAME: &str = "virtio-backend";

/// Describes the queues of a device.
pub(super) const QUEUES: Property = Property::fixed("x-queues", ValueType::Any).described(
    "Per queue: the IOThread, the thread that ran its handler last, how many notifications came, and how many \
     requests they made have ended",
);

/// Stands for what a guest does.
pub(super) const NOTIFY: Property = Property::new("x-notify", ValueType::Uint16)
    .described("Writing the index of a queue notifies it, as a guest does");

/// What every backend has.
pub(super) const QUEUE_PROPERTIES: [Property; 2] = [QUEUES, NOTIFY];

/// The queues of a device and the IOThreads that it holds for them.
pub(super) struct Queues {
    object_type: &'static Type,
    queues: Vec<Queue>,
    placement: HeldPlacement,
}

impl Queues {
    /// Takes the contexts and starts all queues: the first `n_fixed` on the main loop, the others where they are placed.
    /// They end with the value at the latest.
    pub(super) fn start(
        object_type: &'static Type,
        path: &str,
        placement: Placement,
        main: &MainContext,
        (n_fixed, n_placed): (u16, u16),
        disks: &Disks,
    ) -> Result<Self, Error> {
        let placement = placement.hold(path)?;
        let fixed = (0..n_fixed).map(|_| Queue::start(main.share(), &Disks::default()));
        let placed = (0..n_placed).map(|queue| Queue::start(placement.context(queue, main), disks));
        let queues: Result<Vec<_>, _> = fixed.chain(placed).collect();
        let failed = |error| Error::generic(format!("cannot start the queues: {error}"));
        Ok(Self {
            object_type,
            queues: queues.map_err(failed)?,
            placement,
        })
    }

    /// Ends all handlers; those that run at the moment run to their end.
    pub(super) fn stop(&self) {
        self.queues.iter().for_each(Queue::stop);
    }

    /// Ends all handlers, and gives the IOThreads back once the last request is over. Keeps `gone` until then.
    pub(super) fn end(&self, main: OnMain<'_>, gone: &Finally) {
        self.stop();
        self.placement.release(main, gone);
    }

    /// Reads [`QUEUES`].
    pub(super) fn get(&self, property: &str) -> Result<Value, Error> {
        match property == QUEUES.name {
            true => Ok(Value::from_iter(self.queues.iter().map(Queue::describe))),
            false => Err(Error::generic(format!(
                "Property '{}.{property}' is not readable",
                self.object_type.name
            ))),
        }
    }

    /// Writes to [`NOTIFY`].
    pub(super) fn set(&self, property: &str, value: &Value) -> Result<(), Error> {
        let index = value
            .as_u64()
            .and_then(|index| usize::try_from(index).ok())
            .ok_or_else(|| Error::generic(format!("Parameter '{property}' expects uint16_t")))?;
        match self.queues.get(index) {
            Some(queue) => queue.notify(),
            None => Err(Error::generic(format!("there is no queue {index}"))),
        }
    }
}

impl Drop for Queues {
    /// For a device that does not come about.
    fn drop(&mut self) {
        self.stop();
    }
}

/// The backend of a virtio device as an object.
pub(super) struct VirtioBackend {
    pub(super) queues: Queues,
    children: Vec<(String, Arc<dyn Object>)>,
}

impl VirtioBackend {
    pub(super) fn new(queues: Queues) -> Arc<Self> {
        Self::with_children(queues, Vec::new())
    }

    pub(super) fn with_children(
        queues: Queues,
        children: Vec<(String, Arc<dyn Object>)>,
    ) -> Arc<Self> {
        Arc::new(Self { queues, children })
    }

    /// The backend as the child that a device has.
    pub(super) fn as_child(self: &Arc<Self>) -> (String, Arc<dyn Object>) {
        (NAME.to_owned(), Arc::<Self>::clone(self))
    }
}

impl Object for VirtioBackend {
    fn object_type(&self) -> &'static Type {
        self.queues.object_type
    }

    fn get(&self, property: &str) -> Result<Value, Error> {
        self.queues.get(property)
    }

    fn set(&self, property: &str, value: &Value) -> Result<(), Error> {
        self.queues.set(property, value)
    }

    fn children(&self) -> Vec<(String, Arc<dyn Object>)> {
        self.children.clone()
    }
}

/// The path of the backend of the device at `path`.
pub(super) fn path_below(path: &str) -> String {
    format!("{path}/{NAME}")
}
