//! The connection to a server, on the IOThread that all such connections share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use iothread::{Clock, Dispatch, OnMain, Registry, SharedContext, Timer, holder};
use qapi_runtime::Error;
use rustix::thread::gettid;

use super::messages::{Messages, Said};
use super::protocol::{Command, request};
use crate::errno::message_of;
use crate::finally::Finally;
use crate::host::Host;
use crate::leaving;
use crate::net::connection::{Connection, End, Limits};
use crate::net::stream::{Endpoint, Stream};
use crate::oneshot;
use crate::qemu_text::QemuText;
use crate::report::report;
use crate::sync::{Level, Mutex};

/// Id of the IOThread, which is there while there is a connection.
const IOTHREAD: &str = "vfio-user";

/// A server that does not read gets no further replies either.
const LIMITS: Limits = Limits {
    unsent: 1 << 20,
    n_receptions: 1,
    watches_on: false,
};

/// How long a server may take for all its answers at the start, unless a single one may take longer.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A connection. Messages are sent and received on the IOThread; requests come from the main loop, one at a time.
pub(super) struct VfioUserClient {
    stream: Stream,
    /// Has the IOThread.
    registry: Registry,
    /// Taken at the end.
    context: SharedContext,
    next_id: AtomicU16,
    timeout: Duration,
    /// When the handshake has to be over.
    deadline: Instant,
    state: Mutex<State>,
}

struct State {
    connection: Connection<Messages>,
    /// Who waits for replies.
    waiting: HashMap<u16, oneshot::Sender<Answer>>,
    /// Ends their waiting.
    patience: Option<Timer>,
    n_messages: u64,
    /// The kernel's id of the thread that received the last message.
    thread_id: i64,
}

/// The payload of a reply, or why there is no reply.
type Answer = Result<Vec<u8>, Failure>;

enum Failure {
    /// By the server, with the number of an error.
    Refused(u32),
    Late,
}

/// Is called when the connection is ready.
struct Ready(Weak<VfioUserClient>);

impl Endpoint for Ready {
    fn readable(self: &Arc<Self>, _: &Dispatch<'_>) {
        if let Some(client) = self.0.upgrade() {
            client.receive();
        }
    }

    fn writable(self: &Arc<Self>, _: &Dispatch<'_>) {
        if let Some(client) = self.0.upgrade() {
            client.state.lock().progress();
        }
    }
}

impl VfioUserClient {
    /// Takes the IOThread for a connection of the device at `path`, and makes it if this is the first.
    pub(super) fn start(
        host: &Host,
        stream: Stream,
        path: &str,
        timeout: Duration,
    ) -> Result<Arc<Self>, Error> {
        let threads = &host.threads;
        let thread = threads.internal(IOTHREAD);
        let thread = thread.map_err(|error| error.to_answer())?;
        let context = match thread.get_aio_context(holder::qom_object(path)) {
            Ok(context) => context.share(),
            Err(error) => {
                delete_unused_thread(threads.registry());
                return Err(error.to_answer());
            }
        };
        let client = Arc::new(Self {
            stream,
            registry: threads.registry().clone(),
            context,
            next_id: AtomicU16::new(0),
            timeout,
            deadline: Instant::now() + timeout.max(HANDSHAKE),
            state: Mutex::at(
                Level::Peer,
                State {
                    connection: Connection::new(Messages::new(), LIMITS),
                    waiting: HashMap::new(),
                    patience: None,
                    n_messages: 0,
                    thread_id: 0,
                },
            ),
        });
        let starting = Arc::clone(&client);
        client.post(move || starting.watch());
        Ok(client)
    }

    /// Runs something on the IOThread, unless the connection is given up.
    fn post(&self, run: impl FnOnce() + Send + 'static) {
        // Refused once it is given up.
        let _ = self.context.post(move |_| run());
    }

    fn watch(self: &Arc<Self>) {
        let ready = Arc::new(Ready(Arc::downgrade(self)));
        let late = Arc::downgrade(self);
        let patience = self.context.timer(Clock::Monotonic, move |_| {
            if let Some(client) = late.upgrade() {
                client.state.lock().lose_patience();
            }
        });
        let mut state = self.state.lock();
        let watched = patience.and_then(|patience| {
            state.patience = Some(patience);
            let stream = self.stream.clone();
            state.connection.attach(&self.context, stream, &ready)
        });
        match watched {
            Ok(()) => state.progress(),
            Err(error) => {
                // Without being watched the connection is over, which shows at the first request.
                report(&format!("vfio-user: cannot watch a server: {error}"));
                state.end();
            }
        }
    }

