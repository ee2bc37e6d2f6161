//! The task that owns the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::super::READ_SIZE;
use super::super::backoff::Backoff;
use super::super::core::Admission;
use super::super::error::ClientErrorKind;
use super::super::hub::Hub;
use super::super::open::is_lasting;
use super::super::options::ConnectOptions;
use super::super::trace;
use super::connect::{Connection, establish, open, sleep_until};
use super::{Outgoing, Shared, lock};
use crate::system::Descriptor;

/// How long what the peer has sent is read after it has stopped reading.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Something that is being written.
struct Current {
    bytes: Arc<[u8]>,
    written: usize,
    /// The request, unless the protocol itself says it.
    id: Option<u64>,
    /// Go with the first byte.
    descriptors: Vec<Descriptor>,
    is_sent: Option<Arc<AtomicBool>>,
}

impl Current {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
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

/// Registers a request that is about to be written. The caller may have given up, which it tells the hub.
fn register(hub: &mut Hub, outgoing: Outgoing) -> Option<Current> {
    let Outgoing {
        request,
        descriptors,
        following,
        answer,
        is_sent,
    } = outgoing;
    if answer.is_closed() {
        return None;
    }
    if request.out_of_band && !hub.core().oob_enabled() {
        // The other end may have given up meanwhile; then the answer is not waited for.
        let _ = answer.send(Err(ClientErrorKind::OobNotEnabled));
        return None;
    }
    let deliver = Box::new(move |reply| {
        // As above.
        let _ = answer.send(reply);
    });
    hub.sent(&request, deliver, following);
    Some(Current {
        bytes: request.bytes,
        written: 0,
        id: Some(request.id),
        descriptors,
        is_sent: Some(is_sent),
    })
}

/// Why a connection is not served any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is not wanted any more.
    Closed,
    /// It broke.
    Lost,
}

/// What there is to be written, and what has to wait.
#[derive(Default)]
struct Queue {
    current: Option<Current>,
    /// The next request in band, which may have to wait for the protocol.
    held: Option<Outgoing>,
    /// When a guest agent is synchronized once more.
    repeat: Option<Instant>,
    /// Whether one more request in band would have to wait for an answer.
    is_full: bool,
}

impl Queue {
    /// Finds what to write next.
    fn advance(&mut self, hub: &mut Hub) {
        if self.current.is_none() && self.held.as_ref().is_some_and(|it| it.answer.is_closed()) {
            self.held = None;
        }
        if self.current.is_none()
            && let Some(next) = self.held.take()
        {
            match hub.admit(false) {
                Admission::Now => self.current = register(hub, next),
                Admission::Full | Admission::NotReady => self.held = Some(next),
            }
        }
        if self.current.is_none() {
            self.current = self.protocol(hub);
        }
        if self.held.is_none() || hub.core().is_ready() {
            self.repeat = None;
        } else if self.repeat.is_none() {
            // Those who waited before have given up in the middle of it.
            self.repeat = Some(Instant::now());
        }
        self.is_full = hub.core().is_full();
    }

    /// What the protocol itself has to say.
    fn protocol(&mut self, hub: &mut Hub) -> Option<Current> {
        let output = hub.core().take_output();
        if output.is_empty() {
            return None;
        }
        self.repeat = hub.core().sync_pause().map(|pause| Instant::now() + pause);
        Some(Current {
            bytes: output.into(),
            written: 0,
            id: None,
            descriptors: Vec::new(),
            is_sent: None,
        })
    }
}

pub(super) struct Driver {
    options: ConnectOptions,
    shared: Arc<Shared>,
    in_band: mpsc::Receiver<Outgoing>,
    out_of_band: mpsc::Receiver<Outgoing>,
    closing: watch::Receiver<bool>,
    backoff: Backoff,
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The runtime may end before the connection.
        self.close();
        while self.in_band.try_recv().is_ok() {}
        while self.out_of_band.try_recv().is_ok() {}
    }
}

impl Driver {
    pub(super) fn new(
        options: ConnectOptions,
        shared: Arc<Shared>,
        in_band: mpsc::Receiver<Outgoing>,
        out_of_band: mpsc::Receiver<Outgoing>,
        closing: watch::Receiver<bool>,
    ) -> Self {
        Self {
            options,
            shared,
            in_band,
            out_of_band,
            closing,
            backoff: Backoff::default(),
        }
    }

