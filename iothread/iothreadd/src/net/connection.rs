//! A connection: a stream, and the protocol that is spoken on it. Receiving, going on, sending, waiting and ending are here,
//! for all of them.
//!
//! It has neither a lock nor a thread: its owner has both, is called when the stream is ready (see
//! [`Endpoint`](super::stream::Endpoint)), does what the protocol asks for, and forgets the connection at its end.

use std::io;
use std::sync::Arc;

use iothread::{AioContext, ContextError, Interest};

use super::protocol::{Outgoing, Protocol, Sent, Step};
use super::stream::{Endpoint, Stream, Watches};

/// How much is done for a peer before it, or somebody else, has to do something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// With so many bytes that wait to be sent the protocol does not go on, and nothing is received: a peer that asks has to
    /// listen, too.
    pub(crate) unsent: usize,
    /// How often it receives before others on the event loop have their turn.
    pub(crate) n_receptions: usize,
    /// Whether the stream is watched on while the protocol waits for its owner: for one that waits for a short time, which
    /// is not worth two system calls. Input that comes nevertheless ends the watching, and a peer that has gone is noticed.
    pub(crate) watches_on: bool,
}

/// A stream and a protocol.
pub(crate) struct Connection<P> {
    protocol: P,
    limits: Limits,
    /// `None` before the start and after the end.
    link: Option<Link>,
    waits_for: WaitsFor,
}

struct Link {
    stream: Stream,
    watches: Watches,
}

/// What the protocol waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitsFor {
    Input,
    Owner,
    /// Output has to be sent.
    Room,
    /// All output has to be sent, then it is over.
    End,
    /// It is over.
    Nothing,
}

/// Why a connection is over.
#[derive(Debug)]
pub(crate) enum End {
    /// The protocol is.
    Over,
    /// The peer has gone, or cannot be sent anything.
    Broken,
    /// It cannot be watched.
    Unwatched(ContextError),
}

impl<P: Protocol> Connection<P> {
    /// A connection that has no stream yet.
    pub(crate) fn new(protocol: P, limits: Limits) -> Self {
        Self {
            protocol,
            limits,
            link: None,
            waits_for: WaitsFor::Input,
        }
    }

    pub(crate) fn protocol(&self) -> &P {
        &self.protocol
    }

    /// After a change of it the connection has to [`progress`](Self::progress).
    pub(crate) fn protocol_mut(&mut self) -> &mut P {
        &mut self.protocol
    }

    /// What is left of the conversation. The stream is dropped if it has not been taken.
    pub(crate) fn into_protocol(self) -> P {
        self.protocol
    }

    pub(crate) fn is_open(&self) -> bool {
        self.link.is_some()
    }

    /// Takes a stream, or goes on with it on another event loop. The endpoint is called from then on, though for nothing before
    /// the connection has made progress.
    ///
    /// # Errors
    ///
    /// The stream cannot be watched.
    pub(crate) fn attach<E: Endpoint>(
        &mut self,
        context: &AioContext,
        stream: Stream,
        endpoint: &Arc<E>,
    ) -> Result<(), ContextError> {
        // The same descriptor cannot be watched twice on one event loop.
        self.link = None;
        let watches = Watches::new(context, &stream, endpoint)?;
        self.link = Some(Link { stream, watches });
        Ok(())
    }

    /// Gives the stream up, with nothing done to it.
    pub(crate) fn detach(&mut self) -> Option<Stream> {
        self.link.take().map(|link| link.stream)
    }

    /// Ends the connection so that the peer receives all that was sent. Returns whether it was open.
    pub(crate) fn close(&mut self) -> bool {
        let stream = self.detach();
        if let Some(stream) = &stream {
            stream.close();
        }
        stream.is_some()
    }

    /// The stream may have something: receives, and goes on.
    ///
    /// # Errors
    ///
    /// The connection is over.
    pub(crate) fn readable(&mut self, mut handle: impl FnMut(&mut P, P::Event)) -> Result<(), End> {
        if !self.wants_input() {
            return self.refuse_input();
        }
        for _ in 0..self.limits.n_receptions {
            let may_be_more = self.receive();
            self.go_on(&mut handle)?;
            if !may_be_more || !self.wants_input() {
                break;
            }
        }
        self.watch()
    }

    /// Goes on as far as possible, sends what can be sent, and arranges to be called for the rest. Without a stream the
    /// protocol goes on alone.
    ///
    /// # Errors
    ///
    /// The connection is over.
    pub(crate) fn progress(&mut self, handle: impl FnMut(&mut P, P::Event)) -> Result<(), End> {
        self.go_on(handle)?;
        self.watch()
    }

