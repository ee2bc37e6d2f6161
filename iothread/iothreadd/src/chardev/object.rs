//! Character devices in the QOM tree, below `/chardevs`.

use std::sync::Arc;

use qapi_runtime::{Error, Value};

use super::{Chardev, Chardevs, Kind};
use crate::qapi::ChardevBackendKind;
use crate::qom::Object;
use crate::qom::types::{CONTAINER, Property, Type, ValueType};

const fn chardev_type(name: &'static str, own: &'static [Property]) -> Type {
    Type {
        name,
        base: None,
        own,
    }
}

static FILE: Type = chardev_type("chardev-file", &[]);
static MEMORY: Type = chardev_type("chardev-memory", &[]);
static NULL: Type = chardev_type("chardev-null", &[]);
static PIPE: Type = chardev_type("chardev-pipe", &[]);
static RINGBUF: Type = chardev_type("chardev-ringbuf", &[]);
static SOCKET: Type = chardev_type(
    "chardev-socket",
    &[Property::fixed("connected", ValueType::Bool).described("Whether a peer is there")],
);

static STDIO: Type = chardev_type("chardev-stdio", &[]);

/// The types of all character devices.
pub(crate) fn types() -> [&'static Type; 7] {
    [&FILE, &MEMORY, &NULL, &PIPE, &RINGBUF, &SOCKET, &STDIO]
}

/// The type of what monitors listen on.
pub(crate) fn socket_type() -> &'static Type {
    &SOCKET
}

/// The type of the standard streams, which only a monitor of an option has.
pub(crate) fn stdio_type() -> &'static Type {
    &STDIO
}

impl Object for Chardev {
    #[expect(deprecated, reason = "handled like everything else")]
    fn object_type(&self) -> &'static Type {
        match &self.backend {
            ChardevBackendKind::File => &FILE,
            ChardevBackendKind::Pipe => &PIPE,
            ChardevBackendKind::Socket => &SOCKET,
            ChardevBackendKind::Ringbuf => &RINGBUF,
            ChardevBackendKind::Memory => &MEMORY,
            // What is not known is refused.
            ChardevBackendKind::Null | ChardevBackendKind::Unknown(_) => &NULL,
        }
    }

    fn get(&self, _: &str) -> Result<Value, Error> {
        Ok(match &self.kind {
            Kind::Socket(device) => Value::from(device.is_connected()),
            Kind::Null(_) | Kind::Plain(_) | Kind::Ringbuf(_) => Value::Null,
        })
    }
}

impl Object for Chardevs {
    fn object_type(&self) -> &'static Type {
        &CONTAINER
    }

    fn children(&self) -> Vec<(String, Arc<dyn Object>)> {
        let child = |chardev: &Arc<Chardev>| -> (String, Arc<dyn Object>) {
            (chardev.id.clone(), Arc::<Chardev>::clone(chardev))
        };
        let mut children = self.own.objects();
        children.extend(self.list.lock().iter().map(child));
        children
    }
}
