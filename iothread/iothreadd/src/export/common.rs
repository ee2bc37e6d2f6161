//! What all exports have: a node, and the event loops that they run on.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use iothread::{IoThread, MainContext, OnMain, SharedContext, Timer, holder};
use qapi_runtime::Error;

use super::Export;
use crate::block::{
    Activated, Backend, Blocks, ExportRights, Follower, MoveError, NodeUser, UserPath,
};
use crate::finally::Finally;
use crate::host::Host;
use crate::leaving;
use crate::qapi::{BlockExportIothreads, BlockExportOptions, BlockExportOptionsType};
use crate::qemu_text::QemuText;
use crate::sync::Mutex;

/// The part of an export that does not depend on its kind.
pub(crate) struct Common {
    id: String,
    node_name: String,
    /// Tells it apart from other users of the node.
    path: UserPath,
    rights: ExportRights,
    writethrough: bool,
    backend: Backend,
    /// What an export that cannot be made has to take back.
    activated: Activated,
    main: MainContext,
    /// Whether the contexts are its own, and not those of its node.
    is_holder: bool,
    /// Empty before the start and after the end.
    contexts: Mutex<Vec<SharedContext>>,
    next_context: AtomicUsize,
    is_shutting_down: AtomicBool,
    /// Ends the patience with requests under way.
    patience: Mutex<Option<Timer>>,
    /// What is to be done when it is gone; `None` as long as it may have requests under way.
    until_gone: Mutex<Option<Vec<Finally>>>,
    export: OnceLock<Weak<dyn Export>>,
}

/// What the options of an export ask for, as far as it could be checked without taking anything: what is taken moves
/// nodes, and that cannot be undone.
pub(super) struct Plan<'a> {
    options: &'a BlockExportOptions,
    threads: Vec<IoThread>,
    is_fixed: bool,
}

impl<'a> Plan<'a> {
    pub(super) fn new(host: &Host, options: &'a BlockExportOptions) -> Result<Self, Error> {
        let blocks = &host.blocks;
        let node = &options.node_name;
        let writable = options.writable.unwrap_or(false);
        match blocks.is_writable(node) {
            None => {
                return Err(Error::generic(format!(
                    "Cannot find device='' nor node-name='{node}'"
                )));
            }
            Some(false) if writable => {
                return Err(Error::generic("Cannot export read-only node as writable"));
            }
            Some(_) => {}
        }
        let is_fixed = options.fixed_iothread.unwrap_or(false);
        if let Some(BlockExportIothreads::Multi(_)) = options.iothread
            && is_fixed
        {
            return Err(Error::generic(
                "Cannot use fixed-iothread for a multi-threaded export",
            ));
        }
        let threads = find_threads(host, options.iothread.as_ref())?;
        if let Some(home) = threads.first().filter(|_| is_fixed) {
            blocks.check_move(node, home)?;
        }
        if let BlockExportOptionsType::VhostUserBlk(_) = options.r#type
            && options.allow_inactive == Some(true)
        {
            return Err(Error::generic(
                "Export type does not support inactive exports",
            ));
        }
        let user = NodeUser::export(user_path(&options.id), rights_of(options), !is_fixed, None);
        blocks.check_permission(node, &user)?;
        Ok(Self {
            options,
            threads,
            is_fixed,
        })
    }
}

fn rights_of(options: &BlockExportOptions) -> ExportRights {
    ExportRights {
        writable: options.writable.unwrap_or(false),
        allows_inactive: options.allow_inactive.unwrap_or(false),
    }
}

fn user_path(id: &str) -> UserPath {
    format!("block-export {id}").into()
}

