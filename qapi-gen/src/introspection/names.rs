//! Names for types that a server hides behind numbers.
//!
//! A type is named by the place where it is used: the command or event, `Arg`, `Ret` or `Event`, and the members and
//! branches that lead there. `query-block` returns `QueryBlockRet`s, whose member `inserted` is a
//! `QueryBlockRetInserted`. Of several places the one with the fewest steps counts, those of commands before those of
//! events, then the first one that the server tells of. So what a later server adds, at the end of an object or a further
//! step away, takes no name from what was there.
//!
//! A type that has a name already, as in data that was made to be read, keeps it.

use std::collections::VecDeque;

use hashbrown::HashMap;
use heck::ToUpperCamelCase as _;

use super::{Element, ElementId, Introspection, Kind};
use crate::naming::{is_camel, stem};

/// The longest name that is made, in bytes; QEMU's take at most 63. What would be longer loses its middle.
const MAX_LENGTH: usize = 72;

/// What stays of a longer name at either end.
const END_LENGTH: usize = 28;

/// The name of each element that is a type which has one and that a command or an event leads to.
pub(super) fn name_types(introspection: &Introspection) -> Vec<Option<String>> {
    let elements = &introspection.elements;
    let mut namer = Namer {
        elements,
        names: vec![None; elements.len()],
        is_met: vec![false; elements.len()],
        taken: HashMap::new(),
        queue: VecDeque::new(),
    };
    for element in elements.iter().filter(|element| has_own_name(element)) {
        namer.taken.insert(element.name.to_ascii_lowercase(), 1);
    }
    namer.take_names(|kind| matches!(kind, Kind::Command { .. }));
    namer.take_names(|kind| matches!(kind, Kind::Event { .. }));
    namer.names
}

/// Whether the server tells what it calls the type.
fn has_own_name(element: &Element) -> bool {
    let has_name = match element.kind {
        Kind::Enum(_) | Kind::Object { .. } | Kind::Alternate(_) => true,
        Kind::Command { .. } | Kind::Event { .. } | Kind::Builtin(_) | Kind::Array(_) => false,
    };
    has_name
        && stem(&element.name).is_some_and(is_camel)
        && !element.name.ends_with("List")
        && element.name != "QType"
}

struct Namer<'a> {
    elements: &'a [Element],
    names: Vec<Option<String>>,
    is_met: Vec<bool>,
    /// Names in small letters, as which they are distinct in Rust too, and how often each was wanted.
    taken: HashMap<String, usize>,
    /// Types that were met, with the names of their places.
    queue: VecDeque<(ElementId, String)>,
}

impl Namer<'_> {
    /// Names what the elements of one kind lead to.
    fn take_names(&mut self, is_root: impl Fn(&Kind) -> bool) {
        let elements = self.elements;
        for element in elements.iter().filter(|element| is_root(&element.kind)) {
            let place = |what: &str| format!("{}{what}", label(&element.name));
            match &element.kind {
                Kind::Command {
                    arguments, returns, ..
                } => {
                    self.meet(*arguments, place("Arg"));
                    self.meet(*returns, place("Ret"));
                }
                Kind::Event { data } => self.meet(*data, place("Event")),
                Kind::Builtin(_)
                | Kind::Enum(_)
                | Kind::Array(_)
                | Kind::Object { .. }
                | Kind::Alternate(_) => {}
            }
        }
        while let Some((id, place)) = self.queue.pop_front() {
            self.follow(id, &place);
        }
    }

    fn meet(&mut self, id: ElementId, place: String) {
        if std::mem::replace(&mut self.is_met[id], true) {
            return;
        }
        let element = &self.elements[id];
        let place = match element.kind {
            Kind::Builtin(_) | Kind::Array(_) | Kind::Command { .. } | Kind::Event { .. } => place,
            Kind::Enum(_) | Kind::Object { .. } | Kind::Alternate(_) => {
                let name = if has_own_name(element) {
                    element.name.clone()
                } else {
                    self.free_name(place)
                };
                self.names[id] = Some(name.clone());
                name
            }
        };
        self.queue.push_back((id, place));
    }

    /// Meets all that the type `id` uses, which is called by its place `place`.
    fn follow(&mut self, id: ElementId, place: &str) {
        let elements = self.elements;
        match &elements[id].kind {
            Kind::Builtin(_) | Kind::Enum(_) | Kind::Command { .. } | Kind::Event { .. } => {}
            Kind::Array(element) => self.meet(*element, place.to_owned()),
            Kind::Object { members, variants } => {
                let tag = variants.as_ref().map(|variants| &variants.tag);
                for member in members {
                    // The name without it is that of the branches in Rust.
                    let what = if Some(&member.name) == tag {
                        "Kind"
                    } else {
                        ""
                    };
                    self.meet(member.ty, format!("{place}{}{what}", label(&member.name)));
                }
                for (case, ty) in variants.iter().flat_map(|variants| &variants.branches) {
                    self.meet(*ty, format!("{place}{}", label(case)));
                }
            }
            Kind::Alternate(branches) => {
                for ty in branches {
                    let what = match elements[*ty].kind {
                        Kind::Object { .. } => "Object",
                        Kind::Enum(_) => "Enum",
                        Kind::Array(_) => "Item",
                        Kind::Alternate(_) => "Other",
                        Kind::Builtin(_) | Kind::Command { .. } | Kind::Event { .. } => "",
                    };
                    self.meet(*ty, format!("{place}{what}"));
                }
            }
        }
    }

    /// `name`, or the same with a number, if another type has it.
    fn free_name(&mut self, name: String) -> String {
        let name = shorten(name);
        let mut candidate = name.clone();
        loop {
            let key = candidate.to_ascii_lowercase();
            if !self.taken.contains_key(&key) {
                self.taken.insert(key, 1);
                return candidate;
            }
            let n = self.taken.entry(name.to_ascii_lowercase()).or_insert(1);
            *n += 1;
            candidate = format!("{name}{n}");
        }
    }
}

/// What a name of the wire adds to the name of a type.
fn label(name: &str) -> String {
    name.to_upper_camel_case()
}

/// A name of bounded length, one that a type may have: `List` at its end would be an array.
fn shorten(mut name: String) -> String {
    if name.len() > MAX_LENGTH {
        let head = name.get(..END_LENGTH).unwrap_or_default();
        let tail = name.get(name.len() - END_LENGTH..).unwrap_or_default();
        let tail = tail.trim_start_matches(|ch: char| !ch.is_ascii_uppercase());
        name = format!("{head}X{:08x}{tail}", hash(&name));
    }
    if name.ends_with("List") {
        name.push_str("Type");
    }
    name
}

/// FNV-1a, 32 bits: the same in every build.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_distinct() {
        let long = |end: &str| shorten(format!("Query{}{end}", "Member".repeat(20)));
        assert!(long("Foo").len() <= MAX_LENGTH);
        assert_ne!(long("Foo"), long("Bar"));
        assert_ne!(
            long("Foo"),
            shorten(format!("Query{}Foo", "Member".repeat(21)))
        );
        assert_eq!(shorten("AllowList".to_owned()), "AllowListType");
    }
}
