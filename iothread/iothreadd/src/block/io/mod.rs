//! Requests to nodes: how they go down from node to node, and where they run.
//!
//! A user of a node has a [`Backend`]. It starts a request on whatever thread it is on. What is done at once comes back
//! at once; the rest waits in a [`Pending`], which the user gives one of its contexts: a worker of that context does what
//! blocks, and the completion runs on that context's thread. Nodes have no thread of their own here, so several users on
//! several threads, or one user on many, share a node without a lock.

mod account;
mod backend;
mod buffer;
mod request;
mod under_way;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::io::Errno;

pub(crate) use self::account::{Count, Kind, Totals, UserPath};
use self::backend::InFlight;
pub(crate) use self::backend::{Backend, Entered, Pending, Started};
pub(crate) use self::buffer::{IoBuffer, is_zero};
pub(crate) use self::request::{Extent, MAX_EXTENTS, MAX_TRANSFER, Operation, Outcome, Request};
use super::driver::{Driver, FileAnswer};
use crate::finally::Finally;
use crate::sync::{Level, Mutex};

/// What a node does with requests on their way down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    pub(super) read_only: bool,
    /// Whether discard requests go further.
    pub(super) discard: bool,
    pub(super) detect_zeroes: DetectZeroes,
    pub(super) no_flush: bool,
}

/// What becomes of data that are zeroes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DetectZeroes {
    Off,
    On,
    Unmap,
}

/// The part of a node that carries out requests; it lives as long as one of them.
pub(super) struct NodeIo {
    driver: Driver,
    child: Option<Arc<NodeIo>>,
    policy: Policy,
    /// Whether it may carry out requests.
    active: AtomicBool,
    /// The requests of each user.
    ways: Mutex<Vec<Weak<InFlight>>>,
    /// What users that are gone have asked for.
    past: Arc<Mutex<Totals>>,
    /// The highest end of all data that were to be written.
    highest_write: AtomicU64,
}

/// How far a request has come.
pub(super) enum Step {
    Done(Outcome),
    /// The rest of it blocks.
    Blocking {
        io: Arc<NodeIo>,
        request: Request,
        /// The bytes that have been transferred already.
        progress: usize,
    },
    /// Over after a while.
    Delayed {
        delay: Duration,
        outcome: Outcome,
    },
}

impl NodeIo {
    pub(super) fn new(
        driver: Driver,
        child: Option<Arc<Self>>,
        policy: Policy,
        active: bool,
    ) -> Self {
        Self {
            driver,
            child,
            policy,
            active: AtomicBool::new(active),
            ways: Mutex::at(Level::Users, Vec::new()),
            past: Arc::default(),
            highest_write: AtomicU64::new(0),
        }
    }

    /// Counts the requests of a user from now on.
    fn add_way(&self, way: &Arc<InFlight>) {
        let mut ways = self.ways.lock();
        ways.retain(|known| known.strong_count() > 0);
        ways.push(Arc::downgrade(way));
    }

    /// Keeps `idle` until it does nothing on behalf of its users.
    pub(super) fn keep_until_idle(&self, idle: &Finally) {
        let ways = self.ways.lock();
        for way in ways.iter().filter_map(Weak::upgrade) {
            way.keep_until_idle(idle);
        }
    }

    /// What all users that it has and had have asked for.
    pub(super) fn totals(&self) -> Totals {
        let ways = self.ways.lock();
        let mut totals = *self.past.lock();
        for way in ways.iter().filter_map(Weak::upgrade) {
            totals += way.totals();
        }
        totals
    }

    /// What one user has asked for so far.
    pub(super) fn totals_of(&self, user: &str) -> Totals {
        let ways = self.ways.lock();
        let is_it = |way: &Arc<InFlight>| way.is_of(user);
        let way = ways.iter().filter_map(Weak::upgrade).find(is_it);
        way.map(|way| way.totals()).unwrap_or_default()
    }

    /// The highest end of all data that were to be written.
    pub(super) fn highest_write(&self) -> u64 {
        self.highest_write.load(Ordering::Relaxed)
    }

    fn note_write(&self, request: &Request) {
        let (Operation::Write { .. } | Operation::WriteZeroes { .. }) = &request.operation else {
            return;
        };
        let end = request.offset + request.operation.length();
        if end > self.highest_write() {
            self.highest_write.fetch_max(end, Ordering::Relaxed);
        }
    }

    pub(super) fn driver(&self) -> &Driver {
        &self.driver
    }

    pub(super) fn size(&self) -> u64 {
        let below = || self.child.as_ref().map_or(0, |child| child.size());
        self.driver.size(below)
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.policy.read_only
    }