impl Common {
    /// Takes the IOThreads and the node that a plan names, and keeps `moved` until it is where it is to be. After an error
    /// everything is as before.
    pub(super) fn attach(
        main: OnMain<'_>,
        host: &Host,
        plan: Plan<'_>,
        moved: &Finally,
    ) -> Result<Arc<Self>, Error> {
        let Plan {
            options,
            threads,
            is_fixed,
        } = plan;
        let blocks = &host.blocks;
        let node = &options.node_name;
        let contexts = hold(&threads, &options.id)?;
        let path = user_path(&options.id);
        let backend = blocks.backend(node, &path)?;
        let activated = match options.allow_inactive {
            Some(true) => Activated::default(),
            Some(false) | None => blocks.activate(node)?,
        };
        let common = Arc::new(Self {
            id: options.id.clone(),
            node_name: node.clone(),
            path,
            rights: rights_of(options),
            writethrough: options.writethrough.unwrap_or(false),
            backend,
            activated,
            main: host.main.clone(),
            is_holder: !threads.is_empty(),
            contexts: Mutex::default(),
            next_context: AtomicUsize::new(0),
            is_shutting_down: AtomicBool::new(false),
            patience: Mutex::default(),
            until_gone: Mutex::default(),
            export: OnceLock::new(),
        });
        let attached = match threads.first() {
            None => common.join(main, blocks, is_fixed),
            Some(home) => common.place(main, blocks, home, is_fixed, contexts.first(), moved),
        };
        if let Err(error) = attached {
            blocks.deactivate(node, &common.activated);
            return Err(error);
        }
        if !threads.is_empty() {
            *common.contexts.lock() = contexts;
        }
        Ok(common)
    }

    /// Takes [`attach`](Self::attach) back, for an export that cannot be made after all.
    pub(super) fn undo(&self, main: OnMain<'_>, blocks: &Blocks, undone: &Finally) {
        self.detach(main, blocks, undone);
        blocks.deactivate(&self.node_name, &self.activated);
    }

    /// Becomes a user of the node wherever that is.
    fn join(
        self: &Arc<Self>,
        main: OnMain<'_>,
        blocks: &Blocks,
        is_fixed: bool,
    ) -> Result<(), Error> {
        let as_follower: Arc<dyn Follower> = Arc::<Self>::clone(self);
        let follower = Some(Arc::downgrade(&as_follower));
        let path = Arc::clone(&self.path);
        let user = NodeUser::export(path, self.rights, !is_fixed, follower);
        let home = blocks.attach_in_place(main, &self.node_name, user)?;
        *self.contexts.lock() = vec![self.context_at(home)];
        Ok(())
    }

    /// Becomes a user of the node, and moves it to the export's own thread.
    fn place(
        &self,
        main: OnMain<'_>,
        blocks: &Blocks,
        home: &IoThread,
        is_fixed: bool,
        lent: Option<&SharedContext>,
        moved: &Finally,
    ) -> Result<(), Error> {
        let node = &self.node_name;
        let user = NodeUser::export(Arc::clone(&self.path), self.rights, !is_fixed, None);
        match blocks.attach_lending(main, node, user.clone(), Some(home), lent, moved) {
            // It runs on its thread nevertheless; nodes can be used from any.
            Err(MoveError::Refused) if !is_fixed => {
                blocks.attach_in_place(main, node, user)?;
                Ok(())
            }
            result => Ok(result?),
        }
    }

    /// The context of an export that is wherever its node is.
    fn context_at(&self, home: Option<SharedContext>) -> SharedContext {
        home.unwrap_or_else(|| self.main.share())
    }

    pub(super) fn set_export(&self, export: &Arc<dyn Export>) {
        // Called once.
        let _ = self.export.set(Arc::downgrade(export));
    }

    /// Keeps a timer as long as the export is there.
    pub(super) fn keep_until_detached(&self, timer: Timer) {
        *self.patience.lock() = Some(timer);
    }

    /// Forgets the timer.
    pub(super) fn end_patience(&self) {
        let timer = self.patience.lock().take();
        drop(timer);
    }

    /// Keeps something until the export is gone, if that waits for nothing but what runs on threads.
    pub(super) fn keep_until_gone(&self, gone: &Finally) {
        if let Some(kept) = &mut *self.until_gone.lock() {
            kept.push(gone.clone());
        }
    }

    /// The export is gone.
    pub(super) fn set_gone(&self) {
        let kept = self.until_gone.lock().take();
        drop(kept);
    }

