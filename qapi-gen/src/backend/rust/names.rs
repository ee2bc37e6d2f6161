//! Rust names for QAPI names.

use heck::{ToSnakeCase, ToUpperCamelCase};

use crate::path::is_device;

/// Keywords of any edition that can be written as raw identifiers.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "union", "unsafe", "unsized",
    "use", "virtual", "where", "while", "yield",
];

/// Keywords that cannot.
const PATH_KEYWORDS: &[&str] = &["self", "Self", "super", "crate", "_"];

/// The name of a type or variant: `IOThreadInfo` is `IoThreadInfo`, `2_5` is `_2_5`.
pub(super) fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len() + 1);
    for part in split_between_digits(name) {
        if !camel.is_empty() {
            camel.push('_');
        }
        camel.push_str(&part.to_upper_camel_case());
    }
    if camel.starts_with(|ch: char| ch.is_ascii_digit()) || camel.is_empty() {
        camel.insert(0, '_');
    }
    if PATH_KEYWORDS.contains(&camel.as_str()) {
        camel.push('_');
    }
    camel
}

/// The name of a request or of an event's data. As a tuple struct it would hide the constructors
/// of Rust's prelude.
pub(super) fn definition(name: &str) -> String {
    let mut camel = camel(name);
    if ["Ok", "Err", "Some", "None"].contains(&camel.as_str()) {
        camel.push('_');
    }
    camel
}

/// The name of a field, function or module, not escaped.
pub(super) fn snake(name: &str) -> String {
    let mut snake = name.to_snake_case();
    if snake.starts_with(|ch: char| ch.is_ascii_digit()) || snake.is_empty() {
        snake.insert(0, '_');
    }
    snake
}

/// The identifier for a field or function.
pub(super) fn field(name: &str) -> String {
    let snake = snake(name);
    if KEYWORDS.binary_search(&snake.as_str()).is_ok() {
        format!("r#{snake}")
    } else if PATH_KEYWORDS.contains(&snake.as_str()) {
        format!("{snake}_")
    } else {
        snake
    }
}

/// The name of a module; it is also that of a file, so it has no `r#`. `runtime` is the path at which generated code
/// finds the runtime, which must not be hidden.
pub(super) fn module(path: &str, runtime: &str) -> String {
    let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    // A module with a file of its own has letters of ASCII only.
    let mut name = snake(&stem.replace(|ch: char| !ch.is_ascii(), "_"));
    // `mod` would be the file of the folder; the folders' own names make poor reading twice; no file can be called `con`.
    let is_taken = KEYWORDS.binary_search(&name.as_str()).is_ok()
        || PATH_KEYWORDS.contains(&name.as_str())
        || ["commands", "events", "types"].contains(&name.as_str())
        || is_device(&name)
        || runtime.split("::").next() == Some(name.as_str());
    if is_taken {
        name.push('_');
    }
    name
}

/// The parts of a name where a separator stands between two digits, which would run together.
fn split_between_digits(name: &str) -> impl Iterator<Item = &str> {
    let bytes = name.as_bytes();
    let is_digit =
        |at: Option<usize>| at.is_some_and(|at| bytes.get(at).is_some_and(u8::is_ascii_digit));
    let mut start = 0;
    let mut parts = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        let is_separator = !byte.is_ascii_alphanumeric();
        if is_separator && is_digit(at.checked_sub(1)) && is_digit(Some(at + 1)) {
            parts.push(&name[start..at]);
            start = at + 1;
        }
    }
    parts.push(&name[start..]);
    parts.into_iter()
}

/// What modules may import by name: a type of the schema that is called so needs its path.
pub(super) const IMPORTED: &[&str] = &[
    "Vec",
    "String",
    "Box",
    "Option",
    "Result",
    "From",
    "Send",
    "Sync",
    "Future",
    "Command",
    "CommandInfo",
    "EventData",
    "Handler",
    "Outcome",
    "Reply",
    "Request",
    "Service",
    "Table",
    "Enumeration",
    "Input",
    "Kind",
    "Members",
    "ObjectInput",
    "ObjectOutput",
    "Output",
    "SpecialFeatures",
    "Visit",
    "VisitError",
    "Error",
    "Null",
    "Object",
    "QType",
    "Value",
];

/// Whether modules may import something of this name.
pub(super) fn is_imported(name: &str) -> bool {
    IMPORTED.contains(&name)
}

/// Whether a name of the schema may be in the way of an import, or of an import's other name.
pub(super) fn may_be_imported(name: &str) -> bool {
    let mut bare = name;
    while let Some(rest) = bare.strip_prefix(ALIAS) {
        bare = rest;
    }
    is_imported(bare)
}

/// What stands before the name of an import where the schema has the same name, as often as it takes.
pub(super) const ALIAS: &str = "Runtime";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn camel_case_keeps_digits_apart() {
        assert_eq!(camel("IOThreadInfo"), "IoThreadInfo");
        assert_eq!(camel("2_5"), "_2_5");
        assert_eq!(camel("x86-64"), "X86_64");
        assert_eq!(camel("__org.qemu_x-Foo"), "OrgQemuXFoo");
        assert_eq!(camel("self"), "Self_");
        assert_eq!(camel("block-commit"), "BlockCommit");
        assert_eq!(camel("SHUTDOWN"), "Shutdown");
    }

    #[test]
    fn keywords_are_escaped() {
        assert!(KEYWORDS.is_sorted());
        assert_eq!(field("type"), "r#type");
        assert_eq!(field("self"), "self_");
        assert_eq!(definition("ok"), "Ok_");
        assert_eq!(field("x-foo.bar"), "x_foo_bar");
        assert_eq!(module("sub/type.json", "qapi_runtime"), "sub_type");
        assert_eq!(module("mod.json", "qapi_runtime"), "mod_");
        assert_eq!(module("qapi-runtime.json", "qapi_runtime"), "qapi_runtime_");
        assert_eq!(module("rt.json", "rt::inner"), "rt_");
        assert_eq!(module("sub/aux.json", "rt"), "sub_aux");
        assert_eq!(module("Con.json", "rt"), "con_");
        assert_eq!(module("com1.json", "rt"), "com1_");
        for (path, name) in [
            ("com¹.json", "com"),
            ("a²b.json", "a_b"),
            ("é.json", "__"),
            ("½.json", "__"),
        ] {
            assert_eq!(module(path, "rt"), name);
        }
        assert_eq!(
            module("../qapi/qapi-schema.json", "qapi_runtime"),
            "qapi_qapi_schema"
        );
    }
}
