//! A server and what a test sees of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use libtest_mimic::Failed;
use serde_json::{Value, json};
use tests::{Qmp, Server};

/// A server with two IOThreads that users can name.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) qmp: Qmp,
}

/// All that there is, for comparison.
#[derive(Debug, PartialEq)]
pub(crate) struct Snapshot {
    holders: BTreeMap<String, Vec<Value>>,
    rest: Vec<(&'static str, Value)>,
}

impl World {
    pub(crate) fn start() -> Result<Self, Failed> {
        let server = Server::start_iothreadd(&[
            "--object",
            "iothread,id=io0",
            "--object",
            "iothread,id=io1",
        ]);
        Self::of(server)
    }

    /// Of a server that has these IOThreads.
    pub(crate) fn of(server: Server) -> Result<Self, Failed> {
        let qmp = Qmp::open(server.socket())?;
        Ok(Self { server, qmp })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.server.folder().join(name)
    }

    /// A path at which there is nothing. A peer that is gone may still be about to remove another one.
    pub(crate) fn new_path(&self, name: &str) -> PathBuf {
        let mut paths = (0..).map(|number| self.path(&format!("{name}{number}")));
        let is_new = |path: &PathBuf| path.symlink_metadata().is_err();
        paths.find(is_new).expect("numbers without end")
    }

    pub(crate) fn run(&mut self, command: &str, arguments: Value) -> Result<Value, Failed> {
        Ok(self.qmp.execute(command, arguments)?)
    }

    /// The text that a command fails with.
    pub(crate) fn refusal(&mut self, command: &str, arguments: &Value) -> Result<String, Failed> {
        let reply = self.qmp.exchange(command, arguments)?;
        match reply["error"]["desc"].as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(format!("{command} {arguments} succeeds: {reply}").into()),
        }
    }

    pub(crate) fn property(&mut self, path: &str, property: &str) -> Result<Value, Failed> {
        self.run("qom-get", json!({"path": path, "property": property}))
    }

    /// Who holds each IOThread, those of the server's own included.
    pub(crate) fn holders(&mut self) -> Result<BTreeMap<String, Vec<Value>>, Failed> {
        let mut holders = BTreeMap::new();
        for query in ["query-iothreads", "x-query-internal-iothreads"] {
            let threads = self.run(query, json!({}))?;
            for thread in threads.as_array().into_iter().flatten() {
                let id = thread["id"].as_str().unwrap_or_default().to_owned();
                let list = thread["holders"].as_array().cloned();
                holders.insert(id, list.unwrap_or_default());
            }
        }
        Ok(holders)
    }

    /// The kernel's id of an IOThread.
    pub(crate) fn thread_id(&mut self, id: &str) -> Result<i64, Failed> {
        for query in ["query-iothreads", "x-query-internal-iothreads"] {
            let threads = self.run(query, json!({}))?;
            let mut threads = threads.as_array().into_iter().flatten();
            if let Some(thread) = threads.find(|thread| thread["id"] == id) {
                return thread["thread-id"].as_i64().ok_or_else(|| "no id".into());
            }
        }
        Err(format!("no IOThread '{id}'").into())
    }

    pub(crate) fn snapshot(&mut self) -> Result<Snapshot, Failed> {
        let mut rest = Vec::new();
        for query in [
            "query-block",
            "query-named-block-nodes",
            "query-block-exports",
            "query-chardev",
            "query-yank",
        ] {
            rest.push((query, self.run(query, json!({}))?));
        }
        for path in [
            "/objects",
            "/chardevs",
            "/machine/peripheral",
            "/machine/peripheral-anon",
        ] {
            rest.push((path, self.run("qom-list", json!({"path": path}))?));
        }
        Ok(Snapshot {
            holders: self.holders()?,
            rest,
        })
    }

    /// Removes a device, and waits until it is gone.
    pub(crate) fn unplug(&mut self, id: &str) -> Result<(), Failed> {
        self.run("device_del", json!({"id": id}))?;
        self.wait_for("DEVICE_DELETED", "device", id)
    }

    /// Waits for an event about something.
    pub(crate) fn wait_for(&mut self, event: &str, member: &str, name: &str) -> Result<(), Failed> {
        loop {
            let next = self.qmp.event()?;
            if next["event"] == event && next["data"][member] == name {
                return Ok(());
            }
        }
    }

    pub(crate) fn add_node(&mut self, name: &str) -> Result<(), Failed> {
        let node =
            json!({"driver": "null-co", "node-name": name, "size": 1 << 20, "read-zeroes": true});
        self.run("blockdev-add", node).map(drop)
    }

    pub(crate) fn delete_node(&mut self, name: &str) -> Result<(), Failed> {
        self.run("blockdev-del", json!({"node-name": name}))
            .map(drop)
    }

    /// A character device on which peers can be waited for.
    pub(crate) fn add_chardev(&mut self, id: &str) -> Result<(), Failed> {
        let addr = json!({"type": "unix", "data": {"path": self.path(id)}});
        let backend = json!({"type": "socket", "data": {"addr": addr}});
        self.run("chardev-add", json!({"id": id, "backend": backend}))
            .map(drop)
    }

    pub(crate) fn delete_chardev(&mut self, id: &str) -> Result<(), Failed> {
        self.run("chardev-remove", json!({"id": id})).map(drop)
    }
}
