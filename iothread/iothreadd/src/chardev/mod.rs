//! Character devices: streams of bytes that monitors and packet comparisons use.
//!
//! - `socket`, `connect`, `peer`: stream sockets; `plain`: files and FIFOs; `ringbuf`: memory.
//! - `option`: devices as the command line describes them.
//! - `front_end`: who uses a device.
//! - `common`: what every kind of device can be told.
//!
//! A device has at most one front end. It lends its stream to that front end, which watches it on an event loop of its
//! own; between front ends the device only looks whether the peer is still there.

mod common;
mod connect;
mod front_end;
mod object;
mod option;
mod peer;
mod plain;
mod ringbuf;
mod socket;

use std::net::SocketAddr;
use std::sync::Arc;

use iothread::{MainContext, OnMain};
use qapi_runtime::Error;

use self::common::Files;
pub(crate) use self::connect::connect_unix;
pub(crate) use self::front_end::{AttachError, FrontEnd, PeerStream, Usage};
pub(crate) use self::object::{socket_type, stdio_type, types};
pub(crate) use self::option::{OptionError, duplicate, options, parse, parse_backend};
use self::plain::Plain;
use self::ringbuf::Ringbuf;
use self::socket::SocketDevice;
use crate::coming::Coming;
use crate::net::descriptors::{DescriptorSets, SessionDescriptors};
use crate::net::log::Log;
use crate::net::sockets::{look_up, modern};
use crate::qapi::{
    ChardevBackend, ChardevBackendInfo, ChardevBackendKind, ChardevInfo, ChardevReturn,
    ChardevSocket, YankInstance, YankInstanceChardev,
};
use crate::qom::Object;
use crate::sync::{Level, Mutex};
use crate::task;
use crate::yank::Yanks;

/// Size of a ring buffer unless told otherwise.
const RINGBUF_SIZE: i64 = 65536;

/// Devices that belong to somebody for good: options give each monitor one. They come before all others, and nobody else
/// may use, change or remove them.
pub(crate) trait OwnDevices: Send + Sync {
    /// Whether there is one of this name.
    fn has(&self, id: &str) -> bool;

    /// Their entries in `query-chardev`.
    fn query(&self) -> Vec<ChardevInfo>;

    /// The same as objects.
    fn objects(&self) -> Vec<(String, Arc<dyn Object>)>;
}

/// All character devices.
pub(crate) struct Chardevs {
    main: MainContext,
    yanks: Yanks,
    /// Those that are not in the list.
    own: Arc<dyn OwnDevices>,
    sets: DescriptorSets,
    /// Those whose files are being opened.
    coming: Coming,
    list: Mutex<Vec<Arc<Chardev>>>,
}

/// One character device.
pub(crate) struct Chardev {
    id: String,
    /// What it was asked to be.
    backend: ChardevBackendKind,
    kind: Kind,
    /// Whether an option has made it.
    is_of_option: bool,
    user: Mutex<User>,
}

/// What is behind a device.
enum Kind {
    Null(Option<Arc<Log>>),
    Plain(Plain),
    Ringbuf(Ringbuf),
    Socket(Arc<SocketDevice>),
}

#[derive(Clone, Copy, Default)]
struct User {
    is_there: bool,
    /// Whether it takes what comes from the peer.
    reads: bool,
}

/// The use of a device by a front end, which ends with this value.
pub(crate) struct Attachment {
    chardev: Arc<Chardev>,
}

impl Chardevs {
    pub(crate) fn new(
        main: &MainContext,
        yanks: &Yanks,
        own: Arc<dyn OwnDevices>,
        sets: &DescriptorSets,
    ) -> Self {
        Self {
            main: main.clone(),
            yanks: yanks.clone(),
            own,
            sets: sets.clone(),
            coming: Coming::default(),
            list: Mutex::at(Level::List, Vec::new()),
        }
    }

    /// `chardev-add`. Connecting and waiting for a peer do not keep the main loop.
    pub(crate) async fn add(
        &self,
        id: String,
        backend: ChardevBackend,
        descriptors: &SessionDescriptors,
    ) -> Result<ChardevReturn, Error> {
        if self.is_taken(&id) {
            return Err(Error::generic(format!(
                "Chardev with id '{id}' already exists"
            )));
        }
        let add = async {
            let chardev = self.open_new(&id, &backend, descriptors).await?;
            if let (ChardevBackend::Socket(socket), Kind::Socket(device)) =
                (&backend, &chardev.kind)
                && socket.data.wait == Some(true)
                && device.first_peer().await.is_none()
            {
                self.discard(task::here(&self.main)?, &chardev);
                return Err(Error::generic("the wait for a peer was broken off"));
            }
            Ok(ChardevReturn::default())
        };
        let added = add.await;
        added.map_err(|error| in_context(&id, error))
    }

