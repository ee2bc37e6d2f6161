//! What is exported, to one client at a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use iothread::{Clock, OnMain, Timer};
use qapi_runtime::Error;
use qapi_runtime::budget::Budget;

use super::config::Geometry;
use super::counters::Counters;
use super::device::Device;
use super::session::Session;
use crate::export::{Common, Export, Prepared};
use crate::finally::Finally;
use crate::host::Host;
use crate::net::descriptors::SessionDescriptors;
use crate::net::listener::Listener;
use crate::net::sockets::listen_at;
use crate::net::stream::Stream;
use crate::qapi::{
    BlockExportOptionsVhostUserBlk, BlockExportQueueInfo, BlockExportType, SocketAddress,
};
use crate::sync::{Level, Mutex};

/// The sizes that a block may have, as in QEMU.
const MIN_BLOCK_SIZE: u32 = 512;
const MAX_BLOCK_SIZE: u32 = 2 << 20;

/// The most queues: the protocol has eight bits for their numbers.
const MAX_QUEUES: u16 = 256;

/// How long a client may be silent from the start when another one waits.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);

/// How often it is looked from then on whether another one waits.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A device that waits for a virtual machine, or belongs to one.
pub(crate) struct VhostUserBlkExport {
    common: Arc<Common>,
    geometry: Geometry,
    /// The memory for buffers, which all exports of this type share.
    budget: Budget,
    /// The size that clients know, or were told to ask for.
    told_size: AtomicU64,
    /// One per queue.
    counters: Vec<Arc<Counters>>,
    listeners: Vec<Listener>,
    /// Tells when a client has been silent for too long.
    silence: OnceLock<Timer>,
    state: Mutex<State>,
    this: Weak<Self>,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    is_closed: bool,
    /// Kept until the last session is over, after the end.
    closed: Option<Finally>,
}

/// A device without a disk.
struct NewDevice {
    block_size: u32,
    num_queues: u16,
    listeners: Vec<Listener>,
}

/// Checks the options of an export, and listens where they say; no client is accepted yet.
pub(crate) fn prepare(
    descriptors: &SessionDescriptors,
    options: &BlockExportOptionsVhostUserBlk,
) -> Result<Box<dyn Prepared>, Error> {
    let block_size = match options.logical_block_size {
        // 0 leaves the choice to the server, as in QEMU.
        None | Some(0) => u64::from(MIN_BLOCK_SIZE),
        Some(size) => size,
    };
    let fitting = u32::try_from(block_size)
        .ok()
        .filter(|size| size.is_power_of_two() && (MIN_BLOCK_SIZE..=MAX_BLOCK_SIZE).contains(size));
    let Some(block_size) = fitting else {
        return Err(Error::generic(format!(
            "parameter logical-block-size must be a power of 2 between {MIN_BLOCK_SIZE} and {MAX_BLOCK_SIZE}"
        )));
    };
    let num_queues = options.num_queues.unwrap_or(1);
    match num_queues {
        0 => return Err(Error::generic("num-queues must be greater than 0")),
        1..=MAX_QUEUES => {}
        // Differs from QEMU: there queues can be asked for that no client can set up.
        _ => {
            return Err(Error::generic(format!(
                "num-queues must not be greater than {MAX_QUEUES}"
            )));
        }
    }
    match &options.addr {
        SocketAddress::Unix(_) | SocketAddress::Fd(_) => {}
        SocketAddress::Inet(_) | SocketAddress::Unknown(_) => {
            return Err(Error::generic(
                "Only socket address types 'unix' and 'fd' are supported",
            ));
        }
    }
    let listeners = listen_at(&options.addr, None, descriptors)?;
    if !listeners.iter().all(Listener::is_unix) {
        return Err(Error::generic("Only UNIX domain sockets are supported"));
    }
    Ok(Box::new(NewDevice {
        block_size,
        num_queues,
        listeners,
    }))
}

impl Prepared for NewDevice {
    /// Accepts clients from now on.
    fn make(
        self: Box<Self>,
        _: OnMain<'_>,
        host: &Host,
        common: &Arc<Common>,
    ) -> Result<Arc<dyn Export>, Error> {
        let export = Arc::new_cyclic(|this| VhostUserBlkExport {
            told_size: AtomicU64::new(common.backend().size()),
            geometry: Geometry {
                size: common.backend().size(),
                block_size: self.block_size,
                num_queues: self.num_queues,
                is_writable: common.is_writable(),
            },
            common: Arc::clone(common),
            budget: host.budgets.vhost_user_blk().clone(),
            counters: (0..self.num_queues).map(|_| Arc::default()).collect(),
            listeners: self.listeners,
            silence: OnceLock::new(),
            state: Mutex::at(Level::List, State::default()),
            this: Weak::clone(this),
        });
        let unusable = |error| Error::generic(format!("Failed to listen on socket: {error}"));
        let silent = Weak::clone(&export.this);
        let timer = host.main.timer(Clock::Monotonic, move |dispatch| {
            if let (Some(export), Some(main)) = (silent.upgrade(), dispatch.on_main()) {
                export.look_for_silence(main);
            }
        });
        let timer = timer.map_err(unusable)?;
        export.silence.get_or_init(|| timer);
        for listener in &export.listeners {
            let accepting = Weak::clone(&export.this);
            let accept = move |main: OnMain<'_>, stream| {
                if let Some(export) = accepting.upgrade() {
                    export.accept(main, stream);
                }
            };
            listener
                .watch_on_main(&host.main, accept)
                .map_err(unusable)?;
        }
        Ok(export)
    }
}

