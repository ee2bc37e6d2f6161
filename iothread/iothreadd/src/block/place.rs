//! On which event loop a node is, and who made it be there.

use std::sync::{Arc, Weak};

use iothread::{IoThread, OnMain, SharedContext, holder};
use qapi_runtime::Error;

use super::access::Access;
use super::{Blocks, Graph, Node, UserPath, forget};
use crate::finally::Finally;
use crate::leaving;
use crate::qemu_text::QemuText;

/// The event loop of a node: that of an IOThread, or the main loop.
#[derive(Clone, Default)]
pub(super) struct NodeContext {
    thread: Option<IoThread>,
    /// The context that the node holds if `x-blockdev-set-iothread` named it; nodes that moved along with it hold nothing.
    held: Option<SharedContext>,
    /// The context of the export that moved the node, which others use as long as it is there.
    lent: Option<Lent>,
}

/// A context that belongs to an export.
#[derive(Clone)]
struct Lent {
    lender: UserPath,
    /// Ends with the export, which releases it.
    context: SharedContext,
}

/// A user that is wherever its node is.
pub(crate) trait Follower: Send + Sync {
    /// The node has moved to an IOThread that it or another export holds; `None` is the main loop. Afterwards the user's
    /// former place is given up, so what it still wants to do there is refused. Keeps `moved` until it is there.
    fn follow(&self, main: OnMain<'_>, home: Option<SharedContext>, moved: &Finally);
}

/// A device or an export that uses a node.
#[derive(Clone)]
pub(crate) struct NodeUser {
    /// Its path, or whatever else tells it apart.
    pub(crate) path: UserPath,
    /// Whether it puts up with the node being moved.
    allows_move: bool,
    kind: UserKind,
    follower: Option<Weak<dyn Follower>>,
}

/// What a device has its node for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Medium {
    /// It writes if the node can be written to.
    Disk,
    /// It only reads, and the medium can be taken out.
    Optical,
}

/// What an export has its node for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExportRights {
    /// Whether clients may write.
    pub(crate) writable: bool,
    /// Whether the node may be inactive. One that clients write to has to be active otherwise.
    pub(crate) allows_inactive: bool,
}

#[derive(Clone, Copy)]
enum UserKind {
    Device {
        medium: Medium,
        shares_writing: bool,
    },
    Export(ExportRights),
    /// Who gives it another size.
    Resizer,
}

impl NodeUser {
    /// A device, which insists on the place of its node.
    pub(crate) fn device(path: UserPath, medium: Medium, shares_writing: bool) -> Self {
        Self {
            path,
            allows_move: false,
            kind: UserKind::Device {
                medium,
                shares_writing,
            },
            follower: None,
        }
    }

    /// An export. With a `follower` it moves wherever its node does.
    pub(crate) fn export(
        path: UserPath,
        rights: ExportRights,
        allows_move: bool,
        follower: Option<Weak<dyn Follower>>,
    ) -> Self {
        Self {
            path,
            allows_move,
            kind: UserKind::Export(rights),
            follower,
        }
    }

    /// Who gives a node another size, and uses it meanwhile.
    pub(super) fn resizer(path: UserPath) -> Self {
        Self {
            path,
            allows_move: true,
            kind: UserKind::Resizer,
            follower: None,
        }
    }

    /// Whether it is part of a machine.
    pub(super) fn is_device(&self) -> bool {
        match self.kind {
            UserKind::Device { .. } => true,
            UserKind::Export(_) | UserKind::Resizer => false,
        }
    }

    pub(super) fn access(&self, node_is_writable: bool) -> Access {
        match self.kind {
            UserKind::Device {
                medium,
                shares_writing,
            } => {
                let writes = node_is_writable && medium == Medium::Disk;
                Access::of_device(writes, shares_writing)
            }
            UserKind::Export(rights) => Access::of_export(rights.writable),
            UserKind::Resizer => Access::of_resizer(),
        }
    }

    /// Whether it is a device whose medium can be taken out.
    pub(super) fn is_removable(&self) -> bool {
        match self.kind {
            UserKind::Device { medium, .. } => medium == Medium::Optical,
            UserKind::Export(_) | UserKind::Resizer => false,
        }
    }

    /// Whether it is an export that needs its node to be active.
    pub(super) fn keeps_active(&self) -> bool {
        match self.kind {
            UserKind::Device { .. } | UserKind::Resizer => false,
            UserKind::Export(rights) => rights.writable && !rights.allows_inactive,
        }
    }

    /// How messages call it.
    pub(super) fn description(&self) -> String {
        match self.kind {
            UserKind::Device { .. } => format!("block device '{}'", self.path),
            UserKind::Export(_) | UserKind::Resizer => "an unnamed block device".to_owned(),
        }
    }
}

