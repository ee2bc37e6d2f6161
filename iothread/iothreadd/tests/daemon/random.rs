//! Random sequences of commands about nodes, exports and IOThreads: what is reported is what there should be.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::{Client, Server};
use crate::nbd::Nbd;

const N_THREADS: usize = 3;
const N_NODES: usize = 3;
const N_EXPORTS: usize = 4;
const N_CLIENTS: usize = 3;

/// The length of a sequence.
const N_STEPS: usize = 3000;

/// Numbers that look random.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    pub(crate) fn is(&mut self, one_of: usize) -> bool {
        self.below(one_of) == 0
    }
}

/// What there should be.
#[derive(Default)]
struct Model {
    threads: [bool; N_THREADS],
    /// A node, if there is one: its place, and whether it holds that itself.
    nodes: [Option<(Option<usize>, bool)>; N_NODES],
    exports: [Option<Export>; N_EXPORTS],
    nbd: bool,
    /// NBD clients, and the exports that they use.
    clients: Vec<(usize, Nbd)>,
}

struct Export {
    node: usize,
    threads: Vec<usize>,
    fixed: bool,
}

impl Model {
    /// Who holds a thread, in no order.
    fn holders(&self, thread: usize) -> Vec<String> {
        let mut holders = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            if *node == Some((Some(thread), true)) {
                holders.push(json!({"type": "block-node", "node-name": format!("n{index}")}));
            }
        }
        for (index, export) in self.exports.iter().enumerate() {
            if export
                .as_ref()
                .is_some_and(|it| it.threads.contains(&thread))
            {
                holders.push(json!({"type": "block-export", "export-id": format!("e{index}")}));
            }
        }
        let mut holders: Vec<String> = holders.iter().map(Value::to_string).collect();
        holders.sort();
        holders
    }

    fn has_users(&self, node: usize) -> bool {
        self.exports.iter().flatten().any(|it| it.node == node)
    }

    fn is_fixed(&self, node: usize) -> bool {
        let exports = self.exports.iter().flatten();
        exports.filter(|it| it.node == node).any(|it| it.fixed)
    }

    /// An export is gone, and the node goes home if nobody insists.
    fn remove_export(&mut self, index: usize) {
        let Some(export) = self.exports[index].take() else {
            return;
        };
        self.clients.retain(|(used, _)| *used != index);
        let is_fixed = self.is_fixed(export.node);
        if let Some(place) = &mut self.nodes[export.node]
            && !is_fixed
        {
            *place = (None, false);
        }
    }
}

/// A program, its clients, and the model.
struct Run {
    random: Random,
    model: Model,
    clients: Vec<Client>,
    socket: PathBuf,
}

impl Run {
    /// Sends a command through any of the clients. Returns whether it succeeds.
    fn command(&mut self, name: &str, arguments: Value) -> bool {
        let client = self.random.below(N_CLIENTS);
        let reply = self.clients[client].exchange(name, arguments);
        reply.get("return").is_some()
    }

