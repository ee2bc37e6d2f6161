//! The drivers "file" and "host_device": a file or a device of the host.

use std::fs::{self, OpenOptions as HostOptions};
use std::io;
use std::os::linux::fs::MetadataExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use qapi_runtime::Error;
use rustix::fs::{OFlags, SeekFrom, seek};
use rustix::io::{Errno, ReadWriteFlags, preadv2, pwritev2, retry_on_intr};

use super::direct::Direct;
use super::durability::Durability;
use super::lock::ImageLocks;
use super::{RequestLimits, SECTOR};
use crate::block::access::Access;
use crate::block::io::{Operation, Outcome, Request};
use crate::errno::reason;
use crate::net::descriptors::{DescriptorSets, SetError, SetUse};
use crate::qapi::{BlockdevAioOptions, BlockdevOptionsFile, OnOffAuto};
use crate::sync::{Level, Mutex, RwLock};

/// The longest transfer that is done at once where the page cache allows it: an event loop should not copy for longer.
const MAX_INLINE: usize = 256 << 10;

/// The longest write that is not worth a worker of its own.
const MAX_QUICK: usize = 32 << 10;

/// What a file is expected to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::block) enum FileKind {
    /// A regular file. Differs from QEMU: block devices are taken, too.
    File,
    /// A device, of blocks or of characters.
    HostDevice,
}

/// What holds for files under any driver.
#[derive(Clone, Copy)]
pub(in crate::block) struct OpenOptions {
    pub(in crate::block) read_only: bool,
    pub(in crate::block) auto_read_only: bool,
    pub(in crate::block) force_share: bool,
    pub(in crate::block) direct: bool,
}

/// An open file.
pub(in crate::block) struct File {
    kind: FileKind,
    pub(super) file: fs::File,
    filename: String,
    /// Changes while `resizing` is held, or before what is beyond a new end is cut off.
    pub(super) size: AtomicU64,
    pub(super) resizing: Mutex<()>,
    read_only: bool,
    /// How to bypass the page cache; `None` to use it.
    pub(super) direct: Option<Direct>,
    locks: ImageLocks,
    pub(super) durability: Durability,
    /// Whether the file system can tell that a transfer would block.
    nowait_reads: AtomicBool,
    nowait_writes: AtomicBool,
    /// Held for reading by writes of whole blocks and changes without data, and for writing by writes that first read
    /// what is around them.
    pub(super) whole_blocks: RwLock,
    pub(super) n_discarded: [AtomicU64; 3],
    /// The set that it comes from, if it was open already.
    _set: Option<SetUse>,
}

/// What has become of requests to discard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::block) struct Discards {
    pub(in crate::block) n_done: u64,
    pub(in crate::block) n_failed: u64,
    /// The bytes of the requests that were carried out.
    pub(in crate::block) bytes: u64,
}

/// What could be done without waiting.
pub(in crate::block) enum FileAnswer {
    Done(Outcome),
    /// The rest would block; so many bytes have been transferred.
    WouldBlock(Request, usize),
}

/// Why a file could not be opened.
enum OpenError {
    Host(io::Error),
    Set(SetError),
}

impl OpenError {
    /// Whether it may be possible to open it for reading only.
    fn is_about_writing(&self) -> bool {
        match self {
            Self::Host(error) => matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::ReadOnlyFilesystem
                    | io::ErrorKind::IsADirectory
            ),
            Self::Set(error) => error.errno() == Errno::ACCESS,
        }
    }
}

impl FileKind {
    fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::HostDevice => "host_device",
        }
    }

    fn check(self, kind: fs::FileType, filename: &str) -> Result<(), Error> {
        let (suits, wanted) = match self {
            Self::File => (kind.is_file() || kind.is_block_device(), "a regular file"),
            Self::HostDevice => (
                kind.is_block_device() || kind.is_char_device(),
                "either a character or block device",
            ),
        };
        if suits {
            return Ok(());
        }
        let name = self.name();
        Err(Error::generic(format!(
            "'{name}' driver requires '{filename}' to be {wanted}"
        )))
    }
}

