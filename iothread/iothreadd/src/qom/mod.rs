//! The QOM tree: objects with typed properties, found by their paths.

pub(crate) mod commands;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub(crate) mod help;
pub(crate) mod types;
pub(crate) mod value;

use std::sync::{Arc, OnceLock};

use qapi_runtime::{Error, Value};

use self::types::Type;

/// Something with a place in the tree.
pub(crate) trait Object: Send + Sync {
    /// Its type, which knows its properties except the children.
    fn object_type(&self) -> &'static Type;

    /// The value of one of the type's properties; not called for others.
    fn get(&self, _property: &str) -> Result<Value, Error> {
        Ok(Value::Null)
    }

    /// Changes one of the type's writable properties; not called for others.
    fn set(&self, _property: &str, _value: &Value) -> Result<(), Error> {
        Ok(())
    }

    /// The objects below.
    fn children(&self) -> Vec<(String, Arc<dyn Object>)> {
        Vec::new()
    }

    /// The properties that lead to objects elsewhere and that only this object has.
    fn links(&self) -> Vec<Link> {
        Vec::new()
    }

    /// The object below that has this name.
    fn child(&self, name: &str) -> Option<Arc<dyn Object>> {
        self.children()
            .into_iter()
            .find_map(|(known, child)| (known == name).then_some(child))
    }
}

/// A property that leads to an object elsewhere.
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) type_name: &'static str,
    /// Path of the object.
    pub(crate) target: String,
}

/// An object that only has others below it.
struct Container {
    object_type: &'static Type,
    children: Vec<(&'static str, Arc<dyn Object>)>,
}

/// An object with these below it.
pub(crate) fn container(
    object_type: &'static Type,
    children: Vec<(&'static str, Arc<dyn Object>)>,
) -> Arc<dyn Object> {
    Arc::new(Container {
        object_type,
        children,
    })
}

impl Object for Container {
    fn object_type(&self) -> &'static Type {
        self.object_type
    }

    fn children(&self) -> Vec<(String, Arc<dyn Object>)> {
        self.children
            .iter()
            .map(|(name, child)| ((*name).to_owned(), Arc::clone(child)))
            .collect()
    }

    fn child(&self, name: &str) -> Option<Arc<dyn Object>> {
        self.children
            .iter()
            .find_map(|(known, child)| (*known == name).then(|| Arc::clone(child)))
    }
}

/// The whole tree, and the types of its objects.
#[derive(Default)]
pub(crate) struct Tree(OnceLock<Assembled>);

struct Assembled {
    root: Arc<dyn Object>,
    types: Vec<&'static Type>,
}

/// An object and where it was found.
struct Found {
    object: Arc<dyn Object>,
    path: String,
}

impl Tree {
    /// Sets what is below the root, and the types that objects may have beside those that every tree has. The parts of the
    /// server are in the tree and look for things there, so it is empty until they are all made.
    pub(crate) fn assemble(
        &self,
        below_root: Vec<(&'static str, Arc<dyn Object>)>,
        types: impl IntoIterator<Item = &'static Type>,
    ) {
        let assembled = Assembled {
            root: container(&types::CONTAINER, below_root),
            types: types::general().chain(types).collect(),
        };
        // Done once.
        let _ = self.0.set(assembled);
    }

    fn root(&self) -> Found {
        let empty = || container(&types::CONTAINER, Vec::new());
        Found {
            object: match self.0.get() {
                Some(assembled) => Arc::clone(&assembled.root),
                None => empty(),
            },
            path: String::new(),
        }
    }

    /// All types that have a description.
    fn types(&self) -> &[&'static Type] {
        self.0.get().map_or(&[], |assembled| &assembled.types)
    }

    /// Finds a type by its name.
    pub(crate) fn find_type(&self, name: &str) -> Option<&'static Type> {
        self.types()
            .iter()
            .copied()
            .find(|known| known.name == name)
    }

    /// Finds an object by an absolute path, or by one that is unique below whatever object.
    fn find(&self, path: &str) -> Result<Found, Error> {
        let components = || path.split('/').filter(|component| !component.is_empty());
        let not_found = || Error::device_not_found(format!("Device '{path}' not found"));
        if path.starts_with('/') {
            let mut found = self.root();
            for component in components() {
                found = found.below(component).ok_or_else(not_found)?;
            }
            return Ok(found);
        }
        let components: Vec<&str> = components().collect();
        let mut matches = Vec::new();
        find_below(self.root(), &components, &mut matches);
        match matches.len() {
            0 => Err(not_found()),
            1 => matches.pop().ok_or_else(not_found),
            _ => Err(Error::generic(format!("Path '{path}' is ambiguous"))),
        }
    }

    /// The same for commands that do not tell an ambiguous path from one that leads nowhere.
    fn find_one(&self, path: &str) -> Result<Found, Error> {
        let found = self.find(path);
        found.map_err(|_| Error::device_not_found(format!("Device '{path}' not found")))
    }

    /// The absolute path of an object.
    pub(crate) fn canonical_path(&self, path: &str) -> Result<String, Error> {
        self.find(path).map(|found| found.path)
    }
}

impl Found {
    fn below(&self, name: &str) -> Option<Self> {
        Some(Self {
            object: self.object.child(name)?,
            path: format!("{}/{name}", self.path),
        })
    }
}

/// Collects the objects that a relative path leads to from `start` and from all objects below it. The depth is that of
/// the tree, which is small.
fn find_below(start: Found, components: &[&str], matches: &mut Vec<Found>) {
    let children = start.object.children();
    let below = |name: &str, object: Arc<dyn Object>| Found {
        object,
        path: format!("{}/{name}", start.path),
    };
    for (name, child) in children {
        find_below(below(&name, child), components, matches);
    }
    let mut end = Some(start);
    for component in components {
        end = end.and_then(|found| found.below(component));
    }
    matches.extend(end);
}
