//! What a running server tells of itself, as an [`Interface`].

use hashbrown::HashMap;
use serde_json::Value;
use thiserror::Error;

use super::interface::{
    Command, Common, EnumValue, Event, Interface, Member, Object, Scalar, Shape, ShapeId,
};

/// Why a text is no answer to `query-qmp-schema`.
#[derive(Debug, Error)]
pub enum IntrospectionError {
    /// It is no JSON.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is a reply, and the server has refused the command; its words.
    #[error("the server answered with an error: {0}")]
    Refused(String),
    /// It is neither an array nor a reply that returns one.
    #[error("expected the array that query-qmp-schema returns, or the reply with it")]
    NotAnArray,
    /// An element lacks something.
    #[error("element {0} of the array has no valid '{1}'")]
    Incomplete(usize, &'static str),
    /// Two types, commands or events have one name.
    #[error("element {0} of the array describes {1} '{2}' again")]
    Duplicate(usize, &'static str, String),
    /// An element mentions a type that the array does not have.
    #[error("element {0} of the array uses type '{1}', which the array does not have")]
    UnknownType(usize, String),
}

impl Interface {
    /// The interface that `text`, an answer to `query-qmp-schema`, describes: the bare array, or the
    /// whole reply.
    ///
    /// # Errors
    ///
    /// Where the text is not of that form.
    pub fn of_introspection(text: impl AsRef<[u8]>) -> Result<Self, IntrospectionError> {
        let mut document: Value = serde_json::from_slice(text.as_ref())?;
        if let Some(error) = document.get("error") {
            let text = error.get("desc").and_then(Value::as_str);
            return Err(IntrospectionError::Refused(
                text.unwrap_or("without a text").to_owned(),
            ));
        }
        if let Some(array) = document.get_mut("return") {
            document = array.take();
        }
        let Value::Array(elements) = &document else {
            return Err(IntrospectionError::NotAnArray);
        };
        let reader = Reader::new(elements)?;
        let mut interface = Self::default();
        for (index, element) in elements.iter().enumerate() {
            reader.add(&Element(index, element), &mut interface)?;
        }
        Ok(interface)
    }
}

/// An element of the array and its position.
struct Element<'a>(usize, &'a Value);

impl<'a> Element<'a> {
    fn incomplete(&self, key: &'static str) -> IntrospectionError {
        IntrospectionError::Incomplete(self.0, key)
    }

    fn duplicate(&self, kind: &'static str, name: &str) -> IntrospectionError {
        IntrospectionError::Duplicate(self.0, kind, name.to_owned())
    }

    fn string(&self, key: &'static str) -> Result<&'a str, IntrospectionError> {
        let value = self.1.get(key).and_then(Value::as_str);
        value.ok_or_else(|| self.incomplete(key))
    }

    /// The elements of the list `key`.
    fn list(&self, key: &'static str) -> Result<Vec<Element<'a>>, IntrospectionError> {
        let list = self.1.get(key).and_then(Value::as_array);
        let list = list.ok_or_else(|| self.incomplete(key))?;
        Ok(list.iter().map(|value| Element(self.0, value)).collect())
    }

    fn common(&self) -> Common {
        let features = self.1.get("features").and_then(Value::as_array);
        let names = features.into_iter().flatten().filter_map(Value::as_str);
        Common {
            features: names.map(str::to_owned).collect(),
            ..Common::default()
        }
    }
}

struct Reader<'a> {
    ids: HashMap<&'a str, ShapeId>,
}

impl<'a> Reader<'a> {
    fn new(elements: &'a [Value]) -> Result<Self, IntrospectionError> {
        let mut ids = HashMap::new();
        for (index, element) in elements.iter().enumerate() {
            let element = Element(index, element);
            if !matches!(element.string("meta-type")?, "command" | "event") {
                let id = ids.len();
                let name = element.string("name")?;
                if ids.insert(name, id).is_some() {
                    return Err(element.duplicate("type", name));
                }
            }
        }
        Ok(Self { ids })
    }

