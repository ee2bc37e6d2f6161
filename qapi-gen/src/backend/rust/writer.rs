//! One generated module: its text, and the imports that the text needs.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use crate::ir::{DocId, ModuleId, TypeId, TypeKind};
use crate::output::Relief;

use super::gate::{Gate, Gates};
use super::layout;
use super::names::{ALIAS, IMPORTED, is_imported};
use super::plan::{Body, Plan, builtin_name};

/// Which namespace a module belongs to, and so where it finds the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// `types/x.rs`
    Types(ModuleId),
    /// `commands/x.rs`
    Commands,
    /// `events/x.rs`
    Events,
    /// `events/mod.rs`
    EventsRoot,
    /// `server.rs`
    Server,
}

impl Place {
    /// The path to the types.
    fn types(self) -> &'static str {
        match self {
            Self::Types(_) => "super",
            Self::Commands | Self::Events => "super::super::types",
            Self::EventsRoot | Self::Server => "super::types",
        }
    }

    /// The path to `commands` or `events`.
    pub(super) fn sibling(self, folder: &str) -> String {
        match self {
            Self::Types(_) | Self::Commands | Self::Events => format!("super::super::{folder}"),
            Self::EventsRoot | Self::Server => format!("super::{folder}"),
        }
    }
}

/// Marks in the text around the target of a link that is needless when types are imported.
pub(super) const LINK_START: char = '\u{1}';
pub(super) const LINK_END: char = '\u{2}';

/// Where an imported name comes from. Each has a block of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Origin {
    Std,
    Runtime,
    /// Another generated module.
    Own,
}

/// Origin, path below it and name.
type Import = (Origin, &'static str, &'static str);

/// Imports that stand together: where from, under which condition, paths and names.
type ImportGroup = (Origin, Gate, Vec<(&'static str, &'static str)>);

/// Builds one module.
pub(super) struct ModuleWriter<'p, 'a> {
    pub(super) plan: &'p Plan<'a>,
    pub(super) place: Place,
    /// What this module, or any, defines of [`IMPORTED`].
    locals: HashSet<&'p str>,
    taken: Vec<&'static str>,
    pub(super) out: String,
    relief: Relief<'p>,
    has_items: bool,
    /// How far the lines that are being printed are indented.
    pub(super) indent: usize,
    /// The condition of what is being printed, with that of all it stands in.
    pub(super) gate: Gate,
    /// The condition of it alone.
    pub(super) own_gate: Gate,
    /// What is imported, and when.
    imports: BTreeMap<Import, Gates>,
    /// The conditions of all items.
    item_gates: Gates,
    /// When something deprecated is named.
    deprecated_uses: Gates,
}

impl<'p, 'a> ModuleWriter<'p, 'a> {
    /// `locals` is what the module defines of names that are imported.
    pub(super) fn new(plan: &'p Plan<'a>, place: Place, locals: HashSet<&'p str>) -> Self {
        let taken = IMPORTED.iter().filter(|name| plan.taken.contains(**name));
        Self {
            plan,
            place,
            locals,
            taken: taken.copied().collect(),
            out: String::new(),
            relief: Relief::default(),
            has_items: false,
            indent: 0,
            gate: Gate::ALWAYS,
            own_gate: Gate::ALWAYS,
            imports: BTreeMap::new(),
            item_gates: Gates::default(),
            deprecated_uses: Gates::default(),
        }
    }

    /// With the text that is taken off its hands.
    pub(super) fn with_relief(mut self, relief: Relief<'p>) -> Self {
        self.relief = relief;
        self
    }

    /// What comes next may stand in another piece of the file.
    pub(super) fn relieve(&mut self) {
        self.relief.relieve(&mut self.out);
    }

    /// Whether the text has to be written a second time.
    pub(super) fn has_dropped(&self) -> bool {
        self.relief.has_dropped()
    }

    /// Whether anything was begun.
    pub(super) fn has_items(&self) -> bool {
        self.has_items
    }

    /// Starts an item that is there under `gate`, the first one after a blank line.
    pub(super) fn begin_item(&mut self, gate: &Gate) {
        if !self.has_items {
            self.has_items = true;
            self.blank();
        }
        self.item_gates.insert(gate.clone());
        self.gate = gate.clone();
        self.own_gate = gate.clone();
    }

    /// When anything of the module is there.
    pub(super) fn module_gate(&self) -> Gate {
        self.item_gates.any()
    }

