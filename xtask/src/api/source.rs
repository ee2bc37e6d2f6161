//! The modules of a crate.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use syn::{Attribute, Expr, Item, ItemMod, Lit, Meta, UseTree};

/// The path of a module below the root.
pub(super) type ModulePath = Vec<String>;

/// Every module of a crate that is there in a build for users.
pub(super) struct Source {
    modules: HashMap<ModulePath, Vec<Item>>,
}

/// What a path leads to.
#[derive(Clone, Copy)]
pub(super) enum Target<'s> {
    Module,
    Item(&'s Item),
}

/// A name that a `use` brings in.
pub(super) struct Import {
    pub(super) path: Vec<String>,
    /// `*` for everything.
    pub(super) name: String,
}

impl Source {
    /// Reads the crate whose root is the file at `path`.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let mut source = Self {
            modules: HashMap::new(),
        };
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        source.read_file(path, &folder, Vec::new())?;
        Ok(source)
    }

    /// The items of a module.
    pub(super) fn items(&self, module: &[String]) -> &[Item] {
        self.modules.get(module).map_or(&[], Vec::as_slice)
    }

    /// All modules.
    pub(super) fn modules(&self) -> impl Iterator<Item = (&ModulePath, &Vec<Item>)> {
        self.modules.iter()
    }

    /// What `path` leads to in `module`, and where it is; `None` for other crates.
    pub(super) fn resolve(
        &self,
        module: &[String],
        path: &[String],
    ) -> Option<(ModulePath, Target<'_>)> {
        let (first, rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => Vec::new(),
            "self" => module.to_vec(),
            "super" => module.split_last()?.1.to_vec(),
            _ => return self.resolve_from(module.to_vec(), path),
        };
        let mut rest = rest;
        while let Some(("super", further)) =
            rest.split_first().map(|(it, rest)| (it.as_str(), rest))
        {
            at.pop()?;
            rest = further;
        }
        self.resolve_from(at, rest)
    }

    fn resolve_from(
        &self,
        mut at: ModulePath,
        path: &[String],
    ) -> Option<(ModulePath, Target<'_>)> {
        for (index, name) in path.iter().enumerate() {
            let (module, target) = self.look_up(&at, name)?;
            match target {
                Target::Module => at = module,
                Target::Item(_) => return (index + 1 == path.len()).then_some((module, target)),
            }
        }
        Some((at, Target::Module))
    }

    /// What is called `name` in a module: a module below it, an item, or what it brings in.
    fn look_up(&self, module: &[String], name: &str) -> Option<(ModulePath, Target<'_>)> {
        let mut below = module.to_vec();
        below.push(name.to_owned());
        if self.modules.contains_key(&below) {
            return Some((below, Target::Module));
        }
        let items = self.modules.get(module)?;
        if let Some(item) = items
            .iter()
            .find(|item| super::item::name(item).is_some_and(|it| it == name))
        {
            return Some((module.to_vec(), Target::Item(item)));
        }
        let imports = items.iter().flat_map(|item| match item {
            Item::Use(item) => imports(&item.tree),
            _ => Vec::new(),
        });
        for import in imports.filter(|import| import.name == name) {
            // A name brought in from a module of the same name would lead here again.
            if import.path != [name] {
                return self.resolve(module, &import.path);
            }
        }
        None
    }

    fn read_file(&mut self, path: &Path, folder: &Path, module: ModulePath) -> Result<()> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file =
            syn::parse_file(&text).with_context(|| format!("cannot parse {}", path.display()))?;
        self.add(file.items, folder, module)
    }

    /// Adds a module, and those that it declares: their files are in `folder`.
    fn add(&mut self, items: Vec<Item>, folder: &Path, module: ModulePath) -> Result<()> {
        let mut kept = Vec::new();
        for mut item in items {
            if super::item::attributes(&item).iter().any(is_for_tests) {
                continue;
            }
            if let Item::Mod(declared) = &mut item {
                self.add_declared(declared, folder, &module)?;
            }
            kept.push(item);
        }
        self.modules.insert(module, kept);
        Ok(())
    }

    fn add_declared(
        &mut self,
        declared: &mut ItemMod,
        folder: &Path,
        parent: &[String],
    ) -> Result<()> {
        let name = declared.ident.to_string();
        let mut module = parent.to_vec();
        module.push(name.clone());
        let inner = folder.join(&name);
        if let Some((_, items)) = declared.content.take() {
            return self.add(items, &inner, module);
        }
        if let Some(path) = declared.attrs.iter().find_map(path_of) {
            let path = folder.join(path);
            let inner = path.parent().unwrap_or(folder).to_owned();
            return self.read_file(&path, &inner, module);
        }
        let file = folder.join(format!("{name}.rs"));
        if file.exists() {
            self.read_file(&file, &inner, module)
        } else {
            self.read_file(&inner.join("mod.rs"), &inner, module)
        }
    }
}

/// Whether an attribute keeps an item out of what users compile.
fn is_for_tests(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return false;
    };
    let condition = list.tokens.to_string();
    list.path.is_ident("cfg") && (condition == "test" || condition == "loom")
}

/// The value of `#[path = "..."]`.
fn path_of(attribute: &Attribute) -> Option<PathBuf> {
    let Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    match &pair.value {
        Expr::Lit(literal) if pair.path.is_ident("path") => match &literal.lit {
            Lit::Str(text) => Some(PathBuf::from(text.value())),
            _ => None,
        },
        _ => None,
    }
}

/// What a `use` brings in.
pub(super) fn imports(tree: &UseTree) -> Vec<Import> {
    let mut found = Vec::new();
    collect(tree, &mut Vec::new(), &mut found);
    found
}

fn collect(tree: &UseTree, path: &mut Vec<String>, found: &mut Vec<Import>) {
    let import = |path: &[String], last: Option<String>, name: String| Import {
        path: path.iter().cloned().chain(last).collect(),
        name,
    };
    match tree {
        UseTree::Path(tree) => {
            path.push(tree.ident.to_string());
            collect(&tree.tree, path, found);
            path.pop();
        }
        UseTree::Name(tree) if tree.ident == "self" => {
            let name = path.last().cloned().unwrap_or_default();
            found.push(import(path, None, name));
        }
        UseTree::Name(tree) => {
            let name = tree.ident.to_string();
            found.push(import(path, Some(name.clone()), name));
        }
        UseTree::Rename(tree) => {
            let last = (tree.ident != "self").then(|| tree.ident.to_string());
            found.push(import(path, last, tree.rename.to_string()));
        }
        UseTree::Glob(_) => found.push(import(path, None, "*".to_owned())),
        UseTree::Group(tree) => {
            for tree in &tree.items {
                collect(tree, path, found);
            }
        }
    }
}
