//! Identifiers: what users call objects, devices, nodes, exports and character devices.

use qapi_runtime::Error;

/// What an identifier is, as QEMU tells it after the error.
pub(crate) const RULE: &str =
    "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.";

/// Whether QEMU would take `id`.
pub(crate) fn is_identifier(id: &str) -> bool {
    id.starts_with(|first: char| first.is_ascii_alphabetic())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

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