    /// What is being printed names something that is deprecated under `gate`.
    pub(super) fn note_deprecated(&mut self, gate: &Gate) {
        let gate = self.gate.and(gate);
        self.deprecated_uses.insert(gate);
    }

    /// When the module names something deprecated, `None` for never.
    pub(super) fn deprecated_gate(&self) -> Option<Gate> {
        (!self.deprecated_uses.is_empty()).then(|| self.deprecated_uses.any())
    }

    /// `#[deprecated]`, with what `doc` says of it.
    pub(super) fn deprecated_attribute(&mut self, gate: &Gate, doc: Option<DocId>) {
        let Plan { options, notes, .. } = self.plan;
        let note = doc.and_then(|doc| notes.get(&doc));
        let note = note.map(String::as_str);
        options
            .mapping
            .deprecated(&mut self.out, self.indent, gate, note);
    }

    /// `#[cfg(...)]`.
    pub(super) fn attribute(&mut self, gate: &Gate) {
        let mapping = &self.plan.options.mapping;
        mapping.attribute(&mut self.out, self.indent, gate);
    }

    /// `#[expect(deprecated)]`.
    pub(super) fn expect_deprecated(&mut self, gate: &Gate) {
        let mapping = &self.plan.options.mapping;
        mapping.expect_deprecated(&mut self.out, self.indent, gate);
    }

    /// A line of text as it is.
    pub(super) fn line(&mut self, text: &str) {
        layout::line(&mut self.out, self.indent, &[text]);
    }

    pub(super) fn blank(&mut self) {
        self.out.push('\n');
        self.relieve();
    }

    fn import(&mut self, import: Import) {
        let gates = self.imports.entry(import).or_default();
        if !gates.has_always() {
            gates.insert(self.gate.clone());
        }
    }

