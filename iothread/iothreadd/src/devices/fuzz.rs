//! What fuzz targets drive, with any text.

use qapi_runtime::{Object as Members, Value};

use super::position::{Position, check_pci_address};
use super::{drivers, xen_disk};

pub(crate) use super::vfio_user::fuzz::messages;

/// Names of devices and places: paths, PCI addresses, disks of Xen guests.
pub(crate) fn names(text: &str) {
    if let Some(position) = Position::of_path(text) {
        assert_eq!(position.path(), text);
    }
    if let Some(driver) = drivers::find("virtio-blk-pci") {
        let number = text.parse::<i64>().ok().map(Value::from);
        for address in [Some(Value::from(text.to_owned())), number] {
            let mut members = Members::new();
            members.insert("addr", address.unwrap_or(Value::Null));
            let _ = check_pci_address(driver.object_type, &mut members);
        }
    }
    xen_disk::check_vdev(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_names() {
        for text in [
            "",
            "/machine/peripheral/a",
            "/machine/peripheral-anon/device[0]",
            "/machine/peripheral/",
            "1f.7",
            "0x3",
            "-1",
            "256",
            "xvda1",
            "268435711",
            "d4294967296",
        ] {
            names(text);
        }
    }
}