    /// The same for people: the errors are bare, it does not wait for a peer, and an ID that is taken is told last.
    pub(crate) async fn add_by_hand(
        &self,
        id: String,
        backend: ChardevBackend,
    ) -> Result<(), Error> {
        // Descriptors are passed with QMP only.
        let descriptors = SessionDescriptors::default();
        self.open_new(&id, &backend, &descriptors).await.map(drop)
    }

    async fn open_new(
        &self,
        id: &str,
        backend: &ChardevBackend,
        descriptors: &SessionDescriptors,
    ) -> Result<Arc<Chardev>, Error> {
        let kind = self.open(id, backend, descriptors).await?;
        let chardev = Chardev::new(id.to_owned(), backend.tag(), kind, false);
        self.insert(task::here(&self.main)?, chardev)
    }

    /// Lists a device that is open.
    fn insert(&self, main: OnMain<'_>, chardev: Arc<Chardev>) -> Result<Arc<Chardev>, Error> {
        let id = &chardev.id;
        // What contains the devices has a property, too. And opening may have taken its time.
        if id == "type" || self.is_taken(id) {
            chardev.close(main);
            return Err(Error::generic(format!(
                "attempt to add duplicate property '{id}' to object (type 'container')"
            )));
        }
        self.list.lock().push(Arc::clone(&chardev));
        Ok(chardev)
    }

    /// The same for options: an ID that is taken is told in other words, and it does not wait for a peer.
    pub(crate) async fn add_of_option(
        &self,
        id: String,
        backend: &ChardevBackend,
        descriptors: &SessionDescriptors,
    ) -> Result<(), Error> {
        if self.is_taken(&id) {
            return Err(option::duplicate(&id));
        }
        let kind = self.open(&id, backend, descriptors).await?;
        let chardev = Chardev::new(id, backend.tag(), kind, true);
        self.insert(task::here(&self.main)?, chardev).map(drop)
    }

    /// What waits for a file system to open files: for people.
    pub(crate) fn stuck(&self) -> Vec<String> {
        let describe = |id: String| format!("character device '{id}' waits for its file");
        self.coming.names().into_iter().map(describe).collect()
    }

    /// Whether an option has made a device of this name.
    pub(crate) fn is_of_option(&self, id: &str) -> bool {
        let is_of_option = self.find(id).is_some_and(|it| it.is_of_option);
        is_of_option || self.own.has(id)
    }

    fn is_taken(&self, id: &str) -> bool {
        self.find(id).is_some() || self.own.has(id)
    }

    fn find(&self, id: &str) -> Option<Arc<Chardev>> {
        let list = self.list.lock();
        list.iter().find(|chardev| chardev.id == id).cloned()
    }

    async fn open(
        &self,
        id: &str,
        backend: &ChardevBackend,
        descriptors: &SessionDescriptors,
    ) -> Result<Kind, Error> {
        let files = self.open_files(id, backend).await?;
        let ready = match backend {
            ChardevBackend::Socket(socket) => self.prepare(&socket.data, files.log.clone()).await?,
            ChardevBackend::File(_)
            | ChardevBackend::Pipe(_)
            | ChardevBackend::Null(_)
            | ChardevBackend::Ringbuf(_)
            | ChardevBackend::Memory(_)
            | ChardevBackend::Unknown(_) => connect::Ready {
                log: files.log.clone(),
                ..connect::Ready::default()
            },
        };
        let main = task::here(&self.main)?;
        self.open_with(main, id, backend, descriptors, (ready, files.plain))
    }

    /// Opens the files of a device, if it has any. A worker does that, as a file system may be slow.
    async fn open_files(&self, id: &str, backend: &ChardevBackend) -> Result<Files, Error> {
        if !Files::has(backend) {
            return Ok(Files::default());
        }
        let _coming = self.coming.begin(id);
        let (backend, sets) = (backend.clone(), self.sets.clone());
        task::on_worker(&self.main, move || Files::open(&backend, &sets)).await?
    }

    /// Does what takes its time before a device is opened.
    async fn prepare(
        &self,
        socket: &ChardevSocket,
        log: Option<Arc<Log>>,
    ) -> Result<connect::Ready, Error> {
        let found = match socket.server {
            Some(true) | None => look_up(&modern(socket.addr.clone()), &self.main).await?,
            Some(false) => None,
        };
        let connected = self.connect(socket).await?;
        Ok(connect::Ready {
            log,
            connected,
            found,
        })
    }

    /// Connects a device that has to be connected from the start.
    async fn connect(&self, socket: &ChardevSocket) -> Result<Option<connect::Connected>, Error> {
        let Some(plan) = connect::plan(socket)? else {
            return Ok(None);
        };
        let connected = task::on_worker(&self.main, move || plan.connect()).await?;
        connected.map(Some)
    }

