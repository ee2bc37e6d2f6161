//! The connections of a comparison.

use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use iothread::{Clock, Dispatch};
use rustix::thread::gettid;

use super::compare::{Actions, Comparison, Side};
use super::frame::Frame;
use super::wire::Wire;
use super::{ColoCompare, State};
use crate::chardev;
use crate::net::connection::{Connection, Limits};
use crate::net::stream::Endpoint;
use crate::report::report;

const LIMITS: Limits = Limits {
    // What is not sent on one connection holds back others, see `takes_in`.
    unsent: usize::MAX,
    n_receptions: 1,
    watches_on: false,
};

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
    /// From where nothing is taken in for want of memory.
    held_back: HeldBack,
    /// The kernel's id of the thread that was here last; 0 if none was.
    thread_id: i64,
}

/// From where nothing is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeldBack {
    Nobody,
    One(Side),
    Both,
}

impl HeldBack {
    fn is(self, side: Side) -> bool {
        match self {
            Self::Nobody => false,
            Self::One(held_back) => held_back == side,
            Self::Both => true,
        }
    }
}

/// One connection.
struct Port {
    wire: Connection<Wire>,
    /// The right to it, which is given back.
    lent: chardev::PeerStream,
}

/// How much room there has to be for the next packets to be taken in.
const ROOM: usize = 4 << 10;

/// Is woken when there is room.
struct Roomy(Weak<ColoCompare>);

impl Wake for Roomy {
    fn wake(self: Arc<Self>) {
        if let Some(colo) = self.0.upgrade() {
            let roomy = Arc::clone(&colo);
            colo.post(move || roomy.go_on());
        }
    }
}

/// Is called when a connection is ready.
struct Ready {
    colo: Weak<ColoCompare>,
    role: Role,
}

impl Endpoint for Ready {
    fn readable(self: &Arc<Self>, _: &Dispatch<'_>) {
        if let Some(colo) = self.colo.upgrade() {
            colo.receive(self.role);
        }
    }

    fn writable(self: &Arc<Self>, _: &Dispatch<'_>) {
        if let Some(colo) = self.colo.upgrade() {
            colo.go_on();
        }
    }
}

impl Ports {
    pub(super) fn new(has_headers: bool) -> Self {
        Self {
            has_headers,
            ports: [None, None, None, None],
            held_back: HeldBack::Nobody,
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

    /// How much memory is taken by what was received in part or is not sent yet.
    pub(super) fn used(&self) -> usize {
        let ports = self.ports.iter().flatten();
        ports.map(|port| port.wire.protocol().size()).sum()
    }

    /// Takes nothing in from there until told otherwise.
    fn hold_back(&mut self, held_back: HeldBack) {
        self.held_back = held_back;
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
        self.flush();
    }

    /// Sends packets on. Without a peer they are lost, as on a wire that is not plugged in.
    pub(super) fn send_out(&mut self, frames: &[Frame]) {
        let has_headers = self.has_headers;
        if let Some(out) = self.get(Role::Out) {
            for frame in frames {
                frame.encode(has_headers, out.wire.protocol_mut().end());
            }
        }
        self.flush();
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
            Frame::message(text).encode(false, notify.wire.protocol_mut().end());
        }
    }

    /// Sends what can be sent. Returns whether something was.
    fn flush(&mut self) -> bool {
        let mut has_sent = false;
        for role in Role::ALL {
            let flushed = self.get(role).as_mut().map(|port| port.wire.flush());
            match flushed {
                Some(Ok(sent)) => has_sent |= sent,
                Some(Err(_)) => self.hang_up(role),
                None => {}
            }
        }
        has_sent
    }

    /// Arranges to be called for what comes next, after every connection has been asked for frames.
    fn watch(&mut self) {
        for role in Role::ALL {
            let watched = self.get(role).as_mut().map(|port| port.wire.watch());
            if matches!(watched, Some(Err(_))) {
                self.hang_up(role);
            }
        }
    }

    /// Whether what comes on a connection is looked at now.
    fn takes_in(&self, role: Role) -> bool {
        let is_full = |role: Role| self.ports[role.index()].as_ref().is_some_and(Port::is_full);
        match role {
            Role::PrimaryIn => !is_full(Role::Out) && !self.held_back.is(Side::Primary),
            Role::SecondaryIn => !is_full(Role::Out) && !self.held_back.is(Side::Secondary),
            Role::Out => true,
            // What comes from there is answered there.
            Role::Notify => !is_full(Role::Notify),
        }
    }

    /// The next frame that has been received, if it is to be looked at now. A stream that does not consist of frames ends.
    fn next_frame(&mut self, role: Role) -> Option<Frame> {
        let is_held = !self.takes_in(role);
        let wire = &mut self.get(role).as_mut()?.wire;
        wire.protocol_mut().hold(is_held);
        match wire.next_event()? {
            Ok(frame) => Some(frame),
            Err(error) => {
                report(&format!("colo-compare: peer cut off: {error}"));
                self.hang_up(role);
                None
            }
        }
    }

    fn hang_up(&mut self, role: Role) {
        if let Some(port) = self.get(role).take() {
            let Port { wire, lent } = port;
            drop(wire);
            lent.close();
        }
    }

    /// Gives all connections back. One that is owed something is ended instead: what could not be sent is lost, and it may be
    /// in the middle of a frame, after which its next user would not be understood.
    pub(super) fn close(&mut self) {
        for role in Role::ALL {
            if self.get(role).as_ref().is_some_and(Port::is_owed) {
                self.hang_up(role);
            }
        }
        self.ports = [None, None, None, None];
    }
}

impl Port {
    fn is_owed(&self) -> bool {
        self.wire.protocol().n_unsent() > 0
    }

