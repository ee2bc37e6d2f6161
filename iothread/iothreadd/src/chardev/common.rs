//! What every kind of device can be told.

use std::sync::Arc;

use qapi_runtime::Error;

use super::plain::Plain;
use crate::errno::reason;
use crate::net::descriptors::DescriptorSets;
use crate::net::log::Log;
use crate::qapi::ChardevBackend;

/// The file that gets a copy of what is sent to a device, if there is to be one, and whether the copy comes behind what it has.
fn log_of(backend: &ChardevBackend) -> Option<(&str, bool)> {
    let (path, appends) = match backend {
        ChardevBackend::File(file) => (&file.data.logfile, file.data.logappend),
        ChardevBackend::Pipe(pipe) => (&pipe.data.logfile, pipe.data.logappend),
        ChardevBackend::Socket(socket) => (&socket.data.logfile, socket.data.logappend),
        ChardevBackend::Null(null) => (&null.data.logfile, null.data.logappend),
        ChardevBackend::Ringbuf(ringbuf) | ChardevBackend::Memory(ringbuf) => {
            (&ringbuf.data.logfile, ringbuf.data.logappend)
        }
        ChardevBackend::Unknown(_) => return None,
    };
    Some((path.as_deref()?, appends.unwrap_or(false)))
}

/// Files of a device, which may be on a file system that is slow to open them.
#[derive(Default)]
pub(super) struct Files {
    pub(super) log: Option<Arc<Log>>,
    /// Those that are the device.
    pub(super) plain: Option<Plain>,
}

impl Files {
    /// Whether a device has any.
    pub(super) fn has(backend: &ChardevBackend) -> bool {
        let is_plain = match backend {
            ChardevBackend::File(_) | ChardevBackend::Pipe(_) => true,
            ChardevBackend::Socket(_)
            | ChardevBackend::Null(_)
            | ChardevBackend::Ringbuf(_)
            | ChardevBackend::Memory(_)
            | ChardevBackend::Unknown(_) => false,
        };
        is_plain || log_of(backend).is_some()
    }

    /// Opens them; on a worker.
    ///
    /// # Errors
    ///
    /// In QEMU's words: what the host says.
    pub(super) fn open(backend: &ChardevBackend, sets: &DescriptorSets) -> Result<Self, Error> {
        let log = open_log(backend)?;
        let plain = match backend {
            ChardevBackend::File(file) => Some(Plain::file(&file.data, sets, log.clone())?),
            ChardevBackend::Pipe(pipe) => Some(Plain::pipe(&pipe.data, sets, log.clone())?),
            ChardevBackend::Socket(_)
            | ChardevBackend::Null(_)
            | ChardevBackend::Ringbuf(_)
            | ChardevBackend::Memory(_)
            | ChardevBackend::Unknown(_) => None,
        };
        Ok(Self { log, plain })
    }
}

fn open_log(backend: &ChardevBackend) -> Result<Option<Arc<Log>>, Error> {
    let Some((path, appends)) = log_of(backend) else {
        return Ok(None);
    };
    match Log::open(path, appends) {
        Ok(log) => Ok(Some(Arc::new(log))),
        Err(error) => {
            let reason = reason(&error);
            Err(Error::generic(format!(
                "Could not create '{path}': {reason}"
            )))
        }
    }
}