    fn expect(&mut self, name: &str, arguments: Value, should_succeed: bool) -> bool {
        let succeeds = self.command(name, arguments.clone());
        assert_eq!(succeeds, should_succeed, "{name} {arguments}");
        succeeds
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0 => self.add_or_delete_thread(),
            1 => self.add_node(),
            2 => self.delete_node(),
            3 | 4 => self.move_node(),
            5..=7 => self.add_export(),
            8 | 9 => self.delete_export(),
            10 => self.connect(),
            _ => self.start_or_stop(),
        }
    }

    fn add_or_delete_thread(&mut self) {
        let thread = self.random.below(N_THREADS);
        let id = format!("io{thread}");
        let exists = self.model.threads[thread];
        if self.random.is(2) {
            let object = json!({"qom-type": "iothread", "id": id});
            self.expect("object-add", object, !exists);
            self.model.threads[thread] = true;
        } else {
            let is_free = exists && self.model.holders(thread).is_empty();
            if self.expect("object-del", json!({"id": id}), is_free) {
                self.model.threads[thread] = false;
            }
        }
    }

    fn add_node(&mut self) {
        let node = self.random.below(N_NODES);
        let options =
            json!({"driver": "null-co", "node-name": format!("n{node}"), "read-zeroes": true});
        let is_new = self.model.nodes[node].is_none();
        if self.expect("blockdev-add", options, is_new) {
            self.model.nodes[node] = Some((None, false));
        }
    }

    fn delete_node(&mut self) {
        let node = self.random.below(N_NODES);
        let name = json!({"node-name": format!("n{node}")});
        let is_free = self.model.nodes[node].is_some() && !self.model.has_users(node);
        if self.expect("blockdev-del", name, is_free) {
            self.model.nodes[node] = None;
        }
    }

    fn move_node(&mut self) {
        let node = self.random.below(N_NODES);
        let thread = (!self.random.is(3)).then(|| self.random.below(N_THREADS));
        let force = self.random.is(2);
        let model = &self.model;
        let exists = model.nodes[node].is_some() && thread.is_none_or(|it| model.threads[it]);
        let is_there = model.nodes[node].is_some_and(|(place, _)| place == thread);
        let is_movable = (force || !model.has_users(node)) && (is_there || !model.is_fixed(node));
        let arguments = json!({
            "node-name": format!("n{node}"),
            "iothread": thread.map(|it| format!("io{it}")),
            "force": force,
        });
        if self.expect("x-blockdev-set-iothread", arguments, exists && is_movable) {
            self.model.nodes[node] = Some((thread, thread.is_some()));
        }
    }

    fn add_export(&mut self) {
        let index = self.random.below(N_EXPORTS);
        let node = self.random.below(N_NODES);
        let n_threads = self.random.below(3);
        let threads: Vec<usize> = (0..n_threads)
            .map(|_| self.random.below(N_THREADS))
            .collect();
        let fixed = self.random.is(4);
        let model = &self.model;
        let names: Vec<String> = threads.iter().map(|it| format!("io{it}")).collect();
        let mut arguments = json!({
            "type": "nbd", "id": format!("e{index}"), "name": format!("e{index}"),
            "node-name": format!("n{node}"), "fixed-iothread": fixed,
        });
        match &names[..] {
            [] => {}
            [name] => arguments["iothread"] = json!(name),
            names => arguments["iothread"] = json!(names),
        }
        let home = threads.first().copied();
        let place = model.nodes[node].map(|(place, _)| place);
        let moves = home.is_some() && place != Some(home);
        let is_good = model.nbd
            && model.exports[index].is_none()
            && place.is_some()
            && threads.iter().all(|it| model.threads[*it])
            && !(threads.len() == 2 && threads[0] == threads[1])
            && !(fixed && threads.len() > 1)
            && !(fixed && moves && model.is_fixed(node));
        let is_moved = moves && !model.is_fixed(node);
        if self.expect("block-export-add", arguments, is_good) {
            if is_moved {
                self.model.nodes[node] = Some((home, false));
            }
            self.model.exports[index] = Some(Export {
                node,
                threads,
                fixed,
            });
        }
    }

    fn delete_export(&mut self) {
        let index = self.random.below(N_EXPORTS);
        let is_hard = self.random.is(2);
        let mode = if is_hard { "hard" } else { "safe" };
        let arguments = json!({"id": format!("e{index}"), "mode": mode});
        let is_used = self.model.clients.iter().any(|(used, _)| *used == index);
        let is_good = self.model.exports[index].is_some() && (is_hard || !is_used);
        if self.expect("block-export-del", arguments, is_good) {
            self.model.remove_export(index);
        }
    }

    fn connect(&mut self) {
        let index = self.random.below(N_EXPORTS);
        if self.model.exports[index].is_some() && self.model.clients.len() < 16 {
            let mut client = Nbd::open(&self.socket, &format!("e{index}"));
            assert_eq!(client.read(512, 512), [0; 512]);
            self.model.clients.push((index, client));
        }
        // Those that are there go on, wherever they were moved.
        for (_, client) in &mut self.model.clients {
            assert_eq!(client.read(0, 16), [0; 16]);
        }
    }

    fn start_or_stop(&mut self) {
        let runs = self.model.nbd;
        if runs && !self.random.is(4) {
            return;
        }
        if runs {
            self.expect("nbd-server-stop", json!({}), true);
            for index in (0..N_EXPORTS).rev() {
                self.model.remove_export(index);
            }
        } else {
            let address = json!({"type": "unix", "data": {"path": self.socket}});
            self.expect("nbd-server-start", json!({"addr": address}), true);
        }
        self.model.nbd = !runs;
    }

    fn check(&mut self) {
        let threads = self.clients[0].execute("query-iothreads", json!({}));
        let ids = |it: &Value| it["id"].as_str().unwrap().to_owned();
        let mut reported: Vec<String> = threads.as_array().unwrap().iter().map(ids).collect();
        reported.sort();
        let alive = (0..N_THREADS).filter(|it| self.model.threads[*it]);
        let alive: Vec<String> = alive.map(|it| format!("io{it}")).collect();
        assert_eq!(reported, alive);
        for thread in threads.as_array().unwrap() {
            let index: usize = thread["id"].as_str().unwrap()[2..].parse().unwrap();
            let holders = thread["holders"].as_array().unwrap();
            let mut holders: Vec<String> = holders.iter().map(Value::to_string).collect();
            holders.sort();
            assert_eq!(holders, self.model.holders(index), "io{index}");
        }
    }
}

fn run(seed: u64) {
    let server = Server::start(&[]);
    let mut run = Run {
        random: Random(seed),
        model: Model::default(),
        clients: (0..N_CLIENTS).map(|_| server.client()).collect(),
        socket: server.folder().join("nbd"),
    };
    for step in 0..N_STEPS {
        run.step();
        run.check();
        // Events would fill the clients' memory.
        if step % 100 == 0 {
            run.clients = (0..N_CLIENTS).map(|_| server.client()).collect();
        }
    }
    // In the end all of it can go.
    if run.model.nbd {
        run.expect("nbd-server-stop", json!({}), true);
    }
    for node in 0..N_NODES {
        run.command("blockdev-del", json!({"node-name": format!("n{node}")}));
    }
    for thread in 0..N_THREADS {
        let exists = run.model.threads[thread];
        run.expect("object-del", json!({"id": format!("io{thread}")}), exists);
    }
}

#[test]
fn holders_are_what_they_should_be() {
    run(1);
}

#[test]
fn holders_are_what_they_should_be_again() {
    run(2);
}
