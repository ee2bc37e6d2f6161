//! Values of a schema's types, and values that are not quite.

use qapi_gen::ir::{Branch, Builtin, Condition, Configuration, Enum, Schema, TypeId, TypeKind};
use serde_json::{Map, Value, json};

use crate::Random;

/// Makes values of a schema's types.
#[derive(Debug)]
pub struct Generator<'s> {
    schema: &'s Schema,
    configuration: &'s Configuration,
    random: Random,
}

/// From this depth on only what must be there is there.
const MAX_DEPTH: usize = 6;

/// Recursion that a schema does not let end is given up here.
const HOPELESS_DEPTH: usize = 60;

impl<'s> Generator<'s> {
    /// Values for the part of `schema` that `configuration` leaves.
    #[must_use]
    pub fn new(schema: &'s Schema, configuration: &'s Configuration, seed: u64) -> Self {
        Self {
            schema,
            configuration,
            random: Random::new(seed),
        }
    }

    /// A value of the type, `None` if no value could be found: an enum may have no values.
    pub fn value(&mut self, id: TypeId) -> Option<Value> {
        self.at(id, 0)
    }

    fn holds(&self, condition: &Condition) -> bool {
        condition.resolve(self.configuration) == Some(true)
    }

    fn at(&mut self, id: TypeId, depth: usize) -> Option<Value> {
        if depth > HOPELESS_DEPTH {
            return None;
        }
        match self.schema.ty(id).kind() {
            TypeKind::Builtin(builtin) => Some(self.builtin(*builtin, depth)),
            TypeKind::Enum(values) => self.name(values).map(Value::from),
            TypeKind::Array(element) => {
                let limit = if depth < MAX_DEPTH { 3 } else { 1 };
                let n_elements = self.random.below(limit);
                let elements = (0..n_elements).filter_map(|_| self.at(*element, depth + 1));
                Some(elements.collect::<Vec<_>>().into())
            }
            TypeKind::Object(_) => {
                let mut members = Map::new();
                self.members(id, depth, &mut members)?;
                Some(Value::Object(members))
            }
            TypeKind::Alternate(alternate) => {
                let branches = self.holding(alternate.branches());
                // A branch that recurses may lead nowhere; another one may not.
                let start = self.random.below(branches.len().max(1));
                let rotated = branches.iter().cycle().skip(start).take(branches.len());
                for branch in rotated {
                    if let Some(value) = self.at(branch.type_id(), depth + 1) {
                        return Some(value);
                    }
                }
                None
            }
        }
    }

