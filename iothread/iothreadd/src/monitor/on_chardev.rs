//! Monitors on character devices: added and removed while the server runs.

use std::sync::{Arc, Weak};

use iothread::OnMain;
use qapi_runtime::Error;
use qapi_runtime::session::{Session, SessionConfig};

use super::object::{MonitorObject, Settings};
use super::{Monitor, MonitorError, Monitors, NewMonitor};
use crate::chardev::{AttachError, FrontEnd, PeerStream, Usage};
use crate::finally::Finally;
use crate::host::Host;
use crate::leaving;
use crate::net::reach::Served;
use crate::qapi::{MonitorCloseAction, MonitorQmpProperties};
use crate::qom::Object;

/// Passes peers of the device on to the monitor.
struct Peers {
    monitor: Weak<Monitor>,
}

impl FrontEnd for Peers {
    fn connected(&self, _: OnMain<'_>, connection: PeerStream) {
        if let Some(monitor) = self.monitor.upgrade() {
            let serving = Arc::clone(&monitor);
            // A monitor that is gone gives the connection back.
            monitor.post(move || serving.serve_connection(connection));
        }
    }

    /// How a session without a client begins.
    fn first_words(&self) -> Option<Vec<u8>> {
        let config = SessionConfig {
            // A device without peers has no client that asks out of band.
            oob: false,
            ..self.monitor.upgrade()?.config()
        };
        Some(Session::new(config).output().to_vec())
    }
}

impl Monitors {
    /// `object-add` of a monitor: takes the device and the monitors' IOThread. After an error `undone` is kept until all is
    /// as before.
    pub(crate) fn add_on_chardev(
        &self,
        main: OnMain<'_>,
        host: &Host,
        id: &str,
        properties: &MonitorQmpProperties,
        undone: &Finally,
    ) -> Result<Arc<dyn Object>, Error> {
        let addresses = host.chardevs.inet_addresses(&properties.chardev);
        let checked = self.reach.check(Served::Monitor, &addresses);
        checked.map_err(|error| Error::generic(error.to_string()))?;
        let close_action = properties
            .close_action
            .clone()
            .unwrap_or(MonitorCloseAction::None);
        let pretty = properties.pretty.unwrap_or(false);
        let settings = Settings::new(properties.chardev.clone(), pretty, &close_action);
        let settings = Arc::new(settings);
        let new = NewMonitor {
            name: id.to_owned(),
            settings: Arc::clone(&settings),
            ends_server: false,
        };
        let monitor = self.create(host, new).map_err(|error| match error {
            MonitorError::Duplicate { name } => Error::generic(format!(
                "attempt to add duplicate property '{name}' to object (type 'container')"
            )),
            error => Error::generic(error.to_string()),
        })?;
        let peers = Arc::new(Peers {
            monitor: Arc::downgrade(&monitor),
        });
        match host
            .chardevs
            .attach(main, &properties.chardev, Usage::Read, peers)
        {
            Ok(attachment) => *monitor.attachment.lock() = Some(attachment),
            Err(error) => {
                self.remove(main, id, undone);
                return Err(match error {
                    AttachError::Missing => {
                        Error::generic(format!("chardev \"{}\" not found", properties.chardev))
                    }
                    error @ (AttachError::InUse | AttachError::Mute | AttachError::Failed(_)) => {
                        error.about(&properties.chardev)
                    }
                });
            }
        }
        Ok(Arc::new(MonitorObject(settings)))
    }

    /// `object-del` of a monitor: ends its session, and gives everything back. Keeps `gone` until that is done.
    pub(crate) fn remove(&self, main: OnMain<'_>, name: &str, gone: &Finally) {
        let removed = {
            let mut list = self.list.lock();
            let index = list.iter().position(|monitor| monitor.name == name);
            index.map(|index| list.remove(index))
        };
        if let Some(monitor) = removed {
            monitor.end(main, gone);
        }
    }
}

impl Monitor {
    /// Begins the session of a peer; on the monitor's thread.
    fn serve_connection(self: &Arc<Self>, connection: PeerStream) {
        let stream = connection.stream().clone();
        let number = self.next_number();
        self.connections.lock().insert(number, connection);
        self.serve_as(number, stream);
    }

    /// The session with this number is over.
    pub(super) fn connection_is_over(&self, number: u64) {
        let connection = self.connections.lock().remove(&number);
        let Some(connection) = connection else {
            return;
        };
        connection.close();
        if self.settings.is_deleted_with_client()
            && let Some(owner) = self.owner()
        {
            let (name, chardev) = (self.name.clone(), self.settings.chardev.clone());
            // Without a main loop everything ends anyway.
            let _ = self
                .main
                .run(move |main| owner.delete(main, &name, &chardev));
        }
    }

    /// Ends all sessions at once and gives everything back. Peers of a device learn of it, and leave when they like.
    fn end(&self, main: OnMain<'_>, gone: &Finally) {
        // No new peers.
        let attachment = self.attachment.lock().take();
        drop(attachment);
        if let Some(listener) = self.listener.get() {
            listener.stop();
        }
        let yank = self.yank.lock().take();
        drop(yank);
        self.abandon();
        let connections = std::mem::take(&mut *self.connections.lock());
        for (_, connection) in connections {
            connection.dismiss();
        }
        leaving::release(main, &self.context, gone);
    }
}
