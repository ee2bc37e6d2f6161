//! The QOM tree: objects with typed properties, found by their paths.

pub(crate) mod commands;
pub(crate) mod help;
pub(crate) mod types;

use std::sync::Arc;

use qapi_runtime::{Error, Value};

use self::types::Type;
use crate::chardev::Chardevs;
use crate::devices::{self, Devices};
use crate::objects::Objects;

/// Something with a place in the tree.
pub(crate) trait Object: Send + Sync {
    /// Its type, which knows its properties but for the children.
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

/// The whole tree.
pub(crate) struct Tree {
    root: Arc<dyn Object>,
}

/// An object and where it was found.
struct Found {
    object: Arc<dyn Object>,
    path: String,
}

impl Tree {
    pub(crate) fn new(
        objects: &Arc<Objects>,
        devices: &Arc<Devices>,
        chardevs: &Arc<Chardevs>,
    ) -> Self {
        let mut children = vec![
            ("peripheral", devices.peripheral()),
            ("peripheral-anon", devices.peripheral_anon()),
        ];
        for (name, object_type) in devices::machine_buses() {
            let bus: Arc<dyn Object> = Arc::new(Container {
                object_type,
                children: Vec::new(),
            });
            children.push((name, bus));
        }
        let machine = Container {
            object_type: &types::MACHINE,
            children,
        };
        let objects: Arc<dyn Object> = Arc::<Objects>::clone(objects);
        let chardevs: Arc<dyn Object> = Arc::<Chardevs>::clone(chardevs);
        let backends = Container {
            object_type: &types::CONTAINER,
            children: Vec::new(),
        };
        let root = Container {
            object_type: &types::CONTAINER,
            children: vec![
                // For QEMU's graphical consoles, of which there are none here.
                ("backend", Arc::new(backends)),
                ("machine", Arc::new(machine)),
                ("chardevs", chardevs),
                ("objects", objects),
            ],
        };
        Self {
            root: Arc::new(root),
        }
    }

    /// Finds an object by an absolute path, or by one that is unique below whatever object.
    fn find(&self, path: &str) -> Result<Found, Error> {
        let components = || path.split('/').filter(|component| !component.is_empty());
        let not_found = || Error::device_not_found(format!("Device '{path}' not found"));
        if path.starts_with('/') {
            let mut found = Found {
                object: Arc::clone(&self.root),
                path: String::new(),
            };
            for component in components() {
                found = found.below(component).ok_or_else(not_found)?;
            }
            return Ok(found);
        }
        let components: Vec<&str> = components().collect();
        let mut matches = Vec::new();
        let root = Found {
            object: Arc::clone(&self.root),
            path: String::new(),
        };
        find_below(root, &components, &mut matches);
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
