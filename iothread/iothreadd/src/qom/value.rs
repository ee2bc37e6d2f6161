//! Values of properties as the types that they have in Rust.

use qapi_runtime::json::Document;
use qapi_runtime::visit::{Input, Mode, Visit};
use qapi_runtime::{Error, Value};

/// Reads the value of the property `name`.
///
/// # Errors
///
/// A value of another type, in QEMU's words.
pub(crate) fn value_of<T: Visit>(name: &str, value: &Value) -> Result<T, Error> {
    let document = Document::from(value);
    let read = T::read(&mut Input::new(&document, Mode::Strict));
    Ok(read.map_err(|error| error.in_member(name.to_owned()))?)
}