/// Why a node was not moved.
#[derive(Debug)]
pub(crate) enum MoveError {
    /// There is no such node, or it cannot be used in this way.
    Denied(Error),
    /// Another user insists on the place where the node is.
    Refused,
}

impl From<MoveError> for Error {
    fn from(error: MoveError) -> Self {
        match error {
            MoveError::Denied(error) => error,
            MoveError::Refused => Self::generic("Cannot change iothread of active block backend"),
        }
    }
}

/// What is to be done after nodes have moved, without the lock.
#[derive(Default)]
struct Moved {
    /// The contexts that nodes held before.
    released: Vec<SharedContext>,
    followers: Vec<Arc<dyn Follower>>,
    home: Option<SharedContext>,
}

impl Moved {
    fn finish(self, main: OnMain<'_>, done: &Finally) {
        for follower in self.followers {
            follower.follow(main, self.home.clone(), done);
        }
        for held in self.released {
            give_up(main, held, done);
        }
    }
}

/// Gives an IOThread back, after what still runs there on behalf of the node, and keeps `done` until then. Requests that
/// workers have are not waited for, since they may take as long as the disk likes: the holder is on record until they are
/// over.
fn give_up(main: OnMain<'_>, held: SharedContext, done: &Finally) {
    let left = held.clone();
    // Followers have left it by then; one that is late has nothing there any more.
    let close = done.preceded_by(move |_, _| left.close());
    leaving::after_callbacks(main, &held, close);
}

impl NodeContext {
    /// The place of a node that stands on one at this place.
    pub(super) fn joined(&self) -> Self {
        Self {
            thread: self.thread.clone(),
            held: None,
            lent: self.lent.clone(),
        }
    }

    /// Gives the IOThread back, if the node holds one, and keeps `done` until then.
    pub(super) fn give_up(self, main: OnMain<'_>, done: &Finally) {
        if let Some(held) = self.held {
            give_up(main, held, done);
        }
    }

