//! A domain, as libvirt describes it.

use roxmltree::{Document, Node};

use crate::facts::{Device, Disk, Place};

/// What follows from the description of a domain.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Domain {
    pub(crate) uuid: String,
    /// The program that runs it.
    pub(crate) emulator: String,
    /// The IOThreads, as QEMU calls them.
    pub(crate) iothreads: Vec<String>,
    pub(crate) devices: Vec<Device>,
}

/// What libvirt calls its IOThreads.
pub(super) fn iothread(number: &str) -> String {
    format!("iothread{number}")
}

impl Domain {
    /// Reads the answer to `dumpxml`; whatever stands around the description is of no meaning.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn parse(answer: &str) -> Result<Self, String> {
        const END: &str = "</domain>";
        let begin = answer.find("<domain").ok_or("no description")?;
        let length = answer[begin..].rfind(END).ok_or("no whole description")?;
        let text = &answer[begin..begin + length + END.len()];
        let document = Document::parse(text).map_err(|error| error.to_string())?;
        let root = document.root_element();
        let mut domain = Self {
            uuid: text_of(root, "uuid"),
            iothreads: iothreads(root),
            ..Self::default()
        };
        let Some(devices) = child(root, "devices") else {
            return Ok(domain);
        };
        domain.emulator = text_of(devices, "emulator");
        for node in children(devices, "controller") {
            domain.devices.extend(controller(node));
        }
        for node in children(devices, "disk") {
            domain.add_disk(node);
        }
        Ok(domain)
    }

    fn add_disk(&mut self, node: Node<'_, '_>) {
        let path = path_of(node);
        let disk = Disk {
            device: path.clone(),
            node: String::new(),
            file: file(node),
        };
        let bus = child(node, "target").and_then(|it| it.attribute("bus"));
        match bus {
            Some("virtio") => {
                let device = device(node, "virtio-blk-pci");
                self.devices.push(Device {
                    disks: vec![disk],
                    ..device
                });
            }
            Some("scsi") => {
                let number = child(node, "address").and_then(|it| it.attribute("controller"));
                let alias = format!("{PERIPHERAL}scsi{}", number.unwrap_or("0"));
                let controller = self.devices.iter_mut().find(|it| it.path == alias);
                if let Some(controller) = controller {
                    controller.disks.push(disk);
                }
            }
            Some(_) | None if node.attribute("device") == Some("disk") => {
                self.devices.push(Device {
                    holder: path.clone(),
                    path,
                    kind: bus.unwrap_or("?").to_owned(),
                    disks: vec![disk],
                    ..Device::default()
                });
            }
            Some(_) | None => {}
        }
    }
}

const PERIPHERAL: &str = "/machine/peripheral/";

fn children<'a, 'i: 'a>(
    node: Node<'a, 'i>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |it| it.has_tag_name(name))
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> Option<Node<'a, 'i>> {
    node.children().find(|it| it.has_tag_name(name))
}

fn text_of(node: Node<'_, '_>, name: &'static str) -> String {
    let text = child(node, name).and_then(|it| it.text());
    text.unwrap_or_default().trim().to_owned()
}

/// Those with numbers of their own, and as many more as there are to be.
fn iothreads(root: Node<'_, '_>) -> Vec<String> {
    let count: usize = text_of(root, "iothreads").parse().unwrap_or(0);
    let own = child(root, "iothreadids").into_iter();
    let own = own.flat_map(|it| children(it, "iothread"));
    let mut numbers: Vec<u32> = own
        .filter_map(|it| it.attribute("id")?.parse().ok())
        .collect();
    let mut next = 1;
    // As many as a guest could have, whatever the number says.
    while numbers.len() < count.min(4_096) {
        if !numbers.contains(&next) {
            numbers.push(next);
        }
        next += 1;
    }
    numbers.sort_unstable();
    numbers.iter().map(|it| iothread(&it.to_string())).collect()
}

fn path_of(node: Node<'_, '_>) -> String {
    let alias = child(node, "alias").and_then(|it| it.attribute("name"));
    format!("{PERIPHERAL}{}", alias.unwrap_or("?"))
}

fn controller(node: Node<'_, '_>) -> Option<Device> {
    let is_virtio = node
        .attribute("model")
        .is_some_and(|it| it.starts_with("virtio"));
    let is_scsi = node.attribute("type") == Some("scsi");
    (is_scsi && is_virtio).then(|| device(node, "virtio-scsi-pci"))
}

