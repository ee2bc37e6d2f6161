//! Devices to the threads that they use.

use crate::facts::{Device, Holder, Origin, Standing, Thread};

/// What a device is called as a holder.
const QOM_OBJECT: &str = "qom-object";

/// Tells each thread the devices that were told to use it: as its holders where the server does not tell them, and otherwise
/// only what is behind each. `origin` says who tells the devices. A thread that
/// devices use and the server does not list was deleted.
pub(crate) fn place(threads: &mut Vec<Thread>, devices: &[Device], origin: Origin) {
    for thread in threads.iter_mut().filter(|it| it.holders.is_none()) {
        thread.holders = Some(Vec::new());
        thread.from = Some(origin);
    }
    for device in devices {
        for place in &device.places {
            let holder = Holder {
                kind: QOM_OBJECT.to_owned(),
                name: device.holder.clone(),
                queues: place.queues.clone(),
                disks: device.disks.clone(),
            };
            match threads.iter_mut().find(|it| it.id == place.iothread) {
                Some(thread) => add(thread, holder),
                None => threads.push(Thread {
                    id: place.iothread.clone(),
                    standing: Standing::Deleted,
                    holders: Some(vec![holder]),
                    from: Some(origin),
                    ..Thread::default()
                }),
            }
        }
    }
}

fn add(thread: &mut Thread, holder: Holder) {
    let is_told = thread.from == Some(Origin::Told);
    let holders = thread.holders.get_or_insert_default();
    if !is_told {
        holders.push(holder);
        return;
    }
    let is_it = |told: &&mut Holder| told.kind == holder.kind && told.name == holder.name;
    if let Some(told) = holders.iter_mut().find(is_it) {
        told.queues = holder.queues;
        told.disks = holder.disks;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Disk, Place};

    fn thread(id: &str, told: Option<Vec<Holder>>) -> Thread {
        Thread {
            id: id.to_owned(),
            from: told.is_some().then_some(Origin::Told),
            holders: told,
            ..Thread::default()
        }
    }

    #[test]
    fn devices_are_holders_unless_the_server_tells_them() {
        let place_on = |id: &str| Place {
            iothread: id.to_owned(),
            queues: Some(vec![0]),
        };
        let device = Device {
            path: "/machine/peripheral/d0".to_owned(),
            holder: "/machine/peripheral/d0/virtio-backend".to_owned(),
            places: vec![place_on("io0"), place_on("io1"), place_on("gone")],
            disks: vec![Disk::default()],
            ..Device::default()
        };
        let told = Holder {
            kind: QOM_OBJECT.to_owned(),
            name: device.holder.clone(),
            ..Holder::default()
        };
        let monitor = Holder {
            kind: "monitor".to_owned(),
            name: "m0".to_owned(),
            ..Holder::default()
        };
        let mut threads = vec![
            thread("io0", None),
            thread("io1", Some(vec![monitor.clone(), told])),
            thread("io2", None),
        ];
        place(&mut threads, &[device], Origin::Derived);
        let holders = |index: usize| threads[index].holders.as_deref().unwrap();
        assert_eq!(holders(0).len(), 1);
        assert_eq!(holders(0)[0].disks.len(), 1);
        assert_eq!(threads[0].from, Some(Origin::Derived));
        // What was told stays, and is told apart by what is behind it.
        assert_eq!(holders(1)[0], monitor);
        assert_eq!(holders(1)[1], holders(0)[0]);
        assert_eq!(threads[1].from, Some(Origin::Told));
        assert_eq!(holders(2), []);
        assert_eq!(threads[3].id, "gone");
        assert_eq!(threads[3].standing, Standing::Deleted);
    }
}
