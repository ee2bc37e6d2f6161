//! From the root of a crate to everything that is seen from outside.

use std::collections::{HashMap, HashSet};

use syn::Item;

use super::item::{implemented, implementor, is_exported, is_public, lines, name};
use super::source::{Import, ModulePath, Source, Target, imports};

/// A line for everything that other crates see of the crate `name`.
pub(super) fn public(source: &Source, name: &str) -> Vec<String> {
    let mut walk = Walk {
        source,
        lines: Vec::new(),
        seen_as: HashMap::new(),
        modules: HashSet::new(),
    };
    walk.module(&[], name);
    walk.macros(name);
    walk.implementations();
    walk.lines
}

struct Walk<'s> {
    source: &'s Source,
    lines: Vec<String>,
    /// Where types are, and what they are seen as.
    seen_as: HashMap<(ModulePath, String), Vec<String>>,
    /// Modules that were walked, and as what.
    modules: HashSet<(ModulePath, String)>,
}

impl<'s> Walk<'s> {
    /// Everything in `module`, which is seen as `path`.
    fn module(&mut self, module: &[String], path: &str) {
        if !self.modules.insert((module.to_vec(), path.to_owned())) {
            return;
        }
        for item in self.source.items(module).iter().filter(|it| is_public(it)) {
            match item {
                Item::Mod(item) => {
                    let mut below = module.to_vec();
                    below.push(item.ident.to_string());
                    self.module(&below, &format!("{path}::{}", item.ident));
                }
                Item::Use(item) => {
                    for import in imports(&item.tree) {
                        self.import(module, &import, path);
                    }
                }
                _ => self.item(module, item, path, None),
            }
        }
    }

    fn import(&mut self, module: &[String], import: &Import, path: &str) {
        let found = self.source.resolve(module, &import.path);
        match found {
            Some((target, Target::Module)) if import.name == "*" => self.module(&target, path),
            Some((target, Target::Module)) => {
                self.module(&target, &format!("{path}::{}", import.name));
            }
            Some((target, Target::Item(item))) => {
                self.item(&target, item, path, Some(&import.name));
            }
            // Of another crate, or made by a macro.
            None => {
                let (name, from) = (&import.name, import.path.join("::"));
                self.lines.push(format!("{path}::{name}: pub use {from}"));
            }
        }
    }

    fn item(&mut self, module: &[String], item: &'s Item, path: &str, renamed: Option<&str>) {
        let Some(own) = name(item) else { return };
        let path = format!("{path}::{}", renamed.unwrap_or(&own));
        self.lines.extend(lines(item, &path));
        let place = (module.to_vec(), own);
        self.seen_as.entry(place).or_default().push(path);
    }

    fn macros(&mut self, root: &str) {
        for (_, items) in self.source.modules() {
            for item in items {
                if let (Item::Macro(it), Some(name)) = (item, name(item))
                    && is_exported(&it.attrs)
                {
                    self.lines.extend(lines(item, &format!("{root}::{name}")));
                }
            }
        }
    }

    /// What the types that are seen can do.
    fn implementations(&mut self) {
        for (module, items) in self.source.modules() {
            for item in items {
                let Item::Impl(item) = item else { continue };
                let Some(path) = implementor(&item.self_ty) else {
                    continue;
                };
                let Some((target, Target::Item(ty))) = self.source.resolve(module, &path) else {
                    continue;
                };
                let place = name(ty).map(|name| (target, name));
                let seen_as = place.and_then(|place| self.seen_as.get(&place));
                for path in seen_as.into_iter().flatten() {
                    self.lines.extend(implemented(item, path));
                }
            }
        }
    }
}
