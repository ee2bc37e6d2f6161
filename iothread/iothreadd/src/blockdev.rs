//! Block nodes as the command line describes them.

use qapi_runtime::json::Document;
use qapi_runtime::visit::{Input, Mode, Visit};
use qapi_runtime::{Error, Object, Value};

use crate::keyval::{self, ValueKind};
use crate::qapi::BlockdevOptions;

/// Reads a description: JSON, or keys and values, in which a dot leads into a member.
///
/// # Errors
///
/// In QEMU's words: whatever does not suit the driver.
pub(crate) fn parse(text: &str) -> Result<BlockdevOptions, Error> {
    let document = if text.starts_with('{') {
        Document::parse(text.as_bytes()).map_err(|error| Error::generic(error.to_string()))?
    } else {
        Document::from(&Value::Object(parse_keyval(text)?))
    };
    Ok(BlockdevOptions::read(&mut Input::new(
        &document,
        Mode::Strict,
    ))?)
}

fn parse_keyval(text: &str) -> Result<Object, Error> {
    let pairs = keyval::parse(text, "driver")?;
    let typed = keyval::typed(pairs, keyval::INTEGER, |key| Some(kind_of(key)))?;
    let mut options = Object::new();
    for (key, value) in typed {
        insert(&mut options, &key, &key, value)?;
    }
    Ok(options)
}

/// The form of a value, which the last component of its key tells for all drivers.
fn kind_of(key: &str) -> ValueKind {
    match key.rsplit('.').next().unwrap_or(key) {
        "read-only" | "auto-read-only" | "force-share" | "active" | "direct" | "no-flush"
        | "read-zeroes" | "drop-cache" => ValueKind::Bool,
        "size" | "offset" | "latency-ns" | "aio-max-batch" => ValueKind::Int,
        _ => ValueKind::String,
    }
}

/// Puts a value at the end of a path.
fn insert(object: &mut Object, key: &str, path: &str, value: Value) -> Result<(), Error> {
    let Some((member, rest)) = path.split_once('.') else {
        object.insert(path.to_owned(), value);
        return Ok(());
    };
    if !object.contains_key(member) {
        object.insert(member, Object::new().into());
    }
    match object.get_mut(member) {
        Some(Value::Object(below)) => insert(below, key, rest, value),
        _ => Err(Error::generic(format!(
            "Parameters '{member}.*' used inconsistently with '{key}'"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_mean_the_same() {
        let json = r#"{"driver": "raw", "node-name": "r", "offset": 512, "cache": {"direct": true},
            "file": {"driver": "file", "filename": "/a,b"}}"#;
        let text =
            "raw,node-name=r,offset=512,cache.direct=on,file.driver=file,file.filename=/a,,b";
        assert_eq!(parse(json).unwrap(), parse(text).unwrap());
    }

    #[test]
    fn refusals_have_the_known_texts() {
        for (text, desc) in [
            ("node-name=x", "Parameter 'driver' is missing"),
            (
                "nope,node-name=x",
                "Parameter 'driver' does not accept value 'nope'",
            ),
            (
                "null-co,read-only=maybe",
                "Parameter 'read-only' expects 'on' or 'off'",
            ),
            (
                "raw,file=x,file.driver=null-co",
                "Parameters 'file.*' used inconsistently with 'file.driver'",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().desc, desc, "{text}");
        }
    }
}