    fn is_on(&self, thread: Option<&IoThread>) -> bool {
        match (&self.thread, thread) {
            (Some(here), Some(there)) => here.is_same(there),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

impl Node {
    fn followers(&self) -> impl Iterator<Item = Arc<dyn Follower>> {
        let followers = self.users.iter().map(|it| it.user.follower.as_ref());
        followers.flatten().filter_map(Weak::upgrade)
    }
}

impl Graph {
    /// Moves the node and all that are connected with it; `mover` does not object.
    fn relocate(
        &mut self,
        name: &str,
        thread: Option<&IoThread>,
        mover: Option<&str>,
        lent: Option<&Lent>,
    ) -> Result<Moved, MoveError> {
        let connected = self.connected(name);
        self.check_move(name, thread, mover)?;
        let mut moved = Moved::default();
        for index in connected {
            let node = &mut self.nodes[index];
            node.place.thread = thread.cloned();
            node.place.lent = lent.cloned();
            moved.released.extend(node.place.held.take());
            moved.followers.extend(node.followers());
        }
        Ok(moved)
    }

    /// Checks that no user but `mover` insists on another place.
    fn check_move(
        &self,
        name: &str,
        thread: Option<&IoThread>,
        mover: Option<&str>,
    ) -> Result<(), MoveError> {
        let objects = |user: &NodeUser| !user.allows_move && Some(&*user.path) != mover;
        let users = |it: usize| self.nodes[it].users.iter().map(|attached| &attached.user);
        let has_objection = self
            .connected(name)
            .into_iter()
            .flat_map(users)
            .any(objects);
        if has_objection && !self.is_at(name, thread) {
            return Err(MoveError::Refused);
        }
        Ok(())
    }

    /// Whether the node and all that are connected with it are there.
    fn is_at(&self, name: &str, thread: Option<&IoThread>) -> bool {
        let connected = self.connected(name);
        connected
            .iter()
            .all(|&it| self.nodes[it].place.is_on(thread))
    }

    /// Lends a context to those who are wherever the node is, unless they have one.
    fn lend(&mut self, name: &str, lent: Option<&Lent>) -> Moved {
        let mut moved = Moved::default();
        if let (None, Some(lent)) = (self.home(name), lent) {
            for index in self.connected(name) {
                let node = &mut self.nodes[index];
                node.place.lent = Some(lent.clone());
                moved.followers.extend(node.followers());
            }
        }
        moved
    }

    /// Nothing is lent by this user any more. Returns who has to leave.
    fn withdraw(&mut self, name: &str, lender: &str) -> Moved {
        let mut moved = Moved::default();
        for index in self.connected(name) {
            let node = &mut self.nodes[index];
            if node
                .place
                .lent
                .take_if(|it| &*it.lender == lender)
                .is_some()
            {
                moved.followers.extend(node.followers());
            }
        }
        moved
    }

    fn check_movable(&self, name: &str, force: bool) -> Result<(), Error> {
        if self.find(name)?.users.is_empty() || force {
            return Ok(());
        }
        Err(Error::generic(format!(
            "Node {name} is associated with a BlockBackend and could be in use (use force=true to override this \
             check)"
        )))
    }

    /// Where the node is.
    fn home(&self, name: &str) -> Option<SharedContext> {
        let connected = self.connected(name);
        let places = || connected.iter().map(|&it| &self.nodes[it].place);
        let held = places().find_map(|place| place.held.clone());
        let lent = || places().find_map(|place| place.lent.as_ref());
        held.or_else(|| lent().map(|lent| lent.context.clone()))
    }
}

impl Blocks {
    /// Checks that a node is on a thread or could be moved there.
    pub(crate) fn check_move(&self, name: &str, thread: &IoThread) -> Result<(), Error> {
        let graph = self.graph.lock();
        graph.find(name)?;
        Ok(graph.check_move(name, Some(thread), None)?)
    }

    /// `x-blockdev-set-iothread`: moves a node, and makes it a holder of the IOThread. The node is looked at before the thread is
    /// looked for, as in QEMU. Keeps `moved` until nothing runs on its former thread any more.
    pub(crate) fn set_iothread(
        &self,
        main: OnMain<'_>,
        name: &str,
        thread: impl FnOnce() -> Result<Option<IoThread>, Error>,
        force: bool,
        moved: &Finally,
    ) -> Result<(), Error> {
        self.graph.lock().check_movable(name, force)?;
        let thread = thread()?;
        let held = match &thread {
            Some(thread) => Some(
                thread
                    .get_aio_context(holder::block_node(name))
                    .map_err(|error| error.to_answer())?
                    .share(),
            ),
            None => None,
        };
        let mut graph = self.graph.lock();
        let mut left = graph.relocate(name, thread.as_ref(), None, None)?;
        if let Some(index) = graph.index(name) {
            graph.nodes[index].place.held = held;
        }
        left.home = graph.home(name);
        drop(graph);
        left.finish(main, moved);
        Ok(())
    }

    /// A device begins to use a node, and moves it to where it runs itself. Keeps `moved` until that is done.
    ///
    /// # Errors
    ///
    /// The node cannot be used in this way, or not be moved; everything is as before then.
    pub(crate) fn attach(
        &self,
        main: OnMain<'_>,
        name: &str,
        user: NodeUser,
        thread: Option<&IoThread>,
        moved: &Finally,
    ) -> Result<(), MoveError> {
        self.attach_lending(main, name, user, thread, None, moved)
    }

    /// As [`attach`](Self::attach), for an export that lends its context to those who are wherever the node is.
    pub(crate) fn attach_lending(
        &self,
        main: OnMain<'_>,
        name: &str,
        user: NodeUser,
        thread: Option<&IoThread>,
        lent: Option<&SharedContext>,
        moved: &Finally,
    ) -> Result<(), MoveError> {
        let path = Arc::clone(&user.path);
        let lent = lent.map(|context| Lent {
            lender: Arc::clone(&path),
            context: context.clone(),
        });
        let mut graph = self.graph.lock();
        graph.add_user(name, user).map_err(MoveError::Denied)?;
        let left = if graph.is_at(name, thread) {
            // It is not moved, so its holder there goes on.
            Ok(graph.lend(name, lent.as_ref()))
        } else {
            graph.relocate(name, thread, Some(&path), lent.as_ref())
        };
        let mut left = match left {
            Ok(left) => left,
            Err(error) => {
                graph.remove_user(name, &path);
                return Err(error);
            }
        };
        left.home = graph.home(name);
        drop(graph);
        left.finish(main, moved);
        Ok(())
    }

    /// An export begins to use a node where it is.
    ///
    /// # Errors
    ///
    /// The node cannot be used in this way.
    pub(crate) fn attach_in_place(
        &self,
        _: OnMain<'_>,
        name: &str,
        user: NodeUser,
    ) -> Result<Option<SharedContext>, Error> {
        let mut graph = self.graph.lock();
        graph.add_user(name, user)?;
        Ok(graph.home(name))
    }

    /// A device or an export does not use a node any more, which goes back to the main loop unless others insist. Keeps
    /// `moved` until that is done.
    pub(crate) fn detach(&self, main: OnMain<'_>, name: &str, path: &str, moved: &Finally) {
        let mut graph = self.graph.lock();
        graph.remove_user(name, path);
        let mut left = match graph.relocate(name, None, None, None) {
            Ok(left) => left,
            Err(_) => graph.withdraw(name, path),
        };
        left.home = graph.home(name);
        let gone = match graph.is_left_over(name) {
            true => graph.remove_node(name),
            false => Vec::new(),
        };
        drop(graph);
        left.finish(main, moved);
        forget(main, gone, moved);
    }
}
