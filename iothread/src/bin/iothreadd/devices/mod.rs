//! Devices: plugging, unplugging, and their places in the QOM tree.

mod notify;
mod virtio_blk;
mod vq_mapping;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use iothread::qapi::DeviceDeleted;
use qapi_runtime::json::Document;
use qapi_runtime::visit::{Input, Mode, Visit};
use qapi_runtime::{Error, Object as Members, Value};

use self::virtio_blk::VirtioBlk;
use crate::block::Blocks;
use crate::keyval::{self, ValueKind};
use crate::qom::Object;
use crate::qom::types::{self, Type};
use crate::server::Server;
use crate::sync::Mutex;

/// The only bus.
const BUS: &str = "pci.0";

/// What every kind of device can do.
pub(crate) trait Device: Send + Sync {
    /// The device as an object.
    fn as_object(self: Arc<Self>) -> Arc<dyn Object>;

    /// Gives back everything that the device has; called once.
    fn unrealize(&self, blocks: &Blocks);
}

/// All devices.
pub(crate) struct Devices {
    named: Arc<Slots>,
    unnamed: Arc<Slots>,
    n_unnamed: AtomicU64,
}

/// The devices in one place of the tree.
#[derive(Default)]
struct Slots(Mutex<Vec<Plugged>>);

#[derive(Clone)]
struct Plugged {
    name: String,
    device: Arc<dyn Device>,
    /// Its removal has begun.
    is_leaving: Arc<AtomicBool>,
}

/// Where a device is.
#[derive(Clone)]
struct Position {
    is_named: bool,
    name: String,
}

impl Position {
    fn path(&self) -> String {
        let folder = if self.is_named {
            "peripheral"
        } else {
            "peripheral-anon"
        };
        format!("/machine/{folder}/{}", self.name)
    }
}

impl Devices {
    pub(crate) fn new() -> Self {
        Self {
            named: Arc::default(),
            unnamed: Arc::default(),
            n_unnamed: AtomicU64::new(0),
        }
    }

    /// `/machine/peripheral`
    pub(crate) fn peripheral(&self) -> Arc<dyn Object> {
        Arc::<Slots>::clone(&self.named)
    }

    /// `/machine/peripheral-anon`
    pub(crate) fn peripheral_anon(&self) -> Arc<dyn Object> {
        Arc::<Slots>::clone(&self.unnamed)
    }

    fn slots(&self, position: &Position) -> &Slots {
        if position.is_named {
            &self.named
        } else {
            &self.unnamed
        }
    }

    /// `device_add`
    pub(crate) fn add(&self, server: &Server, mut arguments: Members) -> Result<(), Error> {
        let driver: String = take(&mut arguments, "driver")?
            .ok_or_else(|| Error::generic("Parameter 'driver' is missing"))?;
        let bus: Option<String> = take(&mut arguments, "bus")?;
        let id: Option<String> = take(&mut arguments, "id")?;
        if driver != types::VIRTIO_BLK_PCI.name {
            return Err(Error::generic(format!(
                "'{driver}' is not a valid device model name"
            )));
        }
        if let Some(bus) = bus.filter(|bus| bus != BUS) {
            return Err(Error::generic(format!("Bus '{bus}' not found")));
        }
        let position = match id {
            Some(id) => Position {
                is_named: true,
                name: self.check_id(id)?,
            },
            None => Position {
                is_named: false,
                name: format!("device[{}]", self.n_unnamed.load(Ordering::Relaxed)),
            },
        };
        let device = VirtioBlk::realize(server, &position.path(), arguments)?;
        if !position.is_named {
            self.n_unnamed.fetch_add(1, Ordering::Relaxed);
        }
        self.slots(&position).0.lock().push(Plugged {
            name: position.name,
            device: Arc::new(device),
            is_leaving: Arc::default(),
        });
        Ok(())
    }

    fn check_id(&self, id: String) -> Result<String, Error> {
        if self.named.child(&id).is_some() {
            return Err(Error::generic(format!("Duplicate device ID '{id}'")));
        }
        // It becomes a component of a path.
        if id.is_empty() || id.contains('/') {
            return Err(Error::generic("Parameter 'id' expects an identifier"));
        }
        Ok(id)
    }

