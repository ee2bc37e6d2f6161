//! What a file descriptor is watched for.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use rustix::event::epoll::EventFlags;

/// What a file descriptor is watched for, any of several. Errors and hang-ups count as all of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Interest(u8);

impl Interest {
    /// Nothing; the registration stays for later.
    pub const NONE: Self = Self(0);
    /// There is something to read: [`FdHandler::readable`](crate::FdHandler::readable).
    pub const READ: Self = Self(1);
    /// There is room to write: [`FdHandler::writable`](crate::FdHandler::writable).
    pub const WRITE: Self = Self(1 << 1);
    /// Both of these.
    pub const READ_WRITE: Self = Self(Self::READ.0 | Self::WRITE.0);
    /// There is something urgent (EPOLLPRI), such as out-of-band data or a change of a file of sysfs:
    /// [`FdHandler::priority`](crate::FdHandler::priority).
    pub const PRIORITY: Self = Self(1 << 2);
    /// The peer will send nothing more (EPOLLRDHUP), whether or not what it has sent was read:
    /// [`FdHandler::peer_closed`](crate::FdHandler::peer_closed).
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

    /// What has happened by what epoll tells.
    pub(super) fn happened(flags: EventFlags) -> Self {
        let is_all = flags.intersects(EventFlags::HUP | EventFlags::ERR);
        let mut happened = Self::NONE;
        for (interest, flag, _) in Self::ALL {
            happened |= interest.when(is_all || flags.contains(flag));
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
    /// By its [`poll`](crate::FdHandler::poll), which looks into memory and makes no system call.
    Memory,
    /// From the kernel, and a little late does no harm: while the loop polls for others it asks the kernel once in 32 looks.
    /// For what would take a system call to find, such as a control connection beside queues in memory.
    Kernel,
}
