//! Where nodes have their blocks from.

use std::fs::File;
use std::io;
use std::os::linux::fs::MetadataExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use iothread::qapi::{BlockdevOptionsFile, BlockdevOptionsNull, OnOffAuto};
use qapi_runtime::Error;
use rustix::fs::{FlockOperation, OFlags, flock};

/// The unit in which sizes are counted.
const SECTOR: u64 = 512;

/// Size of a null node unless told otherwise.
const NULL_SIZE: u64 = 1 << 30;

/// The data of a node.
pub(super) enum Driver {
    NullCo {
        size: u64,
    },
    File {
        filename: String,
        file: File,
        size: u64,
        read_only: bool,
    },
    Raw {
        size: u64,
    },
}

/// What holds for files under any driver.
#[derive(Clone, Copy)]
pub(super) struct OpenOptions {
    pub(super) read_only: bool,
    pub(super) auto_read_only: bool,
    pub(super) force_share: bool,
    pub(super) active: bool,
    pub(super) direct: bool,
}

impl Driver {
    pub(super) fn null(options: &BlockdevOptionsNull) -> Result<Self, Error> {
        let size = match options.size {
            None => NULL_SIZE,
            Some(size) => u64::try_from(size)
                .map_err(|_| Error::generic(format!("Parameter 'size' cannot be {size}")))?,
        };
        if options
            .latency_ns
            .is_some_and(|latency| i64::try_from(latency).is_err())
        {
            return Err(Error::generic("latency-ns is invalid"));
        }
        Ok(Self::NullCo { size })
    }

    pub(super) fn file(
        options: &BlockdevOptionsFile,
        open_options: OpenOptions,
    ) -> Result<Self, Error> {
        let filename = options.filename.clone();
        let could_not_open = |error: &io::Error| {
            let reason = match error.raw_os_error() {
                Some(number) => message_of(number),
                None => error.to_string(),
            };
            Error::generic(format!("Could not open '{filename}': {reason}"))
        };
        let open = |read_only: bool| {
            let flags = if open_options.direct {
                OFlags::DIRECT
            } else {
                OFlags::empty()
            };
            File::options()
                .read(true)
                .write(!read_only)
                .custom_flags((flags | OFlags::NONBLOCK).bits().cast_signed())
                .open(&filename)
        };
        let mut read_only = open_options.read_only;
        let file = match open(read_only) {
            Err(error)
                if open_options.auto_read_only
                    && !read_only
                    && matches!(
                        error.kind(),
                        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                    ) =>
            {
                read_only = true;
                open(true)
            }
            result => result,
        };
        let file = file.map_err(|error| could_not_open(&error))?;
        let metadata = file.metadata().map_err(|error| could_not_open(&error))?;
        let kind = metadata.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(Error::generic(format!(
                "'file' driver requires '{filename}' to be a regular file"
            )));
        }
        if options.locking != Some(OnOffAuto::Off)
            && open_options.active
            && !open_options.force_share
        {
            lock(&file, read_only, &filename)?;
        }
        Ok(Self::File {
            size: metadata.st_size().next_multiple_of(SECTOR),
            filename,
            file,
            read_only,
        })
    }

    pub(super) fn raw(offset: Option<i64>, size: Option<i64>, below: u64) -> Result<Self, Error> {
        let not_negative = |name: &str, value: i64| {
            u64::try_from(value)
                .map_err(|_| Error::generic(format!("Parameter '{name}' cannot be {value}")))
        };
        let offset = not_negative("offset", offset.unwrap_or(0))?;
        if offset > below {
            return Err(Error::generic(format!(
                "Offset ({offset}) cannot be greater than size of the containing file ({below})"
            )));
        }
        let size = match size {
            None => (below - offset).next_multiple_of(SECTOR),
            Some(size) => {
                let size = not_negative("size", size)?;
                if size > below - offset {
                    return Err(Error::generic(format!(
                        "The sum of offset ({offset}) and size ({size}) has to be smaller or equal to the  \
                         actual size of the containing file ({below})"
                    )));
                }
                if size % SECTOR != 0 {
                    return Err(Error::generic("Specified size is not multiple of 512"));
                }
                size
            }
        };
        Ok(Self::Raw { size })
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::NullCo { .. } => "null-co",
            Self::File { .. } => "file",
            Self::Raw { .. } => "raw",
        }
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Self::NullCo { size } | Self::File { size, .. } | Self::Raw { size } => *size,
        }
    }

    pub(super) fn is_read_only(&self) -> bool {
        matches!(
            self,
            Self::File {
                read_only: true,
                ..
            }
        )
    }

    /// The file behind it, or a description in its place; `None` for a node that only shows another.
    pub(super) fn filename(&self) -> Option<&str> {
        match self {
            Self::NullCo { .. } => Some("null-co://"),
            Self::File { filename, .. } => Some(filename),
            Self::Raw { .. } => None,
        }
    }

    /// The bytes that it takes up on the host.
    pub(super) fn allocated(&self) -> Option<u64> {
        match self {
            Self::NullCo { .. } => Some(0),
            Self::File { file, .. } => file.metadata().ok().map(|it| it.st_blocks() * SECTOR),
            Self::Raw { .. } => None,
        }
    }
}

/// Keeps other processes off the file: all that write if this one reads, and all if it writes.
///
/// Differs from QEMU, whose locks on single bytes also tell readers that share with writers from others.
fn lock(file: &File, read_only: bool, filename: &str) -> Result<(), Error> {
    let (operation, kind) = if read_only {
        (FlockOperation::NonBlockingLockShared, "shared \"read\"")
    } else {
        (FlockOperation::NonBlockingLockExclusive, "\"write\"")
    };
    flock(file, operation).map_err(|_| {
        Error::generic(format!(
            "Failed to get {kind} lock on '{filename}': is another process using the image?"
        ))
    })
}

/// The text that the C library has for an error number, without the number that the standard library adds.
pub(super) fn message_of(number: i32) -> String {
    let text = io::Error::from_raw_os_error(number).to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
