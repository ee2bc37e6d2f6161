//! What a device was told at its creation, and what its properties say.

use qapi_runtime::json::Document;
use qapi_runtime::visit::Visit;
use qapi_runtime::{Error, Object as Members, Value};

use crate::ident;
use crate::keyval::{self, ValueKind};
use crate::qom::types::{DEVICE, Property, Type, ValueType};
use crate::qom::value::value_of;

/// The values of a device's properties.
pub(crate) struct Properties {
    object_type: &'static Type,
    values: Members,
}

impl Properties {
    /// Takes over what was given.
    ///
    /// # Errors
    ///
    /// A property that devices of the type do not have.
    pub(super) fn new(object_type: &'static Type, given: Members) -> Result<Self, Error> {
        let is_known = |name: &str| {
            let is_it = |property: &Property| property.name == name;
            // What is the same for all devices they have by themselves.
            object_type.properties().any(is_it) && !DEVICE.own.iter().any(is_it)
        };
        let unknown = given.keys().find(|name| !is_known(name));
        match unknown.map(str::to_owned) {
            None => Ok(Self {
                object_type,
                values: given,
            }),
            Some(name) => Err(Error::generic(format!(
                "Property '{}.{name}' not found",
                object_type.name
            ))),
        }
    }

    pub(super) fn object_type(&self) -> &'static Type {
        self.object_type
    }

    /// Whether the device was given a value.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The value that a property was given, or later set to.
    ///
    /// # Errors
    ///
    /// A value of another type.
    pub(super) fn get<T: Visit>(&self, name: &'static str) -> Result<Option<T>, Error> {
        let value = self.values.get(name);
        value.map(|value| value_of(name, value)).transpose()
    }

    /// As `get`, or else the initial value.
    pub(super) fn get_or<T: Visit>(&self, name: &'static str, initial: T) -> Result<T, Error> {
        Ok(self.get(name)?.unwrap_or(initial))
    }

    /// Keeps what the device has made of a property.
    pub(super) fn set(&mut self, name: &'static str, value: Value) {
        self.values.insert(name.to_owned(), value);
    }

    /// All that a device was told or has by itself, except what only it can answer.
    pub(super) fn all(&self) -> Vec<(&'static str, Value)> {
        let own = self.object_type.properties();
        let of_all = |property: &Property| DEVICE.property(property.name).is_some();
        let told = own.filter(|property| !property.is_of_objects && !of_all(property));
        told.map(|it| (it.name, self.value(it.name))).collect()
    }

    /// What a client reads.
    pub(super) fn value(&self, name: &str) -> Value {
        let property = self.object_type.property(name);
        let is_link = property.is_some_and(|it| matches!(it.value_type, ValueType::Link(_)));
        match self.values.get(name) {
            Some(Value::String(link)) if is_link && !link.is_empty() && !link.starts_with('/') => {
                let id = link.strip_prefix("objects/").unwrap_or(link);
                Value::from(format!("/objects/{id}"))
            }
            Some(value) => value.clone(),
            None => property.map_or(Value::Null, Property::unset_value),
        }
    }
}

/// Takes an argument that is not a property.
pub(super) fn take<T: Visit>(
    arguments: &mut Members,
    name: &'static str,
) -> Result<Option<T>, Error> {
    let value = arguments.remove(name);
    value.map(|value| value_of(name, &value)).transpose()
}

/// What is said about a new device.
pub(crate) struct Given {
    pub(super) members: Members,
    /// Whether the values are texts, of which those that are numbers become numbers when they are looked at.
    is_text: bool,
}

impl From<Members> for Given {
    fn from(members: Members) -> Self {
        Self {
            members,
            is_text: false,
        }
    }
}

impl Given {
    pub(crate) fn id(&self) -> Option<&str> {
        self.members.get("id").and_then(Value::as_str)
    }

    /// The properties of a device of this type.
    ///
    /// # Errors
    ///
    /// A text that is not a value of its property.
    pub(super) fn typed(self, object_type: &'static Type) -> Result<Members, Error> {
        if !self.is_text {
            return Ok(self.members);
        }
        let mut typed = Members::new();
        for (name, value) in self.members {
            let property = object_type.property(&name);
            let text = value.as_str().unwrap_or_default();
            let value = if property.is_some_and(Property::is_structured) {
                parse_json(text)?.root().to_value()
            } else {
                let kind = property.map_or(ValueKind::String, Property::value_kind);
                let pair = (name.clone(), text.to_owned());
                let typed = keyval::typed(vec![pair], keyval::INTEGER, |_| Some(kind))?;
                typed.get(&name).cloned().unwrap_or(Value::Null)
            };
            typed.insert(name, value);
        }
        Ok(typed)
    }
}

/// Reads a description of a device: JSON, or options.
pub(crate) fn parse(text: &str) -> Result<Given, Error> {
    if text.starts_with('{') {
        return Ok(parse_json(text)?.root().to_object().into());
    }
    let given = parse_options(text);
    match given.id() {
        Some(id) if !ident::is_identifier(id) => Err(ident::expected()),
        Some(_) | None => Ok(given),
    }
}

fn parse_json(text: &str) -> Result<Document, Error> {
    Document::parse(text.as_bytes()).map_err(|error| Error::generic(error.to_string()))
}

/// Reads options: keys and values. A list is given as JSON.
pub(crate) fn parse_options(text: &str) -> Given {
    let pairs = keyval::parse_options(text, "driver").into_iter();
    Given {
        members: pairs.collect(),
        is_text: true,
    }
}
