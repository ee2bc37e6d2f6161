//! The texts of the operating system's errors, as QEMU tells them: without the number that the standard library adds.

use std::io;

/// The text that the C library has for an error number.
pub(crate) fn message_of(number: i32) -> String {
    let text = io::Error::from_raw_os_error(number).to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// The text of an error: that of its number, if it has one.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => message_of(number),
        None => error.to_string(),
    }
}