    fn id(&self, element: &Element<'_>, key: &'static str) -> Result<ShapeId, IntrospectionError> {
        let name = element.string(key)?;
        let id = self.ids.get(name).copied();
        id.ok_or_else(|| IntrospectionError::UnknownType(element.0, name.to_owned()))
    }

    fn add(
        &self,
        element: &Element<'_>,
        interface: &mut Interface,
    ) -> Result<(), IntrospectionError> {
        let name = element.string("name")?;
        match element.string("meta-type")? {
            "command" => {
                let command = Command {
                    common: element.common(),
                    arguments: self.id(element, "arg-type")?,
                    returns: self.id(element, "ret-type")?,
                    allows_oob: element.1.get("allow-oob") == Some(&Value::Bool(true)),
                    has_success_response: None,
                };
                let other = interface.commands.insert(name.to_owned(), command);
                if other.is_some() {
                    return Err(element.duplicate("command", name));
                }
            }
            "event" => {
                let event = Event {
                    common: element.common(),
                    data: self.id(element, "arg-type")?,
                };
                let other = interface.events.insert(name.to_owned(), event);
                if other.is_some() {
                    return Err(element.duplicate("event", name));
                }
            }
            kind => {
                interface.types.push(self.shape(element, kind)?);
                interface.features.push(element.common().features);
            }
        }
        Ok(())
    }

    fn shape(&self, element: &Element<'_>, kind: &str) -> Result<Shape, IntrospectionError> {
        Ok(match kind {
            "builtin" => Shape::Scalar(match element.string("json-type")? {
                "string" => Scalar::String,
                "number" => Scalar::Number,
                "int" => Scalar::Int(None),
                "boolean" => Scalar::Bool,
                "null" => Scalar::Null,
                "value" => Scalar::Any,
                _ => return Err(element.incomplete("json-type")),
            }),
            "enum" => Shape::Enum(enum_values(element)?),
            "array" => Shape::Array(self.id(element, "element-type")?),
            "object" => Shape::Object(self.object(element)?),
            "alternate" => {
                let members = element.list("members")?;
                let ids = members.iter().map(|member| self.id(member, "type"));
                Shape::Alternate(ids.collect::<Result<_, _>>()?)
            }
            _ => return Err(element.incomplete("meta-type")),
        })
    }

    fn object(&self, element: &Element<'_>) -> Result<Object, IntrospectionError> {
        let member = |member: &Element<'_>| -> Result<Member, IntrospectionError> {
            Ok(Member {
                name: member.string("name")?.to_owned(),
                shape: self.id(member, "type")?,
                is_optional: member.1.get("default").is_some(),
                common: member.common(),
            })
        };
        let branch = |branch: &Element<'_>| -> Result<_, IntrospectionError> {
            Ok((branch.string("case")?.to_owned(), self.id(branch, "type")?))
        };
        let is_union = element.1.get("variants").is_some();
        let branches = if is_union {
            element.list("variants")?
        } else {
            Vec::new()
        };
        Ok(Object {
            members: element
                .list("members")?
                .iter()
                .map(member)
                .collect::<Result<_, _>>()?,
            tag: is_union
                .then(|| element.string("tag").map(str::to_owned))
                .transpose()?,
            branches: branches.iter().map(branch).collect::<Result<_, _>>()?,
            ..Object::default()
        })
    }
}

/// Servers before QEMU 6.2 have only `values`.
fn enum_values(element: &Element<'_>) -> Result<Vec<EnumValue>, IntrospectionError> {
    if element.1.get("members").is_some() {
        let members = element.list("members")?;
        let value = |member: &Element<'_>| -> Result<EnumValue, IntrospectionError> {
            Ok(EnumValue {
                name: member.string("name")?.to_owned(),
                common: member.common(),
            })
        };
        return members.iter().map(value).collect();
    }
    let value = |value: &Element<'_>| {
        let name = value
            .1
            .as_str()
            .ok_or_else(|| element.incomplete("values"))?;
        Ok(EnumValue {
            name: name.to_owned(),
            common: Common::default(),
        })
    };
    element.list("values")?.iter().map(value).collect()
}
