//! Character devices on files and FIFOs.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use qapi_runtime::Error;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::OFlags;

use crate::errno::reason;
use crate::net::log::Log;
use crate::net::stream::Stream;
use crate::qapi::{ChardevFile, ChardevHostdev};

/// Where everything disappears.
const NOWHERE: &str = "/dev/null";

/// Two descriptors: one to read from and one to write to.
pub(super) struct Plain {
    name: &'static str,
    input: OwnedFd,
    output: OwnedFd,
    log: Option<Arc<Log>>,
}

impl Plain {
    pub(super) fn file(options: &ChardevFile, log: Option<Arc<Log>>) -> Result<Self, Error> {
        let append = options.append.unwrap_or(false);
        let mut out = File::options();
        out.create(true)
            .write(true)
            .append(append)
            .truncate(!append)
            .mode(0o666);
        let output = open(&mut out, &options.out)?;
        let input = match &options.r#in {
            Some(path) => open(File::options().read(true), path)?,
            None => silence()?,
        };
        Ok(Self {
            name: "file",
            input,
            output,
            log,
        })
    }

    pub(super) fn pipe(options: &ChardevHostdev, log: Option<Arc<Log>>) -> Result<Self, Error> {
        let device = &options.device;
        // With both directions open a FIFO opens at once, and has no end.
        let both = |path: &str| open(File::options().read(true).write(true), path);
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
            name: "pipe",
            input,
            output,
            log,
        })
    }

    pub(super) fn null(log: Option<Arc<Log>>) -> Result<Self, Error> {
        Ok(Self {
            name: "null",
            input: silence()?,
            output: open(File::options().write(true), NOWHERE)?,
            log,
        })
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
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

fn open(options: &mut std::fs::OpenOptions, path: &str) -> Result<OwnedFd, Error> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let opened: io::Result<File> = options.custom_flags(flags).open(path);
    match opened {
        Ok(file) => Ok(file.into()),
        Err(error) => Err(Error::generic(format!(
            "Could not open '{path}': {}",
            reason(&error)
        ))),
    }
}
