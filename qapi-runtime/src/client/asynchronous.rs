//! The client on tokio.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::SocketAddrUnix;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::core::{Answer, Encoded, Greeting, SILENT_SUCCESS, settle};
use super::error::{Awaited, ClientError, ClientErrorKind};
use super::event::{EventFilter, RawEvent};
use super::hub::{Hub, Missed};
use super::options::{Address, CallOptions, ConnectOptions};
use super::{CONNECT_PAUSE, EVENT_BACKLOG, READ_SIZE, connect_unix};
use crate::dispatch::Request;
use crate::transport::{Reader, Transport, Writer};
use crate::value::Value;
use crate::visit::Visit;

/// Requests that wait to be sent before those who make more have to wait.
const REQUEST_BACKLOG: usize = 256;

/// A connection to a server, on tokio. Clones share it; the last one closes it.
///
/// Dropping the future of a command that is not sent yet cancels it. One that is sent is executed
/// by the server all the same; its reply is dropped.
///
/// ```no_run
/// use qapi_runtime::client::{Address, CallOptions, Client, ConnectOptions};
///
/// # async fn example() -> Result<(), qapi_runtime::client::ClientError> {
/// let address = Address::unix("/run/example/qmp.sock");
/// let client = Client::connect(ConnectOptions::new(address)).await?;
/// let name = client.execute_raw("query-name", None, CallOptions::new()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    options: ConnectOptions,
    shared: Arc<Shared>,
    requests: mpsc::Sender<Outgoing>,
    closing: watch::Sender<bool>,
    next_id: AtomicU64,
}

/// What the driver and the handles share.
struct Shared {
    hub: Mutex<Hub>,
    greeting: Mutex<Option<Greeting>>,
    /// False while a new connection is made.
    is_connected: AtomicBool,
}

/// A request on its way to the driver.
struct Outgoing {
    request: Encoded,
    out_of_band: bool,
    descriptors: Vec<OwnedFd>,
    answer: oneshot::Sender<Result<Answer, ClientErrorKind>>,
    /// Turns true when all of it is written; for requests that are answered only when they fail.
    is_sent: Option<Arc<AtomicBool>>,
}

/// A request that is being written.
struct Current {
    request: Encoded,
    written: usize,
    /// Go with the first byte.
    descriptors: Vec<OwnedFd>,
    is_sent: Option<Arc<AtomicBool>>,
}

impl Current {
    fn rest(&self) -> &[u8] {
        &self.request.as_bytes()[self.written..]
    }

