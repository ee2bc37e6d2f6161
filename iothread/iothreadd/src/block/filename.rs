//! How nodes are called where a file name is expected.

use qapi_runtime::{Object, Value};

use super::driver::Driver;
use super::io::NodeIo;

/// The file behind a node, or, if there is more to it, its options as a "json:" name that QEMU's tools understand.
pub(super) fn filename(io: &NodeIo) -> String {
    plain(io).unwrap_or_else(|| format!("json:{}", Value::Object(options(io))))
}

/// The name of a node that has no options beside it.
fn plain(io: &NodeIo) -> Option<String> {
    match io.driver() {
        Driver::Null(null) => (null.told == (None, None)).then(|| "null-co://".to_owned()),
        Driver::File(file) => Some(file.filename().to_owned()),
        Driver::Raw(raw) if raw.is_bounded() => None,
        Driver::Raw(_) => match io.child()?.driver() {
            // QEMU looks one node down only.
            Driver::Raw(_) => None,
            Driver::Null(_) | Driver::File(_) => plain(io.child()?),
        },
    }
}

/// The options that decide about the contents.
fn options(io: &NodeIo) -> Object {
    let driver = io.driver();
    let mut options = Object::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            options.insert(name.to_owned(), value);
        }
    };
    let driver_name = Some(Value::from(driver.name()));
    // In QEMU's order, so that the names are the same.
    match driver {
        Driver::Null(null) => {
            set("read-zeroes", null.told.1.map(Value::from));
            set("driver", driver_name);
            set("size", null.told.0.map(Value::from));
        }
        Driver::File(file) => {
            set("driver", driver_name);
            set("filename", Some(Value::from(file.filename())));
        }
        Driver::Raw(raw) => {
            let child = io.child().map(|child| Value::Object(self::options(child)));
            set("offset", raw.told.0.map(Value::from));
            set("driver", driver_name);
            set("size", raw.told.1.map(Value::from));
            set("file", child);
        }
    }
    options
}
