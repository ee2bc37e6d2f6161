//! Character devices in the human monitor.

use std::sync::Arc;

use qapi_runtime::Error;

use super::arguments::Arguments;
use super::command::{LINE_END, OptionsError};
use crate::chardev;
use crate::ident;
use crate::server::Server;
use crate::task::Work;

/// `chardev-add`
pub(super) fn add<'a>(
    server: &'a Arc<Server>,
    given: &'a Arguments,
) -> Work<'a, Result<(), OptionsError>> {
    Box::pin(async move {
        let (id, backend) = chardev::parse(given.text(0)).map_err(|error| match error {
            chardev::OptionError::Malformed(error) => {
                let hint = ident::hint(&error).map(|hint| format!("\n{hint}"));
                Error::generic(format!(
                    "{}{}\nError: Parsing chardev args failed",
                    error.desc,
                    hint.unwrap_or_default()
                ))
            }
            chardev::OptionError::Refused(error) => error,
        })?;
        Ok(server.chardevs().add_by_hand(id, backend).await?)
    })
}

/// `info chardev`
pub(super) fn info(server: &Arc<Server>, _: &Arguments) -> String {
    let line = |info: crate::qapi::ChardevInfo| {
        format!("{}: filename={}{LINE_END}", info.label, info.filename)
    };
    server.query_chardev().into_iter().map(line).collect()
}

/// `ringbuf_write`
pub(super) fn ringbuf_write(server: &Arc<Server>, given: &Arguments) -> Result<(), Error> {
    let (device, data) = (given.text(0), given.text(1));
    let chardevs = server.chardevs();
    chardevs.with_ringbuf(device, |ringbuf| ringbuf.write(data, None))
}

/// `ringbuf_read`
pub(super) fn ringbuf_read(server: &Arc<Server>, given: &Arguments) -> Result<String, Error> {
    let (device, size) = (given.text(0), given.integer(1));
    let chardevs = server.chardevs();
    let text = chardevs.with_ringbuf(device, |ringbuf| ringbuf.read(size, None))?;
    Ok(format!("{text}{LINE_END}"))
}
