//! `device_del`, and what follows from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use iothread::OnMain;
use qapi_runtime::Error;

use super::device::Device;
use super::position::Position;
use super::slots::Plugged;
use super::{Devices, backend};
use crate::cause::{Cause, Within};
use crate::finally::Finally;
use crate::host::Host;
use crate::qapi::DeviceDeleted;

impl Devices {
    /// `device_del`: begins the removal, which is complete with the event.
    pub(crate) fn delete(self: &Arc<Self>, host: &Arc<Host>, id: &str) -> Result<(), Error> {
        let (position, plugged) = self.find(host, id)?;
        if plugged.is_leaving.swap(true, Ordering::AcqRel) {
            return Err(Error::generic(format!(
                "Device {id} is already in the process of unplug"
            )));
        }
        let (remover, removing) = (Arc::clone(self), Arc::clone(host));
        let leaving: Arc<AtomicBool> = Arc::clone(&plugged.is_leaving);
        let cause = Cause::current();
        // After the reply to the command.
        let posted = host.main.run(move |main| {
            let _within = Within::enter(cause);
            remover.remove(main, &removing, position, &plugged);
        });
        posted.map_err(|error| {
            leaving.store(false, Ordering::Release);
            Error::generic(error.to_string())
        })
    }

    fn find(&self, host: &Host, id: &str) -> Result<(Position, Plugged), Error> {
        let position = if id.starts_with('/') {
            let path = host.tree.canonical_path(id)?;
            if path.ends_with(&format!("/{}", backend::NAME)) {
                return Err(Error::generic(
                    "Bus 'virtio-bus' does not support hotplugging",
                ));
            }
            Position::of_path(&path)
                .ok_or_else(|| Error::generic(format!("{id} is not a device")))?
        } else if id.is_empty() {
            // The path of what all devices are below.
            return Err(Error::generic(format!("{id} is not a device")));
        } else {
            Position {
                is_named: true,
                name: id.to_owned(),
            }
        };
        match self.slots(&position).find(&position.name) {
            Some(plugged) => Ok((position, plugged)),
            None => Err(Error::device_not_found(format!("Device '{id}' not found"))),
        }
    }

    /// Unplugs a device as soon as it is idle, those on its bus first.
    fn remove(
        self: &Arc<Self>,
        main: OnMain<'_>,
        host: &Arc<Host>,
        position: Position,
        plugged: &Plugged,
    ) {
        // It may go, or have gone, with its bus.
        if plugged.removal.begin() {
            return;
        }
        let (remover, removing) = (Arc::clone(self), Arc::clone(host));
        let leaving = plugged.clone();
        let gone = Finally::new(&host.main, move |_| {
            let slots = remover.slots(&position);
            slots.0.lock().retain(|known| !known.is(&leaving));
            announce(&removing, &position, &*leaving.device);
            leaving.removal.end();
        });
        let (device, unplugging) = (Arc::clone(&plugged.device), Arc::clone(host));
        let unplug = move |main: OnMain<'_>, gone: &Finally| {
            device.unrealize(main, &unplugging, gone);
        };
        let idle = gone.preceded_by(unplug);
        let on_bus = plugged.device.scsi_bus().map(|bus| bus.positions());
        for position in on_bus.into_iter().flatten() {
            if let Some(unit) = self.slots(&position).find(&position.name) {
                unit.is_leaving.store(true, Ordering::Release);
                unit.removal.keep(idle.clone());
                self.remove(main, host, position, &unit);
            }
        }
        plugged.device.quiesce(main, &idle);
        drop(gone);
        idle.or_now(main);
    }

    /// Begins to remove all devices, at the end of the server; those on a bus were plugged after it.
    pub(crate) fn end(self: &Arc<Self>, main: OnMain<'_>, host: &Arc<Host>) {
        for (slots, is_named) in [(&self.named, true), (&self.unnamed, false)] {
            for plugged in slots.newest_first() {
                plugged.is_leaving.store(true, Ordering::Release);
                let name = plugged.name.clone();
                self.remove(main, host, Position { is_named, name }, &plugged);
            }
        }
    }
}

/// Announces that a device is gone: its backend, and itself.
fn announce(host: &Host, position: &Position, device: &dyn Device) {
    let path = position.path();
    let has_backend = device
        .children()
        .iter()
        .any(|(name, _)| name == backend::NAME);
    if has_backend {
        host.events.emit(&DeviceDeleted {
            device: None,
            path: backend::path_below(&path),
        });
    }
    host.events.emit(&DeviceDeleted {
        device: position.id().map(str::to_owned),
        path,
    });
}
