//! The answer to query-qmp-schema as it is looked up in.

use std::collections::HashMap;

use super::{Branches, Builtin, Entity, EntityId, Features, Kind, Member, Named, PeerSchema};
use crate::json::{Kind as Json, ValueRef};

impl PeerSchema {
    /// Reads the return value of `query-qmp-schema`; nothing if it is something else. What is not understood is left out.
    pub fn read(answer: ValueRef<'_>) -> Option<Self> {
        if answer.kind() != Json::Array {
            return None;
        }
        let mut by_name = HashMap::new();
        for (id, element) in answer.elements().enumerate() {
            by_name.insert(text(element, "name")?.into(), id);
        }
        let reader = Reader { by_name: &by_name };
        let entities = answer.elements().map(|element| reader.entity(element));
        Some(Self {
            entities: entities.collect(),
            by_name,
        })
    }
}

struct Reader<'r> {
    by_name: &'r HashMap<Box<str>, EntityId>,
}

fn text<'a>(value: ValueRef<'a>, member: &str) -> Option<&'a str> {
    value.get(member).and_then(ValueRef::as_str)
}

fn list<'a>(value: ValueRef<'a>, member: &str) -> impl Iterator<Item = ValueRef<'a>> {
    value.get(member).into_iter().flat_map(ValueRef::elements)
}

fn features(value: ValueRef<'_>) -> Features {
    let names = list(value, "features").filter_map(ValueRef::as_str);
    names.map(Into::into).collect()
}

impl Reader<'_> {
    fn reference(&self, value: ValueRef<'_>, member: &str) -> Option<EntityId> {
        self.by_name.get(text(value, member)?).copied()
    }

    fn entity(&self, element: ValueRef<'_>) -> Entity {
        let kind = match text(element, "meta-type") {
            Some("command") => Kind::Command {
                arguments: self.reference(element, "arg-type"),
                returns: self.reference(element, "ret-type"),
            },
            Some("event") => Kind::Event {
                data: self.reference(element, "arg-type"),
            },
            Some("builtin") => Kind::Builtin(match text(element, "json-type") {
                Some("string") => Builtin::String,
                Some("value") => Builtin::Any,
                Some(_) | None => Builtin::Other,
            }),
            Some("enum") => Kind::Enum(values(element)),
            Some("array") => Kind::Array(self.reference(element, "element-type")),
            Some("object") => self.object(element),
            Some("alternate") => {
                let members = list(element, "members");
                Kind::Alternate(
                    members
                        .filter_map(|it| self.reference(it, "type"))
                        .collect(),
                )
            }
            Some(_) | None => Kind::Unknown,
        };
        Entity {
            features: features(element),
            kind,
        }
    }

    fn object(&self, element: ValueRef<'_>) -> Kind {
        let member = |value: ValueRef<'_>| {
            Some(Member {
                name: text(value, "name")?.into(),
                ty: self.reference(value, "type"),
                features: features(value),
            })
        };
        let case = |value: ValueRef<'_>| {
            Some((text(value, "case")?.into(), self.reference(value, "type")?))
        };
        let branches = text(element, "tag").map(|tag| Branches {
            tag: tag.into(),
            cases: list(element, "variants").filter_map(case).collect(),
        });
        Kind::Object {
            members: list(element, "members").filter_map(member).collect(),
            branches,
        }
    }
}

/// The values of an enumeration. Before QEMU 6.2 they have no features.
fn values(element: ValueRef<'_>) -> Box<[Named]> {
    if element.get("members").is_none() {
        let names = list(element, "values").filter_map(ValueRef::as_str);
        let plain = |name: &str| Named {
            name: name.into(),
            features: Features::default(),
        };
        return names.map(plain).collect();
    }
    let value = |value: ValueRef<'_>| {
        Some(Named {
            name: text(value, "name")?.into(),
            features: features(value),
        })
    };
    list(element, "members").filter_map(value).collect()
}
