//! The connections of a comparison.

use std::io;
use std::sync::{Arc, Weak};

use iothread::{Clock, Interest};
use rustix::thread::gettid;

use super::compare::{Actions, Side};
use super::frame::{Deframer, Frame};
use super::{ColoCompare, State};
use crate::chardev::Connection;
use crate::net::stream::{Endpoint, Watches};
use crate::report;

/// Bytes received at a time.
const RECEIVE_SIZE: usize = 64 << 10;

/// Unsent bytes from which on nothing more is taken from those whose input leads to more of them.
const MAX_UNSENT: usize = 4 << 20;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    PrimaryIn,
    SecondaryIn,
    Out,
    Notify,
}

impl Role {
    const ALL: [Self; 4] = [Self::PrimaryIn, Self::SecondaryIn, Self::Out, Self::Notify];

    fn index(self) -> usize {
        match self {
            Self::PrimaryIn => 0,
            Self::SecondaryIn => 1,
            Self::Out => 2,
            Self::Notify => 3,
        }
    }
}

/// All connections of a comparison.
pub(super) struct Ports {
    has_headers: bool,
    ports: [Option<Port>; 4],
    /// The kernel's id of the thread that was here last; 0 if none was.
    thread_id: i64,
}

/// One connection.
struct Port {
    connection: Connection,
    watches: Watches,
    deframer: Deframer,
    unsent: Vec<u8>,
}

/// Is called when a connection is ready.
struct Ready {
    colo: Weak<ColoCompare>,
    role: Role,
}

impl Endpoint for Ready {
    fn readable(self: &Arc<Self>) {
        if let Some(colo) = self.colo.upgrade() {
            colo.receive(self.role);
        }
    }

    fn writable(self: &Arc<Self>) {
        if let Some(colo) = self.colo.upgrade() {
            colo.state.lock().ports.progress();
        }
    }
}

impl Ports {
    pub(super) fn new(has_headers: bool) -> Self {
        Self {
            has_headers,
            ports: [None, None, None, None],
            thread_id: 0,
        }
    }

    pub(super) fn thread_id(&self) -> i64 {
        self.thread_id
    }

    /// How many devices have a peer.
    pub(super) fn n_open(&self) -> u64 {
        self.ports.iter().flatten().count() as u64
    }

    fn get(&mut self, role: Role) -> &mut Option<Port> {
        &mut self.ports[role.index()]
    }

    /// Sends what was let through, and asks for a checkpoint.
    pub(super) fn carry_out(&mut self, actions: Actions) {
        self.send_out(&actions.released);
        if actions.needs_checkpoint {
            self.ask_for_checkpoint();
        }
        self.progress();
    }

    /// Sends packets on. Without a peer they are lost, as on a wire that is not plugged in.
    pub(super) fn send_out(&mut self, frames: &[Frame]) {
        let has_headers = self.has_headers;
        if let Some(out) = self.get(Role::Out) {
            for frame in frames {
                frame.encode(has_headers, &mut out.unsent);
            }
        }
        self.progress();
    }

    fn ask_for_checkpoint(&mut self) {
        // A manager that does not read has been asked already.
        if !self.get(Role::Notify).as_ref().is_some_and(Port::is_full) {
            self.notify("DO_CHECKPOINT");
        }
    }

    fn notify(&mut self, text: &str) {
        if let Some(notify) = self.get(Role::Notify) {
            // Messages have no header, and no length of one.
            Frame::message(text).encode(false, &mut notify.unsent);
        }
    }

    /// Sends what can be sent, and arranges to be called for the rest.
    fn progress(&mut self) {
        for role in Role::ALL {
            if self
                .get(role)
                .as_mut()
                .is_some_and(|port| port.send().is_err())
            {
                self.hang_up(role);
            }
        }
        let is_blocked = self.get(Role::Out).as_ref().is_some_and(Port::is_full);
        for role in Role::ALL {
            let Some(port) = self.get(role) else {
                continue;
            };
            let reads = match role {
                Role::PrimaryIn | Role::SecondaryIn => !is_blocked,
                Role::Out => true,
                // What comes from there is answered there.
                Role::Notify => !port.is_full(),
            };
            let interest = Interest {
                read: reads,
                write: !port.unsent.is_empty(),
            };
            if port.watches.set(interest).is_err() {
                self.hang_up(role);
            }
        }
    }

