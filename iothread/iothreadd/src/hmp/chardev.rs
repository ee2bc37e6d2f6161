//! Character devices in the human monitor.

use std::sync::Arc;

use qapi_runtime::Error;

use super::command::LINE_END;
use super::line::split_first;
use crate::chardev;
use crate::net::descriptors::SessionDescriptors;
use crate::server::Server;

/// `chardev-add`
pub(super) fn add(server: &Arc<Server>, text: &str) -> Result<(), Error> {
    let (id, backend) = chardev::parse(text)?;
    // Descriptors are passed with QMP only.
    let descriptors = SessionDescriptors::default();
    server.chardevs().add_now(id, &backend, &descriptors)
}

/// `info chardev`
pub(super) fn info(server: &Arc<Server>, _: &str) -> String {
    let line = |info: crate::qapi::ChardevInfo| {
        format!("{}: filename={}{LINE_END}", info.label, info.filename)
    };
    server.query_chardev().into_iter().map(line).collect()
}

/// `ringbuf_write`
pub(super) fn ringbuf_write(server: &Arc<Server>, text: &str) -> Result<(), Error> {
    let (device, data) = split_first(text);
    let chardevs = server.chardevs();
    chardevs.with_ringbuf(device, |ringbuf| ringbuf.write(data, None))
}

/// `ringbuf_read`
pub(super) fn ringbuf_read(server: &Arc<Server>, text: &str) -> Result<String, Error> {
    let (device, size) = split_first(text);
    let size = size
        .parse()
        .map_err(|_| Error::generic("Parameter 'size' expects a number"))?;
    let chardevs = server.chardevs();
    let text = chardevs.with_ringbuf(device, |ringbuf| ringbuf.read(size, None))?;
    Ok(format!("{text}{LINE_END}"))
}