    /// A name of the runtime: imported, under another name where the schema has the same.
    pub(super) fn runtime(&mut self, path: &'static str, name: &'static str) -> Cow<'static, str> {
        self.import((Origin::Runtime, path, name));
        if !self.locals.is_empty() && self.locals.contains(name) {
            Cow::Owned(self.alias(name))
        } else {
            Cow::Borrowed(name)
        }
    }

    /// What a name of the runtime is called where the schema has the same.
    fn alias(&self, name: &str) -> String {
        let mut alias = format!("{ALIAS}{name}");
        while self.plan.taken.contains(&alias) {
            alias.insert_str(0, ALIAS);
        }
        alias
    }

    /// What templates call by a name with a capital.
    pub(super) fn known(&mut self, name: &'static str) -> Cow<'static, str> {
        match name {
            "Future" => self.future().into(),
            "Vec" | "String" | "Box" | "Option" | "Result" | "From" | "Send" | "Sync" => {
                self.std(name)
            }
            _ => self.runtime("", name),
        }
    }

    /// `Future`, which is in the prelude of some editions only.
    fn future(&mut self) -> &'static str {
        if self.locals.contains("Future") {
            return "std::future::Future";
        }
        self.import((Origin::Std, "std::future", "Future"));
        "Future"
    }

    /// A name of the prelude; imported where the schema has the same name elsewhere, with its path
    /// where this module has it.
    fn std(&mut self, name: &'static str) -> Cow<'static, str> {
        if !self.taken.contains(&name) {
            return Cow::Borrowed(name);
        }
        let module = match name {
            "Vec" => "std::vec",
            "String" => "std::string",
            "Box" => "std::boxed",
            "Option" => "std::option",
            "Result" => "std::result",
            "From" => "std::convert",
            "Send" | "Sync" => "std::marker",
            _ => "std::prelude::rust_2021",
        };
        if self.locals.contains(name) {
            return Cow::Owned(format!("::{module}::{name}"));
        }
        self.import((Origin::Std, module, name));
        Cow::Borrowed(name)
    }

    /// The Rust type for a QAPI type.
    pub(super) fn type_ref(&mut self, id: TypeId) -> String {
        let ty = self.plan.schema.ty(id);
        match ty.kind() {
            TypeKind::Builtin(builtin) => match builtin_name(*builtin) {
                name @ ("Value" | "Null") => self.runtime("", name).into_owned(),
                "String" => self.std("String").into_owned(),
                primitive => primitive.to_owned(),
            },
            TypeKind::Array(element) => {
                let element = self.type_ref(*element);
                format!("{}<{element}>", self.std("Vec"))
            }
            TypeKind::Enum(_) if !ty.is_named() => self.runtime("", "QType").into_owned(),
            TypeKind::Enum(_) | TypeKind::Object(_) | TypeKind::Alternate(_) => self.named_type(id),
        }
    }

    fn named_type(&mut self, id: TypeId) -> String {
        let Some(plan) = self.plan.ty(id) else {
            return "()".to_owned();
        };
        if let Body::Replaced(path) = &plan.body {
            return (*path).to_owned();
        }
        let is_local = match self.place {
            Place::Types(module) => module == plan.ty.module(),
            Place::Commands | Place::Events | Place::EventsRoot | Place::Server => false,
        };
        if is_local {
            return plan.name.clone();
        }
        if self.is_shadowed(&plan.name) || is_imported(&plan.name) {
            return format!("{}::{}", self.place.types(), plan.name);
        }
        self.import((Origin::Own, self.place.types(), "*"));
        plan.name.clone()
    }

    /// Whether the name of a type means something else in this module.
    fn is_shadowed(&self, name: &str) -> bool {
        match self.place {
            Place::Types(_) => false,
            Place::Commands => self.plan.command_names.contains(name),
            Place::Events | Place::EventsRoot => {
                name == self.plan.event_enum || self.plan.event_names.contains(name)
            }
            Place::Server => ["Commands", "Dispatcher"].contains(&name),
        }
    }

    /// Imports the module `name` of the parent.
    pub(super) fn parent_module(&mut self, name: &'static str) -> &'static str {
        self.import((Origin::Own, "super", name));
        name
    }

    /// What stands before the items, and how those are to be printed.
    pub(super) fn head(&self) -> (String, Links) {
        let mut head = String::new();
        let has_types = self.push_imports(&mut head);
        (head, Links { has_types })
    }
}

/// How links to types are printed.
#[derive(Clone, Copy)]
pub(super) struct Links {
    /// Whether the names of all types are imported.
    has_types: bool,
}

impl Links {
    /// `text` without the targets of links to imported names.
    pub(super) fn print(self, text: &str) -> String {
        let mut printed = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(LINK_START) {
            printed.push_str(before);
            let Some((target, after)) = after.split_once(LINK_END) else {
                break;
            };
            if !self.has_types {
                printed.push_str(target);
            }
            rest = after;
        }
        printed.push_str(rest);
        printed
    }
}

impl ModuleWriter<'_, '_> {
    /// Prints the imports; returns whether the names of all types are among them.
    fn push_imports(&self, file: &mut String) -> bool {
        // Imports with the same condition stand together.
        let mut groups: Vec<ImportGroup> = Vec::new();
        let mut places: HashMap<(Origin, Gate), usize> = HashMap::new();
        for ((origin, path, name), gates) in &self.imports {
            let gate = gates.any();
            let n_groups = groups.len();
            let index = *places.entry((*origin, gate.clone())).or_insert(n_groups);
            match groups.get_mut(index) {
                Some(group) => group.2.push((path, name)),
                None => groups.push((*origin, gate, vec![(path, name)])),
            }
        }
        let has_types = groups
            .iter()
            .any(|(_, gate, names)| gate.is_always() && names.iter().any(|(_, name)| *name == "*"));
        groups.sort_by_key(|(origin, gate, _)| (*origin, !gate.is_always()));
        for (origin, gate, names) in groups {
            file.push('\n');
            let mut lists: Vec<(&str, Vec<String>)> = Vec::new();
            for (path, name) in names {
                let is_renamed = origin == Origin::Runtime && self.locals.contains(name);
                let name = if is_renamed {
                    format!("{name} as {}", self.alias(name))
                } else {
                    name.to_owned()
                };
                match lists.last_mut().filter(|list| list.0 == path) {
                    Some(list) => list.1.push(name),
                    None => lists.push((path, vec![name])),
                }
            }
            // rustfmt sorts a list after the paths below its own.
            let is_root = |path: &str| path.is_empty() || path == "super";
            lists
                .sort_by_key(|(path, names)| path.is_empty() || (is_root(path) && names.len() > 1));
            let n_lists = lists.len();
            for (path, names) in lists {
                if path.is_empty() && names.len() == 1 && n_lists > 1 {
                    // The editions of rustfmt sort a single name here in different ways.
                    file.push('\n');
                }
                let path = match (origin, path) {
                    (Origin::Std | Origin::Own, path) => path.to_owned(),
                    (Origin::Runtime, "") => self.plan.options.door.clone(),
                    (Origin::Runtime, path) => format!("{}::{path}", self.plan.options.door),
                };
                self.plan.options.mapping.attribute(file, 0, &gate);
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                layout::use_list(file, "use ", &path, &names);
            }
        }
        has_types
    }
}
