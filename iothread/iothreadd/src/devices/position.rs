//! Where a device is, in the tree and on its bus.

use qapi_runtime::{Error, Object as Members, Value};

use super::properties::take;
use crate::qom::types::Type;

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
        arguments.remove("addr");
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
