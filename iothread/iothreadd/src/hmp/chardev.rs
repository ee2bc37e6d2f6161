//! Character devices in the human monitor.

use std::sync::Arc;

use iothread::OnMain;
use qapi_runtime::Error;

use super::arguments::Arguments;
use super::command::OptionsError;
use super::line::LINE_END;
use crate::chardev;
use crate::ident;
use crate::net::descriptors::SessionDescriptors;
use crate::parts::Parts;
use crate::task::Work;

/// `chardev-add`
pub(super) fn add<'a>(
    parts: &'a Arc<Parts>,
    given: &'a Arguments,
) -> Work<'a, Result<(), OptionsError>> {
    Box::pin(async move {
        let (id, backend) = chardev::parse(given.text(0)).map_err(explain)?;
        if parts.host.chardevs.is_of_option(&id) {
            let error = chardev::duplicate(&id);
            return Err(explain(chardev::OptionError::Malformed(error)));
        }
        Ok(parts.host.chardevs.add_by_hand(id, backend).await?)
    })
}

/// `chardev-change`
pub(super) fn change<'a>(
    parts: &'a Arc<Parts>,
    given: &'a Arguments,
) -> Work<'a, Result<(), OptionsError>> {
    Box::pin(async move {
        let backend = chardev::parse_backend(given.text(1)).map_err(explain)?;
        // Descriptors are passed with QMP only.
        let descriptors = SessionDescriptors::default();
        let id = given.text(0).to_owned();
        let changed = parts.host.chardevs.change(id, backend, &descriptors).await;
        changed.map(drop).map_err(OptionsError::from)
    })
}

/// What is wrong with options, as people are told.
fn explain(error: chardev::OptionError) -> OptionsError {
    match error {
        chardev::OptionError::Malformed(error) => {
            let hint = ident::hint(&error).map(|hint| format!("{hint}{LINE_END}"));
            OptionsError::Told {
                text: format!("{}{LINE_END}{}", error.desc, hint.unwrap_or_default()),
                error: Error::generic("Parsing chardev args failed"),
            }
        }
        chardev::OptionError::Refused(error) => OptionsError::Refused(error),
    }
}

/// `info chardev`
pub(super) fn info(parts: &Arc<Parts>, _: &Arguments) -> String {
    let line = |info: crate::qapi::ChardevInfo| {
        format!("{}: filename={}{LINE_END}", info.label, info.filename)
    };
    parts.host.chardevs.query().into_iter().map(line).collect()
}

/// `ringbuf_write`
pub(super) fn ringbuf_write(
    _: OnMain<'_>,
    parts: &Arc<Parts>,
    given: &Arguments,
) -> Result<(), Error> {
    let (device, data) = (given.text(0), given.text(1));
    let chardevs = &parts.host.chardevs;
    chardevs.with_ringbuf(device, |ringbuf| ringbuf.write(data, None))
}

/// `ringbuf_read`
pub(super) fn ringbuf_read(parts: &Arc<Parts>, given: &Arguments) -> Result<String, Error> {
    let (device, size) = (given.text(0), given.integer(1));
    let chardevs = &parts.host.chardevs;
    let text = chardevs.with_ringbuf(device, |ringbuf| ringbuf.read(size, None))?;
    Ok(format!("{text}{LINE_END}"))
}
