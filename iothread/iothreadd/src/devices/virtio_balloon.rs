//! A balloon: `virtio-balloon-pci`. It runs on an IOThread only to hear which pages the guest does not use.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use iothread::OnMain;
use qapi_runtime::{Error, Value};

use super::backend::{self, QUEUE_PROPERTIES, Queues, VirtioBackend};
use super::device::Device;
use super::drive::Disks;
use super::placement::{Placement, iothread_of};
use super::plug::Plug;
use super::properties::Properties;
use super::unheeded::{VIRTIO_BALLOON, VIRTIO_PCI, join, show_vectors};
use crate::finally::Finally;
use crate::host::Host;
use crate::qom::Object;
use crate::qom::types::{Initial, Property, Type, ValueType};

/// Inflating, deflating and statistics, which stay on the main loop.
const N_FIXED: u16 = 3;

const fn switch(name: &'static str) -> Property {
    Property::fixed(name, ValueType::Bool)
        .described("on/off")
        .initially(Initial::Bool(false))
}

pub(super) static PCI_TYPE: Type = Type {
    name: "virtio-balloon-pci",
    base: Some(&VIRTIO_PCI),
    own: &join::<5, 4, 9>(
        [
            switch("deflate-on-oom"),
            switch("free-page-hint"),
            Property::fixed("iothread", ValueType::Link("iothread")),
            Property::fixed(STATISTICS, ValueType::GuestStatistics),
            Property::new(INTERVAL, ValueType::Int).shown(Initial::Int(0)),
        ],
        VIRTIO_BALLOON,
    ),
};

/// What the guest tells of its memory, and how often it is asked.
const STATISTICS: &str = "guest-stats";
const INTERVAL: &str = "guest-stats-polling-interval";

/// What a guest may tell.
const TOLD: [&str; 16] = [
    "stat-alloc-stalls",
    "stat-async-reclaims",
    "stat-async-scans",
    "stat-available-memory",
    "stat-direct-reclaims",
    "stat-direct-scans",
    "stat-disk-caches",
    "stat-free-memory",
    "stat-htlb-pgalloc",
    "stat-htlb-pgfail",
    "stat-major-faults",
    "stat-minor-faults",
    "stat-oom-kills",
    "stat-swap-in",
    "stat-swap-out",
    "stat-total-memory",
];

/// The part of a balloon that holds an IOThread.
pub(super) static BACKEND_TYPE: Type = Type {
    name: "virtio-balloon-device",
    base: None,
    own: &QUEUE_PROPERTIES,
};

/// A balloon that is plugged in.
struct VirtioBalloon {
    properties: Properties,
    backend: Arc<VirtioBackend>,
    /// How often a guest would be asked, in seconds.
    interval: AtomicI64,
}

pub(super) fn realize(
    _: OnMain<'_>,
    plug: &Plug<'_>,
    mut properties: Properties,
    _: &Finally,
) -> Result<Arc<dyn Device>, Error> {
    properties.get::<bool>("deflate-on-oom")?;
    let has_hints = properties.get_or("free-page-hint", false)?;
    let thread = iothread_of(&plug.host.threads, &properties)?;
    let devices = plug.devices;
    if devices.has(&PCI_TYPE) || devices.is_balloon_lost() {
        return Err(Error::generic("Only one balloon device is supported"));
    }
    let placement = match (has_hints, thread) {
        (false, _) => Placement::default(),
        (true, Some(thread)) => Placement::on_thread(thread, 1),
        (true, None) => {
            devices.lose_balloon();
            return Err(Error::generic(
                "'free-page-hint' requires 'iothread' to be set",
            ));
        }
    };
    show_vectors(&mut properties, 2);
    let path = backend::path_below(&plug.path());
    let n_queues = (N_FIXED, u16::from(has_hints));
    let queues = Queues::start(
        &BACKEND_TYPE,
        &path,
        placement,
        &plug.host.main,
        n_queues,
        &Disks::default(),
    )?;
    Ok(Arc::new(VirtioBalloon {
        interval: AtomicI64::new(properties.get_or(INTERVAL, 0)?),
        properties,
        backend: VirtioBackend::new(queues),
    }))
}

impl Device for VirtioBalloon {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn get(&self, property: &str) -> Result<Value, Error> {
        Ok(match property {
            // No guest has told anything.
            STATISTICS => {
                let stats = TOLD.map(|name| (name.to_owned(), Value::from(u64::MAX)));
                Value::from_iter([
                    ("stats".to_owned(), Value::from_iter(stats)),
                    ("last-update".to_owned(), Value::from(0)),
                ])
            }
            INTERVAL => Value::from(self.interval.load(Ordering::Relaxed)),
            _ => self.properties.value(property),
        })
    }

    fn set(&self, property: &str, value: &Value) -> Result<(), Error> {
        let interval = value.as_i64().ok_or_else(|| {
            Error::generic(format!(
                "Invalid parameter type for '{property}', expected: integer"
            ))
        })?;
        if interval < 0 {
            return Err(Error::generic("timer value must be greater than zero"));
        }
        self.interval.store(interval, Ordering::Relaxed);
        Ok(())
    }

    fn children(&self) -> Vec<(String, Arc<dyn Object>)> {
        vec![self.backend.as_child()]
    }

    fn unrealize(&self, main: OnMain<'_>, _: &Arc<Host>, gone: &Finally) {
        self.backend.queues.end(main, gone);
    }
}
