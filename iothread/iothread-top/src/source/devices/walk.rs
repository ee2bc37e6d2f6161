//! The walk over a server's objects.

use std::collections::{BTreeSet, HashMap, HashSet};

use qapi_runtime::Value;

use super::Plan;
use super::disks::{self, DiskOfDevice};
use crate::facts::{Device, Export, Place};
use crate::source::monitor::{AskError, Monitor, text};

/// Where objects and devices are that users make.
const FOLDERS: [&str; 3] = [
    "/objects",
    "/machine/peripheral",
    "/machine/peripheral-anon",
];

/// The one kind of object that is not a device and uses an IOThread.
const COLO_COMPARE: &str = "colo-compare";

/// The most devices that are looked at in a guest. QEMU has no limit, and each takes several questions.
const MAX_DEVICES: usize = 4_096;

/// The objects and devices that users have made: paths and types, `PATH TYPE`.
pub(crate) async fn names(monitor: &Monitor) -> Result<Vec<String>, AskError> {
    let list = async |folder: &str| {
        let children = monitor
            .ask_list("qom-list", &[("path", folder.into())])
            .await?;
        Ok::<_, AskError>(children.unwrap_or_default())
    };
    let [objects, named, unnamed] = FOLDERS;
    let all = tokio::try_join!(list(objects), list(named), list(unnamed))?;
    let mut names = Vec::new();
    for (folder, children) in FOLDERS.into_iter().zip(<[_; 3]>::from(all)) {
        for (name, kind) in children.iter().filter_map(child) {
            names.push(format!("{folder}/{name} {kind}"));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The name and the type of a child; `None` for other properties.
fn child(property: &Value) -> Option<(&str, &str)> {
    let kind = text(property, "type")?.strip_prefix("child<")?;
    Some((text(property, "name")?, kind.strip_suffix('>')?))
}

/// Looks at all devices that `names` has.
pub(crate) async fn walk(monitor: &Monitor, names: Vec<String>) -> Result<Plan, AskError> {
    let mut walk = Walk {
        monitor,
        properties: HashMap::new(),
    };
    let mut plan = Plan::default();
    let mut paths = BTreeSet::new();
    for name in names.iter().take(MAX_DEVICES) {
        let Some((path, kind)) = name.split_once(' ') else {
            continue;
        };
        if path.starts_with(FOLDERS[0]) && kind != COLO_COMPARE {
            continue;
        }
        paths.insert(path.to_owned());
        plan.devices.extend(walk.device(path, kind).await?);
    }
    if names.len() > MAX_DEVICES {
        let n_left_out = names.len() - MAX_DEVICES;
        plan.notes.push(format!(
            "{n_left_out} of {} objects were not looked at",
            names.len()
        ));
    }
    let blocks = monitor.ask_list("query-block", &[]).await?;
    if blocks.is_none() && !plan.devices.is_empty() {
        plan.notes
            .push("the server does not tell its disks".to_owned());
    }
    let found = disks::disks(blocks.as_deref().unwrap_or_default());
    for disk in found {
        walk.add_disk(&mut plan.devices, disk).await?;
    }
    plan.exports = exports(monitor).await?;
    plan.vcpus = vcpus(monitor).await?;
    let name = monitor.ask("query-name", &[]).await?;
    plan.name = name.and_then(|it| text(&it, "name").map(str::to_owned));
    plan.names = names;
    Ok(plan)
}

struct Walk<'m> {
    monitor: &'m Monitor,
    /// The properties that objects of a type have. Objects of one type have the same ones, except children.
    properties: HashMap<String, HashSet<String>>,
}

impl Walk<'_> {
    /// A device that uses IOThreads or could; nothing if it is of another kind.
    async fn device(&mut self, path: &str, kind: &str) -> Result<Option<Device>, AskError> {
        let properties = self.properties_of(path, kind).await?;
        let has = |name: &str| properties.contains(name);
        let (one, many) = (has("iothread"), has("iothread-vq-mapping"));
        if !one && !many {
            return Ok(None);
        }
        let queues = ["num-queues", "num_queues"]
            .into_iter()
            .find(|name| has(name));
        let has_backend = has("virtio-backend");
        let hints = has("free-page-hint");
        let monitor = self.monitor;
        let mut device = Device {
            path: path.to_owned(),
            kind: kind.to_owned(),
            holder: match has_backend {
                true => format!("{path}/virtio-backend"),
                false => path.to_owned(),
            },
            can_move: true,
            ..Device::default()
        };
        if let Some(name) = queues {
            let number = monitor.property(path, name).await?;
            let number = number.and_then(|it| it.as_u64());
            device.n_queues = number.and_then(|it| u32::try_from(it).ok());
        }
        if one {
            let value = monitor.property(path, "iothread").await?;
            let name = value.as_ref().and_then(Value::as_str).unwrap_or_default();
            // A link is a path; it is empty if it leads nowhere.
            let name = name.rsplit('/').next().unwrap_or_default();
            if !name.is_empty() {
                device.places.push(Place {
                    iothread: name.to_owned(),
                    queues: None,
                });
            }
        }
        if many && device.places.is_empty() {
            let mapping = monitor.property(path, "iothread-vq-mapping").await?;
            let mapping = mapping.as_ref().and_then(Value::as_array);
            device.places = places(mapping.unwrap_or_default(), device.n_queues);
        }
        // A balloon uses its IOThread for hints about free pages and nothing else.
        if hints && !device.places.is_empty() {
            let wanted = monitor.property(path, "free-page-hint").await?;
            if wanted.and_then(|it| it.as_bool()) == Some(false) {
                let name = device.places.remove(0).iothread;
                device.ignored = Some(format!(
                    "iothread={name} without free-page-hint=on, for which alone a balloon uses it"
                ));
            }
        }
        Ok(Some(device))
    }

    async fn properties_of(
        &mut self,
        path: &str,
        kind: &str,
    ) -> Result<&HashSet<String>, AskError> {
        if !self.properties.contains_key(kind) {
            let listed = self
                .monitor
                .ask_list("qom-list", &[("path", path.into())])
                .await?
                .unwrap_or_default();
            let names = listed.iter().filter_map(|it| text(it, "name"));
            let names = names.map(str::to_owned).collect();
            self.properties.insert(kind.to_owned(), names);
        }
        Ok(&self.properties[kind])
    }

    /// Gives a disk to the device that it hangs from: a controller, or the disk itself.
    async fn add_disk(
        &self,
        devices: &mut Vec<Device>,
        disk: DiskOfDevice,
    ) -> Result<(), AskError> {
        let path = disk.disk.device.as_str();
        if let Some(device) = devices.iter_mut().find(|it| it.path == path) {
            device.disks.push(disk.disk);
            return Ok(());
        }
        let bus = self.monitor.property(path, "parent_bus").await?;
        let bus = bus.as_ref().and_then(Value::as_str).unwrap_or_default();
        let controller = devices.iter_mut().find(|device| {
            let below = bus.strip_prefix(&device.path);
            below.is_some_and(|below| below.starts_with('/'))
        });
        match controller {
            Some(controller) => controller.disks.push(disk.disk),
            None if !disk.is_removable => {
                let kind = self.monitor.property(path, "type").await?;
                let kind = kind.as_ref().and_then(Value::as_str).unwrap_or("?");
                devices.push(Device {
                    path: path.to_owned(),
                    kind: kind.to_owned(),
                    holder: path.to_owned(),
                    disks: vec![disk.disk],
                    ..Device::default()
                });
            }
            None => {}
        }
        Ok(())
    }
}

/// The IOThreads of a mapping. Where it does not say which queues run where, they go round.
fn places(mapping: &[Value], n_queues: Option<u32>) -> Vec<Place> {
    let n_threads = mapping.len();
    let place = |(index, entry): (usize, &Value)| {
        let told = entry.get("vqs").and_then(Value::as_array);
        let told = told.map(|queues| {
            let numbers = queues.iter().filter_map(Value::as_u64);
            numbers.filter_map(|it| u32::try_from(it).ok()).collect()
        });
        let round = || {
            let queues = (0..n_queues?).skip(index).step_by(n_threads);
            Some(queues.collect())
        };
        Some(Place {
            iothread: text(entry, "iothread")?.to_owned(),
            queues: told.or_else(round),
        })
    };
    mapping.iter().enumerate().filter_map(place).collect()
}

/// The block exports of a server, of which it does not tell the IOThreads.
async fn exports(monitor: &Monitor) -> Result<Vec<Export>, AskError> {
    let exports = monitor.ask_list("query-block-exports", &[]).await?;
    let export = |value: &Value| Export {
        id: text(value, "id").unwrap_or("?").to_owned(),
        kind: text(value, "type").unwrap_or("?").to_owned(),
        node: text(value, "node-name").unwrap_or("?").to_owned(),
    };
    Ok(exports.iter().flatten().map(export).collect())
}

async fn vcpus(monitor: &Monitor) -> Result<HashSet<i64>, AskError> {
    let vcpus = monitor.ask_list("query-cpus-fast", &[]).await?;
    let numbers = vcpus.iter().flatten();
    let numbers = numbers.filter_map(|it| it.get("thread-id").and_then(Value::as_i64));
    Ok(numbers.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(mapping: &str, n_queues: Option<u32>) -> Vec<(String, Option<Vec<u32>>)> {
        let mapping: Value = serde_json::from_str(mapping).unwrap();
        let placed = places(mapping.as_array().unwrap(), n_queues);
        placed
            .into_iter()
            .map(|place| (place.iothread, place.queues))
            .collect()
    }

    #[test]
    fn queues_go_round_unless_the_mapping_says_where() {
        let (a, b) = ("a".to_owned(), "b".to_owned());
        assert_eq!(
            placed(r#"[{"iothread": "a"}, {"iothread": "b"}]"#, Some(3)),
            [(a.clone(), Some(vec![0, 2])), (b.clone(), Some(vec![1]))]
        );
        assert_eq!(
            placed(r#"[{"iothread": "a"}, {"iothread": "b"}]"#, Some(1)),
            [(a.clone(), Some(vec![0])), (b.clone(), Some(vec![]))]
        );
        assert_eq!(
            placed(
                r#"[{"iothread": "a", "vqs": [1]}, {"iothread": "b", "vqs": [0]}, 7]"#,
                None
            ),
            [(a.clone(), Some(vec![1])), (b, Some(vec![0]))]
        );
        assert_eq!(placed(r#"[{"iothread": "a"}]"#, None), [(a, None)]);
    }
}