    fn is_full(&self) -> bool {
        self.wire.protocol().n_unsent() > MAX_UNSENT
    }
}

impl ColoCompare {
    /// A peer has come; on the comparison's thread.
    pub(super) fn open(self: &Arc<Self>, role: Role, lent: chardev::PeerStream) {
        let ready = Arc::new(Ready {
            colo: Arc::downgrade(self),
            role,
        });
        let mut state = self.state.lock();
        let ports = &mut state.ports;
        // Its length of a header is on every frame that comes in, also on those of the remote manager.
        let mut wire = Connection::new(Wire::new(ports.has_headers), LIMITS);
        if let Err(error) = wire.attach(&self.context, lent.stream().clone(), &ready) {
            report(&format!("cannot serve a peer: {error}"));
            lent.close();
            return;
        }
        *ports.get(role) = Some(Port { wire, lent });
        self.work(&mut state);
    }

    /// Sends what can be sent, and takes in what there is room for.
    pub(super) fn go_on(self: &Arc<Self>) {
        self.work(&mut self.state.lock());
    }

    pub(super) fn work(self: &Arc<Self>, state: &mut State) {
        loop {
            let held_back = state.ports.held_back;
            let mut n_taken = 0;
            for role in Role::ALL {
                while let Some(frame) = state.ports.next_frame(role) {
                    n_taken += 1;
                    self.take(state, role, frame);
                    self.account(state);
                }
            }
            self.account(state);
            // What has been sent may make room for more, and so may others.
            let has_sent = state.ports.flush();
            if n_taken == 0 && !has_sent && state.ports.held_back == held_back {
                break;
            }
        }
        state.ports.watch();
    }

    /// Tells how much memory is taken. Where there is no room for more, what is not sent yet has to go first; then the side
    /// that is ahead is held back, since only the other one can make some.
    fn account(self: &Arc<Self>, state: &mut State) {
        let State {
            comparison,
            ports,
            member,
        } = state;
        member.set_used(comparison.used() + ports.used());
        let waker = Waker::from(Arc::new(Roomy(Arc::downgrade(self))));
        let has_room = member.poll_room(ROOM, &mut Context::from_waker(&waker));
        let is_sending = ports.get(Role::Out).as_ref().is_some_and(Port::is_owed);
        ports.hold_back(match has_room {
            Poll::Ready(()) => HeldBack::Nobody,
            Poll::Pending if is_sending => HeldBack::Both,
            Poll::Pending => HeldBack::One(comparison.side_ahead()),
        });
    }

    fn receive(self: &Arc<Self>, role: Role) {
        let mut state = self.state.lock();
        state.ports.thread_id = i64::from(gettid().as_raw_nonzero().get());
        if let Some(port) = state.ports.get(role) {
            port.wire.receive();
        }
        self.work(&mut state);
    }

    fn take(&self, state: &mut State, role: Role, frame: Frame) {
        let limit = self.settings.lock().queue_size;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let now = self.context.now(Clock::Monotonic);
        let State {
            comparison,
            ports,
            member,
        } = state;
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
        member.set_used(comparison.used() + ports.used());
        let has_room = member.has_room(Comparison::size_of(&frame));
        let actions = comparison.add(side, frame, now, limit, has_room);
        ports.send_out(&actions.released);
        if actions.needs_checkpoint {
            ports.ask_for_checkpoint();
        }
    }
}
