//! What a file descriptor is watched for, and the callbacks that are told.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use rustix::event::epoll::EventFlags;

use super::FdDispatch;
use crate::sync::Arc;

/// What a file descriptor is watched for, any of several. Errors and hang-ups count as all of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Interest(u8);

impl Interest {
    /// Nothing; the registration stays for later.
    pub const NONE: Self = Self(0);
    /// There is something to read: [`FdHandler::readable`].
    pub const READ: Self = Self(1);
    /// There is room to write: [`FdHandler::writable`].
    pub const WRITE: Self = Self(1 << 1);
    /// Both of these.
    pub const READ_WRITE: Self = Self(Self::READ.0 | Self::WRITE.0);
    /// There is something urgent (EPOLLPRI), such as out-of-band data or a change of a file of sysfs:
    /// [`FdHandler::priority`].
    pub const PRIORITY: Self = Self(1 << 2);
    /// The peer will send nothing more (EPOLLRDHUP), whether or not what it has sent was read: [`FdHandler::peer_closed`].
    pub const PEER_CLOSED: Self = Self(1 << 3);

    /// Each with its flag of epoll and its name.
    const ALL: [(Self, EventFlags, &str); 4] = [
        (Self::READ, EventFlags::IN, "READ"),
        (Self::WRITE, EventFlags::OUT, "WRITE"),
        (Self::PRIORITY, EventFlags::PRI, "PRIORITY"),
        (Self::PEER_CLOSED, EventFlags::RDHUP, "PEER_CLOSED"),
    ];

    /// This if `condition` holds, else nothing.
    ///
    /// ```
    /// # use iothread::Interest;
    /// let (reads, writes) = (true, false);
    /// let interest = Interest::READ.when(reads) | Interest::WRITE.when(writes);
    /// assert_eq!(interest, Interest::READ);
    /// ```
    #[must_use]
    pub const fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::NONE }
    }

    /// Whether all of `other` is watched for.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(super) fn to_bits(self) -> u8 {
        self.0
    }

    pub(super) fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    pub(super) fn flags(self) -> EventFlags {
        let mut flags = EventFlags::empty();
        for (interest, flag, _) in Self::ALL {
            flags.set(flag, self.contains(interest));
        }
        flags
    }

    /// What of it has happened by what epoll tells.
    pub(super) fn happened(self, flags: EventFlags) -> Self {
        if flags.intersects(EventFlags::HUP | EventFlags::ERR) {
            return self;
        }
        let mut happened = Self::NONE;
        for (interest, flag, _) in Self::ALL {
            happened |= interest.when(self.contains(interest) && flags.contains(flag));
        }
        happened
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = Self::ALL
            .into_iter()
            .filter(|(interest, ..)| self.contains(*interest))
            .map(|(.., name)| name);
        f.write_str(names.next().unwrap_or("NONE"))?;
        names.try_for_each(|name| write!(f, " | {name}"))
    }
}

/// How a handler hears of work while a loop polls instead of going to sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Polling {
    /// From the kernel, at once. A loop does not poll as long as such a handler watches for something.
    #[default]
    Never,
    /// By its [`poll`](FdHandler::poll), which looks into memory and makes no system call.
    Memory,
    /// From the kernel, and a little late does no harm: while the loop polls for others it asks the kernel once in 32 looks.
    /// For what would take a system call to find, such as a control connection beside queues in memory.
    Kernel,
}

