//! A disk of a Xen guest: `xen-disk`. Its ring is served by an IOThread, one of its own if none is named.

use std::sync::Arc;

use iothread::OnMain;
use qapi_runtime::{Error, Value};

use super::backend::{NOTIFY, QUEUE_PROPERTIES, QUEUES, Queues};
use super::device::Device;
use super::drive::{self, Disks, Drive};
use super::placement::{Placement, iothread_of};
use super::plug::Plug;
use super::properties::Properties;
use crate::block::Medium;
use crate::finally::Finally;
use crate::host::Host;
use crate::objects::Objects;
use crate::qom::types::{DEVICE, Initial, Property, Type, ValueType};
use crate::sync::Mutex;

/// The highest partition that a name of a disk can have.
const MAX_PARTITION: u32 = 63;

pub(super) static TYPE: Type = Type {
    name: "xen-disk",
    base: Some(&DEVICE),
    own: &[
        Property::fixed("vdev", ValueType::Str),
        Property::fixed("drive", ValueType::Str)
            .described("Node name or ID of a block device to use as a backend"),
        Property::fixed("iothread", ValueType::Link("iothread")),
        Property::fixed("max-ring-page-order", ValueType::Uint32).initially(Initial::Int(4)),
        Property::fixed("share-rw", ValueType::Bool)
            .described("on/off")
            .initially(Initial::Bool(false)),
        QUEUES,
        NOTIFY,
    ],
};

/// A disk that is plugged in.
struct XenDisk {
    properties: Properties,
    drive: Drive,
    ring: Queues,
    objects: Arc<Objects>,
    /// The ID of the IOThread that was made for the disk.
    own_thread: Mutex<Option<String>>,
}

pub(super) fn realize(
    main: OnMain<'_>,
    plug: &Plug<'_>,
    mut properties: Properties,
    moved: &Finally,
) -> Result<Arc<dyn Device>, Error> {
    let (host, objects) = (plug.host, &plug.devices.objects);
    let vdev: Option<String> = properties.get("vdev")?;
    let vdev = vdev.map(|text| canonical_vdev(&text)).transpose()?;
    properties.get::<u32>("max-ring-page-order")?;
    let node = drive::node_of(host, &properties, TYPE.name)?;
    let vdev = vdev.ok_or_else(|| Error::generic("vdev property not set"))?;
    let node = node.ok_or_else(|| Error::generic("drive property not set"))?;
    properties.set("vdev", Value::from(vdev.clone()));
    let (thread, own_thread) = match iothread_of(&host.threads, &properties)? {
        Some(thread) => (thread, None),
        None => {
            let thread = objects.add_iothread(main, host, &vdev)?;
            (thread, Some(vdev.clone()))
        }
    };
    let path = plug.path();
    let user = plug.position.id().unwrap_or(&path);
    let start = || {
        let drive = Drive::new(host, node, user, Medium::Disk, &properties)?;
        let disks = Disks::default();
        let placement = Placement::on_thread(thread.clone(), 1);
        let ring = Queues::start(&TYPE, &path, placement, &host.main, (0, 1), &disks)?;
        let attached = drive.attach(main, host, Some(&thread), &disks, moved);
        Ok((ring, drive, attached))
    };
    let (ring, error) = match start() {
        Ok((ring, drive, Ok(()))) => {
            return Ok(Arc::new(XenDisk {
                properties,
                drive,
                ring,
                objects: Arc::clone(objects),
                own_thread: Mutex::new(own_thread),
            }));
        }
        Ok((ring, _, Err(error))) => (Some(ring), error),
        Err(error) => (None, error),
    };
    let released = before_thread_goes(host, objects, own_thread, moved);
    if let Some(ring) = ring {
        ring.end(main, &released);
    }
    released.or_now(main);
    Err(error)
}

/// What the disk has to give back before its own IOThread, if it has one, can be deleted.
fn before_thread_goes(
    host: &Arc<Host>,
    objects: &Arc<Objects>,
    id: Option<String>,
    gone: &Finally,
) -> Finally {
    let (host, objects) = (Arc::clone(host), Arc::clone(objects));
    gone.preceded_by(move |main, gone| {
        if let Some(id) = id {
            // If something else holds it, it stays: then it is an object like any other.
            let _ = objects.delete(main, &host, &id, gone);
        }
    })
}

