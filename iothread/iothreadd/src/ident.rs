//! Identifiers: what users call objects, devices, nodes, exports and character devices.

pub(crate) use iothread::is_identifier;
use qapi_runtime::Error;

/// What an identifier is, as QEMU tells it after the error.
pub(crate) const RULE: &str =
    "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.";

/// The error about a parameter `id` that is not one.
pub(crate) fn expected() -> Error {
    Error::generic("Parameter 'id' expects an identifier")
}

/// The line that explains an error, where there is one.
pub(crate) fn hint(error: &Error) -> Option<&'static str> {
    error
        .desc
        .ends_with("expects an identifier")
        .then_some(RULE)
}
