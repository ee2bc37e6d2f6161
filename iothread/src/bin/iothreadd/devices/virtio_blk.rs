//! A disk: `virtio-blk-pci`.

use std::sync::Arc;

use iothread::qapi::IoThreadVirtQueueMapping;
use iothread::{HeldAioContext, IoThread, MainContext, Registry, holder};
use qapi_runtime::json::Document;
use qapi_runtime::visit::{Compat, Output, Visit};
use qapi_runtime::{Error, Object as Members, Value};

use super::notify::Queue;
use super::vq_mapping::{self, Assignment};
use super::{Device, take};
use crate::block::{Blocks, NodeUser};
use crate::qom::Object;
use crate::qom::types::{self, Type};
use crate::server::Server;
use crate::sync::Mutex;

/// The most queues of a PCI device.
const MAX_QUEUES: u16 = 1024;

/// The most requests in a queue.
const MAX_QUEUE_SIZE: u16 = 1024;

/// A disk that is plugged in.
pub(super) struct VirtioBlk {
    settings: Settings,
    backend: Arc<Backend>,
}

/// The properties of a disk.
struct Settings {
    drive: String,
    iothread: Option<String>,
    mapping: Option<Vec<IoThreadVirtQueueMapping>>,
    num_queues: u16,
    queue_size: u16,
    serial: Option<String>,
    share_rw: bool,
    ioeventfd: bool,
}

/// The part that holds IOThreads.
struct Backend {
    path: Arc<str>,
    drive: String,
    queues: Vec<Queue>,
    /// Taken when the device is unplugged.
    contexts: Mutex<Vec<HeldAioContext>>,
}

impl Settings {
    fn read(mut arguments: Members) -> Result<Self, Error> {
        let known = &types::VIRTIO_BLK_PCI;
        let is_known = |name: &String| {
            known
                .property(name)
                .is_some_and(|property| !matches!(property.name, "realized" | "hotpluggable"))
        };
        if let Some(name) = arguments.keys().find(|name| !is_known(name)) {
            return Err(Error::generic(format!(
                "Property '{}.{name}' not found",
                known.name
            )));
        }
        let settings = &mut arguments;
        let mapping: Option<Vec<IoThreadVirtQueueMapping>> = take(settings, "iothread-vq-mapping")?;
        let default_queues = mapping.as_ref().map_or(1, |mapping| mapping.len().max(1));
        Ok(Self {
            iothread: take(settings, "iothread")?,
            num_queues: take(settings, "num-queues")?
                .unwrap_or(u16::try_from(default_queues).unwrap_or(MAX_QUEUES)),
            queue_size: take(settings, "queue-size")?.unwrap_or(256),
            serial: take(settings, "serial")?,
            share_rw: take(settings, "share-rw")?.unwrap_or(false),
            ioeventfd: take(settings, "ioeventfd")?.unwrap_or(true),
            drive: take(settings, "drive")?.unwrap_or_default(),
            mapping,
        })
    }

    /// The checks that need nothing but the properties, in QEMU's order.
    fn check(&self) -> Result<(), Error> {
        if self.drive.is_empty() {
            return Err(Error::generic("drive property not set"));
        }
        if self.num_queues == 0 {
            return Err(Error::generic("num-queues property must be larger than 0"));
        }
        if self.num_queues > MAX_QUEUES {
            return Err(Error::generic(format!(
                "num-queues property must not be larger than {MAX_QUEUES}"
            )));
        }
        if self.queue_size <= 2
            || !self.queue_size.is_power_of_two()
            || self.queue_size > MAX_QUEUE_SIZE
        {
            return Err(Error::generic(format!(
                "invalid queue-size property ({}), must be a power of 2 (max {MAX_QUEUE_SIZE})",
                self.queue_size
            )));
        }
        Ok(())
    }

    /// Which threads serve the queues; none if the main loop does.
    fn assignments(&self) -> Result<Vec<Assignment>, Error> {
        let mapping = self
            .mapping
            .as_deref()
            .filter(|mapping| !mapping.is_empty());
        if (self.iothread.is_some() || mapping.is_some()) && !self.ioeventfd {
            return Err(Error::generic("ioeventfd is required for iothread"));
        }
        match (&self.iothread, mapping) {
            (Some(_), Some(_)) => Err(Error::generic(
                "iothread and iothread-vq-mapping properties cannot be set at the same time",
            )),
            (None, Some(mapping)) => vq_mapping::resolve(mapping, self.num_queues),
            (Some(id), None) => {
                let thread = find_thread(id)?;
                let queues = (0..self.num_queues).collect();
                Ok(vec![Assignment { thread, queues }])
            }
            (None, None) => Ok(Vec::new()),
        }
    }
}

/// The thread that a link names: an id, or the path of the object.
fn find_thread(id: &str) -> Result<IoThread, Error> {
    let name = id.strip_prefix("/objects/").unwrap_or(id);
    Registry::global()
        .find(name)
        .ok_or_else(|| Error::device_not_found(format!("Device '{id}' not found")))
}

/// As `find_thread`; an object of another type is told apart from one that does not exist.
fn check_link(server: &Server, id: &str) -> Result<(), Error> {
    match (find_thread(id), server.tree().canonical_path(id)) {
        (Ok(_), _) => Ok(()),
        (Err(_), Ok(_)) => Err(Error::generic(
            "Invalid parameter type for 'iothread', expected: iothread",
        )),
        (Err(error), Err(_)) => Err(error),
    }
}

