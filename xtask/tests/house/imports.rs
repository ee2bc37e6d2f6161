//! Which files of a crate use which.
//!
//! A use is an import, or a path in code that begins with `crate`, `self`, `super` or the name of a module, also in the arguments
//! of a macro. It leads to the file in which the thing is defined: what a file passes on with `pub use` is followed, and that
//! file uses it only if the name stands elsewhere in it. Names that `use` brings in with a star are followed, too. Tests inside
//! of files are left out.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Attribute, Item, ItemMod, Meta, UseTree, Visibility};

/// The path of a module, from the root of its crate.
type ModulePath = Vec<String>;

/// A use of something in another file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
    /// As it is written.
    pub(crate) path: String,
}

/// What is known of a module.
#[derive(Default)]
struct Module {
    /// Relative to the folder of the root.
    file: PathBuf,
    items: HashSet<String>,
    imports: Vec<Import>,
    paths: Vec<ModulePath>,
    /// All names in code.
    names: HashSet<String>,
}

/// One name that a `use` brings in.
struct Import {
    path: ModulePath,
    /// `None` for a star.
    name: Option<String>,
    is_passed_on: bool,
    is_in_code: bool,
}

/// The modules of a crate.
#[derive(Default)]
pub(crate) struct Crate(BTreeMap<ModulePath, Module>);

impl Crate {
    /// Reads the file of the root and those that its modules are in.
    pub(crate) fn read(root: &Path) -> Self {
        let folder = root.parent().expect("a file is in a folder");
        let mut modules = Self::default();
        modules.read_file(folder, Path::new(root.file_name().unwrap()), Vec::new());
        modules
    }

    /// All files.
    pub(crate) fn files(&self) -> BTreeSet<&Path> {
        self.0.values().map(|module| &*module.file).collect()
    }

    fn read_file(&mut self, root: &Path, file: &Path, path: ModulePath) {
        let text = fs::read_to_string(root.join(file)).expect("a file of a crate");
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        self.read_items(root, file, path, parsed.items);
    }

    fn read_items(&mut self, root: &Path, file: &Path, path: ModulePath, items: Vec<Item>) {
        let mut module = Module {
            file: file.to_owned(),
            ..Module::default()
        };
        for item in items {
            if is_of_tests(attributes(&item)) {
                continue;
            }
            match item {
                Item::Mod(inner) => {
                    let below = [&*path, &[inner.ident.unraw().to_string()]].concat();
                    self.read_module(root, file, below, inner);
                }
                Item::Use(item) => {
                    let is_passed_on = !matches!(item.vis, Visibility::Inherited);
                    module.import(&item.tree, is_passed_on, false);
                }
                item => {
                    module.items.extend(name(&item));
                    module.read_code(item.to_token_stream());
                }
            }
        }
        self.0.insert(path, module);
    }

    fn read_module(&mut self, root: &Path, file: &Path, path: ModulePath, module: ItemMod) {
        if let Some((_, items)) = module.content {
            return self.read_items(root, file, path, items);
        }
        let name = path
            .last()
            .expect("the root is not a module of another one");
        let stem = file.file_stem().expect("a file of Rust").to_str().unwrap();
        let folder = match stem {
            "lib" | "main" | "mod" => file.with_file_name(""),
            _ => file.with_extension(""),
        };
        let beside = folder.join(format!("{name}.rs"));
        let below = folder.join(name).join("mod.rs");
        let found = if root.join(&beside).exists() {
            beside
        } else {
            below
        };
        self.read_file(root, &found, path);
    }

    /// All uses of things in other files.
    pub(crate) fn arrows(&self) -> BTreeSet<Arrow> {
        let mut arrows = BTreeSet::new();
        for (at, module) in &self.0 {
            let imports = module.imports.iter().filter(|import| module.uses(import));
            let imports = imports.map(|import| &import.path);
            for path in imports.chain(&module.paths) {
                let Some(to) = self.file_of(at, path) else {
                    continue;
                };
                if to != module.file {
                    arrows.insert(Arrow {
                        from: module.file.clone(),
                        to: to.to_owned(),
                        path: path.join("::"),
                    });
                }
            }
        }
        arrows
    }

    /// The file that a path in the module `at` leads to; `None` if that is another crate's.
    fn file_of(&self, at: &[String], path: &[String]) -> Option<&Path> {
        let (start, rest) = self.start(at, path)?;
        let found = self.find(&start, rest, &mut HashSet::new());
        // What no file defines, as what macros make, is where its module is.
        found.or_else(|| {
            let modules = (0..=rest.len())
                .rev()
                .map(|n_names| [&*start, &rest[..n_names]].concat());
            let mut files = modules.filter_map(|module| self.0.get(&module));
            files.next().map(|module| &*module.file)
        })
    }

