//! The devices in one place of the tree, and their looks as objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use qapi_runtime::{Error, Object as Members, Value};

use super::Device;
use super::properties::take;
use crate::finally::Finally;
use crate::qom::Object;
use crate::qom::types::{self, Type};
use crate::sync::Mutex;

/// Where a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(super) is_named: bool,
    pub(super) name: String,
}

impl Position {
    pub(super) fn path(&self) -> String {
        let folder = if self.is_named {
            "peripheral"
        } else {
            "peripheral-anon"
        };
        format!("/machine/{folder}/{}", self.name)
    }

    /// The ID, if the device has one.
    pub(super) fn id(&self) -> Option<&str> {
        self.is_named.then_some(self.name.as_str())
    }

    /// Reads an absolute path; `None` if no device can be there.
    pub(super) fn of_path(path: &str) -> Option<Self> {
        let below = path.strip_prefix("/machine/")?;
        let (folder, name) = below.split_once('/')?;
        let is_named = match folder {
            "peripheral" => true,
            "peripheral-anon" => false,
            _ => return None,
        };
        (!name.contains('/')).then(|| Self {
            is_named,
            name: name.to_owned(),
        })
    }
}

/// Takes the property that says where on the PCI bus a device goes. It only has to be a place: there are some for all.
///
/// # Errors
///
/// In QEMU's words.
pub(super) fn check_pci_address(
    object_type: &'static Type,
    arguments: &mut Members,
) -> Result<(), Error> {
    // The number of the function, as older clients give it.
    if let Some(number) = arguments.get("addr").and_then(Value::as_i64) {
        arguments.shift_remove("addr");
        return match number {
            -1..=255 => Ok(()),
            _ => Err(Error::generic(
                "Parameter 'addr' expects a value between -1 and 255",
            )),
        };
    }
    if arguments
        .get("addr")
        .is_some_and(|it| it.as_str().is_none())
    {
        return Err(Error::generic(
            "Invalid parameter type for 'addr', expected int or str",
        ));
    }
    let address = take::<String>(arguments, "addr")?;
    let Some(address) = address else {
        return Ok(());
    };
    let (slot, function) = address.split_once('.').unwrap_or((&address, "0"));
    let is_up_to = |text: &str, most| {
        let text = text.trim_ascii_start();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        u32::from_str_radix(digits, 16).is_ok_and(|it| it <= most)
    };
    match is_up_to(slot, 31) && is_up_to(function, 7) {
        true => Ok(()),
        false => Err(Error::generic(format!(
            "Property '{}.addr' doesn't take value '{address}'",
            object_type.name
        ))),
    }
}

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