    /// What is left to write after so many bytes more.
    fn advance(mut self, count: usize) -> Option<Self> {
        self.descriptors.clear();
        self.written += count;
        if !self.rest().is_empty() {
            return Some(self);
        }
        if let Some(is_sent) = self.is_sent {
            is_sent.store(true, Ordering::Release);
        }
        None
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is locked here is never left half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn open(options: &ConnectOptions) -> io::Result<Transport> {
    Ok(match &options.address {
        Address::Unix(path) => Transport::Unix(UnixStream::connect(path).await?),
        Address::Abstract(name) => {
            let stream = connect_unix(&SocketAddrUnix::new_abstract_name(name)?)?;
            Transport::Unix(UnixStream::from_std(stream)?)
        }
        Address::Tcp(address) => {
            let connecting = TcpStream::connect(address);
            let stream = tokio::time::timeout(options.handshake, connecting).await??;
            stream.set_nodelay(true)?;
            Transport::Tcp(stream)
        }
    })
}

/// Tries until the server is there, or has room for one more.
async fn open_by(options: &ConnectOptions, wait: Duration) -> io::Result<Transport> {
    let start = Instant::now();
    loop {
        match open(options).await {
            Ok(transport) => return Ok(transport),
            // The queue of those who wait to be accepted is full.
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    && start.elapsed() < options.handshake =>
            {
                tokio::time::sleep(CONNECT_PAUSE).await;
            }
            Err(error) if start.elapsed() >= wait => return Err(error),
            Err(_) => tokio::time::sleep(CONNECT_PAUSE).await,
        }
    }
}

/// Connects and brings the protocol to the point where commands may be sent.
async fn establish(
    options: &ConnectOptions,
    hub: &mut Hub,
    wait: Duration,
) -> Result<(Reader, Writer), ClientError> {
    let transport = open_by(options, wait).await;
    let transport = transport.map_err(|error| options.address.not_connected(error))?;
    let (mut reader, mut writer) = transport.split();
    let handshake = async {
        let mut buffer = vec![0; READ_SIZE];
        loop {
            let output = hub.core().take_output();
            let mut rest = &output[..];
            while !rest.is_empty() {
                let count = writer.write(rest, &[]).await?;
                rest = &rest[count..];
            }
            if hub.core().is_ready() {
                return Ok(());
            }
            match reader.read(&mut buffer, None).await? {
                0 => return Err(ClientError::new(ClientErrorKind::Closed)),
                count => hub.receive(&buffer[..count])?,
            }
        }
    };
    match tokio::time::timeout(options.handshake, handshake).await {
        Ok(result) => result.map(|()| (reader, writer)),
        Err(_) => Err(ClientError::new(ClientErrorKind::TimedOut(
            options.handshake,
        ))),
    }
}

impl Client {
    /// Connects to a server and negotiates.
    ///
    /// # Errors
    ///
    /// The server is not there in time, or does not behave.
    pub async fn connect(options: ConnectOptions) -> Result<Self, ClientError> {
        let mut hub = Hub::new(&options);
        let connection = establish(&options, &mut hub, options.wait).await?;
        let (requests, outgoing) = mpsc::channel(REQUEST_BACKLOG);
        let closing = watch::Sender::new(false);
        let shared = Arc::new(Shared {
            greeting: Mutex::new(hub.core().greeting().cloned()),
            hub: Mutex::new(hub),
            is_connected: AtomicBool::new(true),
        });
        let driver = Driver {
            options: options.clone(),
            shared: Arc::clone(&shared),
            outgoing,
            closing: closing.subscribe(),
        };
        tokio::spawn(driver.run(connection));
        Ok(Self {
            inner: Arc::new(Inner {
                options,
                shared,
                requests,
                closing,
                next_id: AtomicU64::new(1),
            }),
        })
    }

    /// What the server said of itself; the guest agent says nothing.
    pub fn greeting(&self) -> Option<Greeting> {
        lock(&self.inner.shared.greeting).clone()
    }

    /// Executes a command.
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`].
    pub async fn execute<R: Request>(&self, request: &R) -> Result<R::Returns, ClientError> {
        self.execute_with(request, CallOptions::new()).await
    }

    /// Executes a command in some other way than the usual one.
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`].
    pub async fn execute_with<R: Request>(
        &self,
        request: &R,
        options: CallOptions,
    ) -> Result<R::Returns, ClientError> {
        let encoded = self.encode(R::COMMAND, Some(request), &options)?;
        self.call(encoded, options, R::SUCCESS_RESPONSE).await
    }

    /// Executes a command without types.
    ///
    /// # Errors
    ///
    /// See [`ClientErrorKind`].
    pub async fn execute_raw(
        &self,
        command: &str,
        arguments: Option<&Value>,
        options: CallOptions,
    ) -> Result<Value, ClientError> {
        let encoded = self.encode(command, arguments, &options)?;
        self.call(encoded, options, true).await
    }

    fn encode<A: Visit>(
        &self,
        command: &str,
        arguments: Option<&A>,
        options: &CallOptions,
    ) -> Result<Encoded, ClientError> {
        let id = self.inner.next_id.fetch_add(1, Ordering::Relaxed);
        Encoded::new(command, arguments, id, options.out_of_band)
    }

    async fn call<T: Visit>(
        &self,
        request: Encoded,
        options: CallOptions,
        is_answered: bool,
    ) -> Result<T, ClientError> {
        let timeout = options
            .timeout
            .or((!is_answered).then_some(SILENT_SUCCESS))
            .or(self.inner.options.timeout);
        let (sender, answer) = oneshot::channel();
        let is_sent = (!is_answered).then(Arc::<AtomicBool>::default);
        let outgoing = Outgoing {
            request: request.clone(),
            out_of_band: options.out_of_band,
            descriptors: options.descriptors,
            answer: sender,
            is_sent: is_sent.clone(),
        };
        let exchange = async {
            if self.inner.requests.send(outgoing).await.is_err() {
                return Err(ClientErrorKind::Closed);
            }
            answer.await.unwrap_or(Err(ClientErrorKind::Closed))
        };
        let answer = match timeout {
            None => exchange.await,
            Some(timeout) => tokio::time::timeout(timeout, exchange)
                .await
                .unwrap_or(Err(ClientErrorKind::TimedOut(timeout))),
        };
        if answer.is_err() {
            lock(&self.inner.shared.hub).forget(request.id(), is_answered);
        }
        // Silence means success only of what the server was asked to do.
        let is_silent = is_sent.is_some_and(|is_sent| is_sent.load(Ordering::Acquire));
        let is_connected = self.inner.shared.is_connected.load(Ordering::Relaxed);
        let awaited = if is_connected {
            Awaited::Answer
        } else {
            Awaited::Connection
        };
        settle(answer, &request, !is_silent).map_err(|error| error.awaiting(awaited))
    }

    /// Listens to events from now on, also those of later connections.
    pub fn listen(&self, filter: EventFilter) -> Events {
        let (sender, receiver) = mpsc::channel(EVENT_BACKLOG);
        let missed = Missed::default();
        // Asked with the hub locked: a driver that closes now has yet to close the hub.
        let mut hub = lock(&self.inner.shared.hub);
        if !self.is_closed() {
            let listen = move |event| sender.try_send(event).is_ok();
            hub.listen(filter, &missed, Box::new(listen));
        }
        Events { receiver, missed }
    }

    /// Waits for the next event that passes the filter. Events that came before do not count:
    /// [`Client::listen`] before the command that causes the event, if it may come soon.
    ///
    /// # Errors
    ///
    /// No such event in time, or the end of the connection.
    pub async fn wait_for_event(
        &self,
        filter: EventFilter,
        timeout: Option<Duration>,
    ) -> Result<Arc<RawEvent>, ClientError> {
        let mut events = self.listen(filter);
        match timeout {
            None => events.next().await,
            Some(timeout) => tokio::time::timeout(timeout, events.next())
                .await
                .unwrap_or_else(|_| {
                    let error = ClientError::new(ClientErrorKind::TimedOut(timeout));
                    Err(error.awaiting(Awaited::Event))
                }),
        }
    }

    /// Closes the connection for all clones. Commands in flight end with
    /// [`ClientErrorKind::Closed`].
    pub fn close(&self) {
        self.inner.closing.send_replace(true);
    }

    /// Whether the connection is closed for good.
    pub fn is_closed(&self) -> bool {
        self.inner.requests.is_closed()
    }
}

impl Shared {
    /// Registers a request that is about to be written.
    fn admit(&self, outgoing: Outgoing) -> Option<Current> {
        let Outgoing {
            request,
            out_of_band,
            descriptors,
            answer,
            is_sent,
        } = outgoing;
        if answer.is_closed() {
            return None;
        }
        let mut hub = lock(&self.hub);
        if out_of_band && !hub.core().oob_enabled() {
            // The other end may have given up meanwhile; then nobody waits for the answer.
            let _ = answer.send(Err(ClientErrorKind::OobNotEnabled));
            return None;
        }
        let deliver = Box::new(move |reply| {
            // As above.
            let _ = answer.send(reply);
        });
        hub.sent(&request, out_of_band, deliver);
        Some(Current {
            request,
            written: 0,
            descriptors,
            is_sent,
        })
    }
}

/// The task that owns the connection.
struct Driver {
    options: ConnectOptions,
    shared: Arc<Shared>,
    outgoing: mpsc::Receiver<Outgoing>,
    closing: watch::Receiver<bool>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The runtime may end before the connection.
        self.close();
        while self.outgoing.try_recv().is_ok() {}
    }
}

