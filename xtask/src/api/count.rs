//! How many items an interface has, in the sense of the list that rustdoc makes of a crate: modules, structs, enums, traits,
//! functions, types, constants, statics and macros. Methods, fields, variants and implementations belong to their type. What
//! is seen in two places counts twice.

use std::collections::BTreeSet;

/// Counts the items of the crate `name` in the text of its interface.
pub(super) fn items(text: &str, name: &str) -> usize {
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    let lines: Vec<(&str, &str)> = lines.collect();
    // What an implementation is of does not matter.
    let is_own = |what: &str| !declared(what).starts_with("impl ");
    let own = lines.iter().filter(|(_, what)| is_own(what));
    let own: Vec<&(&str, &str)> = own.collect();
    let types = own.iter().filter(|(_, what)| is_type(what));
    let types: BTreeSet<&str> = types.map(|(path, _)| *path).collect();
    let others = own.iter().filter(|(path, what)| {
        let is_free = parent(path).is_some_and(|parent| !types.contains(parent));
        is_free && !types.contains(path) && is_value(what)
    });
    let others: BTreeSet<&str> = others.map(|(path, _)| *path).collect();
    let modules = types
        .iter()
        .chain(&others)
        .flat_map(|path| modules_of(path));
    let mut modules: BTreeSet<&str> = modules.collect();
    modules.remove(name);
    types.len() + others.len() + modules.len()
}

/// The modules that an item is in.
fn modules_of(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(parent(path), |module| parent(module))
}

fn parent(path: &str) -> Option<&str> {
    path.rsplit_once("::").map(|(parent, _)| parent)
}

/// What is declared, after its attributes.
fn declared(what: &str) -> &str {
    let mut rest = what;
    while let Some(attribute) = rest.strip_prefix("#[") {
        rest = attribute
            .split_once("] ")
            .map_or("", |(_, declared)| declared);
    }
    rest
}

fn is_type(what: &str) -> bool {
    let kinds = ["struct", "enum", "trait", "type", "union"];
    let declared = declared(what).strip_prefix("pub ");
    declared.is_some_and(|it| kinds.iter().any(|kind| has_word(it, kind)))
}

fn is_value(what: &str) -> bool {
    let declared = declared(what);
    let kinds = ["fn", "const", "static", "async", "use"];
    let is_open = declared.strip_prefix("pub ");
    is_open.is_some_and(|it| kinds.iter().any(|kind| has_word(it, kind)))
        || has_word(declared, "macro")
}

fn has_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word)
        .is_some_and(|rest| rest.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_type_is_no_item() {
        let text = "\
            one::Shown: #[derive(Clone, Debug)] #[non_exhaustive] pub struct Shown\n\
            one::Shown: impl fmt::Display\n\
            one::Shown::MAX: pub const MAX: u8\n\
            one::Shown::field: u8\n\
            one::Shown::new: #[must_use] pub fn new() -> Self\n\
            one::deep::inner::E: pub enum E\n\
            one::deep::inner::E::A: A(u8)\n\
            one::deep::inner::go: pub async fn go(what: impl Into<String>)\n\
            one::deep::LIMIT: pub const LIMIT: usize\n\
            one::T: pub trait T\n\
            one::T::t: fn t(&self)\n\
            one::say: macro say!\n";
        // Shown, E, go, LIMIT, T, say!, and the modules deep and deep::inner.
        assert_eq!(items(text, "one"), 8);
    }

    #[test]
    fn the_interface_of_the_runtime_stays_small() {
        let path = ::tests::workspace().join("qapi-runtime/api.txt");
        let text = std::fs::read_to_string(path).expect("the file is there");
        let n_items = items(&text, "qapi_runtime");
        // Not so few that it is not read any more.
        assert!((50..=150).contains(&n_items), "{n_items} items");
    }
}
