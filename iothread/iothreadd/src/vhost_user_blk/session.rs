//! One client: its messages, on an IOThread of the export.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use iothread::{
    ContextError, FdDispatch, FdWatch, Interest, OnMain, Polling, SharedContext, SharedFdHandler,
};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use vhost::vhost_user::BackendReqHandler;

use super::device::Device;
use super::export::VhostUserBlkExport;
use super::message::{Broken, Incoming, MAX_SIZE, Progress, config_change};
use crate::export::go_over;
use crate::sync::Mutex;

/// The most messages that are handled before others have their turn on the event loop.
const MAX_MESSAGES: usize = 16;

/// A client.
pub(super) struct Session {
    export: Weak<VhostUserBlkExport>,
    socket: Arc<OwnedFd>,
    device: Arc<Device>,
    /// Whether a message has come.
    has_spoken: AtomicBool,
    /// `None` once the session is over.
    link: Mutex<Option<Link>>,
}

/// The connection.
struct Link {
    context: SharedContext,
    watch: Option<FdWatch>,
    /// No message is handled any more; the session is over when the requests under way are answered.
    is_ending: bool,
    incoming: Incoming,
    /// Whether the message, which is complete, waits for requests to be over.
    is_waiting: bool,
    /// What is to be sent.
    output: Vec<u8>,
    handler: BackendReqHandler<Device>,
    /// The other end of the handler's socket.
    handled: UnixStream,
    /// Where the client is told what it has not asked for.
    channel: Option<OwnedFd>,
}

impl Session {
    /// Makes a session for a client that has connected.
    pub(super) fn new(
        export: &Weak<VhostUserBlkExport>,
        socket: Arc<OwnedFd>,
        device: Device,
        context: SharedContext,
    ) -> std::io::Result<Arc<Self>> {
        let (ours, handled) = UnixStream::pair()?;
        let device = Arc::new(device);
        let handler = BackendReqHandler::from_stream(ours, Arc::clone(&device));
        let session = Arc::new(Self {
            export: Weak::clone(export),
            socket,
            device: Arc::clone(&device),
            has_spoken: AtomicBool::new(false),
            link: Mutex::new(Some(Link {
                context,
                watch: None,
                is_ending: false,
                incoming: Incoming::default(),
                is_waiting: false,
                output: Vec::new(),
                handler,
                handled,
                channel: None,
            })),
        });
        device.set_session(&Arc::downgrade(&session));
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
        if let Some(channel) = link.as_ref().and_then(|link| link.channel.as_ref()) {
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
        let socket = Arc::clone(&self.socket);
        let watch = link
            .context
            .add_fd(socket, Interest::READ, Arc::clone(self))?;
        link.watch = Some(watch);
        let entered = Arc::clone(self);
        link.context.post(move |_| entered.progress())
    }

    /// Goes where the export is now. Requests under way are answered from there.
    pub(super) fn follow(self: &Arc<Self>, main: OnMain<'_>, context: &SharedContext) {
        let leave = || {
            let former = {
                let mut link = self.link.lock();
                let link = link.as_mut()?;
                link.watch = None;
                std::mem::replace(&mut link.context, context.clone())
            };
            for queue in self.device.queues() {
                queue.leave(context.clone());
            }
            Some(former)
        };
        go_over(main, leave, || {
            self.enter();
            for queue in self.device.queues() {
                queue.enter();
            }
        });
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
            link.watch = None;
            link.incoming.discard();
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
        // The peer is told even though others may have the descriptor. It may have gone by itself.
        let _ = shutdown(&*self.socket, Shutdown::Both);
        drop(link);
        self.device.close();
        if let Some(export) = self.export.upgrade() {
            export.session_is_over(self);
        }
    }

    /// A queue that has ended has no requests under way any more; on any thread.
    pub(super) fn queue_is_idle(self: &Arc<Self>) {
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
                    if link.is_waiting {
                        let resumed = Arc::clone(self);
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

    /// Does all that can be done now.
    fn progress(self: &Arc<Self>) {
        let mut guard = self.link.lock();
        let Some(link) = &mut *guard else {
            return;
        };
        if link.is_ending {
            return;
        }
        if self.advance(link).is_err() {
            drop(guard);
            self.end();
        }
    }

    fn advance(&self, link: &mut Link) -> Result<(), Broken> {
        for _ in 0..MAX_MESSAGES {
            link.flush(&self.socket)?;
            if !link.output.is_empty() {
                // Who does not read is not answered either.
                break;
            }
            if !link.is_waiting {
                match link.incoming.receive(&self.socket)? {
                    Progress::Complete => {}
                    Progress::Partial => break,
                    Progress::End => return Err(Broken),
                }
                self.has_spoken.store(true, Ordering::Release);
            }
            link.is_waiting = !self.device.pass(&link.incoming.barrier());
            if link.is_waiting {
                break;
            }
            link.handle()?;
        }
        link.flush(&self.socket)?;
        let has_output = !link.output.is_empty();
        let interest =
            Interest::READ.when(!link.is_waiting && !has_output) | Interest::WRITE.when(has_output);
        match &link.watch {
            Some(watch) => watch.set_interest(interest).map_err(|_| Broken),
            None => Ok(()),
        }
    }
}

impl Link {
    /// Handles the message that is there.
    fn handle(&mut self) -> Result<(), Broken> {
        let channel = self.incoming.channel()?;
        self.incoming.forward(&self.handled)?;
        let handled = self.handler.handle_request();
        self.take_reply()?;
        match handled {
            Ok(()) => {
                self.channel = channel.or(self.channel.take());
                Ok(())
            }
            // The client has asked to be told, and is.
            Err(_) if !self.output.is_empty() => Ok(()),
            Err(_) => Err(Broken),
        }
    }

    /// Takes what the handler has answered.
    fn take_reply(&mut self) -> Result<(), Broken> {
        let mut bytes = [0; MAX_SIZE];
        loop {
            match recv(&self.handled, &mut bytes[..], RecvFlags::DONTWAIT) {
                Ok((count, _)) => self.output.extend_from_slice(&bytes[..count]),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(_) => return Err(Broken),
            }
        }
    }

    /// Sends what can be sent.
    fn flush(&mut self, socket: &OwnedFd) -> Result<(), Broken> {
        while !self.output.is_empty() {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match send(socket, &self.output, flags) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => return Err(Broken),
            }
        }
        Ok(())
    }
}

impl SharedFdHandler for Session {
    fn readable(self: &Arc<Self>, _: &mut FdDispatch<'_>) {
        self.progress();
    }

    fn writable(self: &Arc<Self>, _: &mut FdDispatch<'_>) {
        self.progress();
    }

    /// A loop polls queues only if nothing else on it minds. Messages are rare, and may take their time.
    fn polling(&self) -> Polling {
        Polling::Kernel
    }
}