    pub(super) fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// Returns whether it was active before.
    pub(super) fn set_active(&self, active: bool) -> bool {
        self.active.swap(active, Ordering::AcqRel)
    }

    pub(super) fn child(&self) -> Option<&Self> {
        self.child.as_deref()
    }

    /// The node at the bottom, which has the data.
    /// Whether a file is behind it.
    pub(super) fn has_file(&self) -> bool {
        matches!(self.bottom().driver(), Driver::File(_))
    }

    pub(super) fn bottom(&self) -> &Self {
        match &self.child {
            Some(child) => child.bottom(),
            None => self,
        }
    }

    /// Passes a request down, and does at once what can be done at once.
    fn start(io: &Arc<Self>, mut request: Request) -> Step {
        let mut io = io;
        loop {
            if let Err(error) = io.check(&request) {
                return Step::Done(Outcome::of(request, Err(error)));
            }
            if io.adapt(&mut request) == Passed::NoFurther {
                return Step::Done(Outcome::of(request, Ok(())));
            }
            io.note_write(&request);
            match (&io.driver, &io.child) {
                (Driver::Raw(raw), Some(child)) => {
                    request.offset += raw.offset;
                    io = child;
                }
                (Driver::Raw(_), None) => {
                    return Step::Done(Outcome::of(request, Err(Errno::NODEV)));
                }
                (Driver::Null(null), _) => return null.start(request),
                (Driver::File(file), _) => {
                    return match file.try_now(request) {
                        FileAnswer::Done(outcome) => Step::Done(outcome),
                        FileAnswer::WouldBlock(request, progress) => Step::Blocking {
                            io: Arc::clone(io),
                            request,
                            progress,
                        },
                    };
                }
            }
        }
    }

    /// Whether what is left of an operation hardly blocks.
    fn is_quick(&self, operation: &Operation) -> bool {
        match &self.driver {
            Driver::File(file) => file.is_quick(operation),
            Driver::Null(_) | Driver::Raw(_) => false,
        }
    }

    /// Does what blocks; on a worker.
    fn run_blocking(&self, request: Request, progress: usize) -> Outcome {
        match &self.driver {
            Driver::File(file) => file.run(request, progress, self.policy.no_flush),
            // They never block.
            Driver::Null(_) | Driver::Raw(_) => Outcome::of(request, Err(Errno::NODEV)),
        }
    }

    fn check(&self, request: &Request) -> Result<(), Errno> {
        if !self.is_active() {
            return Err(Errno::PERM);
        }
        if request.operation.changes_data() && self.policy.read_only {
            return Err(Errno::PERM);
        }
        let end = request.offset.checked_add(request.operation.length());
        match (&request.operation, end) {
            (Operation::Flush, _) => Ok(()),
            (Operation::Read(buffer) | Operation::Write { data: buffer, .. }, _)
                if buffer.len() > MAX_TRANSFER =>
            {
                Err(Errno::INVAL)
            }
            (_, Some(end)) if end <= self.size() => Ok(()),
            (_, _) => Err(Errno::IO),
        }
    }

    /// Applies the node's policy to a request.
    fn adapt(&self, request: &mut Request) -> Passed {
        let policy = &self.policy;
        match &mut request.operation {
            Operation::Flush if policy.no_flush => return Passed::NoFurther,
            Operation::Discard { fua, .. } if !policy.discard => {
                if !*fua || policy.no_flush {
                    return Passed::NoFurther;
                }
                // What is left of it.
                request.operation = Operation::Flush;
            }
            Operation::Discard { fua, .. } => *fua &= !policy.no_flush,
            Operation::Write { data, fua } => {
                *fua &= !policy.no_flush;
                if policy.detect_zeroes != DetectZeroes::Off && is_zero(data) {
                    request.operation = Operation::WriteZeroes {
                        length: data.len() as u64,
                        may_unmap: policy.discard && policy.detect_zeroes == DetectZeroes::Unmap,
                        only_if_fast: false,
                        fua: *fua,
                    };
                }
            }
            Operation::WriteZeroes { may_unmap, fua, .. } => {
                *fua &= !policy.no_flush;
                *may_unmap &= policy.discard;
            }
            Operation::Read(_)
            | Operation::Flush
            | Operation::Cache { .. }
            | Operation::BlockStatus { .. } => {}
        }
        Passed::On
    }
}

/// Whether a request goes on to what is below.
#[derive(PartialEq, Eq)]
enum Passed {
    On,
    NoFurther,
}
