//! Random sequences of commands from several clients: who is reported as a holder is who is there, at any moment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use libtest_mimic::Failed;
use serde_json::{Value, json};
use tests::{Qmp, Random};

use super::world::World;

const N_CLIENTS: usize = 4;
const N_STEPS: usize = 1500;
const THREADS: [&str; 3] = ["io0", "io1", "io2"];

/// The threads and the holders on them, each counted.
type Holders = BTreeMap<(String, String), usize>;

/// What one client has made, and so has to be reported. Its names are its own; the IOThreads are everybody's.
struct Client {
    qmp: Qmp,
    random: Random,
    number: usize,
    /// Where sockets are.
    folder: PathBuf,
    nodes: BTreeMap<String, Node>,
    /// Devices and exports: what each of them holds, and which node it uses.
    users: BTreeMap<String, User>,
    /// Objects on character devices.
    objects: BTreeMap<String, Holder>,
    n_refused: usize,
    n_deleted_threads: usize,
}

#[derive(Default)]
struct Node {
    /// The thread that the node itself holds.
    held: Option<String>,
    is_used: bool,
}

struct User {
    holds: Vec<Holder>,
    nodes: Vec<String>,
    is_export: bool,
}

struct Holder {
    thread: String,
    description: Value,
}

#[test]
fn random_sequences() -> Result<(), Failed> {
    let mut world = World::start()?;
    let addr = json!({"type": "unix", "data": {"path": world.path("nbd")}});
    world.run("nbd-server-start", json!({"addr": addr}))?;
    let before = world.snapshot()?;
    let clients = std::thread::scope(|scope| {
        let socket = world.server.socket().to_owned();
        let folder = world.server.folder();
        let run = |number| {
            let (socket, folder) = (socket.clone(), folder.to_owned());
            scope.spawn(move || {
                let mut client = Client::new(Qmp::open(&socket)?, number, &folder);
                client.run()?;
                Ok::<_, Failed>(client)
            })
        };
        let running: Vec<_> = (0..N_CLIENTS).map(run).collect();
        let joined = running.into_iter().map(|it| it.join().expect("a client"));
        joined.collect::<Result<Vec<_>, Failed>>()
    })?;
    // The sequences did come to what they are about.
    let n_refused: usize = clients.iter().map(|it| it.n_refused).sum();
    let n_deleted: usize = clients.iter().map(|it| it.n_deleted_threads).sum();
    assert!(
        n_refused > 0 && n_refused < N_CLIENTS * N_STEPS * 3 / 4,
        "{n_refused}"
    );
    assert!(n_deleted > 0);
    drop(clients);
    for thread in THREADS {
        // Not every one is there.
        let _ = world.qmp.exchange("object-del", &json!({"id": thread}))?;
    }
    for thread in ["io0", "io1"] {
        world.run("object-add", json!({"qom-type": "iothread", "id": thread}))?;
    }
    assert_eq!(world.snapshot()?, before);
    Ok(())
}

impl Client {
    fn new(qmp: Qmp, number: usize, folder: &Path) -> Self {
        Self {
            qmp,
            random: Random::new(number as u64),
            number,
            folder: folder.to_owned(),
            nodes: BTreeMap::new(),
            users: BTreeMap::new(),
            objects: BTreeMap::new(),
            n_refused: 0,
            n_deleted_threads: 0,
        }
    }

    fn run(&mut self) -> Result<(), Failed> {
        for name in ["p", "s", "o", "m"] {
            let id = self.name(name);
            let addr = json!({"type": "unix", "data": {"path": self.folder.join(&id)}});
            let backend = json!({"type": "socket", "data": {"addr": addr}});
            let done = self.try_to("chardev-add", json!({"id": id, "backend": backend}))?;
            assert!(done);
        }
        for _ in 0..N_STEPS {
            self.step()?;
            self.check()?;
        }
        // The end gives everything back, in whatever order.
        while let Some(user) = self.users.keys().next().cloned() {
            self.remove_user(&user)?;
        }
        for object in std::mem::take(&mut self.objects).into_keys() {
            let done = self.try_to("object-del", json!({"id": object}))?;
            assert!(done);
        }
        for node in std::mem::take(&mut self.nodes).into_keys() {
            let done = self.try_to("blockdev-del", json!({"node-name": node}))?;
            assert!(done, "{node}");
        }
        self.check()?;
        for name in ["p", "s", "o", "m"] {
            let id = self.name(name);
            let done = self.try_to("chardev-remove", json!({"id": id}))?;
            assert!(done);
        }
        Ok(())
    }

    fn name(&self, what: &str) -> String {
        format!("c{}-{what}", self.number)
    }

    fn some_name(&mut self, what: &str) -> String {
        let number = self.random.below(4);
        self.name(&format!("{what}{number}"))
    }

    fn some_thread(&mut self) -> String {
        self.random
            .pick(&THREADS)
            .copied()
            .unwrap_or("io0")
            .to_owned()
    }

