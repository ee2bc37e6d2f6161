//! One client: its messages, on an IOThread of the export.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use iothread::{ContextError, Dispatch, OnMain, Polling, SharedContext};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use vhost::vhost_user::BackendReqHandler;

use super::device::Device;
use super::message::{Barrier, Broken, MAX_SIZE, Messages, config_change};
use super::shared::Idle;
use crate::export::go_over;
use crate::finally::Finally;
use crate::net::connection::{Connection, End, Limits};
use crate::net::protocol::Protocol as _;
use crate::net::stream::{Endpoint, Stream};
use crate::net::unsent::Unsent;
use crate::sync::{Level, Mutex};

/// Who does not read is not answered either, and after 16 messages, each received in two parts, others have their turn.
const LIMITS: Limits = Limits {
    unsent: 1,
    n_receptions: 32,
    watches_on: false,
};

/// A client.
pub(super) struct Session {
    over: Box<Over>,
    stream: Stream,
    device: Arc<Device>,
    /// Whether a message has come.
    has_spoken: AtomicBool,
    /// `None` once the session is over.
    link: Mutex<Option<Link>>,
}

/// Is told when nothing is left of a client; on any thread.
type Over = dyn Fn(&Session) + Send + Sync;

/// The connection.
struct Link {
    context: SharedContext,
    /// Moves to it that are not complete: what ran elsewhere may not be over. Only the last of them counts.
    n_moves: usize,
    /// No message is handled any more; the session is over when the requests under way are answered.
    is_ending: bool,
    connection: Connection<Messages>,
    backend: Backend,
}

/// What handles messages, and answers them.
struct Backend {
    handler: BackendReqHandler<Device>,
    /// The other end of the handler's socket.
    handled: UnixStream,
    /// Where the client is told what it has not asked for.
    channel: Option<OwnedFd>,
}

impl Session {
    /// Makes a session for a client that has connected.
    pub(super) fn new(
        stream: Stream,
        device: Device,
        context: SharedContext,
        over: Box<Over>,
    ) -> std::io::Result<Arc<Self>> {
        let (ours, handled) = UnixStream::pair()?;
        let device = Arc::new(device);
        let handler = BackendReqHandler::from_stream(ours, Arc::clone(&device));
        let session = Arc::new(Self {
            over,
            stream,
            device: Arc::clone(&device),
            has_spoken: AtomicBool::new(false),
            link: Mutex::at(
                Level::Peer,
                Some(Link {
                    context,
                    n_moves: 0,
                    is_ending: false,
                    connection: Connection::new(Messages::default(), LIMITS),
                    backend: Backend {
                        handler,
                        handled,
                        channel: None,
                    },
                }),
            ),
        });
        let waiting: Weak<dyn Idle> = Arc::<Self>::downgrade(&session);
        device.set_session(waiting);
        Ok(session)
    }

    /// Whether the client has sent a message, all of it.
    pub(super) fn has_spoken(&self) -> bool {
        self.has_spoken.load(Ordering::Acquire)
    }

    /// Tells the client to read the configuration again, if it can be told; on any thread. One that has not taken an earlier
    /// message of this kind will read what is then.
    pub(super) fn tell_of_change(&self) {
        let link = self.link.lock();
        if let Some(channel) = link.as_ref().and_then(|link| link.backend.channel.as_ref()) {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            // A client that does not listen does not want to know.
            let _ = send(channel, &config_change(), flags);
        }
    }

    /// Begins to listen to the client, or goes on with it on another event loop.
    pub(super) fn enter(self: &Arc<Self>) {
        let entered = {
            let mut link = self.link.lock();
            match &mut *link {
                Some(link) if !link.is_ending => self.watch(link),
                Some(_) | None => Ok(()),
            }
        };
        if entered.is_err() {
            self.end();
        }
    }

    fn watch(self: &Arc<Self>, link: &mut Link) -> Result<(), ContextError> {
        let stream = self.stream.clone();
        link.connection.attach(&link.context, stream, self)?;
        let entered = Arc::clone(self);
        link.context.post(move |_| entered.progress())
    }

    /// Goes where the export is now. Requests under way are answered from there. Keeps `moved` until it is there.
    pub(super) fn follow(
        self: &Arc<Self>,
        main: OnMain<'_>,
        context: &SharedContext,
        moved: &Finally,
    ) {
        let leave = || {
            let former = {
                let mut link = self.link.lock();
                let link = link.as_mut()?;
                link.connection.detach();
                link.n_moves += 1;
                std::mem::replace(&mut link.context, context.clone())
            };
            for queue in self.device.queues() {
                queue.leave(context.clone());
            }
            Some(former)
        };
        let arriving = Arc::clone(self);
        go_over(main, moved, leave, move || arriving.arrive());
    }