    fn open_with(
        &self,
        main: OnMain<'_>,
        id: &str,
        backend: &ChardevBackend,
        descriptors: &SessionDescriptors,
        (ready, plain): (connect::Ready, Option<Plain>),
    ) -> Result<Kind, Error> {
        Ok(match backend {
            ChardevBackend::Null(_) => Kind::Null(ready.log),
            ChardevBackend::File(_) | ChardevBackend::Pipe(_) => {
                let closed = || Error::generic(format!("the files of '{id}' are not open"));
                Kind::Plain(plain.ok_or_else(closed)?)
            }
            ChardevBackend::Ringbuf(ringbuf) | ChardevBackend::Memory(ringbuf) => {
                let size = ringbuf.data.size.unwrap_or(RINGBUF_SIZE);
                Kind::Ringbuf(Ringbuf::new(size, ready.log)?)
            }
            ChardevBackend::Socket(socket) => {
                let device =
                    SocketDevice::open(main, &self.main, &socket.data, descriptors, ready)?;
                let instance = YankInstance::Chardev(YankInstanceChardev { id: id.to_owned() });
                if let Err(error) = device.register(&self.yanks, instance) {
                    device.close(main);
                    return Err(error);
                }
                Kind::Socket(device)
            }
            ChardevBackend::Unknown(name) => {
                return Err(Error::generic(format!(
                    "Parameter 'type' does not accept value '{name}'"
                )));
            }
        })
    }

    /// `chardev-change`
    pub(crate) async fn change(
        &self,
        id: String,
        backend: ChardevBackend,
        descriptors: &SessionDescriptors,
    ) -> Result<ChardevReturn, Error> {
        let missing = || Error::generic(format!("Chardev '{id}' does not exist"));
        let is_used = || Error::generic("Chardev user does not support chardev hotswap");
        if self.own.has(&id) {
            return Err(is_used());
        }
        let old = self.find(&id).ok_or_else(missing)?;
        if old.user.lock().is_there {
            return Err(is_used());
        }
        // The new one may need the name under which the old one can be yanked.
        old.unregister();
        let opened = self.open(&id, &backend, descriptors).await;
        let kind = match opened {
            Ok(kind) => kind,
            Err(error) => {
                old.register_again(&self.yanks);
                return Err(in_context(&id, error));
            }
        };
        let new = Chardev::new(id.clone(), backend.tag(), kind, old.is_of_option);
        let main = task::here(&self.main)?;
        let mut list = self.list.lock();
        // It may have been removed, or got a user, while the new one was connecting.
        let is_unused = !old.user.lock().is_there;
        let place = list.iter_mut().find(|it| Arc::ptr_eq(it, &old));
        match place.filter(|_| is_unused) {
            Some(place) => *place = new,
            None => {
                drop(list);
                new.close(main);
                old.register_again(&self.yanks);
                return Err(missing());
            }
        }
        drop(list);
        old.close(main);
        Ok(ChardevReturn::default())
    }

    /// `chardev-remove`
    pub(crate) fn remove(&self, main: OnMain<'_>, id: &str) -> Result<(), Error> {
        let missing = || Error::generic(format!("Chardev '{id}' not found"));
        let is_busy = || Error::generic(format!("Chardev '{id}' is busy"));
        if self.own.has(id) {
            return Err(is_busy());
        }
        let chardev = self.find(id).ok_or_else(missing)?;
        if chardev.user.lock().is_there {
            return Err(is_busy());
        }
        self.discard(main, &chardev);
        Ok(())
    }

    fn discard(&self, main: OnMain<'_>, chardev: &Arc<Chardev>) {
        let mut list = self.list.lock();
        list.retain(|known| !Arc::ptr_eq(known, chardev));
        drop(list);
        chardev.close(main);
    }

    /// `chardev-send-break`: there is no device that has one.
    pub(crate) fn send_break(&self, id: &str) -> Result<(), Error> {
        match self.find(id).is_some() || self.own.has(id) {
            true => Ok(()),
            false => Err(Error::generic(format!("Chardev '{id}' not found"))),
        }
    }

    /// The entries of all devices in `query-chardev`.
    pub(crate) fn query(&self) -> Vec<ChardevInfo> {
        let mut entries = self.own.query();
        entries.extend(self.list.lock().iter().map(|chardev| chardev.info()));
        entries
    }

