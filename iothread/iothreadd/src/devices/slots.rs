//! The devices in one place of the tree, and how they are shown as objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use qapi_runtime::{Error, Value};

use super::device::Device;
use crate::finally::Finally;
use crate::qom::Object;
use crate::qom::types::{self, Type};
use crate::sync::Mutex;

/// The removal of a device.
#[derive(Default)]
pub(super) struct Removal {
    has_begun: AtomicBool,
    /// What is to be done when it is gone.
    until_gone: Mutex<Vec<Finally>>,
}

impl Removal {
    /// Returns whether it had begun already.
    pub(super) fn begin(&self) -> bool {
        self.has_begun.swap(true, Ordering::AcqRel)
    }

    /// Keeps something until the device is gone.
    pub(super) fn keep(&self, gone: Finally) {
        self.until_gone.lock().push(gone);
    }

    pub(super) fn end(&self) {
        let kept = std::mem::take(&mut *self.until_gone.lock());
        drop(kept);
    }
}

/// A device that is plugged in.
#[derive(Clone)]
pub(super) struct Plugged {
    pub(super) name: String,
    pub(super) device: Arc<dyn Device>,
    /// Path of its bus.
    pub(super) bus_path: String,
    /// It is to be removed.
    pub(super) is_leaving: Arc<AtomicBool>,
    pub(super) removal: Arc<Removal>,
}

impl Plugged {
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.device, &other.device)
    }

    fn as_object(&self) -> Arc<dyn Object> {
        Arc::new(self.clone())
    }
}

/// The devices with IDs, or those without.
#[derive(Default)]
pub(super) struct Slots(pub(super) Mutex<Vec<Plugged>>);

impl Slots {
    pub(super) fn find(&self, name: &str) -> Option<Plugged> {
        let slots = self.0.lock();
        slots.iter().find(|plugged| plugged.name == name).cloned()
    }

    /// All devices, the latest first.
    pub(super) fn newest_first(&self) -> Vec<Plugged> {
        self.0.lock().iter().rev().cloned().collect()
    }
}

impl Object for Slots {
    fn object_type(&self) -> &'static Type {
        &types::CONTAINER
    }

    fn children(&self) -> Vec<(String, Arc<dyn Object>)> {
        let slots = self.0.lock();
        let child = |plugged: &Plugged| (plugged.name.clone(), plugged.as_object());
        slots.iter().map(child).collect()
    }

    fn child(&self, name: &str) -> Option<Arc<dyn Object>> {
        self.find(name).map(|plugged| plugged.as_object())
    }
}

impl Object for Plugged {
    fn object_type(&self) -> &'static Type {
        self.device.properties().object_type()
    }

    fn get(&self, property: &str) -> Result<Value, Error> {
        match property {
            "parent_bus" => Ok(Value::from(self.bus_path.clone())),
            "realized" | "hotplugged" | "hotpluggable" => Ok(Value::from(true)),
            _ => self.device.get(property),
        }
    }

    fn set(&self, property: &str, value: &Value) -> Result<(), Error> {
        self.device.set(property, value)
    }

    fn children(&self) -> Vec<(String, Arc<dyn Object>)> {
        self.device.children()
    }
}