impl VhostUserBlkExport {
    /// A client has connected.
    fn accept(&self, _: OnMain<'_>, stream: Stream) {
        let mut state = self.state.lock();
        if state.is_closed || state.session.is_some() {
            // It came in while the door was being closed.
            return;
        }
        let contexts = self.common.contexts();
        // An export that is gone serves no client.
        let Some(context) = contexts.first() else {
            return;
        };
        let device = Device::new(
            &self.common,
            self.geometry,
            &self.counters,
            &contexts,
            &self.budget,
        );
        let Ok(device) = device else {
            return;
        };
        let ended = Weak::clone(&self.this);
        let over = move |session: &Session| {
            if let Some(export) = ended.upgrade() {
                export.session_is_over(session);
            }
        };
        let session = Session::new(stream, device, context.clone(), Box::new(over));
        // Without descriptors for it the client is turned away.
        let Ok(session) = session else {
            return;
        };
        state.session = Some(Arc::clone(&session));
        drop(state);
        self.set_accepting(false);
        if let Some(silence) = self.silence.get() {
            silence.arm_after(SILENCE_LIMIT);
        }
        session.enter();
    }

    /// A client that has connected and says nothing makes way for one that may.
    fn look_for_silence(&self, _: OnMain<'_>) {
        let Some(session) = self.session().filter(|session| !session.has_spoken()) else {
            return;
        };
        if self.listeners.iter().any(Listener::has_waiting) {
            session.end();
        } else if let Some(silence) = self.silence.get() {
            silence.arm_after(LOOK_AGAIN);
        }
    }

    fn set_accepting(&self, accepts: bool) {
        for listener in &self.listeners {
            listener.set_accepting(accepts);
        }
    }

    /// Nothing is left of a client; on any thread.
    fn session_is_over(&self, over: &Session) {
        let mut state = self.state.lock();
        let is_it = |session: &mut Arc<Session>| std::ptr::eq(&**session, over);
        let session = state.session.take_if(is_it);
        let goes_on = session.is_some() && !state.is_closed;
        let closed = session.as_ref().and_then(|_| state.closed.take());
        drop(state);
        if goes_on {
            self.set_accepting(true);
        }
        drop(closed);
    }

    fn session(&self) -> Option<Arc<Session>> {
        self.state.lock().session.clone()
    }
}

impl Export for VhostUserBlkExport {
    fn common(&self) -> &Arc<Common> {
        &self.common
    }

    fn export_type(&self) -> BlockExportType {
        BlockExportType::VhostUserBlk
    }

    fn has_clients(&self) -> bool {
        self.session().is_some()
    }

    fn close(&self, _: OnMain<'_>, closed: &Finally) {
        self.listeners.iter().for_each(Listener::stop);
        let session = {
            let mut state = self.state.lock();
            state.is_closed = true;
            let session = state.session.clone();
            state.closed = session.is_some().then(|| closed.clone());
            session
        };
        if let Some(session) = session {
            session.end();
        }
    }

    fn give_up(&self) {
        if let Some(session) = self.session() {
            session.give_up();
        }
    }

    fn follow(&self, main: OnMain<'_>, moved: &Finally) {
        let contexts = self.common.contexts();
        if let (Some(session), Some(context)) = (self.session(), contexts.first()) {
            session.follow(main, context, moved);
        }
    }

    fn size_changed(&self) {
        let size = self.common.backend().size();
        if self.told_size.swap(size, Ordering::AcqRel) != size
            && let Some(session) = self.session()
        {
            session.tell_of_change();
        }
    }

    fn queues(&self) -> Vec<BlockExportQueueInfo> {
        let iothreads = self.common.iothreads();
        let describe = |(counters, iothread): (&Arc<Counters>, &Option<String>)| {
            counters.describe(iothread.clone())
        };
        let queues = self.counters.iter().zip(iothreads.iter().cycle());
        queues.map(describe).collect()
    }
}
