//! Where everything is in the QOM tree.

use std::sync::Arc;

use super::Parts;
use crate::chardev::{self, Chardevs};
use crate::devices;
use crate::objects::Objects;
use crate::qom::types::{CONTAINER, MACHINE};
use crate::qom::{Object, container};

impl Parts {
    /// Puts all parts into the tree; done once, when they are made.
    pub(crate) fn assemble_tree(&self) {
        let mut machine = vec![
            ("peripheral", self.devices.peripheral()),
            ("peripheral-anon", self.devices.peripheral_anon()),
        ];
        for (name, object_type) in devices::machine_buses() {
            machine.push((name, container(object_type, Vec::new())));
        }
        let chardevs: Arc<dyn Object> = Arc::<Chardevs>::clone(&self.host.chardevs);
        let objects: Arc<dyn Object> = Arc::<Objects>::clone(&self.objects);
        let below_root = vec![
            // For QEMU's graphical consoles. Here are no consoles.
            ("backend", container(&CONTAINER, Vec::new())),
            ("machine", container(&MACHINE, machine)),
            ("chardevs", chardevs),
            ("objects", objects),
        ];
        let types = devices::types().chain(chardev::types());
        self.host.tree.assemble(below_root, types);
    }
}