/// The name of a disk as a Xen guest knows it: `xvda`, `hda`, `sda` or `d0`, each with a partition after it (`xvda1`,
/// `d0p1`), or the number that stands for one.
///
/// # Errors
///
/// In QEMU's words: anything else.
fn canonical_vdev(text: &str) -> Result<String, Error> {
    let invalid = || Error::generic("invalid virtual disk specifier");
    if let Some(rest) = text.strip_prefix('d') {
        let (disk, partition) = rest.split_once('p').unwrap_or((rest, "0"));
        let disk: u32 = parse_number(disk).ok_or_else(invalid)?;
        let partition: u32 = parse_number(partition).ok_or_else(invalid)?;
        return Ok(match partition {
            0 => format!("d{disk}"),
            _ => format!("d{disk}p{partition}"),
        });
    }
    for prefix in ["xvd", "hd", "sd"] {
        let Some(rest) = text.strip_prefix(prefix) else {
            continue;
        };
        let letters = rest.trim_end_matches(|it: char| it.is_ascii_digit());
        let is_name = !letters.is_empty() && letters.bytes().all(|it| it.is_ascii_lowercase());
        let digits = &rest[letters.len()..];
        let partition = match digits {
            "" => Some(0),
            digits => parse_number(digits).filter(|it| *it <= MAX_PARTITION),
        };
        return match partition {
            Some(0) if is_name => Ok(format!("{prefix}{letters}")),
            Some(partition) if is_name => Ok(format!("{prefix}{letters}{partition}")),
            Some(_) | None => Err(invalid()),
        };
    }
    let number = parse_number(text).ok_or_else(invalid)?;
    // Bits 8 and up are the major number, those below the disk and the partition, by kind of disk.
    let (prefix, disk, partition) = match number >> 8 {
        202 => ("xvd", (number >> 4) & 15, number & 15),
        8 => ("sd", (number >> 4) & 15, number & 15),
        3 => ("hd", (number >> 6) & 1, number & 63),
        22 => ("hd", 2 + ((number >> 6) & 1), number & 63),
        _ if number & (1 << 28) != 0 => ("xvd", (number >> 8) & 0xfffff, number & 255),
        _ => return Err(invalid()),
    };
    let name = format!("{prefix}{}", disk_letters(disk));
    Ok(match partition {
        0 => name,
        _ => format!("{name}{partition}"),
    })
}

/// The name of a disk is its own.
#[cfg(any(test, fuzzing))]
pub(super) fn check_vdev(text: &str) {
    if let Ok(name) = canonical_vdev(text) {
        // There are numbers for partitions that have no name.
        if let Ok(again) = canonical_vdev(&name) {
            assert_eq!(again, name);
        }
    }
}

/// The letters of a disk: `a` to `z`, then `aa`.
fn disk_letters(mut disk: u32) -> String {
    let mut letters = Vec::new();
    loop {
        let letter = u8::try_from(disk % 26).map_or('z', |it| char::from(b'a' + it));
        letters.insert(0, letter);
        if disk < 26 {
            return letters.into_iter().collect();
        }
        disk = disk / 26 - 1;
    }
}

fn parse_number(digits: &str) -> Option<u32> {
    let is_number = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

impl Device for XenDisk {
    fn properties(&self) -> &Properties {
        &self.properties
    }

    fn get(&self, property: &str) -> Result<Value, Error> {
        match QUEUE_PROPERTIES.iter().any(|it| it.name == property) {
            true => self.ring.get(property),
            false => Ok(self.properties.value(property)),
        }
    }

    fn set(&self, property: &str, value: &Value) -> Result<(), Error> {
        self.ring.set(property, value)
    }

    fn quiesce(&self, main: OnMain<'_>, idle: &Finally) {
        self.ring.stop();
        self.drive.quiesce(main, idle);
    }

    fn busy_node(&self) -> Option<&str> {
        self.drive.busy_node()
    }

    fn unrealize(&self, main: OnMain<'_>, host: &Arc<Host>, gone: &Finally) {
        let own_thread = self.own_thread.lock().take();
        let released = before_thread_goes(host, &self.objects, own_thread, gone);
        self.ring.end(main, &released);
        self.drive.detach(main, host, &released);
        released.or_now(main);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_disks() {
        for (text, name) in [
            ("xvda", "xvda"),
            ("xvdaa3", "xvdaa3"),
            ("hdb2", "hdb2"),
            ("sdc", "sdc"),
            ("d7", "d7"),
            ("d7p0", "d7"),
            ("d7p2", "d7p2"),
            ("51712", "xvda"),
            ("51729", "xvdb1"),
            ("2048", "sda"),
            ("768", "hda"),
            ("5696", "hdd"),
            ("268442368", "xvdab"),
        ] {
            assert_eq!(canonical_vdev(text).unwrap(), name, "{text}");
        }
        for text in [
            "", "xvd", "xvda-", "xvdA", "d", "dx", "d1p", "d1px", "hda99", "1", "xvda1x", "+5",
        ] {
            assert!(canonical_vdev(text).is_err(), "{text}");
        }
    }
}