    fn hang_up(&mut self, role: Role) {
        if let Some(port) = self.get(role).take() {
            let Port {
                connection,
                watches,
                ..
            } = port;
            drop(watches);
            connection.close();
        }
    }

    /// Gives all connections back. What could not be sent is lost.
    pub(super) fn close(&mut self) {
        self.ports = [None, None, None, None];
    }
}

impl Port {
    fn is_full(&self) -> bool {
        self.unsent.len() > MAX_UNSENT
    }

    fn send(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.connection.stream().send(&self.unsent) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Receives what is there; `None` at the end.
    fn receive(&mut self) -> io::Result<Option<()>> {
        let mut buffer = vec![0; RECEIVE_SIZE];
        match self
            .connection
            .stream()
            .receive(&mut buffer, &mut Vec::new())
        {
            Ok(0) => Ok(None),
            Ok(count) => {
                self.deframer.feed(&buffer[..count]);
                Ok(Some(()))
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(Some(()))
            }
            Err(error) => Err(error),
        }
    }
}

impl ColoCompare {
    /// A peer has come; on the comparison's thread.
    pub(super) fn open(self: &Arc<Self>, role: Role, connection: Connection) {
        let ready = Arc::new(Ready {
            colo: Arc::downgrade(self),
            role,
        });
        let watches = {
            let context = self.context.lock();
            let Some(context) = &*context else {
                return;
            };
            Watches::new(context, connection.stream(), &ready)
        };
        let watches = match watches {
            Ok(watches) => watches,
            Err(error) => {
                report(&format!("cannot serve a peer: {error}"));
                connection.close();
                return;
            }
        };
        let mut state = self.state.lock();
        let ports = &mut state.ports;
        // Its length of a header is on every frame that comes in, also on those of the remote manager.
        let deframer = Deframer::new(ports.has_headers);
        *ports.get(role) = Some(Port {
            connection,
            watches,
            deframer,
            unsent: Vec::new(),
        });
        ports.progress();
    }

    fn receive(&self, role: Role) {
        let mut state = self.state.lock();
        state.ports.thread_id = i64::from(gettid().as_raw_nonzero().get());
        let Some(port) = state.ports.get(role) else {
            return;
        };
        if !matches!(port.receive(), Ok(Some(()))) {
            state.ports.hang_up(role);
            return;
        }
        while let Some(port) = state.ports.get(role) {
            match port.deframer.next() {
                Ok(Some(frame)) => self.take(&mut state, role, frame),
                Ok(None) => break,
                Err(error) => {
                    report(&format!("colo-compare: peer cut off: {error}"));
                    state.ports.hang_up(role);
                    break;
                }
            }
        }
        state.ports.progress();
    }

    fn take(&self, state: &mut State, role: Role, frame: Frame) {
        let limit = self.settings.lock().queue_size;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let now = {
            let context = self.context.lock();
            match &*context {
                Some(context) => context.now(Clock::Monotonic),
                None => return,
            }
        };
        let State { comparison, ports } = state;
        let side = match role {
            Role::PrimaryIn => Side::Primary,
            Role::SecondaryIn => Side::Secondary,
            // Nothing is expected from there.
            Role::Out => return,
            Role::Notify => {
                match frame.data.as_slice() {
                    b"COLO_USERSPACE_PROXY_INIT" => ports.notify("COLO_COMPARE_GET_XEN_INIT"),
                    b"COLO_CHECKPOINT" => ports.send_out(&comparison.checkpoint()),
                    _ => report("colo-compare: unknown message of the checkpoint manager"),
                }
                return;
            }
        };
        let actions = comparison.add(side, frame, now, limit);
        ports.send_out(&actions.released);
        if actions.needs_checkpoint {
            ports.ask_for_checkpoint();
        }
    }
}
