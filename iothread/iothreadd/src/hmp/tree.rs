//! The trees of objects and of devices in the human monitor.

use std::sync::Arc;

use iothread::OnMain;
use qapi_runtime::json::{Document, Writer};
use qapi_runtime::{Error, Value};

use super::arguments::Arguments;
use super::command::OptionsError;
use super::line::LINE_END;
use crate::devices::{self, BusInfo, DeviceInfo};
use crate::ident::is_identifier;
use crate::keyval::{self, ValueKind};
use crate::parts::Parts;
use crate::task::Work;

/// `qom-list`
pub(super) fn qom_list(parts: &Arc<Parts>, given: &Arguments) -> Result<String, Error> {
    let Some(path) = given.optional(0) else {
        return Ok(format!("/{LINE_END}"));
    };
    let properties = parts.host.tree.list(path)?;
    Ok(properties
        .iter()
        .map(|it| format!("{} ({}){LINE_END}", it.name, it.r#type))
        .collect())
}

/// `qom-get`
pub(super) fn qom_get(parts: &Arc<Parts>, given: &Arguments) -> Result<String, Error> {
    let value = parts.host.tree.get(given.text(0), given.text(1))?;
    let mut writer = Writer::new();
    writer.set_pretty(true);
    writer.value(&value);
    let text = String::from_utf8_lossy(writer.as_bytes()).replace('\n', LINE_END);
    Ok(format!("{text}{LINE_END}"))
}

/// `qom-set`: the value is JSON, or a text that the property's type reads.
pub(super) fn qom_set(_: OnMain<'_>, parts: &Arc<Parts>, given: &Arguments) -> Result<(), Error> {
    let (path, property, text) = (given.text(1), given.text(2), given.text(3));
    let value = if given.flag(0) {
        let document = Document::parse(text.as_bytes());
        document
            .map_err(|error| Error::generic(error.to_string()))?
            .root()
            .to_value()
    } else {
        let kind = match parts.host.tree.get(path, property)? {
            Value::Bool(_) => ValueKind::Bool,
            number if number.as_i64().is_some() => ValueKind::Int,
            _ => ValueKind::String,
        };
        let pair = (property.to_owned(), text.trim_end().to_owned());
        let typed = keyval::typed(vec![pair], keyval::INTEGER_OF_OBJECT, |_| Some(kind))?;
        typed.get(property).cloned().unwrap_or(Value::Null)
    };
    parts.host.tree.set(path, property, &value)
}

/// `device_add`
pub(super) fn device_add<'a>(
    parts: &'a Arc<Parts>,
    given: &'a Arguments,
) -> Work<'a, Result<(), OptionsError>> {
    Box::pin(async move {
        let device = devices::parse_options(given.text(0));
        if device.id().is_some_and(|id| !is_identifier(id)) {
            return Err(OptionsError::Malformed);
        }
        Ok(parts.devices.add(&parts.host, device).await?)
    })
}

/// `info qtree`
pub(super) fn info_qtree(parts: &Arc<Parts>, given: &Arguments) -> String {
    let is_brief = given.flag(0);
    let mut text = String::new();
    for bus in parts.devices.describe() {
        print_bus(&bus, 0, is_brief, &mut text);
    }
    text
}

fn print_bus(bus: &BusInfo, depth: usize, is_brief: bool, text: &mut String) {
    let indent = "  ".repeat(depth);
    text.push_str(&format!("{indent}bus: {}{LINE_END}", bus.name));
    text.push_str(&format!("{indent}  type {}{LINE_END}", bus.type_name));
    for device in &bus.devices {
        let DeviceInfo { driver, id, .. } = device;
        text.push_str(&format!("{indent}  dev: {driver}, id \"{id}\"{LINE_END}"));
        for (name, value) in device.properties.iter().filter(|_| !is_brief) {
            let value = format_value(value);
            text.push_str(&format!("{indent}    {name} = {value}{LINE_END}"));
        }
        for bus in &device.buses {
            print_bus(bus, depth + 2, is_brief, text);
        }
    }
}

fn format_value(value: &Value) -> String {
    if let Some(number) = value.as_u64() {
        return format!("{number} ({number:#x})");
    }
    let mut writer = Writer::new();
    writer.value(value);
    String::from_utf8_lossy(writer.as_bytes()).into_owned()
}