    /// Sends a request and waits for the reply, at most as long as the device allows.
    ///
    /// # Errors
    ///
    /// A server that does not answer, is gone, or refuses.
    pub(super) async fn request(
        self: &Arc<Self>,
        command: Command,
        payload: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let message = request(id, command, payload);
        let (sender, answer) = oneshot::channel();
        let sending = Arc::clone(self);
        self.post(move || sending.send(id, &message, sender));
        let failed = |what: String| Error::generic(format!("vfio-user: {command:?}: {what}"));
        match answer.await {
            Some(Ok(payload)) => Ok(payload),
            Some(Err(Failure::Refused(number))) => {
                let reason = message_of(i32::try_from(number).unwrap_or(0));
                Err(failed(format!("refused by the server: {reason}")))
            }
            Some(Err(Failure::Late)) => Err(failed("no reply in time".to_owned())),
            None => Err(failed("the server is gone".to_owned())),
        }
    }

    fn send(&self, id: u16, message: &[u8], sender: oneshot::Sender<Answer>) {
        let mut state = self.state.lock();
        // A dropped sender tells that the connection is over.
        if state.connection.is_open() {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if let Some(patience) = &state.patience {
                patience.arm_after(self.timeout.min(left));
            }
            state.waiting.insert(id, sender);
            state.connection.protocol_mut().send(message);
            state.progress();
        }
    }

    fn receive(&self) {
        let mut state = self.state.lock();
        let end = state.go_on(|connection, handle| connection.readable(handle));
        state.see_to_end(end);
    }

    /// Whether the server is there, how many messages came from it, and on which thread the last one did.
    pub(super) fn describe(&self) -> (bool, u64, i64) {
        let state = self.state.lock();
        (
            state.connection.is_open(),
            state.n_messages,
            state.thread_id,
        )
    }

    /// Gives the connection up, and the IOThread back; without connections that ends. Keeps `gone` until this is done.
    pub(super) fn end(&self, main: OnMain<'_>, gone: &Finally) {
        self.state.lock().end();
        self.stream.close();
        let registry = self.registry.clone();
        let released = gone.preceded_by(move |_, _| delete_unused_thread(&registry));
        leaving::release(main, &self.context, &released);
        released.or_now(main);
    }
}

/// Ends the shared IOThread unless somebody holds it.
fn delete_unused_thread(registry: &Registry) {
    if let Some(thread) = registry.find_internal(IOTHREAD) {
        // Refused while there are other connections.
        let _ = thread.delete();
    }
}

impl State {
    /// Goes on as far as possible.
    fn progress(&mut self) {
        let end = self.go_on(|connection, handle| connection.progress(handle));
        self.see_to_end(end);
    }

    fn go_on(
        &mut self,
        advance: impl FnOnce(
            &mut Connection<Messages>,
            &mut dyn FnMut(&mut Messages, Said),
        ) -> Result<(), End>,
    ) -> Result<(), End> {
        let Self {
            connection,
            waiting,
            patience,
            n_messages,
            thread_id,
        } = self;
        let mut take = |_: &mut Messages, said| {
            match said {
                Said::Nonsense(error) => {
                    return report(&format!("vfio-user: server cut off: {error}"));
                }
                Said::Reply { id, result } => {
                    // A reply that comes too late is not waited for any more.
                    if let Some(sender) = waiting.remove(&id) {
                        if let Some(patience) = patience {
                            patience.disarm();
                        }
                        sender.send(result.map_err(Failure::Refused));
                    }
                }
                Said::Command => {}
            }
            *n_messages += 1;
            *thread_id = i64::from(gettid().as_raw_nonzero().get());
        };
        advance(connection, &mut take)
    }

    fn see_to_end(&mut self, end: Result<(), End>) {
        match end {
            Ok(()) => {}
            Err(End::Over | End::Broken | End::Unwatched(_)) => self.end(),
        }
    }

    /// The connection is over: who waits learns it by the end of the channel.
    fn end(&mut self) {
        self.connection.detach();
        self.connection.protocol_mut().give_up();
        self.patience = None;
        self.waiting.clear();
    }

    /// Tells those who wait that there is no answer in time.
    fn lose_patience(&mut self) {
        for (_, sender) in self.waiting.drain() {
            sender.send(Err(Failure::Late));
        }
    }
}