/// Opens a file, or finds one that is open.
fn open(
    filename: &str,
    read_only: bool,
    flags: OFlags,
    sets: &DescriptorSets,
) -> Result<(fs::File, Option<SetUse>), OpenError> {
    let access = match read_only {
        true => OFlags::RDONLY,
        false => OFlags::RDWR,
    };
    if let Some(found) = sets.open(filename, access | flags) {
        let (descriptor, in_use) = found.map_err(OpenError::Set)?;
        return Ok((descriptor.into(), Some(in_use)));
    }
    let opened = HostOptions::new()
        .read(true)
        .write(!read_only)
        .custom_flags((flags | OFlags::NONBLOCK).bits().cast_signed())
        .open(filename);
    opened.map(|file| (file, None)).map_err(OpenError::Host)
}

impl File {
    /// Opens a file.
    pub(in crate::block) fn open(
        kind: FileKind,
        options: &BlockdevOptionsFile,
        open_options: OpenOptions,
        sets: &DescriptorSets,
    ) -> Result<Self, Error> {
        let filename = options.filename.clone();
        check_aio(options.aio.as_ref(), open_options.direct)?;
        let could_not_open = |error: &io::Error| {
            Error::generic(format!("Could not open '{filename}': {}", reason(error)))
        };
        let flags = if open_options.direct {
            OFlags::DIRECT
        } else {
            OFlags::empty()
        };
        let mut read_only = open_options.read_only;
        let opened = match open(&filename, read_only, flags, sets) {
            Err(error) if open_options.auto_read_only && !read_only && error.is_about_writing() => {
                read_only = true;
                open(&filename, true, flags, sets)
            }
            result => result,
        };
        let (file, set) = opened.map_err(|error| match error {
            OpenError::Set(error) => Error::generic(error.to_string()),
            OpenError::Host(error)
                if error.raw_os_error() == Some(Errno::INVAL.raw_os_error())
                    && open_options.direct
                    && open(&filename, read_only, OFlags::empty(), sets).is_ok() =>
            {
                Error::generic(format!(
                    "Could not open '{filename}': filesystem does not support O_DIRECT"
                ))
            }
            OpenError::Host(error) => could_not_open(&error),
        })?;
        let metadata = file.metadata().map_err(|error| could_not_open(&error))?;
        kind.check(metadata.file_type(), &filename)?;
        let size = size_of(&file).map_err(|error| could_not_open(&error.into()))?;
        let may_lock = options.locking != Some(OnOffAuto::Off) && !open_options.force_share;
        let locks = ImageLocks::new(may_lock);
        Ok(Self {
            kind,
            direct: open_options.direct.then(|| Direct::of(&file)),
            file,
            filename,
            size: AtomicU64::new(size),
            resizing: Mutex::at(Level::Resizing, ()),
            read_only,
            locks,
            durability: Durability::default(),
            nowait_reads: AtomicBool::new(!open_options.direct),
            nowait_writes: AtomicBool::new(!open_options.direct),
            whole_blocks: RwLock::at(Level::Blocks),
            n_discarded: Default::default(),
            _set: set,
        })
    }

    pub(in crate::block) fn kind(&self) -> FileKind {
        self.kind
    }

    /// What has become of requests to discard.
    pub(in crate::block) fn discards(&self) -> Discards {
        let [n_done, n_failed, bytes] = self
            .n_discarded
            .each_ref()
            .map(|it| it.load(Ordering::Relaxed));
        Discards {
            n_done,
            n_failed,
            bytes,
        }
    }