    /// `device_del`: begins the removal, which is complete with the event.
    pub(crate) fn delete(&self, server: &Arc<Server>, id: &str) -> Result<(), Error> {
        let (position, plugged) = self.find(server, id)?;
        if plugged.is_leaving.swap(true, Ordering::AcqRel) {
            return Err(Error::generic(format!(
                "Device {id} is already in the process of unplug"
            )));
        }
        let remover = Arc::clone(server);
        let leaving = Arc::clone(&plugged.is_leaving);
        // After the reply to the command.
        let posted = server.main().post(move |_| {
            let devices = remover.devices();
            plugged.device.unrealize(remover.blocks());
            devices
                .slots(&position)
                .0
                .lock()
                .retain(|known| !Arc::ptr_eq(&known.device, &plugged.device));
            announce(&remover, &position);
        });
        posted.map_err(|error| {
            leaving.store(false, Ordering::Release);
            Error::generic(error.to_string())
        })
    }

    fn find(&self, server: &Server, id: &str) -> Result<(Position, Plugged), Error> {
        let not_found = || Error::device_not_found(format!("Device '{id}' not found"));
        let position = if id.starts_with('/') {
            let path = server.tree().canonical_path(id)?;
            let position = |folder: &str, is_named: bool| {
                let name = path
                    .strip_prefix(folder)
                    .filter(|name| !name.contains('/'))?;
                Some(Position {
                    is_named,
                    name: name.to_owned(),
                })
            };
            position("/machine/peripheral/", true)
                .or_else(|| position("/machine/peripheral-anon/", false))
                .ok_or_else(|| Error::generic(format!("{id} is not a hotpluggable device")))?
        } else {
            Position {
                is_named: true,
                name: id.to_owned(),
            }
        };
        let slots = self.slots(&position).0.lock();
        let plugged = slots.iter().find(|plugged| plugged.name == position.name);
        let plugged = plugged.cloned().ok_or_else(not_found)?;
        drop(slots);
        Ok((position, plugged))
    }

    /// Removes all devices, at the end of the server.
    pub(crate) fn clear(&self, blocks: &Blocks) {
        for slots in [&self.named, &self.unnamed] {
            let plugged = std::mem::take(&mut *slots.0.lock());
            for plugged in plugged {
                plugged.device.unrealize(blocks);
            }
        }
    }
}

/// Announces that a device is gone: its backend, and itself.
fn announce(server: &Server, position: &Position) {
    let path = position.path();
    server.events().emit(&DeviceDeleted {
        device: None,
        path: format!("{path}/virtio-backend"),
    });
    server.events().emit(&DeviceDeleted {
        device: position.is_named.then(|| position.name.clone()),
        path,
    });
}

impl Object for Slots {
    fn object_type(&self) -> &'static Type {
        &types::CONTAINER
    }

    fn get(&self, _: &str) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    fn set(&self, _: &str, _: &Value) -> Result<(), Error> {
        Ok(())
    }

    fn children(&self) -> Vec<(String, Arc<dyn Object>)> {
        let slots = self.0.lock();
        slots
            .iter()
            .map(|plugged| {
                (
                    plugged.name.clone(),
                    Arc::clone(&plugged.device).as_object(),
                )
            })
            .collect()
    }

    fn child(&self, name: &str) -> Option<Arc<dyn Object>> {
        let slots = self.0.lock();
        let plugged = slots.iter().find(|plugged| plugged.name == name)?;
        Some(Arc::clone(&plugged.device).as_object())
    }
}

/// The value of a property that is given as text; a list is given as JSON.
pub(crate) fn property_from_text(name: &str, text: String) -> Result<Value, Error> {
    let known = types::VIRTIO_BLK_PCI.property(name);
    let kind = known.map_or(ValueKind::String, |property| property.value_kind());
    if name == "iothread-vq-mapping" {
        let document =
            Document::parse(text.as_bytes()).map_err(|error| Error::generic(error.to_string()))?;
        return Ok(document.root().to_value());
    }
    let typed = keyval::typed(vec![(name.to_owned(), text)], |_| Some(kind))?;
    Ok(typed.get(name).cloned().unwrap_or(Value::Null))
}

/// Takes a property out of the arguments; absent ones are `None`.
fn take<T: Visit>(arguments: &mut Members, name: &'static str) -> Result<Option<T>, Error> {
    let Some(value) = arguments.shift_remove(name) else {
        return Ok(None);
    };
    let alone = Members::from_iter([(name.to_owned(), value)]);
    let document = Document::from(&Value::Object(alone));
    let mut input = Input::new(&document, Mode::Strict);
    Ok(input.object()?.optional(name)?)
}
