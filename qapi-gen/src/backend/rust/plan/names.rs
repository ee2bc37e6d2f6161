//! Names that the schema does not give.

use std::collections::{HashMap, HashSet};

use crate::ir::{Builtin, Schema};

use super::super::names;

/// The variant for what the schema does not have.
pub(in crate::backend::rust) fn catch_all(taken: impl Fn(&str) -> bool) -> String {
    free_name(taken, ["Unknown", "UnknownValue"].map(str::to_owned))
}

/// The first candidate that is free, at last the last one with a number.
pub(super) fn free_name<const N: usize>(
    taken: impl Fn(&str) -> bool,
    candidates: [String; N],
) -> String {
    if let Some(free) = candidates.iter().find(|name| !taken(name)) {
        return free.clone();
    }
    let last = candidates.last().map_or("Value", String::as_str);
    let mut n = 2_usize;
    loop {
        let name = format!("{last}{n}");
        if !taken(&name) {
            return name;
        }
        n += 1;
    }
}

/// Distinct Rust names for the schema's modules, none that hides `runtime`.
pub(super) fn modules(schema: &Schema, runtime: &str) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut modules = Vec::new();
    for module in schema.modules() {
        let name = names::module(module.name(), runtime);
        let mut free = name.clone();
        if taken.contains(&free) {
            free = format!("{name}_");
        }
        while taken.contains(&free) {
            // Modules of one name go on where the last one found a number.
            let n = numbers.entry(name.clone()).or_insert(1);
            *n += 1;
            free = format!("{name}_{n}");
        }
        taken.insert(free.clone());
        modules.push(free);
    }
    modules
}

/// The Rust type of a built-in type.
pub(in crate::backend::rust) fn builtin_name(builtin: Builtin) -> &'static str {
    match builtin {
        Builtin::Str => "String",
        Builtin::Number => "f64",
        Builtin::Int | Builtin::Int64 => "i64",
        Builtin::Int8 => "i8",
        Builtin::Int16 => "i16",
        Builtin::Int32 => "i32",
        Builtin::Uint8 => "u8",
        Builtin::Uint16 => "u16",
        Builtin::Uint32 => "u32",
        Builtin::Uint64 | Builtin::Size => "u64",
        Builtin::Bool => "bool",
        Builtin::Any => "Value",
        Builtin::Null => "Null",
    }
}