    pub(super) fn note_discard(&self, length: u64, is_done: bool) {
        let [n_done, n_failed, bytes] = &self.n_discarded;
        if is_done {
            n_done.fetch_add(1, Ordering::Relaxed);
            bytes.fetch_add(length, Ordering::Relaxed);
        } else {
            n_failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The name of its driver.
    pub(super) fn driver_name(&self) -> &'static str {
        self.kind.name()
    }

    /// The page cache takes anything; past it only whole blocks go.
    pub(in crate::block) fn limits(&self) -> RequestLimits {
        let block = self.direct.map_or(1, Direct::block);
        RequestLimits {
            alignment: block,
            memory_alignment: block,
        }
    }

    pub(in crate::block) fn filename(&self) -> &str {
        &self.filename
    }

    pub(in crate::block) fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    pub(super) fn allocated(&self) -> Option<u64> {
        let metadata = self.file.metadata().ok()?;
        Some(metadata.st_blocks() * SECTOR)
    }

    /// Shows other processes what is done with the file, and keeps off those that it cannot be shared with.
    ///
    /// # Errors
    ///
    /// A process that does not fit is there already; nothing is changed then.
    pub(in crate::block) fn lock(&self, access: Access) -> Result<(), Error> {
        self.locks.set(&self.file, access)
    }

    /// Whether an operation is little more than a copy into the page cache.
    pub(in crate::block) fn is_quick(&self, operation: &Operation) -> bool {
        match operation {
            Operation::Write { data, fua: false } => {
                self.direct.is_none() && data.len() <= MAX_QUICK
            }
            Operation::Write { .. }
            | Operation::Read(_)
            | Operation::WriteZeroes { .. }
            | Operation::Discard { .. }
            | Operation::Flush
            | Operation::Cache { .. }
            | Operation::BlockStatus { .. } => false,
        }
    }

    /// Does what the page cache allows to do at once.
    pub(in crate::block) fn try_now(&self, mut request: Request) -> FileAnswer {
        let offset = request.offset;
        let (transferred, supported) = match &mut request.operation {
            Operation::Read(buffer) if buffer.len() <= MAX_INLINE => {
                if !self.nowait_reads.load(Ordering::Relaxed) {
                    return FileAnswer::WouldBlock(request, 0);
                }
                let buffers = &mut [io::IoSliceMut::new(buffer)];
                let result = preadv2(&self.file, buffers, offset, ReadWriteFlags::NOWAIT);
                (result, &self.nowait_reads)
            }
            Operation::Write { data, fua: false } if data.len() <= MAX_INLINE => {
                if !self.nowait_writes.load(Ordering::Relaxed) {
                    return FileAnswer::WouldBlock(request, 0);
                }
                let buffers = &[io::IoSlice::new(data)];
                let result = pwritev2(&self.file, buffers, offset, ReadWriteFlags::NOWAIT);
                (result, &self.nowait_writes)
            }
            Operation::Read(_)
            | Operation::Write { .. }
            | Operation::WriteZeroes { .. }
            | Operation::Discard { .. }
            | Operation::Flush
            | Operation::Cache { .. }
            | Operation::BlockStatus { .. } => return FileAnswer::WouldBlock(request, 0),
        };
        match transferred {
            Ok(count) if count as u64 == request.operation.length() => {
                FileAnswer::Done(Outcome::of(request, Ok(())))
            }
            // What is missing is not in the cache, or beyond the end of the file.
            Ok(count) => FileAnswer::WouldBlock(request, count),
            Err(Errno::OPNOTSUPP) => {
                supported.store(false, Ordering::Relaxed);
                FileAnswer::WouldBlock(request, 0)
            }
            // Whatever it is, a worker will see it, too.
            Err(_) => FileAnswer::WouldBlock(request, 0),
        }
    }
}

/// The size of an open file in whole sectors.
pub(super) fn size_of(file: &fs::File) -> Result<u64, Errno> {
    // A block device has no size in its metadata.
    let end = retry_on_intr(|| seek(file, SeekFrom::End(0)))?;
    Ok(end.next_multiple_of(SECTOR))
}

/// How the kernel is asked is a hint: workers do it in any case. What QEMU requires of the other options holds.
fn check_aio(aio: Option<&BlockdevAioOptions>, direct: bool) -> Result<(), Error> {
    match aio {
        Some(BlockdevAioOptions::Native) if !direct => Err(Error::generic(
            "aio=native was specified, but it requires cache.direct=on, which was not specified.",
        )),
        Some(BlockdevAioOptions::Unknown(name)) => Err(Error::generic(format!(
            "Parameter 'aio' does not accept value '{name}'"
        ))),
        Some(
            BlockdevAioOptions::Threads | BlockdevAioOptions::Native | BlockdevAioOptions::IoUring,
        )
        | None => Ok(()),
    }
}

#[cfg(test)]
impl File {
    /// A file that is open already, whatever it is.
    pub(super) fn of(file: fs::File, size: u64) -> Self {
        Self {
            kind: FileKind::File,
            file,
            filename: String::new(),
            size: AtomicU64::new(size),
            resizing: Mutex::at(Level::Resizing, ()),
            read_only: false,
            direct: None,
            locks: ImageLocks::new(false),
            durability: Durability::default(),
            nowait_reads: AtomicBool::new(false),
            nowait_writes: AtomicBool::new(false),
            whole_blocks: RwLock::at(Level::Blocks),
            n_discarded: Default::default(),
            _set: None,
        }
    }
}
