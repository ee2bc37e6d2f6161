//! A balloon: `virtio-balloon-pci`. It runs on an IOThread only to hear which pages the guest does not use.

use std::sync::Arc;

use qapi_runtime::Error;

use super::backend::{self, Backend, QUEUE_PROPERTIES, Queues};
use super::drive::Disks;
use super::placement::{Placement, iothread_of};
use super::properties::Properties;
use super::{Device, Plug};
use crate::qom::Object;
use crate::qom::types::{DEVICE, Initial, Property, Type};
use crate::server::Server;

/// Inflating, deflating and statistics, which stay on the main loop.
const N_FIXED: u16 = 3;

const fn switch(name: &'static str) -> Property {
    Property::fixed(name, "bool")
        .described("on/off")
        .initially(Initial::Bool(false))
}

pub(super) static PCI_TYPE: Type = Type {
    name: "virtio-balloon-pci",
    base: Some(&DEVICE),
    own: &[
        switch("deflate-on-oom"),
        switch("free-page-hint"),
        Property::fixed("iothread", "link<iothread>"),
    ],
};

/// The part of a balloon that holds an IOThread.
pub(super) static BACKEND_TYPE: Type = Type {
    name: "virtio-balloon-device",
    base: None,
    own: &QUEUE_PROPERTIES,
};

/// A balloon that is plugged in.
struct VirtioBalloon {
    properties: Properties,
    backend: Arc<Backend>,
}

pub(super) fn realize(plug: &Plug<'_>, properties: Properties) -> Result<Arc<dyn Device>, Error> {
    properties.get::<bool>("deflate-on-oom")?;
    let has_hints = properties.get_or("free-page-hint", false)?;
    let thread = iothread_of(&properties)?;
    let devices = plug.server.devices();
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
    let path = backend::path_below(&plug.path());
    let n_queues = (N_FIXED, u16::from(has_hints));
    let queues = Queues::start(
        &BACKEND_TYPE,
        &path,
        placement,
        plug.server.main(),
        n_queues,
        &Disks::default(),
    )?;
    Ok(Arc::new(VirtioBalloon {
        properties,
        backend: Backend::new(queues),
    }))
}

impl Device for VirtioBalloon {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn children(&self) -> Vec<(String, Arc<dyn Object>)> {
        vec![self.backend.as_child()]
    }

    fn unrealize(&self, _: &Server) {
        self.backend.queues.end();
    }
}
