//! Values as text: their wire form.

use std::fmt;

use super::{ValueRef, Writer};
use crate::value::Value;

/// The wire form, on one line; `{:#}` is the pretty form.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut writer = Writer::new();
        writer.set_pretty(f.alternate());
        writer.value(self);
        show(&writer, f)
    }
}

/// The wire form, on one line.
impl fmt::Display for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut writer = Writer::new();
        writer.value_ref(*self);
        show(&writer, f)
    }
}

impl fmt::Debug for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is written is ASCII.
fn show(writer: &Writer, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&String::from_utf8_lossy(writer.as_bytes()))
}