/// A virtio device with its place.
fn device(node: Node<'_, '_>, kind: &str) -> Device {
    let path = path_of(node);
    let driver = child(node, "driver");
    let n_queues = driver.and_then(|it| it.attribute("queues")?.parse().ok());
    let one = driver.and_then(|it| it.attribute("iothread"));
    let many = driver.and_then(|it| child(it, "iothreads"));
    let mut places: Vec<Place> = one
        .iter()
        .map(|it| Place {
            iothread: iothread(it),
            queues: None,
        })
        .collect();
    let mapped = many.into_iter().flat_map(|it| children(it, "iothread"));
    let mapped: Vec<_> = mapped.collect();
    for (index, entry) in mapped.iter().enumerate() {
        let told: Vec<u32> = children(*entry, "queue")
            .filter_map(|it| it.attribute("id")?.parse().ok())
            .collect();
        // Where it is not told which queues run where, they go round.
        let round = |count: u32| (0..count).skip(index).step_by(mapped.len()).collect();
        places.push(Place {
            iothread: iothread(entry.attribute("id").unwrap_or("?")),
            queues: match told.is_empty() {
                true => n_queues.map(round),
                false => Some(told),
            },
        });
    }
    Device {
        holder: format!("{path}/virtio-backend"),
        path,
        kind: kind.to_owned(),
        n_queues,
        places,
        can_move: true,
        ..Device::default()
    }
}

/// The file, the device, or whatever else the disk comes from.
fn file(node: Node<'_, '_>) -> Option<String> {
    let source = child(node, "source")?;
    let names = ["file", "dev", "name", "volume", "dir"];
    let name = names.into_iter().find_map(|it| source.attribute(it));
    name.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "virsh # dumpxml vm
<domain type='qemu' id='1'>
  <name>vm</name>
  <uuid>c1bccfdf-241c-4859-90c7-9356bfbb1a17</uuid>
  <iothreads>3</iothreads>
  <iothreadids><iothread id='7'/></iothreadids>
  <devices>
    <emulator>/usr/bin/qemu</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' iothread='2'/>
      <source file='/srv/a &amp; b'/><target dev='vda' bus='virtio'/><alias name='virtio-disk0'/>
    </disk>
    <disk type='block' device='disk'>
      <driver name='qemu' queues='3'><iothreads><iothread id='1'/><iothread id='7'/></iothreads></driver>
      <source dev='/dev/b'/><target dev='vdb' bus='virtio'/><alias name='virtio-disk1'/>
    </disk>
    <disk type='file' device='disk'>
      <source file='/srv/c'/><target dev='sda' bus='scsi'/><alias name='scsi0-0-0-0'/>
      <address type='drive' controller='0' bus='0' target='0' unit='0'/>
    </disk>
    <disk type='file' device='cdrom'><target dev='hda' bus='ide'/><alias name='ide0'/></disk>
    <controller type='scsi' index='0' model='virtio-scsi'>
      <driver iothread='1'/><alias name='scsi0'/>
    </controller>
    <controller type='usb' index='0'><alias name='usb'/></controller>
  </devices>
</domain>

virsh # echo end-1";

    #[test]
    fn domains_are_read() {
        let domain = Domain::parse(TEXT).unwrap();
        assert_eq!(domain.iothreads, ["iothread1", "iothread2", "iothread7"]);
        assert_eq!(domain.emulator, "/usr/bin/qemu");
        let devices: Vec<_> = domain
            .devices
            .iter()
            .map(|it| {
                let places: Vec<_> = it.places.iter().map(|it| &it.iothread[..]).collect();
                let files: Vec<_> = it
                    .disks
                    .iter()
                    .filter_map(|it| it.file.as_deref())
                    .collect();
                (it.path.as_str(), places, files)
            })
            .collect();
        assert_eq!(
            devices,
            [
                (
                    "/machine/peripheral/scsi0",
                    vec!["iothread1"],
                    vec!["/srv/c"]
                ),
                (
                    "/machine/peripheral/virtio-disk0",
                    vec!["iothread2"],
                    vec!["/srv/a & b"]
                ),
                (
                    "/machine/peripheral/virtio-disk1",
                    vec!["iothread1", "iothread7"],
                    vec!["/dev/b"]
                ),
            ]
        );
        let mapped = &domain.devices[2].places;
        assert_eq!(mapped[0].queues, Some(vec![0, 2]));
        assert_eq!(mapped[1].queues, Some(vec![1]));
    }

    #[test]
    fn what_is_no_domain() {
        for wrong in [
            "",
            "<domain>",
            "<domain><a></domain>",
            "<!DOCTYPE x><domain></domain",
        ] {
            assert!(Domain::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Domain::parse("<domain></domain>"), Ok(Domain::default()));
    }
}