    fn go_on(&mut self, mut handle: impl FnMut(&mut P, P::Event)) -> Result<(), End> {
        loop {
            while let Some(event) = self.next_event() {
                handle(&mut self.protocol, event);
            }
            // What has been sent may have made room for more.
            if !self.flush()? {
                return Ok(());
            }
        }
    }

    /// What the protocol asks for next; `None` once it waits. For owners that cannot handle an event while others have
    /// the protocol; they go on with [`flush`](Self::flush) and [`watch`](Self::watch).
    pub(crate) fn next_event(&mut self) -> Option<P::Event> {
        match self.waits_for {
            WaitsFor::End | WaitsFor::Nothing => return None,
            WaitsFor::Input | WaitsFor::Owner | WaitsFor::Room => {}
        }
        if self.is_full() {
            self.waits_for = WaitsFor::Room;
            return None;
        }
        self.waits_for = match self.protocol.advance() {
            Step::Event(event) => return Some(event),
            Step::Read => WaitsFor::Input,
            Step::Wait => WaitsFor::Owner,
            Step::Close => WaitsFor::End,
            Step::Abort => WaitsFor::Nothing,
        };
        None
    }

    /// Sends what can be sent. Returns whether something was.
    ///
    /// # Errors
    ///
    /// The peer does not receive any more, so it is not answered.
    pub(crate) fn flush(&mut self) -> Result<bool, End> {
        let Some(link) = &self.link else {
            return Ok(false);
        };
        if self.waits_for == WaitsFor::Nothing {
            return Err(End::Over);
        }
        let output = self.protocol.output();
        let before = output.len();
        while output.len() > 0 {
            match output.send_some(&link.stream) {
                Ok(Sent::All) => {}
                Ok(Sent::Some) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(End::Broken),
            }
        }
        Ok(output.len() < before)
    }

    /// Arranges to be called for what the connection waits for.
    ///
    /// # Errors
    ///
    /// It waits for nothing, or cannot be called.
    pub(crate) fn watch(&mut self) -> Result<(), End> {
        let is_full = self.is_full();
        let has_output = self.protocol.output().len() > 0;
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        let reads = match self.waits_for {
            WaitsFor::Input => !is_full,
            WaitsFor::Owner => self.limits.watches_on && link.reads() && !has_output,
            // If there is some now, the owner goes on later.
            WaitsFor::Room => !is_full && link.reads(),
            WaitsFor::End if has_output => false,
            WaitsFor::End | WaitsFor::Nothing => return Err(End::Over),
        };
        link.want(reads, has_output)
    }

    /// Whether output has to be sent before anything else is done.
    pub(crate) fn is_full(&mut self) -> bool {
        self.protocol.output().len() >= self.limits.unsent
    }

    /// Whether it would receive, as far as it has come.
    pub(crate) fn wants_input(&mut self) -> bool {
        self.link.is_some() && self.waits_for == WaitsFor::Input && !self.is_full()
    }

    /// Something has come that is not wanted now.
    fn refuse_input(&mut self) -> Result<(), End> {
        let has_output = self.protocol.output().len() > 0;
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        if self.limits.watches_on && link.stream.peer_is_gone() {
            // What it has asked for is done, and the answers are not waited for.
            return Err(End::Broken);
        }
        link.want(false, has_output)
    }

    /// Receives once, if input is wanted. Returns whether there may be more.
    pub(crate) fn receive(&mut self) -> bool {
        if !self.wants_input() {
            return false;
        }
        let Some(link) = &self.link else {
            return false;
        };
        let space = self.protocol.space();
        let wanted = space.len();
        if wanted == 0 {
            return false;
        }
        match link.stream.receive(space, P::TAKES_DESCRIPTORS) {
            Ok((0, _)) => {
                self.protocol.end_of_input();
                false
            }
            Ok((count, passed)) => {
                self.protocol.received(count, passed);
                count == wanted
            }
            Err(error) => {
                match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                    _ => self.protocol.break_off(),
                }
                false
            }
        }
    }
}

impl Link {
    fn reads(&self) -> bool {
        self.watches.wanted().contains(Interest::READ)
    }

