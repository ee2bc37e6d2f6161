//! Objects as the command line and the human monitor describe them.

use qapi_runtime::json::Document;
use qapi_runtime::visit::{Input, Mode, Visit};
use qapi_runtime::{Error, Value};

use crate::ident;
use crate::keyval::{self, Pairs, ValueKind};
use crate::qapi::ObjectOptions;
use crate::qom::help::list_properties;
use crate::qom::types::{self, Type};

/// The member that may be given without its name.
const TYPE: &str = "qom-type";

/// Reads what the human monitor is given: JSON, or keys and values.
pub(crate) fn parse(text: &str) -> Result<ObjectOptions, Error> {
    let split = |text: &str| keyval::parse(text, TYPE);
    read(text, split, keyval::unexpected, keyval::INTEGER)
}

/// Reads an option of the command line, which may have switches without a value.
pub(crate) fn parse_option(text: &str) -> Result<ObjectOptions, Error> {
    let split = |text: &str| Ok(keyval::parse_options(text, TYPE));
    let options = read(text, split, keyval::invalid, keyval::INTEGER_OF_OBJECT)?;
    match ident::is_identifier(&options.id) {
        true => Ok(options),
        false => Err(ident::expected()),
    }
}

fn read(
    text: &str,
    split: impl Fn(&str) -> Result<Pairs, Error>,
    unknown: fn(&str) -> Error,
    integer: &str,
) -> Result<ObjectOptions, Error> {
    let document = if text.starts_with('{') {
        Document::parse(text.as_bytes()).map_err(|error| Error::generic(error.to_string()))?
    } else {
        Document::from(&typed(split(text)?, unknown, integer)?)
    };
    Ok(ObjectOptions::read(&mut Input::new(
        &document,
        Mode::Strict,
    ))?)
}

fn typed(pairs: Pairs, unknown: fn(&str) -> Error, integer: &str) -> Result<Value, Error> {
    if pairs.iter().any(|(key, _)| key.is_empty()) {
        return Err(keyval::invalid(""));
    }
    let value_of = |key: &str| pairs.iter().find(|pair| pair.0 == key).map(|pair| &*pair.1);
    let missing = |key: &str| Error::generic(format!("Parameter '{key}' is missing"));
    let type_name = value_of(TYPE).ok_or_else(|| missing(TYPE))?;
    let object_type = find(type_name).ok_or_else(|| {
        Error::generic(format!(
            "Parameter '{TYPE}' does not accept value '{type_name}'"
        ))
    })?;
    value_of("id").ok_or_else(|| missing("id"))?;
    let kind_of = |key: &str| match key {
        TYPE | "id" => Some(ValueKind::String),
        key => object_type.property(key).map(|known| known.value_kind()),
    };
    let is_unknown = |(key, _): &&(String, String)| kind_of(key).is_none();
    if let Some((key, _)) = pairs.iter().find(is_unknown) {
        return Err(unknown(key));
    }
    let object = keyval::typed(pairs, integer, kind_of)?;
    Ok(Value::Object(object))
}

fn find(type_name: &str) -> Option<&'static Type> {
    types::USER_CREATABLE
        .into_iter()
        .find(|known| known.name == type_name)
}

/// What types there are, or what properties one of them has.
pub(crate) fn help(about: Option<&str>) -> Result<String, String> {
    let Some(name) = about else {
        let mut help = "List of user creatable objects:\n".to_owned();
        for known in types::USER_CREATABLE {
            help.push_str(&format!("  {}\n", known.name));
        }
        return Ok(help);
    };
    let missing = || format!("Parameter '{TYPE}' does not accept value '{name}'");
    let known = find(name).ok_or_else(missing)?;
    Ok(list_properties(known.name, known.properties()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text).unwrap_err().desc
    }

    #[test]
    fn refusals_have_the_known_texts() {
        for (text, desc) in [
            ("iothread", "Parameter 'id' is missing"),
            ("id=x", "Parameter 'qom-type' is missing"),
            ("", "Parameter 'qom-type' is missing"),
            (
                "nope,id=x",
                "Parameter 'qom-type' does not accept value 'nope'",
            ),
            ("iothread,id=x,foo=1", "Parameter 'foo' is unexpected"),
            ("iothread,id=a,=3", "Invalid parameter ''"),
            (
                "iothread,id=x,poll-max-ns=abc",
                "Parameter 'poll-max-ns' expects integer",
            ),
            ("{\"qom-type\":\"iothread\"}", "Parameter 'id' is missing"),
        ] {
            assert_eq!(error(text), desc, "{text}");
        }
    }

    #[test]
    fn both_forms_mean_the_same() {
        let object = parse("iothread,id=io0,poll-max-ns=0x10").unwrap();
        let json = r#"{"qom-type": "iothread", "id": "io0", "poll-max-ns": 16}"#;
        assert_eq!(object, parse(json).unwrap());
    }

    #[test]
    fn help_lists_types_and_properties() {
        assert!(help(None).is_ok_and(|text| text.contains("  iothread\n")));
        let properties = help(Some("iothread")).unwrap();
        assert!(properties.contains("  poll-max-ns=<int>\n"), "{properties}");
        assert!(help(Some("nope")).is_err());
    }
}
