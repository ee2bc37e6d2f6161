//! Disks of devices, down to the file.

use qapi_runtime::Value;

use crate::facts::Disk;
use crate::source::monitor::text;

/// A disk, and whether its medium comes and goes.
#[derive(Debug, PartialEq)]
pub(super) struct DiskOfDevice {
    pub(super) disk: Disk,
    pub(super) is_removable: bool,
}

/// The disks in the answer to `query-block`. Backends without a device, and drives without a medium, are left out.
pub(super) fn disks(blocks: &[Value]) -> Vec<DiskOfDevice> {
    let disk = |block: &Value| {
        let inserted = block.get("inserted")?;
        Some(DiskOfDevice {
            disk: Disk {
                device: device(text(block, "qdev")?),
                node: text(inserted, "node-name").unwrap_or_default().to_owned(),
                file: file(inserted),
            },
            is_removable: block.get("removable").and_then(Value::as_bool) == Some(true),
        })
    };
    blocks.iter().filter_map(disk).collect()
}

/// The path of a device from what the server calls it there: its id, or a path that ends with its virtio part.
fn device(qdev: &str) -> String {
    match qdev.starts_with('/') {
        true => qdev
            .strip_suffix("/virtio-backend")
            .unwrap_or(qdev)
            .to_owned(),
        false => format!("/machine/peripheral/{qdev}"),
    }
}

/// The name of the image's file.
fn file(inserted: &Value) -> Option<String> {
    let image = inserted
        .get("image")
        .and_then(|image| text(image, "filename"));
    let file = text(inserted, "file").filter(|it| !it.is_empty());
    file.or(image).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_have_devices_and_media() {
        let blocks: Value = serde_json::from_str(
            r#"[
            {"device": "", "qdev": "/machine/peripheral/blk0/virtio-backend", "removable": false,
             "inserted": {"node-name": "n0", "file": "/srv/a.img"}},
            {"device": "", "qdev": "hd0", "removable": false,
             "inserted": {"node-name": "n1", "file": "", "image": {"filename": "json:{}"}}},
            {"device": "cd", "qdev": "cd0", "removable": true},
            {"device": "unused", "inserted": {"node-name": "n2", "file": "x"}}]"#,
        )
        .unwrap();
        let found = disks(blocks.as_array().unwrap());
        let found: Vec<_> = found
            .iter()
            .map(|it| {
                let disk = &it.disk;
                (
                    disk.device.as_str(),
                    disk.node.as_str(),
                    disk.file.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("/machine/peripheral/blk0", "n0", Some("/srv/a.img")),
                ("/machine/peripheral/hd0", "n1", Some("json:{}")),
            ]
        );
    }
}
