//! From bytes to elements.

use hashbrown::{HashMap, HashSet};
use serde_json::Value;

use super::{
    Element, ElementId, EnumValue, Introspection, IntrospectionError, JsonType, Kind, Member,
    Variants,
};

impl Introspection {
    /// Reads `text`, an answer to `query-qmp-schema`: the bare array, or the whole reply.
    ///
    /// # Errors
    ///
    /// Where the text is not of that form.
    pub fn read(text: impl AsRef<[u8]>) -> Result<Self, IntrospectionError> {
        let text = text.as_ref();
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let mut document: Value = serde_json::from_slice(text)?;
        if let Some(error) = document.get("error") {
            let text = error.get("desc").and_then(Value::as_str);
            return Err(IntrospectionError::Refused(
                text.unwrap_or("without a text").to_owned(),
            ));
        }
        if let Some(array) = document.get_mut("return") {
            document = array.take();
        }
        let Value::Array(told) = document else {
            return Err(IntrospectionError::NotAnArray);
        };
        let mut reader = Reader::new(&told)?;
        let elements = told.iter().enumerate();
        let elements = elements.map(|(index, value)| reader.element(&Told(index, value)));
        let elements = elements.collect::<Result<_, _>>()?;
        drop(reader);
        Ok(Self { elements, told })
    }

    /// The element at `id` as the server told it, as JSON.
    pub(super) fn told(&self, id: ElementId) -> String {
        self.told[id].to_string()
    }
}

pub(super) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// An element of the array, or a part of one, and the position of the element.
struct Told<'a>(usize, &'a Value);

impl<'a> Told<'a> {
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
    fn list(&self, key: &'static str) -> Result<Vec<Told<'a>>, IntrospectionError> {
        let list = self.1.get(key).and_then(Value::as_array);
        let list = list.ok_or_else(|| self.incomplete(key))?;
        Ok(list.iter().map(|value| Told(self.0, value)).collect())
    }

    fn features(&self) -> Vec<String> {
        let features = self.1.get("features").and_then(Value::as_array);
        let names = features.into_iter().flatten().filter_map(Value::as_str);
        names.map(str::to_owned).collect()
    }
}

struct Reader<'a> {
    types: HashMap<&'a str, ElementId>,
    commands: HashSet<&'a str>,
    events: HashSet<&'a str>,
}

impl<'a> Reader<'a> {
    /// Every type is known before the first one is used.
    fn new(told: &'a [Value]) -> Result<Self, IntrospectionError> {
        let mut types = HashMap::new();
        for (index, value) in told.iter().enumerate() {
            let element = Told(index, value);
            if !matches!(element.string("meta-type")?, "command" | "event") {
                let name = element.string("name")?;
                if types.insert(name, index).is_some() {
                    return Err(element.duplicate("type", name));
                }
            }
        }
        Ok(Self {
            types,
            commands: HashSet::new(),
            events: HashSet::new(),
        })
    }

    fn ty(&self, told: &Told<'_>, key: &'static str) -> Result<ElementId, IntrospectionError> {
        let name = told.string(key)?;
        let id = self.types.get(name).copied();
        id.ok_or_else(|| IntrospectionError::UnknownType(told.0, name.to_owned()))
    }

    fn element(&mut self, told: &Told<'a>) -> Result<Element, IntrospectionError> {
        let name = told.string("name")?;
        let kind = match told.string("meta-type")? {
            "command" => {
                let kind = Kind::Command {
                    arguments: self.ty(told, "arg-type")?,
                    returns: self.ty(told, "ret-type")?,
                    allows_oob: told.1.get("allow-oob") == Some(&Value::Bool(true)),
                };
                if !self.commands.insert(name) {
                    return Err(told.duplicate("command", name));
                }
                kind
            }
            "event" => {
                let data = self.ty(told, "arg-type")?;
                if !self.events.insert(name) {
                    return Err(told.duplicate("event", name));
                }
                Kind::Event { data }
            }
            "builtin" => Kind::Builtin(match told.string("json-type")? {
                "string" => JsonType::String,
                "number" => JsonType::Number,
                "int" => JsonType::Int,
                "boolean" => JsonType::Boolean,
                "null" => JsonType::Null,
                "value" => JsonType::Value,
                _ => return Err(told.incomplete("json-type")),
            }),
            "enum" => Kind::Enum(enum_values(told)?),
            "array" => Kind::Array(self.ty(told, "element-type")?),
            "object" => self.object(told)?,
            "alternate" => {
                let members = told.list("members")?;
                let types = members.iter().map(|member| self.ty(member, "type"));
                Kind::Alternate(types.collect::<Result<_, _>>()?)
            }
            _ => return Err(told.incomplete("meta-type")),
        };
        Ok(Element {
            name: name.to_owned(),
            features: told.features(),
            kind,
        })
    }

    fn object(&self, told: &Told<'_>) -> Result<Kind, IntrospectionError> {
        let member = |member: &Told<'_>| -> Result<Member, IntrospectionError> {
            Ok(Member {
                name: member.string("name")?.to_owned(),
                ty: self.ty(member, "type")?,
                is_optional: member.1.get("default").is_some(),
                features: member.features(),
            })
        };
        let branch = |branch: &Told<'_>| -> Result<_, IntrospectionError> {
            Ok((branch.string("case")?.to_owned(), self.ty(branch, "type")?))
        };
        let branches = match told.1.get("variants") {
            Some(_) => Some(told.list("variants")?),
            None => None,
        };
        let members = told.list("members")?;
        let members = members.iter().map(member).collect::<Result<_, _>>()?;
        let variants = match branches {
            Some(branches) => Some(Variants {
                tag: told.string("tag")?.to_owned(),
                branches: branches.iter().map(branch).collect::<Result<_, _>>()?,
            }),
            None => None,
        };
        Ok(Kind::Object { members, variants })
    }
}

/// Servers before QEMU 6.2 have only `values`.
fn enum_values(told: &Told<'_>) -> Result<Vec<EnumValue>, IntrospectionError> {
    if told.1.get("members").is_some() {
        let members = told.list("members")?;
        let value = |member: &Told<'_>| -> Result<EnumValue, IntrospectionError> {
            Ok(EnumValue {
                name: member.string("name")?.to_owned(),
                features: member.features(),
            })
        };
        return members.iter().map(value).collect();
    }
    let value = |value: &Told<'_>| {
        let name = value.1.as_str().ok_or_else(|| told.incomplete("values"))?;
        Ok(EnumValue {
            name: name.to_owned(),
            features: Vec::new(),
        })
    };
    told.list("values")?.iter().map(value).collect()
}