    fn want(&mut self, reads: bool, writes: bool) -> Result<(), End> {
        let interest = Interest::READ.when(reads) | Interest::WRITE.when(writes);
        self.watches.set(interest).map_err(End::Unwatched)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use iothread::{Dispatch, MainLoop};

    use super::*;
    use crate::net::input::Input;
    use crate::net::stream::Passed;
    use crate::net::unsent::Unsent;
    use crate::sync::{Level, Mutex};

    /// Answers each byte with itself, but for `!`, which the owner has to answer; `.` ends it.
    struct Echo {
        input: Input,
        unsent: Unsent,
        is_waiting: bool,
        is_over: bool,
    }

    impl Protocol for Echo {
        type Event = ();
        type Output = Unsent;

        fn space(&mut self) -> &mut [u8] {
            self.input.space()
        }

        fn received(&mut self, count: usize, _: Passed) {
            self.input.fill(count);
        }

        fn end_of_input(&mut self) {
            self.is_over = true;
        }

        fn advance(&mut self) -> Step<()> {
            if self.is_waiting {
                return Step::Wait;
            }
            match self.input.bytes().first().copied() {
                None if self.is_over => Step::Close,
                None => Step::Read,
                Some(b'!') => {
                    self.input.take(1);
                    self.is_waiting = true;
                    Step::Event(())
                }
                Some(b'.') => Step::Close,
                Some(byte) => {
                    self.input.take(1);
                    self.unsent.end().push(byte);
                    self.advance()
                }
            }
        }

        fn output(&mut self) -> &mut Unsent {
            &mut self.unsent
        }
    }

    struct Owner(Mutex<State>);

    struct State {
        connection: Connection<Echo>,
        n_events: usize,
        end: Option<End>,
    }

    impl State {
        fn see_to(&mut self, end: Result<(), End>) {
            if let Err(end) = end {
                self.connection.close();
                self.end = Some(end);
            }
        }
    }

    impl Endpoint for Owner {
        fn readable(self: &Arc<Self>, _: &Dispatch<'_>) {
            let state = &mut *self.0.lock();
            let end = state.connection.readable(|_, ()| state.n_events += 1);
            state.see_to(end);
        }

        fn writable(self: &Arc<Self>, _: &Dispatch<'_>) {
            let state = &mut *self.0.lock();
            let end = state.connection.progress(|_, ()| state.n_events += 1);
            state.see_to(end);
        }
    }

    /// A connection of which no more than `unsent` bytes wait, with its peer.
    fn connect(main_loop: &MainLoop, unsent: usize) -> (Arc<Owner>, UnixStream) {
        let (near, peer) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let echo = Echo {
            input: Input::new(4096, 4096),
            unsent: Unsent::default(),
            is_waiting: false,
            is_over: false,
        };
        let limits = Limits {
            unsent,
            n_receptions: 1,
            watches_on: false,
        };
        let state = State {
            connection: Connection::new(echo, limits),
            n_events: 0,
            end: None,
        };
        let owner = Arc::new(Owner(Mutex::at(Level::Peer, state)));
        {
            let stream = Stream::unix(near.into());
            let mut state = owner.0.lock();
            let main = main_loop.context();
            state.connection.attach(&main, stream, &owner).unwrap();
            state.connection.progress(|_, ()| ()).unwrap();
        }
        (owner, peer)
    }

    /// Runs the loop until it has nothing to do.
    fn settle(main_loop: &mut MainLoop) {
        while main_loop.run_once(false).unwrap() {}
    }

    #[test]
    fn all_is_answered_before_the_end() {
        let mut main_loop = MainLoop::new().unwrap();
        let (owner, mut peer) = connect(&main_loop, usize::MAX);
        peer.write_all(b"ab!c.d").unwrap();
        settle(&mut main_loop);
        {
            // It waits for its owner, and is not watched meanwhile.
            let mut state = owner.0.lock();
            assert_eq!((state.n_events, state.connection.wants_input()), (1, false));
            state.connection.protocol_mut().is_waiting = false;
            let end = state.connection.progress(|_, ()| ());
            assert!(matches!(end, Err(End::Over)));
            state.see_to(end);
        }
        let mut answer = String::new();
        peer.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "abc");
    }

    #[test]
    fn a_peer_that_does_not_listen_is_not_listened_to() {
        let mut main_loop = MainLoop::new().unwrap();
        let (owner, mut peer) = connect(&main_loop, 1);
        peer.set_nonblocking(true).unwrap();
        let mut n_sent = 0;
        // Until both directions are full.
        loop {
            match peer.write(&[b'x'; 4096]) {
                Ok(count) => n_sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let n_before = owner.0.lock().connection.protocol().unsent.bytes().len();
                    settle(&mut main_loop);
                    let n_unsent = owner.0.lock().connection.protocol().unsent.bytes().len();
                    assert!(n_unsent <= 4096);
                    if n_unsent > 0 && n_unsent == n_before {
                        break;
                    }
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(!owner.0.lock().connection.wants_input());
        // It goes on where it was once the peer listens.
        let mut n_received = 0;
        while n_received < n_sent {
            match peer.read(&mut [0; 65536]) {
                Ok(count) => n_received += count,
                Err(_) => settle(&mut main_loop),
            }
        }
        assert!(owner.0.lock().connection.wants_input());
        drop(peer);
        settle(&mut main_loop);
        assert!(owner.0.lock().end.is_some());
    }
}
