//! Block nodes as the command line describes them.

use qapi_runtime::json::Document;
use qapi_runtime::visit::{Input, Mode, Visit};
use qapi_runtime::{Error, Object, Value};

use crate::keyval::{self, ValueKind};
use crate::qapi::BlockdevOptions;

/// How many dots may be in a key: more than there are members in each other in what nodes can be made of.
const MAX_DOTS: usize = 200;

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
        if key.matches('.').count() > MAX_DOTS {
            let start: String = key.chars().take(20).collect();
            return Err(Error::generic(format!(
                "Parameter '{start}...' is nested too deeply"
            )));
        }
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

/// Puts a value at the end of a path, which has no more dots than [`MAX_DOTS`].
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

    #[test]
    fn keys_are_nested_so_deep_and_no_deeper() {
        let options = |n_dots: usize| format!("raw,{}driver=null-co", "file.".repeat(n_dots));
        // The options for all nodes between are missing, which is told once the key is read.
        let error = parse(&options(MAX_DOTS)).unwrap_err();
        assert!(error.desc.ends_with("driver' is missing"), "{}", error.desc);
        for n_dots in [MAX_DOTS + 1, 100_000] {
            let error = parse(&options(n_dots)).unwrap_err();
            let desc = "Parameter 'file.file.file.file....' is nested too deeply";
            assert_eq!(error.desc, desc);
        }
    }
}