    pub(super) async fn run(mut self, mut connection: Connection) {
        let goes_on = self.options.reconnect.is_some() && is_lasting(&self.options.peer);
        loop {
            let since = Instant::now();
            let end = self.drive(connection).await;
            self.shared.is_connected.store(false, Ordering::Relaxed);
            if end == End::Closed || !goes_on {
                // Who is told of the end finds the client closed.
                self.in_band.close();
                if end == End::Lost {
                    lock(&self.shared.hub).lost();
                }
                break;
            }
            let was_answered = lock(&self.shared.hub).lost();
            self.backoff.lost(was_answered, since.elapsed());
            match self.reconnect().await {
                Some(next) => {
                    self.shared.is_connected.store(true, Ordering::Relaxed);
                    connection = next;
                }
                None => break,
            }
        }
        self.close();
        // Of what others are putting there at this moment, nothing is left behind.
        while let Some(outgoing) = self.in_band.recv().await {
            drop(outgoing);
        }
        while let Some(outgoing) = self.out_of_band.recv().await {
            drop(outgoing);
        }
    }

    /// Tells all who wait that nothing more will come.
    fn close(&mut self) {
        self.in_band.close();
        self.out_of_band.close();
        lock(&self.shared.hub).close();
    }

    /// Serves one connection to its end.
    async fn drive(&mut self, (mut reader, mut writer): Connection) -> End {
        let mut buffer = vec![0; READ_SIZE];
        let mut queue = Queue::default();
        // When the peer has stopped reading: until when it may still say something.
        let mut last_words: Option<Instant> = None;
        let Self {
            shared,
            in_band,
            out_of_band,
            closing,
            ..
        } = self;
        let end = loop {
            let is_writable = last_words.is_none();
            if is_writable {
                queue.advance(&mut lock(&shared.hub));
            }
            let is_idle = queue.current.is_none() && is_writable;
            let takes_more = is_idle && queue.held.is_none() && !queue.is_full;
            let has_rest = queue.current.is_some() || writer.needs_flush();
            let (rest, descriptors) = match &queue.current {
                Some(current) => (current.rest(), &current.descriptors[..]),
                None => (&[][..], &[][..]),
            };
            tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => break End::Closed,
                result = writer.write(rest, descriptors), if has_rest && is_writable => match result {
                    Ok(count) => {
                        let current = queue.current.take();
                        queue.current = current.and_then(|current| current.advance(count));
                    }
                    Err(error) => {
                        let kind = ClientErrorKind::not_written(error);
                        let failed = queue.current.take();
                        let id = failed.as_ref().and_then(|failed| failed.id);
                        // After half a request there cannot be another one either, and what the protocol has to say comes
                        // before all others.
                        let is_whole = failed.as_ref().is_some_and(|failed| failed.written == 0);
                        if id.is_none() || !is_whole || matches!(kind, ClientErrorKind::Closed) {
                            writer.give_up();
                            last_words = Some(Instant::now() + LAST_WORDS);
                        }
                        if let Some(id) = id {
                            lock(&shared.hub).fail(id, kind);
                        }
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
                next = out_of_band.recv(), if is_idle => match next {
                    // The last client is gone.
                    None => break End::Closed,
                    Some(next) => queue.current = register(&mut lock(&shared.hub), next),
                },
                next = in_band.recv(), if takes_more => match next {
                    None => break End::Closed,
                    Some(next) => queue.held = Some(next),
                },
                () = shared.changed.notified() => {}
                () = sleep_until(queue.repeat), if queue.repeat.is_some() => {
                    let mut hub = lock(&shared.hub);
                    hub.core().repeat_sync();
                    let pause = hub.core().sync_pause();
                    queue.repeat = pause.map(|pause| Instant::now() + pause);
                }
                () = sleep_until(last_words), if last_words.is_some() => break End::Lost,
            }
        };
        if end == End::Closed {
            writer.close().await;
        }
        end
    }

    async fn reconnect(&mut self) -> Option<Connection> {
        let deadline = Instant::now() + self.options.reconnect?;
        loop {
            let pause = self.backoff.pause();
            let moment = (Instant::now() + pause).min(deadline);
            let mut hub = Hub::new(&self.options);
            let connecting = async {
                tokio::time::sleep_until(moment).await;
                let wire = open(&self.options, Duration::ZERO).await?;
                let credentials = wire.credentials;
                let connection = establish(wire, &self.options, &mut hub).await?;
                Ok((connection, credentials))
            };
            let connected = tokio::select! {
                _ = self.closing.wait_for(|closing| *closing) => return None,
                connected = connecting => connected,
            };
            let mut server = lock(&self.shared.server);
            match connected {
                Ok((connection, credentials)) => {
                    server.greeting = hub.core().greeting().cloned();
                    server.credentials = credentials;
                    server.trouble = None;
                    lock(&self.shared.hub).adopt(hub);
                    return Some(connection);
                }
                Err(error) => {
                    let error: super::ClientError = error;
                    trace::not_connected(&self.shared.peer, &error);
                    server.trouble = Some(error.to_string());
                    hub.lost();
                    let mut shared = lock(&self.shared.hub);
                    shared.adopt(hub);
                    shared.not_connected(&error);
                    drop(shared);
                    if Instant::now() >= deadline {
                        return None;
                    }
                }
            }
        }
    }
}