/// Why a connection is not served any more.
enum End {
    /// Nobody wants it.
    Closed,
    /// It broke.
    Lost,
}

impl Driver {
    async fn run(mut self, mut connection: (Reader, Writer)) {
        loop {
            let end = self.drive(connection).await;
            self.shared.is_connected.store(false, Ordering::Relaxed);
            lock(&self.shared.hub).restart(&self.options);
            let next = match end {
                End::Closed => None,
                End::Lost => self.reconnect().await,
            };
            match next {
                Some(next) => {
                    self.shared.is_connected.store(true, Ordering::Relaxed);
                    connection = next;
                }
                None => break,
            }
        }
        self.close();
        // Of what others are putting there at this moment, nothing is left behind.
        while let Some(outgoing) = self.outgoing.recv().await {
            drop(outgoing);
        }
    }

    /// Tells all who wait that nothing more will come.
    fn close(&mut self) {
        self.outgoing.close();
        lock(&self.shared.hub).close();
    }

    /// Serves one connection to its end.
    async fn drive(&mut self, (mut reader, mut writer): (Reader, Writer)) -> End {
        let mut buffer = vec![0; READ_SIZE];
        let mut current: Option<Current> = None;
        let mut is_writable = true;
        let Self {
            shared,
            outgoing,
            closing,
            ..
        } = self;
        let end = loop {
            let (rest, descriptors) = match &current {
                Some(current) => (current.rest(), &current.descriptors[..]),
                None => (&[][..], &[][..]),
            };
            tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => break End::Closed,
                result = writer.write(rest, descriptors), if !rest.is_empty() => match result {
                    Ok(count) => {
                        current = current.and_then(|current| current.advance(count));
                    }
                    Err(error) => {
                        let kind = ClientErrorKind::not_written(error);
                        let Some(failed) = current.take() else {
                            continue;
                        };
                        // After half a request there cannot be another one either.
                        if failed.written > 0 || matches!(kind, ClientErrorKind::Closed) {
                            writer.give_up();
                            is_writable = false;
                        }
                        lock(&shared.hub).fail(failed.request.id(), kind);
                    }
                },
                read = reader.read(&mut buffer, None) => match read {
                    // However it ends, all who wait are told so.
                    Ok(0) | Err(_) => break End::Lost,
                    Ok(count) => {
                        // They were told what is wrong.
                        if lock(&shared.hub).receive(&buffer[..count]).is_err() {
                            break End::Lost;
                        }
                    }
                },
                next = outgoing.recv(), if current.is_none() && is_writable => match next {
                    // The last client is gone.
                    None => break End::Closed,
                    Some(next) => current = shared.admit(next),
                },
            }
        };
        if matches!(end, End::Closed) {
            writer.close().await;
        }
        end
    }

    async fn reconnect(&mut self) -> Option<(Reader, Writer)> {
        let deadline = Instant::now() + self.options.reconnect?;
        loop {
            let mut hub = Hub::new(&self.options);
            let left = deadline.saturating_duration_since(Instant::now());
            let established = tokio::select! {
                _ = self.closing.wait_for(|closing| *closing) => return None,
                established = establish(&self.options, &mut hub, left) => established,
            };
            match established {
                Ok(connection) => {
                    *lock(&self.shared.greeting) = hub.core().greeting().cloned();
                    lock(&self.shared.hub).adopt(hub);
                    return Some(connection);
                }
                Err(_) if Instant::now() < deadline => tokio::time::sleep(CONNECT_PAUSE).await,
                Err(_) => return None,
            }
        }
    }
}

/// A listener's events.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::Receiver<Arc<RawEvent>>,
    missed: Missed,
}

impl Events {
    /// Waits for the next event.
    ///
    /// # Errors
    ///
    /// The end of the connection.
    pub async fn next(&mut self) -> Result<Arc<RawEvent>, ClientError> {
        match self.receiver.recv().await {
            Some(event) => Ok(event),
            None => Err(ClientError::new(ClientErrorKind::Closed)),
        }
    }

    /// An event that is there already.
    pub fn try_next(&mut self) -> Option<Arc<RawEvent>> {
        self.receiver.try_recv().ok()
    }

    /// How many events were dropped because 1,024 were waiting here.
    pub fn n_missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("address", &self.inner.options.address)
            .finish_non_exhaustive()
    }
}