    fn holding<'b>(&self, branches: &'b [Branch]) -> Vec<&'b Branch> {
        let holding = branches
            .iter()
            .filter(|branch| self.holds(branch.condition()));
        holding.collect()
    }

    fn name(&mut self, values: &'s Enum) -> Option<&'s str> {
        let names: Vec<&str> = values
            .values()
            .iter()
            .filter(|value| self.holds(value.condition()))
            .map(|value| value.name())
            .collect();
        self.random.pick(&names).copied()
    }

    fn members(
        &mut self,
        id: TypeId,
        depth: usize,
        members: &mut Map<String, Value>,
    ) -> Option<()> {
        for member in self.schema.members(id) {
            if !self.holds(member.condition()) {
                continue;
            }
            if member.is_optional() && (depth >= MAX_DEPTH || self.random.once_in(2)) {
                continue;
            }
            match self.at(member.type_id(), depth + 1) {
                Some(value) => {
                    members.insert(member.name().to_owned(), value);
                }
                None if member.is_optional() => {}
                None => return None,
            }
        }
        let object = self.schema.ty(id).as_object()?;
        let Some(variants) = object.variants() else {
            return Some(());
        };
        let tag = members.get(variants.tag())?.as_str()?;
        let branches = self.holding(variants.branches());
        match branches.iter().find(|branch| branch.name() == tag) {
            Some(branch) => self.members(branch.type_id(), depth + 1, members),
            None => Some(()),
        }
    }

    /// The value as JSON text, the members of every object in any order.
    pub fn text(&mut self, value: &Value) -> String {
        match value {
            Value::Object(members) => {
                let mut texts = Vec::new();
                for (name, value) in members {
                    texts.push(format!(
                        "{}: {}",
                        Value::from(name.as_str()),
                        self.text(value)
                    ));
                }
                for last in (1..texts.len()).rev() {
                    texts.swap(last, self.random.below(last + 1));
                }
                format!("{{{}}}", texts.join(", "))
            }
            Value::Array(elements) => {
                let texts: Vec<String> = elements.iter().map(|it| self.text(it)).collect();
                format!("[{}]", texts.join(", "))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
        }
    }

    fn builtin(&mut self, builtin: Builtin, depth: usize) -> Value {
        let random = &mut self.random;
        let bits = |bits: u32, random: &mut Random| match random.below(4) {
            0 => 0,
            1 => u64::MAX >> (64 - bits),
            _ => random.number() >> (64 - bits),
        };
        let signed = |width: u32, random: &mut Random| {
            let value = bits(width, random) << (64 - width);
            value.cast_signed() >> (64 - width)
        };
        match builtin {
            Builtin::Str => {
                let texts = ["", "str", "a \"b\" \\ c", "\u{0}\u{1f}\n", "ü€𝄞", "/", "'"];
                random.pick(&texts).copied().unwrap_or_default().into()
            }
            Builtin::Number => {
                let numbers = [0.0, -0.5, 1.0, 1e300, 4.9e-324, 0.1, -123_456.75, 1e15];
                random.pick(&numbers).copied().unwrap_or_default().into()
            }
            Builtin::Int | Builtin::Int64 => signed(64, random).into(),
            Builtin::Int8 => signed(8, random).into(),
            Builtin::Int16 => signed(16, random).into(),
            Builtin::Int32 => signed(32, random).into(),
            Builtin::Uint8 => bits(8, random).into(),
            Builtin::Uint16 => bits(16, random).into(),
            Builtin::Uint32 => bits(32, random).into(),
            Builtin::Uint64 | Builtin::Size => bits(64, random).into(),
            Builtin::Bool => random.once_in(2).into(),
            Builtin::Null => Value::Null,
            Builtin::Any => {
                let values = [
                    json!(null),
                    json!(true),
                    json!(u64::MAX),
                    json!(-1.5),
                    json!("any"),
                    json!([]),
                    json!({"a": [1, {"b": null}], "": {}}),
                ];
                let value = random.pick(&values).cloned().unwrap_or_default();
                if depth < MAX_DEPTH {
                    value
                } else {
                    Value::Null
                }
            }
        }
    }

    /// Breaks `value` somewhere: another kind, a member too many or too few, a name that is not valid,
    /// a number that is out of range.
    pub fn mutate(&mut self, value: &mut Value) {
        let random = &mut self.random;
        match value {
            Value::Object(members) if !members.is_empty() && !random.once_in(6) => {
                let keys: Vec<String> = members.keys().cloned().collect();
                let Some(key) = random.pick(&keys) else {
                    return;
                };
                match random.below(8) {
                    0 => {
                        members.remove(key);
                    }
                    1 => {
                        let (_, value) = members.remove_entry(key).unwrap_or_default();
                        members.insert(format!("{key}x"), value);
                    }
                    2 => {
                        members.insert("x-none".to_owned(), Value::Null);
                    }
                    _ => self.mutate(&mut members[key.as_str()]),
                }
            }
            Value::Array(elements) if !elements.is_empty() && !random.once_in(6) => {
                let index = random.below(elements.len());
                self.mutate(&mut elements[index]);
            }
            _ => {
                let values = [
                    json!(null),
                    json!(true),
                    json!(-1),
                    json!(128),
                    json!(65536),
                    json!(u64::MAX),
                    json!(i64::MIN),
                    json!(1.5),
                    json!(1e30),
                    json!("none"),
                    json!(""),
                    json!([]),
                    json!([null]),
                    json!({}),
                    json!({"type": "none"}),
                ];
                *value = random.pick(&values).cloned().unwrap_or_default();
            }
        }
    }
}
