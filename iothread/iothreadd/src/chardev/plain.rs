//! Character devices on files and FIFOs.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use qapi_runtime::Error;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{OFlags, fcntl_setfl, ftruncate};

use crate::errno::reason;
use crate::net::descriptors::{DescriptorSets, SetUse};
use crate::net::log::Log;
use crate::net::stream::Stream;
use crate::qapi::{ChardevFile, ChardevHostdev};

/// Where everything disappears.
const NOWHERE: &str = "/dev/null";

/// Two descriptors: one to read from and one to write to.
pub(super) struct Plain {
    input: OwnedFd,
    output: OwnedFd,
    /// The sets that they come from.
    _sets: Vec<SetUse>,
    log: Option<Arc<Log>>,
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opening {
    Read,
    /// What it had is gone.
    Overwrite,
    Append,
    Both,
}

/// Opens files, also those that are open already.
struct Opener<'s> {
    sets: &'s DescriptorSets,
    used: Vec<SetUse>,
}

impl Plain {
    pub(super) fn file(
        options: &ChardevFile,
        sets: &DescriptorSets,
        log: Option<Arc<Log>>,
    ) -> Result<Self, Error> {
        let mut opener = Opener::new(sets);
        let opening = match options.append {
            Some(true) => Opening::Append,
            Some(false) | None => Opening::Overwrite,
        };
        let output = opener.open(&options.out, opening)?;
        let input = match &options.r#in {
            Some(path) => opener.open(path, Opening::Read)?,
            None => silence()?,
        };
        Ok(Self {
            input,
            output,
            _sets: opener.used,
            log,
        })
    }

    pub(super) fn pipe(
        options: &ChardevHostdev,
        sets: &DescriptorSets,
        log: Option<Arc<Log>>,
    ) -> Result<Self, Error> {
        let device = &options.device;
        let mut opener = Opener::new(sets);
        // With both directions open a FIFO opens at once, and has no end.
        let mut both = |path: &str| opener.open(path, Opening::Both);
        let pair = (
            both(&format!("{device}.in")),
            both(&format!("{device}.out")),
        );
        let (input, output) = match pair {
            (Ok(input), Ok(output)) => (input, output),
            (Err(_), _) | (_, Err(_)) => {
                let fd = both(device)?;
                (duplicate(&fd)?, fd)
            }
        };
        Ok(Self {
            input,
            output,
            _sets: opener.used,
            log,
        })
    }

    pub(super) fn null(log: Option<Arc<Log>>) -> Result<Self, Error> {
        Ok(Self {
            input: silence()?,
            output: Opener::new(&DescriptorSets::default()).open(NOWHERE, Opening::Append)?,
            _sets: Vec::new(),
            log,
        })
    }

    /// The two directions, for a front end.
    pub(super) fn stream(&self) -> Result<Stream, Error> {
        let stream = Stream::pair(duplicate(&self.input)?, duplicate(&self.output)?);
        Ok(stream.with_log(self.log.clone()))
    }
}

/// An input that has nothing, and no end either: an end would be that of a session.
fn silence() -> Result<OwnedFd, Error> {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|error| Error::generic(reason(&error.into())))
}

fn duplicate(fd: &OwnedFd) -> Result<OwnedFd, Error> {
    fd.try_clone()
        .map_err(|error| Error::generic(reason(&error)))
}

impl<'s> Opener<'s> {
    fn new(sets: &'s DescriptorSets) -> Self {
        Self {
            sets,
            used: Vec::new(),
        }
    }

    fn open(&mut self, path: &str, opening: Opening) -> Result<OwnedFd, Error> {
        let opened = match self.sets.open(path, opening.flags()) {
            Some(Ok((descriptor, in_use))) => {
                let adapted = opening.adapt(&descriptor);
                self.used.push(in_use);
                adapted.map(|()| descriptor)
            }
            Some(Err(error)) => Err(error.errno().into()),
            None => opening.open(path),
        };
        opened
            .map_err(|error| Error::generic(format!("Could not open '{path}': {}", reason(&error))))
    }
}

impl Opening {
    /// With which flags a descriptor was opened that suits.
    fn flags(self) -> OFlags {
        match self {
            Self::Read => OFlags::RDONLY,
            Self::Overwrite | Self::Append => OFlags::WRONLY,
            Self::Both => OFlags::RDWR,
        }
    }

    /// Makes a descriptor that is open already what it would be if it had been opened here.
    fn adapt(self, descriptor: &OwnedFd) -> io::Result<()> {
        let append = match self {
            Self::Append => OFlags::APPEND,
            Self::Read | Self::Overwrite | Self::Both => OFlags::empty(),
        };
        fcntl_setfl(descriptor, OFlags::NONBLOCK | append)?;
        if self == Self::Overwrite {
            // Only files can be cut.
            let _ = ftruncate(descriptor, 0);
        }
        Ok(())
    }

    fn open(self, path: &str) -> io::Result<OwnedFd> {
        let mut options = OpenOptions::new();
        match self {
            Self::Read => options.read(true),
            Self::Overwrite => options.create(true).write(true).truncate(true).mode(0o666),
            Self::Append => options.create(true).append(true).mode(0o666),
            Self::Both => options.read(true).write(true),
        };
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        Ok(options.custom_flags(flags).open(path)?.into())
    }
}
