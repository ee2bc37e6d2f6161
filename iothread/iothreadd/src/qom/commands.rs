//! The commands that look at the tree.

use qapi_runtime::{Error, Value};

use super::types::{self, Initial, Property, Type};
use super::{Object, Tree};
use crate::qapi::{ObjectPropertyInfo, ObjectTypeInfo};

/// The property that tells the type, which every object has.
pub(crate) const TYPE: &str = "type";

impl Tree {
    /// `qom-list`
    pub(crate) fn list(&self, path: &str) -> Result<Vec<ObjectPropertyInfo>, Error> {
        let found = self.find(path)?;
        let mut properties = properties_of(found.object.object_type(), Whose::Object);
        for (name, child) in found.object.children() {
            let child_type = format!("child<{}>", child.object_type().name);
            properties.push(ObjectPropertyInfo::new(name, child_type));
        }
        for link in found.object.links() {
            let link_type = format!("link<{}>", link.type_name);
            properties.push(ObjectPropertyInfo::new(link.name, link_type));
        }
        Ok(properties)
    }

    /// `qom-get`
    pub(crate) fn get(&self, path: &str, property: &str) -> Result<Value, Error> {
        let found = self.find_one(path)?;
        let object_type = found.object.object_type();
        if property == TYPE {
            return Ok(Value::from(object_type.name));
        }
        if object_type.property(property).is_some() {
            return found.object.get(property);
        }
        let links = found.object.links();
        if let Some(link) = links.into_iter().find(|link| link.name == property) {
            return Ok(Value::from(link.target));
        }
        match found.below(property) {
            Some(child) => Ok(Value::from(child.path)),
            None => Err(no_property(&*found.object, property)),
        }
    }

    /// `qom-set`
    pub(crate) fn set(&self, path: &str, property: &str, value: &Value) -> Result<(), Error> {
        let object = self.find_one(path)?.object;
        match object.object_type().property(property) {
            Some(known) if known.is_writable => object.set(property, value),
            Some(_) => Err(not_writable(&*object, property)),
            None if property == TYPE || object.child(property).is_some() => {
                Err(not_writable(&*object, property))
            }
            None => Err(no_property(&*object, property)),
        }
    }

    /// `qom-list-properties`
    pub(crate) fn list_properties(
        &self,
        type_name: &str,
    ) -> Result<Vec<ObjectPropertyInfo>, Error> {
        match self.find_type(type_name) {
            Some(known) => Ok(describe_type(known)),
            None if types::INTERFACES.contains(&type_name) => {
                Err(Error::generic("Parameter 'typename' expects a QOM type"))
            }
            None => Err(Error::device_not_found(format!(
                "Class '{type_name}' not found"
            ))),
        }
    }

    /// `qom-list-types`
    pub(crate) fn list_types(
        &self,
        implements: Option<&str>,
        abstract_too: bool,
    ) -> Vec<ObjectTypeInfo> {
        let is_wanted = |known: &&&Type| implements.is_none_or(|name| known.implements(name));
        let is_listed = |known: &&&Type| abstract_too || !known.is_abstract();
        let types = self.types().iter().filter(is_wanted).filter(is_listed);
        types
            .map(|known| {
                let mut info = ObjectTypeInfo::new(known.name.to_owned());
                info.r#abstract = known.is_abstract().then_some(true);
                info.parent = known.ancestors().first().map(|it| (*it).to_owned());
                info
            })
            .collect()
    }
}

/// Whose properties are listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// With descriptions and initial values.
    Type,
    Object,
}

/// Describes the properties of a type.
pub(crate) fn describe_type(known: &Type) -> Vec<ObjectPropertyInfo> {
    properties_of(known, Whose::Type)
}

fn properties_of(known: &Type, whose: Whose) -> Vec<ObjectPropertyInfo> {
    let mut list = vec![ObjectPropertyInfo::new(
        TYPE.to_owned(),
        "string".to_owned(),
    )];
    let is_listed = |property: &&Property| whose == Whose::Object || !property.is_of_objects;
    list.extend(known.properties().filter(is_listed).map(|property| {
        let mut info =
            ObjectPropertyInfo::new(property.name.to_owned(), property.value_type.to_string());
        if whose == Whose::Type && !property.description.is_empty() {
            info.description = Some(property.description.to_owned());
        }
        let has_default = !matches!(property.initial, Initial::Unset | Initial::EmptyList);
        if whose == Whose::Type && has_default {
            info.default_value = Some(property.initial.value());
        }
        info
    }));
    list
}

fn no_property(object: &dyn Object, property: &str) -> Error {
    let type_name = object.object_type().name;
    Error::generic(format!("Property '{type_name}.{property}' not found"))
}

fn not_writable(object: &dyn Object, property: &str) -> Error {
    let type_name = object.object_type().name;
    Error::generic(format!("Property '{type_name}.{property}' is not writable"))
}