    /// The module where the search for a path begins, and what of the path is left; `None` if the first name is another crate's.
    fn start<'p>(&self, at: &[String], path: &'p [String]) -> Option<(ModulePath, &'p [String])> {
        let mut start = at.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                start.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|it| it == "super") {
                    start.pop()?;
                    rest = &rest[1..];
                }
            }
            first => {
                let is_import = |import: &Import| import.name.as_deref() == Some(first);
                let is_known = self.0.contains_key(&[at, &path[..1]].concat())
                    || self.0.get(at)?.imports.iter().any(is_import);
                is_known.then_some(())?;
            }
        }
        Some((start, rest))
    }

    /// The file that defines what a path below a module leads to. `seen` are the names that have been looked for already, and in
    /// which modules: names may lead around in a circle.
    fn find(
        &self,
        at: &[String],
        path: &[String],
        seen: &mut HashSet<(ModulePath, String)>,
    ) -> Option<&Path> {
        let module = self.0.get(at)?;
        let Some((first, rest)) = path.split_first() else {
            return Some(&module.file);
        };
        let below = [at, &path[..1]].concat();
        if self.0.contains_key(&below) {
            return self.find(&below, rest, seen);
        }
        if module.items.contains(first) {
            return Some(&module.file);
        }
        if !seen.insert((at.to_vec(), first.clone())) {
            return None;
        }
        let is_it = |import: &&Import| import.name.as_ref() == Some(first);
        let named = module.imports.iter().filter(is_it).map(|it| (it, rest));
        let stars = module.imports.iter().filter(|import| import.name.is_none());
        for (import, rest) in named.chain(stars.map(|it| (it, path))) {
            let whole = [&*import.path, rest].concat();
            let Some((start, rest)) = self
                .start(at, &whole)
                .filter(|_| import.path != [first.clone()])
            else {
                continue;
            };
            if let Some(found) = self.find(&start, rest, seen) {
                return Some(found);
            }
        }
        None
    }
}

impl Module {
    fn import(&mut self, tree: &UseTree, is_passed_on: bool, is_in_code: bool) {
        let mut found = Vec::new();
        flatten(tree, &mut Vec::new(), &mut found);
        self.imports
            .extend(found.into_iter().map(|(path, name)| Import {
                path,
                name,
                is_passed_on,
                is_in_code,
            }));
    }

    /// Whether the module itself uses what it imports.
    fn uses(&self, import: &Import) -> bool {
        let is_named = |name: &String| self.names.contains(name);
        !import.is_passed_on || import.is_in_code || import.name.as_ref().is_some_and(is_named)
    }

    /// Finds the paths in code, and the imports.
    fn read_code(&mut self, code: TokenStream) {
        let tokens: Vec<TokenTree> = code.into_iter().collect();
        let mut next = 0;
        while let Some(token) = tokens.get(next) {
            next += 1;
            match token {
                TokenTree::Group(group) => self.read_code(group.stream()),
                TokenTree::Ident(ident) if ident == "use" => {
                    let is_end =
                        |it: &TokenTree| matches!(it, TokenTree::Punct(it) if it.as_char() == ';');
                    let length = tokens[next..].iter().take_while(|it| !is_end(it)).count();
                    let tree = tokens[next..next + length].iter().cloned().collect();
                    // It may also be the bound of a type, `use<'a>`.
                    if let Ok(tree) = syn::parse2::<UseTree>(tree) {
                        self.import(&tree, false, true);
                        next += length;
                    }
                }
                // What follows in brackets says where a thing is known, and uses nothing.
                TokenTree::Ident(ident) if ident == "pub" => {
                    next += usize::from(matches!(tokens.get(next), Some(TokenTree::Group(_))));
                }
                TokenTree::Ident(_) => {
                    let path = path_at(&tokens[next - 1..]);
                    next += 3 * (path.len() - 1);
                    self.names.extend(path.first().cloned());
                    if path.len() > 1 {
                        self.paths.push(path);
                    }
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

/// The names that are joined by `::`, from the first token on.
fn path_at(tokens: &[TokenTree]) -> ModulePath {
    let mut path = Vec::new();
    let mut rest = tokens;
    while let Some((TokenTree::Ident(name), others)) = rest.split_first() {
        path.push(name.to_string());
        match others {
            [TokenTree::Punct(first), TokenTree::Punct(second), more @ ..]
                if first.as_char() == ':' && second.as_char() == ':' =>
            {
                rest = more;
            }
            _ => break,
        }
    }
    path
}

/// All that a tree of imports brings in, and under which names.
fn flatten(tree: &UseTree, path: &mut ModulePath, found: &mut Vec<(ModulePath, Option<String>)>) {
    match tree {
        UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            flatten(&inner.tree, path, found);
            path.pop();
        }
        UseTree::Group(group) => {
            for inner in &group.items {
                flatten(inner, path, found);
            }
        }
        UseTree::Glob(_) => found.push((path.clone(), None)),
        UseTree::Name(name) if name.ident == "self" => {
            found.push((path.clone(), path.last().cloned()));
        }
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            found.push(([&**path, std::slice::from_ref(&name)].concat(), Some(name)));
        }
        UseTree::Rename(rename) => {
            let whole = match rename.ident == "self" {
                true => path.clone(),
                false => [&**path, &[rename.ident.to_string()]].concat(),
            };
            found.push((whole, Some(rename.rename.to_string())));
        }
    }
}

/// Whether something is there for tests only.
fn is_of_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(condition) if condition.path.is_ident("cfg") => {
            asks_for_tests(condition.tokens.clone())
        }
        _ => false,
    })
}

fn asks_for_tests(condition: TokenStream) -> bool {
    let mut is_negated = false;
    condition.into_iter().any(|token| match token {
        TokenTree::Group(group) => !is_negated && asks_for_tests(group.stream()),
        TokenTree::Ident(ident) => {
            is_negated = ident == "not";
            ident == "test"
        }
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// What an item is called.
fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}
