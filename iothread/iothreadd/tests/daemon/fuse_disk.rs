//! A disk in a file system of the tests, which fails and hangs on command.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, FileAttr, FileType, Filesystem, KernelConfig, MountOption, ReplyAttr,
    ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, TimeOrNow, consts,
};
use rustix::io::Errno;

use crate::harness::PATIENCE;

/// The folder, and the one file in it.
const ROOT: u64 = 1;
const DISK: u64 = 2;

const NAME: &str = "disk";

/// How long the kernel may believe what it is told.
const VALIDITY: Duration = Duration::from_secs(3600);

/// What a file system does with writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    /// It gets each at once.
    Through,
    /// They stay in the host's cache until they are written back.
    Back,
}

/// The disk, as a test has it.
pub(crate) struct FuseDisk {
    shared: Arc<Shared>,
    /// Unmounts when it is dropped.
    _session: BackgroundSession,
    folder: tempfile::TempDir,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

type Answer = Box<dyn FnOnce(&mut State) + Send>;

#[derive(Default)]
struct State {
    data: Vec<u8>,
    hangs: bool,
    /// Requests that have no answer yet.
    held: Vec<Answer>,
    write_error: Option<Errno>,
    sync_errors: Vec<Errno>,
    n_syncs: usize,
    /// How many requests are to fail as if a signal had come.
    n_interruptions: usize,
}

struct Disk {
    shared: Arc<Shared>,
    writes: Writes,
}

impl FuseDisk {
    /// Mounts a disk of that many zeroes; `None`, and a line that says so, where that cannot be done.
    pub(crate) fn mount(size: usize, writes: Writes) -> Option<Self> {
        let why = "FUSE is spoken in the order of bytes of the machine's kernel";
        if cfg!(target_endian = "big") && tests::skips_emulated("a disk that fails and hangs", why)
        {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let shared = Arc::new(Shared::default());
        shared.state.lock().unwrap().data = vec![0; size];
        let disk = Disk {
            shared: Arc::clone(&shared),
            writes,
        };
        let options = [MountOption::FSName("disk-of-a-test".to_owned())];
        match fuser::spawn_mount2(disk, folder.path(), &options) {
            Ok(session) => Some(Self {
                shared,
                _session: session,
                folder,
            }),
            Err(error) => {
                println!("skipped: a disk that fails and hangs: {error}");
                None
            }
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join(NAME)
    }

    /// Answers nothing from now on.
    pub(crate) fn hang(&self) {
        self.shared.state.lock().unwrap().hangs = true;
    }

    /// Waits until that many requests have no answer.
    pub(crate) fn wait_for_held(&self, count: usize) {
        let state = self.shared.state.lock().unwrap();
        let has_fewer = |state: &mut State| state.held.len() < count;
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, PATIENCE, has_fewer);
        assert!(!waited.unwrap().1.timed_out(), "no request hangs");
    }

    /// Answers again, first what waits.
    pub(crate) fn resume(&self) {
        let mut state = self.shared.state.lock().unwrap();
        state.hangs = false;
        for answer in std::mem::take(&mut state.held) {
            answer(&mut state);
        }
    }

    /// Whether writes fail from now on.
    pub(crate) fn set_write_error(&self, error: Option<Errno>) {
        self.shared.state.lock().unwrap().write_error = error;
    }

    /// Lets the next synchronisations fail like this.
    pub(crate) fn fail_syncs(&self, errors: &[Errno]) {
        self.shared.state.lock().unwrap().sync_errors = errors.to_vec();
    }

    /// Lets the next requests that change something, or synchronise, fail as if a signal had come.
    pub(crate) fn interrupt(&self, count: usize) {
        self.shared.state.lock().unwrap().n_interruptions = count;
    }

    /// How many of these are still to come.
    pub(crate) fn n_interruptions(&self) -> usize {
        self.shared.state.lock().unwrap().n_interruptions
    }

    /// How often it was synchronised.
    pub(crate) fn n_syncs(&self) -> usize {
        self.shared.state.lock().unwrap().n_syncs
    }

    /// What is stored.
    pub(crate) fn stored(&self, offset: usize, length: usize) -> Vec<u8> {
        self.shared.state.lock().unwrap().data[offset..offset + length].to_vec()
    }
}

impl Drop for FuseDisk {
    fn drop(&mut self) {
        // Nobody can end who waits for an answer.
        self.resume();
    }
}

impl State {
    fn interruption(&mut self) -> Option<Errno> {
        self.n_interruptions = self.n_interruptions.checked_sub(1)?;
        Some(Errno::INTR)
    }
}

impl Disk {
    /// Carries something out, or keeps it for later.
    fn answer(&self, answer: impl FnOnce(&mut State) + Send + 'static) {
        let mut state = self.shared.state.lock().unwrap();
        if state.hangs {
            state.held.push(Box::new(answer));
            self.shared.changed.notify_all();
        } else {
            answer(&mut state);
        }
    }

