//! The haggling with one client, on the main loop.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::time::Duration;

use iothread::{Clock, FdDispatch, FdWatch, Interest, MainContext, SharedFdHandler, Timer};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::clients::{Clients, Ticket};
use super::handshake::{Handshake, Progress};
use super::transmission::Connection;
use crate::sync::Mutex;

/// A client that has not chosen an export yet.
pub(super) struct Negotiation {
    clients: Weak<Clients>,
    number: u64,
    state: Mutex<State>,
}

struct State {
    /// Gone once the haggling is over.
    socket: Option<Arc<OwnedFd>>,
    ticket: Option<Ticket>,
    handshake: Handshake,
    input: Vec<u8>,
    output: Vec<u8>,
    watch: Option<FdWatch>,
    /// Ends it.
    timer: Option<Timer>,
    is_closing: bool,
}

impl Negotiation {
    pub(super) fn new(
        clients: &Arc<Clients>,
        number: u64,
        socket: Arc<OwnedFd>,
        ticket: Ticket,
    ) -> Arc<Self> {
        let mut output = Vec::new();
        let handshake = Handshake::new(&mut output);
        Arc::new(Self {
            clients: Arc::downgrade(clients),
            number,
            state: Mutex::new(State {
                socket: Some(socket),
                ticket: Some(ticket),
                handshake,
                input: Vec::new(),
                output,
                watch: None,
                timer: None,
                is_closing: false,
            }),
        })
    }

    /// Sends the greeting, and begins to listen.
    pub(super) fn start(self: &Arc<Self>, main: &MainContext, limit: Option<Duration>) {
        {
            let mut state = self.state.lock();
            let Some(socket) = state.socket.clone() else {
                return;
            };
            // Without the descriptor being watched the client would wait for ever.
            state.watch = main.add_fd(socket, Interest::READ, Arc::clone(self)).ok();
            if let Some(limit) = limit {
                let late = Arc::downgrade(self);
                let timer = main.timer(Clock::Monotonic, move |_| {
                    if let Some(late) = late.upgrade() {
                        late.end();
                    }
                });
                match timer {
                    Ok(timer) => {
                        timer.arm_after(limit);
                        state.timer = Some(timer);
                    }
                    // Without a limit it may not stay.
                    Err(_) => state.watch = None,
                }
            }
        }
        self.progress();
    }

    /// Disconnects the client.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        let taken = (
            state.watch.take(),
            state.timer.take(),
            state.socket.take(),
            state.ticket.take(),
        );
        drop(state);
        drop(taken);
    }

    /// Disconnects the client, which the server forgets.
    fn end(&self) {
        self.close();
        if let Some(clients) = self.clients.upgrade() {
            clients.remove(self.number);
        }
    }

    /// Answers what has come, and sends what can be sent.
    fn progress(self: &Arc<Self>) {
        let Some(clients) = self.clients.upgrade() else {
            return;
        };
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(socket) = state.socket.clone() else {
            return;
        };
        if state.watch.is_none() {
            drop(guard);
            return self.end();
        }
        loop {
            if flush(&socket, &mut state.output).is_err() {
                drop(guard);
                return self.end();
            }
            if !state.output.is_empty() || state.is_closing {
                break;
            }
            let mut input = state.input.as_slice();
            let before = input.len();
            let handshake = &mut state.handshake;
            let progress = handshake.advance(&mut input, &mut state.output, &**clients.offers());
            let taken = before - input.len();
            state.input.drain(..taken);
            match progress {
                Progress::More if taken == 0 && state.output.is_empty() => break,
                Progress::More => {}
                Progress::Close => state.is_closing = true,
                Progress::Transmission(choice) => {
                    let input = std::mem::take(&mut state.input);
                    let output = std::mem::take(&mut state.output);
                    // The descriptor must not be watched here any more when it is watched there.
                    drop(state.watch.take());
                    drop(state.timer.take());
                    state.socket = None;
                    let ticket = state.ticket.take();
                    drop(guard);
                    clients.remove(self.number);
                    if let Some(ticket) = ticket {
                        let member = clients.budget().join();
                        Connection::start(choice, socket, ticket, member, input, output);
                    }
                    return;
                }
            }
        }
        let is_over = state.is_closing && state.output.is_empty();
        let interest = match state.output.is_empty() {
            true => Interest::READ,
            false => Interest::WRITE,
        };
        let watched = match &state.watch {
            Some(watch) => watch.set_interest(interest),
            None => Ok(()),
        };
        drop(guard);
        if is_over || watched.is_err() {
            self.end();
        }
    }

    fn receive(self: &Arc<Self>) {
        let result = {
            let mut guard = self.state.lock();
            let state = &mut *guard;
            let Some(socket) = &state.socket else {
                return;
            };
            let held = state.input.len();
            state.input.resize(Handshake::MAX_INPUT, 0);
            let result = recv(&**socket, &mut state.input[held..], RecvFlags::DONTWAIT);
            let received = result.map_or(0, |(count, _)| count);
            state.input.truncate(held + received);
            result.map(|(count, _)| count)
        };
        match result {
            Ok(1..) => self.progress(),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(0) | Err(_) => self.end(),
        }
    }
}

/// Sends what can be sent.
pub(super) fn flush(socket: &OwnedFd, output: &mut Vec<u8>) -> Result<(), Errno> {
    let mut sent = 0;
    let result = loop {
        if sent == output.len() {
            break Ok(());
        }
        match send(
            socket,
            &output[sent..],
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
        ) {
            Ok(count) => sent += count,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    output.drain(..sent);
    result
}

impl SharedFdHandler for Negotiation {
    fn readable(self: &Arc<Self>, _: &mut FdDispatch<'_>) {
        self.receive();
    }

    fn writable(self: &Arc<Self>, _: &mut FdDispatch<'_>) {
        self.progress();
    }
}