    /// A move is complete.
    fn arrive(self: &Arc<Self>) {
        let stays = match &mut *self.link.lock() {
            Some(link) => {
                link.n_moves -= 1;
                link.n_moves == 0
            }
            None => false,
        };
        if stays {
            self.enter();
            for queue in self.device.queues() {
                queue.enter();
            }
        }
    }

    /// Takes no more requests and no more messages, on any thread. The client is disconnected when those under way are
    /// answered: what it has in its queues by then is all that it needs to go on with another server.
    pub(super) fn end(self: &Arc<Self>) {
        {
            let mut link = self.link.lock();
            let Some(link) = &mut *link else {
                return;
            };
            link.is_ending = true;
            link.connection.detach();
            link.connection.protocol_mut().discard();
        }
        self.device.stop();
        // Those that ended in between have seen queues that had not been told.
        if self.device.is_idle() {
            self.finish();
        }
    }

    /// Ends in any case: what is under way is answered as failed.
    pub(super) fn give_up(self: &Arc<Self>) {
        self.end();
        self.device.give_up();
    }

    /// All requests are answered.
    fn finish(self: &Arc<Self>) {
        let Some(link) = self.link.lock().take() else {
            return;
        };
        self.stream.disconnect();
        drop(link);
        self.device.close();
        (self.over)(self);
    }

    /// Does all that can be done now.
    fn progress(self: &Arc<Self>) {
        self.go_on(|connection, handle| {
            connection.protocol_mut().resume();
            connection.progress(handle)
        });
    }

    fn go_on(
        self: &Arc<Self>,
        advance: impl FnOnce(
            &mut Connection<Messages>,
            &mut dyn FnMut(&mut Messages, Barrier),
        ) -> Result<(), End>,
    ) {
        let mut guard = self.link.lock();
        let Some(link) = &mut *guard else {
            return;
        };
        if link.is_ending {
            return;
        }
        let Link {
            connection,
            backend,
            ..
        } = link;
        let mut handle = |messages: &mut Messages, barrier: Barrier| {
            self.take(messages, backend, &barrier);
        };
        if advance(connection, &mut handle).is_err() {
            drop(guard);
            self.end();
        }
    }

    /// Handles the message that is there, if it need not wait.
    fn take(&self, messages: &mut Messages, backend: &mut Backend, barrier: &Barrier) {
        self.has_spoken.store(true, Ordering::Release);
        if !self.device.pass(barrier) {
            messages.hold();
        } else if backend.handle(messages).is_err() {
            messages.give_up();
        }
    }
}

impl Idle for Session {
    fn queue_is_idle(self: Arc<Self>) {
        {
            let link = self.link.lock();
            match &*link {
                // One queue may be idle while others are still being ended; who ends them looks again.
                Some(link) if link.is_ending => {
                    if !self.device.is_idle() {
                        return;
                    }
                }
                Some(link) => {
                    if link.connection.protocol().is_held() {
                        let resumed = Arc::clone(&self);
                        // The context is the export's, which gives it back after the session.
                        let _ = link.context.post(move |_| resumed.progress());
                    }
                    return;
                }
                None => return,
            }
        }
        self.finish();
    }
}

impl Backend {
    /// Handles the message that is there.
    fn handle(&mut self, messages: &mut Messages) -> Result<(), Broken> {
        let channel = messages.channel()?;
        messages.forward(&self.handled)?;
        let handled = self.handler.handle_request();
        self.take_reply(messages.output())?;
        match handled {
            Ok(()) => {
                self.channel = channel.or(self.channel.take());
                Ok(())
            }
            // The client has asked to be told, and is.
            Err(_) if !messages.output().is_empty() => Ok(()),
            Err(_) => Err(Broken),
        }
    }

    /// Takes what the handler has answered.
    fn take_reply(&mut self, unsent: &mut Unsent) -> Result<(), Broken> {
        let mut bytes = [0; MAX_SIZE];
        loop {
            match recv(&self.handled, &mut bytes[..], RecvFlags::DONTWAIT) {
                Ok((count, _)) => unsent.end().extend_from_slice(&bytes[..count]),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(_) => return Err(Broken),
            }
        }
    }
}

impl Endpoint for Session {
    fn readable(self: &Arc<Self>, _: &Dispatch<'_>) {
        self.go_on(|connection, handle| connection.readable(handle));
    }

    fn writable(self: &Arc<Self>, _: &Dispatch<'_>) {
        self.go_on(|connection, handle| connection.progress(handle));
    }

    /// A loop polls queues only if nothing else on it minds. Messages are rare, and may take their time.
    fn polling(&self) -> Polling {
        Polling::Kernel
    }
}