impl VirtioBlk {
    /// Plugs a disk in. After an error everything is as before.
    pub(super) fn realize(server: &Server, path: &str, arguments: Members) -> Result<Self, Error> {
        let settings = Settings::read(arguments)?;
        let blocks = server.blocks();
        if let Some(id) = &settings.iothread {
            check_link(server, id)?;
        }
        if !settings.drive.is_empty() && blocks.is_writable(&settings.drive).is_none() {
            return Err(Error::generic(format!(
                "Property 'virtio-blk-device.drive' can't find value '{}'",
                settings.drive
            )));
        }
        settings.check()?;
        let path: Arc<str> = format!("{path}/virtio-backend").into();
        let user = NodeUser::device(Arc::clone(&path), settings.share_rw);
        blocks.check_permission(&settings.drive, &user)?;
        let assignments = settings.assignments()?;
        let mut contexts = Vec::with_capacity(assignments.len());
        for assignment in &assignments {
            let context = assignment
                .thread
                .get_aio_context(holder::qom_object(&*path))
                .map_err(|error| Error::generic(error.to_string()))?;
            contexts.push(context);
        }
        // The contexts are given back by being dropped if anything fails from here on.
        let queues = start_queues(&settings, &assignments, &contexts, server.main())?;
        let home = assignments.first().map(|first| &first.thread);
        blocks.attach(&settings.drive, user, home)?;
        let backend = Backend {
            path,
            drive: settings.drive.clone(),
            queues,
            contexts: Mutex::new(contexts),
        };
        Ok(Self {
            settings,
            backend: Arc::new(backend),
        })
    }
}

fn start_queues(
    settings: &Settings,
    assignments: &[Assignment],
    contexts: &[HeldAioContext],
    main: &MainContext,
) -> Result<Vec<Queue>, Error> {
    let start = |index: u16| {
        let serves = |assignment: &Assignment| assignment.queues.contains(&index);
        match assignments.iter().position(serves) {
            Some(it) => {
                let id = assignments[it].thread.id().to_owned();
                Queue::start(&contexts[it], Some(id))
            }
            None => Queue::start(main, None),
        }
    };
    (0..settings.num_queues)
        .map(start)
        .collect::<Result<_, _>>()
        .map_err(|error| Error::generic(format!("cannot start the queues: {error}")))
}

impl Device for VirtioBlk {
    fn as_object(self: Arc<Self>) -> Arc<dyn Object> {
        self
    }

    fn unrealize(&self, blocks: &Blocks) {
        let backend = &self.backend;
        backend.queues.iter().for_each(Queue::stop);
        blocks.detach(&backend.drive, &backend.path);
        let contexts = std::mem::take(&mut *backend.contexts.lock());
        // Waits until no handler of the device runs any more.
        contexts.into_iter().for_each(HeldAioContext::release);
    }
}

impl Object for VirtioBlk {
    fn object_type(&self) -> &'static Type {
        &types::VIRTIO_BLK_PCI
    }

    fn get(&self, property: &str) -> Result<Value, Error> {
        let settings = &self.settings;
        Ok(match property {
            "drive" => Value::from(settings.drive.clone()),
            "iothread" => match &settings.iothread {
                Some(id) if id.starts_with('/') => Value::from(id.clone()),
                Some(id) => Value::from(format!("/objects/{id}")),
                None => Value::from(""),
            },
            "iothread-vq-mapping" => value_of(settings.mapping.as_ref().unwrap_or(&Vec::new()))?,
            "num-queues" => Value::from(settings.num_queues),
            "queue-size" => Value::from(settings.queue_size),
            "serial" => Value::from(settings.serial.clone().unwrap_or_default()),
            "share-rw" => Value::from(settings.share_rw),
            "ioeventfd" => Value::from(settings.ioeventfd),
            _ => Value::from(true),
        })
    }

    fn set(&self, _: &str, _: &Value) -> Result<(), Error> {
        Ok(())
    }

    fn children(&self) -> Vec<(String, Arc<dyn Object>)> {
        let backend: Arc<dyn Object> = Arc::<Backend>::clone(&self.backend);
        vec![("virtio-backend".to_owned(), backend)]
    }
}

impl Object for Backend {
    fn object_type(&self) -> &'static Type {
        &types::VIRTIO_BLK_DEVICE
    }

    fn get(&self, property: &str) -> Result<Value, Error> {
        Ok(match property {
            "x-queues" => Value::from_iter(self.queues.iter().map(Queue::describe)),
            _ => {
                return Err(Error::generic(format!(
                    "Property '{}.{property}' is not readable",
                    self.object_type().name
                )));
            }
        })
    }

    fn set(&self, property: &str, value: &Value) -> Result<(), Error> {
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

/// A typed value as one of any type.
fn value_of<T: Visit>(value: &T) -> Result<Value, Error> {
    let mut output = Output::with_buffer(Vec::new(), Compat::ACCEPT, false);
    value.write(&mut output)?;
    let document =
        Document::parse(output.as_bytes()).map_err(|error| Error::generic(error.to_string()))?;
    Ok(document.root().to_value())
}
