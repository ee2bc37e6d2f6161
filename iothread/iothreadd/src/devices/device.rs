//! What every device is.

use std::sync::Arc;

use iothread::OnMain;
use qapi_runtime::{Error, Value};

use super::bus::ScsiBus;
use super::properties::Properties;
use crate::finally::Finally;
use crate::host::Host;
use crate::qom::Object;

/// What every kind of device can do.
pub(super) trait Device: Send + Sync {
    fn properties(&self) -> &Properties;

    /// Reads one of the type's own properties.
    fn get(&self, property: &str) -> Result<Value, Error> {
        Ok(self.properties().value(property))
    }

    /// Writes one of the type's own properties that are writable.
    fn set(&self, _: &str, _: &Value) -> Result<(), Error> {
        Ok(())
    }

    /// The objects below.
    fn children(&self) -> Vec<(String, Arc<dyn Object>)> {
        Vec::new()
    }

    /// The bus of a controller.
    fn scsi_bus(&self) -> Option<&Arc<ScsiBus>> {
        None
    }

    /// Takes nothing in any more, and keeps `idle` until what is under way is over. Called once.
    fn quiesce(&self, _: OnMain<'_>, _idle: &Finally) {}

    /// The node that has requests of the device, if one has any.
    fn busy_node(&self) -> Option<&str> {
        None
    }

    /// Gives back everything that the device has, and keeps `gone` until that is done; called once, when it is idle.
    fn unrealize(&self, main: OnMain<'_>, host: &Arc<Host>, gone: &Finally);
}
