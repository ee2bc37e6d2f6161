//! serde: generated types and [`Value`] in any other format.
//!
//! An object that has a member twice is refused, as it is on the wire. A format that cannot have one twice, or a
//! deserializer that keeps only the last (`serde_json::Value`), leaves nothing to refuse.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeMap, SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

use crate::json::{Document, DocumentBuilder, Node, TooLarge, ValueRef};
use crate::value::Value;
use crate::visit::{Input, Mode, Output, Visit};

/// Serializes a QAPI type; the body of what `impl_serde!` makes.
///
/// # Errors
///
/// Values that no peer can be sent, and what the serializer refuses.
pub fn serialize<T: Visit, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let mut output = Output::new();
    value.write(&mut output).map_err(S::Error::custom)?;
    let document = Document::parse(output.as_bytes()).map_err(S::Error::custom)?;
    document.root().serialize(serializer)
}

/// Deserializes a QAPI type, as a client reads it; the body of what `impl_serde!` makes.
///
/// # Errors
///
/// Values that do not fit the type, objects that have a member twice at any depth, also where the type does not look,
/// and what the deserializer refuses.
pub fn deserialize<'de, T: Visit, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let document = Document::deserialize(deserializer)?;
    T::read(&mut Input::new(&document, Mode::Lenient)).map_err(D::Error::custom)
}

impl Serialize for ValueRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.node() {
            Node::Null => serializer.serialize_unit(),
            Node::Bool(value) => serializer.serialize_bool(value),
            Node::Int(value) => serializer.serialize_i64(value),
            Node::UInt(value) => serializer.serialize_u64(value),
            Node::Double(value) => serializer.serialize_f64(value),
            Node::String { .. } => serializer.serialize_str(self.as_str().unwrap_or("")),
            Node::Array { .. } => {
                let elements = self.elements();
                let mut seq = serializer.serialize_seq(Some(elements.len()))?;
                for element in elements {
                    seq.serialize_element(&element)?;
                }
                seq.end()
            }
            Node::Object { .. } => {
                let mut map = serializer.serialize_map(Some(self.members().count()))?;
                for (key, value) in self.members() {
                    map.serialize_entry(key, &value)?;
                }
                map.end()
            }
        }
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.root().serialize(serializer)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::UInt(value) => serializer.serialize_u64(*value),
            Self::Double(value) => serializer.serialize_f64(*value),
            Self::String(value) => serializer.serialize_str(value),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(members) => serializer.collect_map(members),
        }
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut builder = DocumentBuilder::new();
        Seed(&mut builder).deserialize(deserializer)?;
        Ok(builder.finish())
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Document::deserialize(deserializer)?.root().to_value())
    }
}

/// Puts one value of any format into a builder.
struct Seed<'b>(&'b mut DocumentBuilder);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

fn built<E: serde::de::Error>(result: Result<(), TooLarge>) -> Result<(), E> {
    result.map_err(E::custom)
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        built(self.0.null())
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<(), E> {
        built(self.0.null())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        built(self.0.bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        built(self.0.int(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        built(self.0.uint(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        built(self.0.double(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        built(self.0.string(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        built(self.0.begin_array())?;
        while seq.next_element_seed(Seed(self.0))?.is_some() {}
        self.0.end();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        built(self.0.begin_object())?;
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(A::Error::custom(format_args!("duplicate member '{key}'")));
            }
            built(self.0.key(&key))?;
            keys.insert(key);
            map.next_value_seed(Seed(self.0))?;
        }
        self.0.end();
        Ok(())
    }
}
