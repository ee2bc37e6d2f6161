//! Which nodes carry out requests, and which leave their files to others.

use std::sync::Arc;

use iothread::{MainContext, OnMain};
use qapi_runtime::Error;

use super::io::NodeIo;
use super::{Blocks, Graph};
use crate::finally::Finally;
use crate::task;

/// Nodes that were inactive before.
#[derive(Default)]
pub(crate) struct Activated(Vec<Arc<NodeIo>>);

impl Graph {
    /// Lets a node and those below it carry out requests. Returns which of them did not before; they stay as they are if that
    /// fails.
    fn activate(&self, name: &str) -> Result<Activated, Error> {
        let mut activated = Activated::default();
        let mut next = Some(name);
        while let Some(name) = next {
            let node = self.find(name)?;
            if !node.io.set_active(true) {
                activated.0.push(Arc::clone(&node.io));
            }
            next = node.child.as_deref();
        }
        match self.update_locks(name) {
            Ok(()) => Ok(activated),
            Err(error) => {
                self.take_back(name, &activated);
                Err(error)
            }
        }
    }

    fn take_back(&self, name: &str, activated: &Activated) {
        for io in &activated.0 {
            io.set_active(false);
        }
        // To lock less does not fail.
        let _ = self.update_locks(name);
    }

    fn has_active_parent(&self, name: &str) -> bool {
        let is_one =
            |node: &super::Node| node.child.as_deref() == Some(name) && node.io.is_active();
        self.nodes.iter().any(is_one)
    }

    /// Whether an export keeps a node active.
    fn is_kept_active(&self, name: &str) -> bool {
        let node = self.find(name);
        node.is_ok_and(|node| node.users.iter().any(|it| it.user.keeps_active()))
    }

    /// The nodes that go when `name` does: itself, and those below that have no other user.
    fn leaving(&self, name: &str) -> Vec<String> {
        let mut leaving = vec![name.to_owned()];
        let mut next = self.find(name).ok().and_then(|node| node.child.clone());
        while let Some(name) = next {
            let needs_it = |node: &super::Node| {
                node.child.as_ref() == Some(&name)
                    && node.io.is_active()
                    && !leaving.contains(&node.name)
            };
            if self.nodes.iter().any(needs_it) {
                break;
            }
            next = self.find(&name).ok().and_then(|node| node.child.clone());
            leaving.push(name);
        }
        leaving
    }
}

/// What keeps nodes active.
const NOT_PERMITTED: &str = "Operation not permitted";

impl Blocks {
    /// Lets a node and those below it carry out requests. Returns which of them did not before.
    ///
    /// # Errors
    ///
    /// Other processes do not let their users do what they do; they stay as they are.
    pub(crate) fn activate(&self, name: &str) -> Result<Activated, Error> {
        self.graph.lock().activate(name)
    }

    /// Takes the activation of a node back.
    pub(crate) fn deactivate(&self, name: &str, activated: &Activated) {
        self.graph.lock().take_back(name, activated);
    }

    /// `blockdev-set-active`
    pub(crate) async fn set_active(
        &self,
        main: &MainContext,
        name: Option<String>,
        active: bool,
    ) -> Result<(), Error> {
        if active {
            return self.activate_nodes(name.as_deref());
        }
        let leaving = self.begin_to_leave(name.as_deref())?;
        self.requests_have_ended(main).await;
        let graph = self.graph.lock();
        for name in leaving {
            // It may be gone, and to lock less does not fail.
            let _ = graph.update_locks(&name);
        }
        Ok(())
    }

    fn activate_nodes(&self, name: Option<&str>) -> Result<(), Error> {
        let graph = self.graph.lock();
        if let Some(name) = name {
            return graph.activate(name).map(drop);
        }
        // What a node stands on comes before it.
        graph
            .nodes
            .iter()
            .try_for_each(|node| graph.activate(&node.name).map(drop))
    }

    /// Lets nodes take no more requests. Returns which.
    fn begin_to_leave(&self, name: Option<&str>) -> Result<Vec<String>, Error> {
        let graph = self.graph.lock();
        let (leaving, what) = match name {
            Some(name) => {
                graph.find(name)?;
                if graph.has_active_parent(name) {
                    return Err(Error::generic("Node has active parent node"));
                }
                (graph.leaving(name), "node")
            }
            None => {
                let all = graph.nodes.iter().map(|node| node.name.clone());
                (all.collect(), "all nodes")
            }
        };
        let keeps = |name: &String| {
            let is_active = graph.find(name).is_ok_and(|node| node.io.is_active());
            is_active && graph.is_kept_active(name)
        };
        if leaving.iter().any(keeps) {
            return Err(Error::generic(format!(
                "Failed to inactivate {what}: {NOT_PERMITTED}"
            )));
        }
        for name in &leaving {
            graph.find(name)?.io.set_active(false);
        }
        Ok(leaving)
    }

    /// Waits until the requests have ended that are under way now.
    pub(super) async fn requests_have_ended(&self, main: &MainContext) {
        let begin = |_: OnMain<'_>, idle: &Finally| {
            for node in &self.graph.lock().nodes {
                node.io.keep_until_idle(idle);
            }
        };
        // Commands run on the main loop.
        let _ = task::see_through(main, begin).await;
    }
}
