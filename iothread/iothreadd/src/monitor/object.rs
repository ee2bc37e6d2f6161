//! Monitors in the QOM tree, and the devices that those of options have.

use std::sync::{Arc, Weak};

use qapi_runtime::{Error, Value};

use super::Monitor;
use crate::chardev;
use crate::qapi::MonitorCloseAction;
use crate::qom::Object;
use crate::qom::types::{self, Type};

/// A monitor as an object.
struct MonitorObject {
    chardev: String,
    pretty: bool,
    close_action: MonitorCloseAction,
}

/// The object of a monitor.
pub(super) fn new(
    chardev: String,
    pretty: bool,
    close_action: MonitorCloseAction,
) -> Arc<dyn Object> {
    Arc::new(MonitorObject {
        chardev,
        pretty,
        close_action,
    })
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

/// The device that a monitor of an option has for itself.
pub(super) struct OwnDevice(pub(super) Weak<Monitor>);

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
