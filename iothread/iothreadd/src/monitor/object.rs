//! Monitors in the QOM tree, and the devices that those of options have.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use qapi_runtime::{Error, Value};

use super::{Monitor, Monitors};
use crate::chardev::{self, OwnDevices};
use crate::qapi::{ChardevInfo, MonitorCloseAction};
use crate::qom::Object;
use crate::qom::types::{self, Type};
use crate::qom::value::value_of;

/// What of a monitor may be changed while it is there. Sessions that have begun keep what they began with.
pub(super) struct Settings {
    /// The device that it is on.
    pub(super) chardev: String,
    pretty: AtomicBool,
    /// Whether monitor and device go with the client.
    is_deleted_with_client: AtomicBool,
}

impl Settings {
    pub(super) fn new(chardev: String, pretty: bool, close_action: &MonitorCloseAction) -> Self {
        Self {
            chardev,
            pretty: AtomicBool::new(pretty),
            is_deleted_with_client: AtomicBool::new(deletes(close_action)),
        }
    }

    pub(super) fn pretty(&self) -> bool {
        self.pretty.load(Ordering::Relaxed)
    }

    pub(super) fn is_deleted_with_client(&self) -> bool {
        self.is_deleted_with_client.load(Ordering::Relaxed)
    }
}

fn deletes(close_action: &MonitorCloseAction) -> bool {
    match close_action {
        MonitorCloseAction::Delete => true,
        MonitorCloseAction::None | MonitorCloseAction::Unknown(_) => false,
    }
}

/// A monitor as an object.
pub(super) struct MonitorObject(pub(super) Arc<Settings>);

impl Object for MonitorObject {
    fn object_type(&self) -> &'static Type {
        &types::MONITOR_QMP
    }

    fn get(&self, property: &str) -> Result<Value, Error> {
        let settings = &self.0;
        Ok(match property {
            "chardev" => Value::from(settings.chardev.clone()),
            "pretty" => Value::from(settings.pretty()),
            _ if settings.is_deleted_with_client() => {
                Value::from(MonitorCloseAction::Delete.as_str().to_owned())
            }
            _ => Value::from(MonitorCloseAction::None.as_str().to_owned()),
        })
    }

    fn set(&self, property: &str, value: &Value) -> Result<(), Error> {
        let settings = &self.0;
        if property == "pretty" {
            let pretty = value_of(property, value)?;
            settings.pretty.store(pretty, Ordering::Relaxed);
        } else {
            let action = value_of(property, value)?;
            let is_deleted = &settings.is_deleted_with_client;
            is_deleted.store(deletes(&action), Ordering::Relaxed);
        }
        Ok(())
    }
}

impl OwnDevices for Monitors {
    fn has(&self, id: &str) -> bool {
        let list = self.list.lock();
        list.iter().any(|it| it.name == id && it.is_of_option())
    }

    fn query(&self) -> Vec<ChardevInfo> {
        let list = self.list.lock();
        let own = list.iter().filter(|it| it.is_of_option());
        let info = |monitor: &Arc<Monitor>| ChardevInfo {
            label: monitor.name.clone(),
            filename: monitor.filename(),
            frontend_open: true,
        };
        own.map(info).collect()
    }

    fn objects(&self) -> Vec<(String, Arc<dyn Object>)> {
        let list = self.list.lock();
        let own = list.iter().filter(|it| it.is_of_option());
        let device = |monitor: &Arc<Monitor>| -> (String, Arc<dyn Object>) {
            let device = OwnDevice(Arc::downgrade(monitor));
            (monitor.name.clone(), Arc::new(device))
        };
        own.map(device).collect()
    }
}

/// The device that a monitor of an option has for itself.
struct OwnDevice(Weak<Monitor>);

impl Object for OwnDevice {
    fn object_type(&self) -> &'static Type {
        match self.0.upgrade() {
            Some(monitor) if monitor.ends_server => chardev::stdio_type(),
            Some(_) | None => chardev::socket_type(),
        }
    }

    /// A socket tells whether a peer is there.
    fn get(&self, _: &str) -> Result<Value, Error> {
        let monitor = self.0.upgrade();
        Ok(Value::from(
            monitor.is_some_and(|it| !it.clients.lock().is_empty()),
        ))
    }
}