    fn attributes(&self, number: u64) -> FileAttr {
        let (kind, perm, size) = match number {
            ROOT => (FileType::Directory, 0o700, 0),
            _ => (FileType::RegularFile, 0o600, self.size()),
        };
        let time = SystemTime::UNIX_EPOCH;
        FileAttr {
            ino: number,
            size,
            blocks: size / 512,
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    fn size(&self) -> u64 {
        self.shared.state.lock().unwrap().data.len() as u64
    }
}

fn range(offset: i64, length: usize, size: usize) -> std::ops::Range<usize> {
    let start = usize::try_from(offset).unwrap().min(size);
    start..(start + length).min(size)
}

impl Filesystem for Disk {
    fn init(&mut self, _: &Request<'_>, config: &mut KernelConfig) -> Result<(), i32> {
        if self.writes == Writes::Back {
            let wanted = config.add_capabilities(consts::FUSE_WRITEBACK_CACHE);
            return wanted.map_err(|_| Errno::NOSYS.raw_os_error());
        }
        Ok(())
    }

    fn lookup(&mut self, _: &Request<'_>, parent: u64, name: &OsStr, reply: ReplyEntry) {
        if parent == ROOT && name == NAME {
            reply.entry(&VALIDITY, &self.attributes(DISK), 0);
        } else {
            reply.error(Errno::NOENT.raw_os_error());
        }
    }

    fn getattr(&mut self, _: &Request<'_>, number: u64, _: Option<u64>, reply: ReplyAttr) {
        reply.attr(&VALIDITY, &self.attributes(number));
    }

    fn setattr(
        &mut self,
        _: &Request<'_>,
        number: u64,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        _size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<u64>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<u32>,
        reply: ReplyAttr,
    ) {
        reply.attr(&VALIDITY, &self.attributes(number));
    }

    fn open(&mut self, _: &Request<'_>, _: u64, _: i32, reply: ReplyOpen) {
        self.answer(move |_| reply.opened(0, 0));
    }

    fn read(
        &mut self,
        _: &Request<'_>,
        _: u64,
        _: u64,
        offset: i64,
        size: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyData,
    ) {
        self.answer(move |state| {
            reply.data(&state.data[range(offset, size as usize, state.data.len())]);
        });
    }

    fn write(
        &mut self,
        _: &Request<'_>,
        _: u64,
        _: u64,
        offset: i64,
        data: &[u8],
        _: u32,
        _: i32,
        _: Option<u64>,
        reply: ReplyWrite,
    ) {
        let data = data.to_vec();
        self.answer(move |state| {
            if let Some(error) = state.interruption().or(state.write_error) {
                return reply.error(error.raw_os_error());
            }
            let place = range(offset, data.len(), state.data.len());
            state.data[place].copy_from_slice(&data);
            reply.written(u32::try_from(data.len()).unwrap());
        });
    }

    fn flush(&mut self, _: &Request<'_>, _: u64, _: u64, _: u64, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fallocate(
        &mut self,
        _: &Request<'_>,
        _: u64,
        _: u64,
        offset: i64,
        length: i64,
        _: i32,
        reply: ReplyEmpty,
    ) {
        self.answer(move |state| {
            if let Some(error) = state.interruption() {
                return reply.error(error.raw_os_error());
            }
            let length = usize::try_from(length).unwrap();
            let place = range(offset, length, state.data.len());
            state.data[place].fill(0);
            reply.ok();
        });
    }

    fn fsync(&mut self, _: &Request<'_>, _: u64, _: u64, _: bool, reply: ReplyEmpty) {
        self.answer(move |state| {
            if let Some(error) = state.interruption() {
                return reply.error(error.raw_os_error());
            }
            state.n_syncs += 1;
            if state.sync_errors.is_empty() {
                reply.ok();
            } else {
                reply.error(state.sync_errors.remove(0).raw_os_error());
            }
        });
    }
}