    /// Whether a command succeeds.
    fn try_to(&mut self, command: &str, arguments: Value) -> Result<bool, Failed> {
        let reply = self.qmp.exchange(command, &arguments)?;
        let done = reply.get("return").is_some();
        let class = &reply["error"]["class"];
        assert!(done || *class != "CommandNotFound", "{command}: {reply}");
        self.n_refused += usize::from(!done);
        Ok(done)
    }

    fn step(&mut self) -> Result<(), Failed> {
        match self.random.below(12) {
            0 => self.add_node(),
            1 => self.delete_node(),
            2 | 3 => self.move_node(),
            4..=6 => self.add_device(),
            7 => self.add_export(),
            8 | 9 => self.remove_some_user(),
            10 => self.add_or_delete_object(),
            _ => self.add_or_delete_thread(),
        }
    }

    fn add_node(&mut self) -> Result<(), Failed> {
        let name = self.some_name("n");
        let node = json!({"driver": "null-co", "node-name": name});
        let done = self.try_to("blockdev-add", node)?;
        assert_eq!(done, !self.nodes.contains_key(&name), "{name}");
        self.nodes.entry(name).or_default();
        Ok(())
    }

    fn delete_node(&mut self) -> Result<(), Failed> {
        let name = self.some_name("n");
        let done = self.try_to("blockdev-del", json!({"node-name": name}))?;
        let is_free = self.nodes.get(&name).is_some_and(|node| !node.is_used);
        assert_eq!(done, is_free, "{name}");
        if done {
            self.nodes.remove(&name);
        }
        Ok(())
    }

    fn move_node(&mut self) -> Result<(), Failed> {
        let name = self.some_name("n");
        let thread = match self.random.once_in(4) {
            true => None,
            false => Some(self.some_thread()),
        };
        let place = json!({"node-name": name, "iothread": thread});
        let done = self.try_to("x-blockdev-set-iothread", place)?;
        let node = self.nodes.get_mut(&name);
        assert!(
            !done || node.as_ref().is_some_and(|node| !node.is_used),
            "{name}"
        );
        if let Some(node) = node.filter(|_| done) {
            node.held = thread;
        }
        Ok(())
    }

    /// Threads of a mapping, or one.
    fn some_threads(&mut self) -> (Value, Vec<String>) {
        if self.random.once_in(2) {
            let thread = self.some_thread();
            return (json!({"iothread": thread}), vec![thread]);
        }
        let (first, second) = (self.some_thread(), self.some_thread());
        let mapping = json!([{"iothread": first}, {"iothread": second}]);
        (json!({"iothread-vq-mapping": mapping}), vec![first, second])
    }

    fn add_device(&mut self) -> Result<(), Failed> {
        let id = self.some_name("d");
        let path = format!("/machine/peripheral/{id}");
        let node = self.some_name("n");
        let (mut device, threads) = self.some_threads();
        device["id"] = json!(id);
        let (mut holder, mut nodes) = (format!("{path}/virtio-backend"), Vec::new());
        let mut threads = threads;
        match self.random.below(5) {
            0 => {
                device["driver"] = json!("virtio-scsi-pci");
            }
            1 => {
                device["driver"] = json!("virtio-balloon-pci");
                device["free-page-hint"] = json!(true);
            }
            2 => {
                device["driver"] = json!("xen-disk");
                device["drive"] = json!(node);
                device["vdev"] = json!(format!("d{}", self.number));
                if self.random.once_in(2) {
                    device.as_object_mut().and_then(|it| it.remove("iothread"));
                    threads = vec![format!("d{}", self.number)];
                }
                holder = path;
                nodes.push(node);
            }
            _ => {
                device["driver"] = json!("virtio-blk-pci");
                device["drive"] = json!(node);
                nodes.push(node);
            }
        }
        if !self.try_to("device_add", device.clone())? {
            return Ok(());
        }
        assert!(!self.users.contains_key(&id), "{id}");
        let description = json!({"type": "qom-object", "qom-path": holder});
        self.add_user(id, threads, description, nodes, false);
        Ok(())
    }

    fn add_export(&mut self) -> Result<(), Failed> {
        let id = self.some_name("e");
        let node = self.some_name("n");
        let thread = self.some_thread();
        let mut export = json!({"type": "nbd", "id": id, "node-name": node, "iothread": thread});
        if self.random.once_in(2) {
            let path = self.folder.join(&id);
            export["type"] = json!("vhost-user-blk");
            export["addr"] = json!({"type": "unix", "path": path});
        }
        let mut threads = vec![thread];
        if self.random.once_in(3) {
            let second = self.some_thread();
            export["iothread"] = json!([threads[0], second]);
            threads.push(second);
        }
        // A place that is insisted on, so that it is all or nothing.
        export["fixed-iothread"] = json!(true);
        if self.try_to("block-export-add", export)? {
            assert!(!self.users.contains_key(&id), "{id}");
            let description = json!({"type": "block-export", "export-id": id});
            self.add_user(id, threads, description, vec![node], true);
        }
        Ok(())
    }