    /// Gives everything back, once nothing of it starts requests any more and the last one has ended. Keeps `gone` until
    /// that is done.
    pub(super) fn detach(&self, main: OnMain<'_>, blocks: &Blocks, gone: &Finally) {
        *self.until_gone.lock() = Some(Vec::new());
        blocks.detach(main, &self.node_name, &self.path, gone);
        let contexts = std::mem::take(&mut *self.contexts.lock());
        if self.is_holder {
            for context in &contexts {
                leaving::release(main, context, gone);
            }
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn node_name(&self) -> &str {
        &self.node_name
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.rights.writable
    }

    /// Whether a write is done only when it is on stable storage.
    pub(crate) fn is_writethrough(&self) -> bool {
        self.writethrough
    }

    /// The way to the node.
    pub(crate) fn backend(&self) -> &Backend {
        &self.backend
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        self.is_shutting_down.load(Ordering::Acquire)
    }

    /// Marks the beginning of the removal. Returns whether it had begun already.
    pub(super) fn begin_shutdown(&self) -> bool {
        self.is_shutting_down.swap(true, Ordering::AcqRel)
    }

    /// All event loops; none once the export is gone. For the main loop only, where they are given back.
    pub(crate) fn contexts(&self) -> Vec<SharedContext> {
        self.contexts.lock().clone()
    }

    /// The ids of the IOThreads, in their order; `None` for the main loop.
    pub(crate) fn iothreads(&self) -> Vec<Option<String>> {
        self.contexts
            .lock()
            .iter()
            .map(|it| it.iothread().map(str::to_owned))
            .collect()
    }

    /// The event loop for one more client: each in turn. `None` once the export is gone.
    pub(crate) fn next_context(&self) -> Option<SharedContext> {
        let contexts = self.contexts.lock();
        if contexts.is_empty() {
            return None;
        }
        let number = self.next_context.fetch_add(1, Ordering::Relaxed);
        contexts.get(number % contexts.len()).cloned()
    }
}

impl Follower for Common {
    fn follow(&self, main: OnMain<'_>, home: Option<SharedContext>, moved: &Finally) {
        let contexts = vec![self.context_at(home)];
        let before = std::mem::replace(&mut *self.contexts.lock(), contexts);
        if let Some(export) = self.export.get().and_then(Weak::upgrade) {
            export.follow(main, moved);
        }
        // Those of others, which are not to be released.
        drop(before);
    }
}

fn find_threads(
    host: &Host,
    wanted: Option<&BlockExportIothreads>,
) -> Result<Vec<IoThread>, Error> {
    let ids: &[String] = match wanted {
        None => &[],
        Some(BlockExportIothreads::Single(id)) => std::slice::from_ref(id),
        Some(BlockExportIothreads::Multi(ids)) if ids.is_empty() => {
            return Err(Error::generic("The set of I/O threads must not be empty"));
        }
        Some(BlockExportIothreads::Multi(ids)) => ids,
    };
    let mut threads = Vec::with_capacity(ids.len());
    for (index, id) in ids.iter().enumerate() {
        if ids[..index].contains(id) {
            return Err(Error::generic(format!(
                "Duplicate iothread \"{id}\" in the list of iothreads"
            )));
        }
        let thread = host.threads.find(id);
        threads.push(thread.ok_or_else(|| Error::generic(format!("iothread \"{id}\" not found")))?);
    }
    Ok(threads)
}

/// Takes hold of threads on behalf of an export; those before one that fails are given back.
fn hold(threads: &[IoThread], id: &str) -> Result<Vec<SharedContext>, Error> {
    let hold = |thread: &IoThread| {
        let held = thread.get_aio_context(holder::block_export(id));
        Ok(held.map_err(|error| error.to_answer())?.share())
    };
    threads.iter().map(hold).collect()
}

/// Has something go over to another context. `leave` sees to it that nothing of it begins on the former one any more,
/// and returns that unless it is over. What has begun there ends, and then `enter` lets it go on where it is by then; until
/// that is done `moved` is kept.
pub(crate) fn go_over(
    main: OnMain<'_>,
    moved: &Finally,
    leave: impl FnOnce() -> Option<SharedContext>,
    enter: impl FnOnce() + Send + 'static,
) {
    if let Some(former) = leave() {
        let entering = moved.preceded_by(move |_, _| enter());
        leaving::after_callbacks(main, &former, entering);
    }
}
