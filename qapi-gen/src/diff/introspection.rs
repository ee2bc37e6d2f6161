//! What a running server tells of itself, as an [`Interface`].

use super::interface::{
    Command, Common, Enum, EnumValue, Event, Interface, Member, Object, Scalar, Shape, ShapeId,
};
use crate::introspection::{
    Element, ElementId, Introspection, IntrospectionError, JsonType, Kind, Variants, takes_anything,
};

impl Interface {
    /// The interface that `text`, an answer to `query-qmp-schema`, describes: the bare array, or the
    /// whole reply.
    ///
    /// # Errors
    ///
    /// Where the text is not of that form.
    pub fn of_introspection(text: impl AsRef<[u8]>) -> Result<Self, IntrospectionError> {
        let elements = Introspection::read(text)?.elements;
        let open = elements.iter().map(|it| takes_anything(&elements, it));
        let open: Vec<bool> = open.collect();
        let mut n_types = 0;
        let shapes = elements.iter().map(|element| {
            let shape = n_types;
            n_types += usize::from(element.kind.is_type());
            shape
        });
        let reader = Reader {
            shapes: shapes.collect(),
        };
        let mut interface = Self::default();
        for (element, takes_anything) in std::iter::zip(elements, open) {
            reader.add(element, takes_anything, &mut interface);
        }
        Ok(interface)
    }
}

struct Reader {
    /// The position of each type.
    shapes: Vec<ShapeId>,
}

impl Reader {
    fn shape_id(&self, id: ElementId) -> ShapeId {
        self.shapes[id]
    }

    fn add(&self, element: Element, takes_anything: bool, interface: &mut Interface) {
        let Element {
            name,
            features,
            kind,
        } = element;
        let shape = match kind {
            Kind::Command {
                arguments,
                returns,
                allows_oob,
            } => {
                let command = Command {
                    common: common(features),
                    arguments: self.shape_id(arguments),
                    returns: self.shape_id(returns),
                    allows_oob,
                    oob_line: None,
                    has_success_response: None,
                    takes_anything,
                };
                interface.commands.insert(name, command);
                return;
            }
            Kind::Event { data } => {
                let event = Event {
                    common: common(features),
                    data: self.shape_id(data),
                };
                interface.events.insert(name, event);
                return;
            }
            Kind::Builtin(json) => Shape::Scalar(match json {
                JsonType::String => Scalar::String,
                JsonType::Number => Scalar::Number,
                JsonType::Int => Scalar::Int(None),
                JsonType::Boolean => Scalar::Bool,
                JsonType::Null => Scalar::Null,
                JsonType::Value => Scalar::Any,
            }),
            Kind::Enum(values) => {
                let values = values.into_iter().map(|value| EnumValue {
                    name: value.name,
                    common: common(value.features),
                });
                Shape::Enum(Enum::of(values))
            }
            Kind::Array(element) => Shape::Array(self.shape_id(element)),
            Kind::Object { members, variants } => {
                let members = members.into_iter().map(|member| Member {
                    name: member.name,
                    shape: self.shape_id(member.ty),
                    is_optional: member.is_optional,
                    absent: None,
                    common: common(member.features),
                });
                let members = members.collect();
                let (tag, branches) = match variants {
                    Some(Variants { tag, branches }) => (Some(tag), branches),
                    None => (None, Vec::new()),
                };
                let branches = branches.into_iter();
                Shape::Object(Object {
                    members,
                    tag,
                    branches: branches
                        .map(|(case, ty)| (case, self.shape_id(ty)))
                        .collect(),
                    ..Object::default()
                })
            }
            Kind::Alternate(branches) => {
                Shape::Alternate(branches.iter().map(|ty| self.shape_id(*ty)).collect())
            }
        };
        interface.types.push(shape);
        interface.features.push(features);
    }
}

fn common(features: Vec<String>) -> Common {
    Common {
        features,
        ..Common::default()
    }
}
