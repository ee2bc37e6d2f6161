//! Templates: what is generated, as it will stand in the file.
//!
//! A template is a piece of Rust with placeholders. `$name` stands for a value that its user gives;
//! `$Visit`, `$Box` and all others with a capital for what the module imports or has from the
//! prelude, and `$door` for the path of the runtime's module for generated code. `$cfg`, alone on its line, is the condition
//! of what is being printed. Any other placeholder that is alone on its line may stand for lines
//! that something else prints at this place.
//!
//! A template says nothing about the width of lines: [`layout::print`] breaks the long ones in the
//! way rustfmt does.

use std::borrow::Cow;

use super::gate::Gate;
use super::layout;
use super::writer::ModuleWriter;

/// What stands for a placeholder.
pub(super) enum Value<'v> {
    Text(&'v str),
    Lines(&'v dyn Fn(&mut ModuleWriter<'_, '_>)),
}

/// What may stand for a placeholder.
pub(super) trait ToValue {
    fn to_value(&self) -> Value<'_>;
}

impl ToValue for str {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl ToValue for Cow<'_, str> {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

/// Lines that a function prints.
pub(super) struct Lines<F>(F);

impl<F: Fn(&mut ModuleWriter<'_, '_>)> ToValue for Lines<F> {
    fn to_value(&self) -> Value<'_> {
        Value::Lines(&self.0)
    }
}

/// Lines that `print` prints, for a placeholder that is alone on its line.
pub(super) fn lines<F: Fn(&mut ModuleWriter<'_, '_>)>(print: F) -> Lines<F> {
    Lines(print)
}

/// Prints a template with the values of its placeholders: `rust!(writer, "...", name, text = value)`.
macro_rules! rust {
    (@value $name:ident) => { $crate::backend::rust::template::ToValue::to_value(&$name) };
    (@value $name:ident $value:expr) => { $crate::backend::rust::template::ToValue::to_value(&$value) };
    ($writer:expr, $template:literal $(, $name:ident $(= $value:expr)?)* $(,)?) => {
        $writer.print(
            $template,
            &[$((stringify!($name), rust!(@value $name $($value)?))),*],
        )
    };
}

pub(super) use rust;

/// The lines of a template without the indentation that all of them have. The first line and the
/// the blanks in front of the closing quote do not count.
fn lines_of(template: &'static str) -> impl Iterator<Item = (usize, &'static str)> {
    let body = template.strip_prefix('\n').unwrap_or(template);
    let body = match body.rfind('\n') {
        Some(end) if body[end..].trim().is_empty() => &body[..end],
        Some(_) | None => body,
    };
    let indent = |line: &str| line.len() - line.trim_start().len();
    let common = body.split('\n').find(|line| !line.trim().is_empty());
    let common = common.map_or(0, indent);
    body.split('\n').map(move |line| {
        let text = line.trim_start();
        (indent(line).saturating_sub(common), text)
    })
}

impl ModuleWriter<'_, '_> {
    /// Prints a template; see [`rust`].
    pub(super) fn print(&mut self, template: &'static str, values: &[(&str, Value<'_>)]) {
        for (indent, line) in lines_of(template) {
            if line.is_empty() {
                self.blank();
                continue;
            }
            self.indent += indent;
            self.print_line(line, values);
            self.indent -= indent;
        }
    }

    fn print_line(&mut self, line: &'static str, values: &[(&str, Value<'_>)]) {
        if line == "$cfg" {
            let gate = self.own_gate.clone();
            return self.attribute(&gate);
        }
        let name = line.strip_prefix('$').unwrap_or_default();
        let value = values.iter().find(|(known, _)| *known == name);
        if let Some((_, Value::Lines(print))) = value {
            return print(self);
        }
        let mut text = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('$') {
            text.push_str(before);
            let is_part = |ch: char| ch.is_ascii_alphanumeric() || ch == '_';
            let end = after.find(|ch| !is_part(ch)).unwrap_or(after.len());
            let (name, tail) = after.split_at(end);
            self.push_value(&mut text, name, values);
            rest = tail;
        }
        text.push_str(rest);
        layout::print(&mut self.out, self.indent, &text);
    }

    fn push_value(&mut self, text: &mut String, name: &'static str, values: &[(&str, Value<'_>)]) {
        if name == "door" {
            text.push_str(&self.plan.options.door);
        } else if name.starts_with(|ch: char| ch.is_ascii_uppercase()) {
            text.push_str(&self.known(name));
        } else if let Some((_, Value::Text(value))) = values.iter().find(|it| it.0 == name) {
            text.push_str(value);
        } else {
            debug_assert!(false, "the template has no value for '{name}'");
        }
    }

    /// Prints what is there under `gate`, besides the condition of what it stands in.
    pub(super) fn under(&mut self, gate: &Gate, print: impl FnOnce(&mut Self)) {
        let both = self.gate.and(gate);
        let outer = std::mem::replace(&mut self.gate, both);
        let own = std::mem::replace(&mut self.own_gate, gate.clone());
        print(self);
        self.gate = outer;
        self.own_gate = own;
    }
}
