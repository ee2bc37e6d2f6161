//! What every kind of device can be told.

use std::sync::Arc;

use qapi_runtime::Error;

use crate::errno::reason;
use crate::net::log::Log;
use crate::qapi::ChardevBackend;

/// Opens the file that gets a copy of what is sent to a device, if there is to be one.
///
/// # Errors
///
/// In QEMU's words: what the host says.
pub(super) fn open_log(backend: &ChardevBackend) -> Result<Option<Arc<Log>>, Error> {
    let (path, appends) = match backend {
        ChardevBackend::File(file) => (&file.data.logfile, file.data.logappend),
        ChardevBackend::Pipe(pipe) => (&pipe.data.logfile, pipe.data.logappend),
        ChardevBackend::Socket(socket) => (&socket.data.logfile, socket.data.logappend),
        ChardevBackend::Null(null) => (&null.data.logfile, null.data.logappend),
        ChardevBackend::Ringbuf(ringbuf) | ChardevBackend::Memory(ringbuf) => {
            (&ringbuf.data.logfile, ringbuf.data.logappend)
        }
        ChardevBackend::Unknown(_) => return Ok(None),
    };
    let Some(path) = path else {
        return Ok(None);
    };
    match Log::open(path, appends.unwrap_or(false)) {
        Ok(log) => Ok(Some(Arc::new(log))),
        Err(error) => {
            let reason = reason(&error);
            Err(Error::generic(format!(
                "Could not create '{path}': {reason}"
            )))
        }
    }
}
