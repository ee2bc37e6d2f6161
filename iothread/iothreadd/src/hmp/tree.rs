//! The trees of objects and of devices in the human monitor.

use std::sync::Arc;

use qapi_runtime::json::Writer;
use qapi_runtime::{Error, Value};

use super::command::LINE_END;
use super::line::split_first;
use crate::server::Server;

/// `qom-list`
pub(super) fn qom_list(server: &Arc<Server>, path: &str) -> Result<String, Error> {
    let path = if path.is_empty() { "/" } else { path };
    let properties = server.tree().list(path)?;
    Ok(properties
        .iter()
        .map(|it| format!("{} ({}){LINE_END}", it.name, it.r#type))
        .collect())
}

/// `qom-get`
pub(super) fn qom_get(server: &Arc<Server>, arguments: &str) -> Result<String, Error> {
    let (path, property) = split_first(arguments);
    let value = server.tree().get(path, property)?;
    let mut writer = Writer::new();
    writer.set_pretty(true);
    writer.value(&value);
    let text = String::from_utf8_lossy(writer.as_bytes()).replace('\n', LINE_END);
    Ok(format!("{text}{LINE_END}"))
}

/// `info qtree`
pub(super) fn info_qtree(server: &Arc<Server>, arguments: &str) -> String {
    let is_brief = arguments == "-b";
    let mut text = String::new();
    for bus in server.devices().describe() {
        print_bus(&bus, 0, is_brief, &mut text);
    }
    text
}

/// A bus and what is plugged into it.
pub(crate) struct BusInfo {
    pub(crate) name: String,
    pub(crate) type_name: &'static str,
    pub(crate) devices: Vec<DeviceInfo>,
}

/// A device, for people.
pub(crate) struct DeviceInfo {
    pub(crate) driver: &'static str,
    pub(crate) id: String,
    pub(crate) properties: Vec<(&'static str, Value)>,
    pub(crate) buses: Vec<BusInfo>,
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