    /// Calls `use_it` with the ring buffer of a device.
    pub(crate) fn with_ringbuf<T>(
        &self,
        id: &str,
        use_it: impl FnOnce(&Ringbuf) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let missing = || Error::generic(format!("Device '{id}' not found"));
        let is_another = || Error::generic(format!("{id} is not a ringbuf device"));
        if self.own.has(id) {
            return Err(is_another());
        }
        let chardev = self.find(id).ok_or_else(missing)?;
        match &chardev.kind {
            Kind::Ringbuf(ringbuf) => use_it(ringbuf),
            Kind::Null(_) | Kind::Plain(_) | Kind::Socket(_) => Err(is_another()),
        }
    }

    /// Lets a front end use a device. It is told of the peer that is there, and of those that come.
    ///
    /// # Errors
    ///
    /// There is no such device, it has a front end, or it has no peers and the front end needs some.
    pub(crate) fn attach(
        &self,
        main: OnMain<'_>,
        id: &str,
        usage: Usage,
        front_end: Arc<dyn FrontEnd>,
    ) -> Result<Attachment, AttachError> {
        if self.own.has(id) {
            return Err(AttachError::InUse);
        }
        let chardev = self.find(id).ok_or(AttachError::Missing)?;
        if chardev.user.lock().is_there {
            return Err(AttachError::InUse);
        }
        let stream = match &chardev.kind {
            Kind::Socket(_) => None,
            Kind::Plain(plain) => Some(plain.stream()?),
            Kind::Null(log) => Some(Plain::null(log.clone())?.stream()?),
            Kind::Ringbuf(ringbuf) => {
                ringbuf.send(&front_end.first_words().ok_or(AttachError::Mute)?);
                None
            }
        };
        *chardev.user.lock() = User {
            is_there: true,
            reads: usage == Usage::Read,
        };
        match (&chardev.kind, stream) {
            (Kind::Socket(device), _) => device.attach(main, front_end),
            (_, Some(stream)) => front_end.connected(main, PeerStream::without_lender(stream)),
            (_, None) => {}
        }
        Ok(Attachment { chardev })
    }

    /// Whether a device is a socket, whose peers come and go; `None` if there is no such device.
    pub(crate) fn is_socket(&self, id: &str) -> Option<bool> {
        let chardev = self.find(id)?;
        Some(matches!(chardev.kind, Kind::Socket(_)))
    }

    /// Where peers of a device come in from other hosts, if they do: the own addresses of its sockets.
    pub(crate) fn inet_addresses(&self, id: &str) -> Vec<SocketAddr> {
        match self.find(id).as_deref().map(|chardev| &chardev.kind) {
            Some(Kind::Socket(device)) => device.inet_addresses(),
            Some(Kind::Null(_) | Kind::Plain(_) | Kind::Ringbuf(_)) | None => Vec::new(),
        }
    }

    /// Removes all devices, at the end of the server.
    pub(crate) fn clear(&self, main: OnMain<'_>) {
        let list = std::mem::take(&mut *self.list.lock());
        list.iter().for_each(|chardev| chardev.close(main));
    }
}

/// `query-chardev-backends`
pub(crate) fn query_backends() -> Vec<ChardevBackendInfo> {
    let info = |kind: &ChardevBackendKind| ChardevBackendInfo {
        name: kind.as_str().to_owned(),
    };
    ChardevBackendKind::ALL.iter().map(info).collect()
}

fn in_context(id: &str, error: Error) -> Error {
    Error {
        desc: format!("Failed to add chardev '{id}': {}", error.desc),
        ..error
    }
}

impl Chardev {
    fn new(id: String, backend: ChardevBackendKind, kind: Kind, is_of_option: bool) -> Arc<Self> {
        Arc::new(Self {
            id,
            backend,
            kind,
            is_of_option,
            user: Mutex::default(),
        })
    }

    fn info(&self) -> ChardevInfo {
        let filename = match &self.kind {
            Kind::Null(_) | Kind::Plain(_) | Kind::Ringbuf(_) => self.backend.as_str().to_owned(),
            Kind::Socket(device) => device.to_string(),
        };
        ChardevInfo {
            label: self.id.clone(),
            filename,
            frontend_open: self.user.lock().reads,
        }
    }

    fn close(&self, main: OnMain<'_>) {
        if let Kind::Socket(device) = &self.kind {
            device.close(main);
        }
    }

    fn unregister(&self) {
        if let Kind::Socket(device) = &self.kind {
            device.unregister();
        }
    }

    fn register_again(&self, yanks: &Yanks) {
        if let Kind::Socket(device) = &self.kind {
            let id = self.id.clone();
            let instance = YankInstance::Chardev(YankInstanceChardev { id });
            // The name has been free since `unregister`, or its new owner is the better one.
            let _ = device.register(yanks, instance);
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if let Kind::Socket(device) = &self.chardev.kind {
            device.detach();
        }
        *self.chardev.user.lock() = User::default();
    }
}