/// Callbacks of one file descriptor. They run on the context's thread, never two at a time.
///
/// Watching is level-triggered: a callback that leaves data behind is called again.
#[expect(
    unused_variables,
    reason = "the defaults do nothing, but their parameters are documentation"
)]
pub trait FdHandler: Send + 'static {
    /// There is something to read, or the other end is gone.
    fn readable(&mut self, dispatch: &mut FdDispatch<'_>) {}

    /// There is room to write, or the other end is gone.
    fn writable(&mut self, dispatch: &mut FdDispatch<'_>) {}

    /// There is something urgent, or the other end is gone.
    fn priority(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.readable(dispatch);
    }

    /// The peer will send nothing more; what it has sent may still be there to be read.
    fn peer_closed(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.readable(dispatch);
    }

    /// How the handler hears of work while the loop polls. Asked once, when the handler is added.
    fn polling(&self) -> Polling {
        Polling::Never
    }

    /// Looks for work, in memory shared with a guest for example, and returns whether there is any. Called only of
    /// [`Polling::Memory`].
    fn poll(&mut self, dispatch: &mut FdDispatch<'_>) -> bool {
        false
    }

    /// Does the work that [`poll`](Self::poll) has found.
    fn poll_ready(&mut self, dispatch: &mut FdDispatch<'_>) {
        self.readable(dispatch);
    }

    /// The loop begins to poll; notifications may be suppressed until [`poll_end`](Self::poll_end).
    fn poll_begin(&mut self, dispatch: &mut FdDispatch<'_>) {}

    /// The loop is about to sleep, or cannot poll any more; notifications are needed again. Afterwards it polls once more.
    fn poll_end(&mut self, dispatch: &mut FdDispatch<'_>) {}
}

/// The callbacks of a file descriptor, for a value that others share: its [`Arc`] is an [`FdHandler`].
///
/// ```
/// use std::os::unix::net::UnixStream;
/// use std::sync::Arc;
/// use iothread::{FdDispatch, Interest, IoThread, Registry, SharedFdHandler, holder};
///
/// struct Connection {
///     stream: UnixStream,
/// }
///
/// impl SharedFdHandler for Connection {
///     fn readable(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {
///         // Clones of the connection go into whatever outlives this call.
///         let connection = Arc::clone(self);
///         let answered = dispatch.context().post(move |_| drop(connection));
/// #       drop(answered); dispatch.remove();
///     }
/// }
///
/// # let io0 = IoThread::builder("io0").registry(&Registry::new()).spawn()?;
/// # let context = io0.get_aio_context(holder::monitor("m"))?;
/// # let (stream, far) = UnixStream::pair()?;
/// let connection = Arc::new(Connection { stream });
/// let fd = connection.stream.try_clone()?;
/// let watch = context.add_fd(fd, Interest::READ, Arc::clone(&connection))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(
    unused_variables,
    reason = "the defaults do nothing, but their parameters are documentation"
)]
pub trait SharedFdHandler: Send + Sync + 'static {
    /// As [`FdHandler::readable`].
    fn readable(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {}

    /// As [`FdHandler::writable`].
    fn writable(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {}

    /// As [`FdHandler::priority`].
    fn priority(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {
        self.readable(dispatch);
    }

    /// As [`FdHandler::peer_closed`].
    fn peer_closed(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {
        self.readable(dispatch);
    }

    /// As [`FdHandler::polling`].
    fn polling(&self) -> Polling {
        Polling::Never
    }

    /// As [`FdHandler::poll`].
    fn poll(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) -> bool {
        false
    }

    /// As [`FdHandler::poll_ready`].
    fn poll_ready(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {
        self.readable(dispatch);
    }

    /// As [`FdHandler::poll_begin`].
    fn poll_begin(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {}

    /// As [`FdHandler::poll_end`].
    fn poll_end(self: &Arc<Self>, dispatch: &mut FdDispatch<'_>) {}
}

impl<T: SharedFdHandler> FdHandler for Arc<T> {
    fn readable(&mut self, dispatch: &mut FdDispatch<'_>) {
        T::readable(self, dispatch);
    }

    fn writable(&mut self, dispatch: &mut FdDispatch<'_>) {
        T::writable(self, dispatch);
    }

    fn priority(&mut self, dispatch: &mut FdDispatch<'_>) {
        T::priority(self, dispatch);
    }

    fn peer_closed(&mut self, dispatch: &mut FdDispatch<'_>) {
        T::peer_closed(self, dispatch);
    }

    fn polling(&self) -> Polling {
        T::polling(self)
    }

    fn poll(&mut self, dispatch: &mut FdDispatch<'_>) -> bool {
        T::poll(self, dispatch)
    }

    fn poll_ready(&mut self, dispatch: &mut FdDispatch<'_>) {
        T::poll_ready(self, dispatch);
    }

    fn poll_begin(&mut self, dispatch: &mut FdDispatch<'_>) {
        T::poll_begin(self, dispatch);
    }

    fn poll_end(&mut self, dispatch: &mut FdDispatch<'_>) {
        T::poll_end(self, dispatch);
    }
}