    fn add_user(
        &mut self,
        id: String,
        threads: Vec<String>,
        description: Value,
        nodes: Vec<String>,
        is_export: bool,
    ) {
        for name in &nodes {
            let node = self.nodes.get_mut(name);
            let node = node.unwrap_or_else(|| panic!("{id} uses {name}, which is not there"));
            node.is_used = true;
            // If it had to be moved, it does not hold by itself any more.
            if node.held.as_ref() != threads.first() {
                node.held = None;
            }
        }
        let hold = |thread| Holder {
            thread,
            description: description.clone(),
        };
        let user = User {
            holds: threads.into_iter().map(hold).collect(),
            nodes,
            is_export,
        };
        self.users.insert(id, user);
    }

    fn remove_some_user(&mut self) -> Result<(), Failed> {
        let ids: Vec<String> = self.users.keys().cloned().collect();
        match self.random.pick(&ids) {
            Some(id) => self.remove_user(&id.clone()),
            None => {
                let id = self.some_name("d");
                let done = self.try_to("device_del", json!({"id": id}))?;
                assert!(!done);
                Ok(())
            }
        }
    }

    fn remove_user(&mut self, id: &str) -> Result<(), Failed> {
        let Some(user) = self.users.remove(id) else {
            return Ok(());
        };
        let (command, event, member) = match user.is_export {
            true => ("block-export-del", "BLOCK_EXPORT_DELETED", "id"),
            false => ("device_del", "DEVICE_DELETED", "device"),
        };
        let done = self.try_to(command, json!({"id": id}))?;
        assert!(done, "{id}");
        loop {
            let next = self.qmp.event()?;
            if next["event"] == event && next["data"][member] == id {
                break;
            }
        }
        for name in user.nodes {
            let others = self.users.values().any(|other| other.nodes.contains(&name));
            if let Some(node) = self.nodes.get_mut(&name) {
                node.is_used = others;
                // Nobody is left who insists on its place.
                if !others {
                    node.held = None;
                }
            }
        }
        Ok(())
    }

    fn add_or_delete_object(&mut self) -> Result<(), Failed> {
        let is_monitor = self.random.once_in(2);
        let id = self.name(if is_monitor { "mon" } else { "cmp" });
        if self.objects.contains_key(&id) {
            let done = self.try_to("object-del", json!({"id": id}))?;
            assert!(done);
            self.objects.remove(&id);
            return Ok(());
        }
        let (object, holder) = if is_monitor {
            let holder = Holder {
                thread: "mon_iothread".to_owned(),
                description: json!({"type": "monitor", "monitor-name": id}),
            };
            let chardev = self.name("m");
            (
                json!({"qom-type": "monitor-qmp", "id": id, "chardev": chardev}),
                holder,
            )
        } else {
            let thread = self.some_thread();
            let object = json!({
                "qom-type": "colo-compare", "id": id, "iothread": thread, "primary_in": self.name("p"),
                "secondary_in": self.name("s"), "outdev": self.name("o"),
            });
            let description = json!({"type": "qom-object", "qom-path": format!("/objects/{id}")});
            (
                object,
                Holder {
                    thread,
                    description,
                },
            )
        };
        if self.try_to("object-add", object)? {
            self.objects.insert(id, holder);
        }
        Ok(())
    }

    /// Any client may delete any thread: it must not go while this one has something there.
    fn add_or_delete_thread(&mut self) -> Result<(), Failed> {
        let thread = self.some_thread();
        if self.random.once_in(2) {
            self.try_to("object-add", json!({"qom-type": "iothread", "id": thread}))?;
            return Ok(());
        }
        if self.try_to("object-del", json!({"id": thread}))? {
            let held = self.expected();
            let is_there = |(name, _): &(String, String)| *name == thread;
            assert!(
                !held.keys().any(is_there),
                "{thread} was deleted with holders"
            );
            self.n_deleted_threads += 1;
        }
        Ok(())
    }

    /// What has to be reported of this client.
    fn expected(&self) -> Holders {
        let of_node = |(name, node): (&String, &Node)| {
            let thread = node.held.clone()?;
            let description = json!({"type": "block-node", "node-name": name});
            Some((thread, description.to_string()))
        };
        let nodes = self.nodes.iter().filter_map(of_node);
        let users = self.users.values().flat_map(|user| &user.holds);
        let others = users.chain(self.objects.values());
        let others = others.map(|it| (it.thread.clone(), it.description.to_string()));
        count(nodes.chain(others))
    }

    /// Compares it with what is reported.
    fn check(&mut self) -> Result<(), Failed> {
        let own = format!("c{}-", self.number);
        let mut reported = Vec::new();
        for query in ["query-iothreads", "x-query-internal-iothreads"] {
            let threads = self.qmp.execute(query, json!({}))?;
            for thread in threads.as_array().into_iter().flatten() {
                let id = thread["id"].as_str().unwrap_or_default();
                for holder in thread["holders"].as_array().into_iter().flatten() {
                    let description = holder.to_string();
                    if description.contains(&own) {
                        reported.push((id.to_owned(), description));
                    }
                }
            }
        }
        assert_eq!(count(reported.into_iter()), self.expected());
        Ok(())
    }
}

fn count(holders: impl Iterator<Item = (String, String)>) -> Holders {
    let mut counted = Holders::new();
    for holder in holders {
        *counted.entry(holder).or_default() += 1;
    }
    counted
}
