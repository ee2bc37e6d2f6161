//! Monitors on character devices: added and removed while the server runs.

use std::sync::{Arc, Weak};

use qapi_runtime::{Error, Value};

use super::{Monitor, MonitorError, Monitors, NewMonitor};
use crate::chardev::{Connection, FrontEnd, Usage};
use crate::qapi::{MonitorCloseAction, MonitorQmpProperties};
use crate::qom::Object;
use crate::qom::types::{self, Type};
use crate::server::Server;

/// Passes peers of the device on to the monitor.
struct Peers(Weak<Monitor>);

impl FrontEnd for Peers {
    fn connected(&self, connection: Connection) {
        if let Some(monitor) = self.0.upgrade() {
            let serving = Arc::clone(&monitor);
            // A monitor that is gone gives the connection back.
            monitor.post(move || serving.serve_connection(connection));
        }
    }
}

impl Monitors {
    /// `object-add` of a monitor: takes the device and the monitors' IOThread.
    pub(crate) fn add_on_chardev(
        &self,
        server: &Arc<Server>,
        id: &str,
        properties: &MonitorQmpProperties,
    ) -> Result<Arc<dyn Object>, Error> {
        let addresses = server.chardevs().inet_addresses(&properties.chardev);
        let checked = server.reach().check(&addresses);
        checked.map_err(|error| Error::generic(error.to_string()))?;
        let close_action = properties
            .close_action
            .clone()
            .unwrap_or(MonitorCloseAction::None);
        let new = NewMonitor {
            name: id.to_owned(),
            pretty: properties.pretty.unwrap_or(false),
            ends_server: false,
            deleted_with_client: close_action == MonitorCloseAction::Delete,
        };
        let monitor = self.create(server, new).map_err(|error| match error {
            MonitorError::Duplicate { name } => Error::generic(format!(
                "attempt to add duplicate property '{name}' to object (type 'container')"
            )),
            error => Error::generic(error.to_string()),
        })?;
        let peers = Arc::new(Peers(Arc::downgrade(&monitor)));
        let chardevs = server.chardevs();
        match chardevs.attach(&properties.chardev, Usage::Read, peers) {
            Ok(attachment) => *monitor.attachment.lock() = Some(attachment),
            Err(error) => {
                self.remove(id);
                return Err(error);
            }
        }
        Ok(Arc::new(MonitorObject {
            chardev: properties.chardev.clone(),
            pretty: properties.pretty.unwrap_or(false),
            close_action,
        }))
    }

    /// `object-del` of a monitor: ends its session, and gives everything back. On the main loop.
    pub(crate) fn remove(&self, name: &str) {
        let removed = {
            let mut list = self.list.lock();
            let index = list.iter().position(|monitor| monitor.name == name);
            index.map(|index| list.remove(index))
        };
        if let Some(monitor) = removed {
            monitor.end();
        }
    }

    /// Deletes the monitor that the command for it came from, after the reply.
    pub(crate) fn remove_after_reply(&self, server: &Arc<Server>, name: &str) {
        let list = self.list.lock();
        let Some(monitor) = list.iter().find(|monitor| monitor.name == name) else {
            return;
        };
        let (server, name) = (Arc::clone(server), name.to_owned());
        let main = self.main.clone();
        let deleting = Arc::clone(monitor);
        drop(list);
        // Back and forth: what is posted now runs after the reply has been passed on, which is posted before long.
        let _ = main.clone().post(move |_| {
            deleting.post(move || {
                // Without a main loop everything ends anyway.
                let _ = main.post(move |_| {
                    // Another client may have been faster.
                    let _ = server.objects().delete(&server, &name);
                });
            });
        });
    }
}

impl Monitor {
    /// Begins the session of a peer; on the monitor's thread.
    fn serve_connection(self: &Arc<Self>, connection: Connection) {
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
        if self.deleted_with_client
            && let Some(server) = self.server.upgrade()
        {
            let name = self.name.clone();
            // Without a main loop everything ends anyway.
            let _ = self.main.post(move |_| {
                // It may have been deleted already.
                let _ = server.objects().delete(&server, &name);
            });
        }
    }

    /// Ends all sessions at once and gives everything back.
    fn end(&self) {
        // No new peers.
        let attachment = self.attachment.lock().take();
        drop(attachment);
        self.abandon();
        let connections = std::mem::take(&mut *self.connections.lock());
        for (_, connection) in connections {
            connection.close();
        }
        let context = self.context.lock().take();
        if let Some(context) = context {
            context.release();
        }
    }
}

/// A monitor as an object.
struct MonitorObject {
    chardev: String,
    pretty: bool,
    close_action: MonitorCloseAction,
}

impl Object for MonitorObject {
    fn object_type(&self) -> &'static Type {
        &types::MONITOR_QMP
    }

    fn get(&self, property: &str) -> Result<Value, Error> {
        Ok(match property {
            "chardev" => Value::from(self.chardev.clone()),
            "pretty" => Value::from(self.pretty),
            _ => Value::from(self.close_action.as_str().to_owned()),
        })
    }
}
