//! Values of examples against types.

use super::Problem;
use super::json::{Data, Object, Value};
use super::message::unknown;
use crate::ir::{Alternate, Builtin, Enum, Member, Schema, TypeId, TypeKind};
use crate::text::Nearest;

/// Checks values against the types of a schema.
///
/// What is conditional may be there or not: an example is the same in every configuration.
pub(super) struct Values<'s> {
    schema: &'s Schema,
    nearest: &'s Nearest,
}

impl<'s> Values<'s> {
    pub(super) fn new(schema: &'s Schema, nearest: &'s Nearest) -> Self {
        Self { schema, nearest }
    }

    /// Checks `value` against the type `id`.
    pub(super) fn check(&self, id: TypeId, value: &Value, problems: &mut Vec<Problem>) {
        if matches!(value.data, Data::Elision) {
            return;
        }
        match self.schema.ty(id).kind() {
            TypeKind::Builtin(builtin) => check_builtin(*builtin, value, problems),
            TypeKind::Enum(values) => self.check_enum(id, values, value, problems),
            TypeKind::Array(element) => match &value.data {
                Data::Array(items) => {
                    for item in items {
                        self.check(*element, item, problems);
                    }
                }
                _ => problems.push(mismatch("an array", value)),
            },
            TypeKind::Object(_) => match &value.data {
                Data::Object(object) => self.check_object(id, object, value, problems),
                _ => problems.push(mismatch("an object", value)),
            },
            TypeKind::Alternate(alternate) => {
                self.check_alternate(id, alternate, value, problems);
            }
        }
    }

    /// Reports the mandatory members of the arguments of `name` when there are no arguments.
    pub(super) fn check_absent(
        &self,
        id: TypeId,
        name: &str,
        value: &Value,
        problems: &mut Vec<Problem>,
    ) {
        let object = Object::default();
        let members: Vec<_> = self.schema.members(id).collect();
        report_missing(&members, &object, &format!("'{name}'"), value, problems);
    }

    fn check_enum(&self, id: TypeId, values: &Enum, value: &Value, problems: &mut Vec<Problem>) {
        let Data::String(text) = &value.data else {
            return problems.push(mismatch("a string", value));
        };
        let mut names = values.values().iter().map(|value| value.name());
        if !names.clone().any(|name| name == text) {
            let role = format!("value of '{}'", self.schema.ty(id).name());
            problems.push(unknown(&role, text, self.nearest, &mut names, value));
        }
    }

    fn check_object(
        &self,
        id: TypeId,
        object: &Object,
        value: &Value,
        problems: &mut Vec<Problem>,
    ) {
        let ty = self.schema.ty(id);
        let mut members: Vec<_> = self.schema.members(id).collect();
        let mut is_open = false;
        if let Some(variants) = ty.as_object().and_then(|object| object.variants()) {
            let tag = object.get(variants.tag()).map(|member| &member.value.data);
            match tag {
                Some(Data::String(tag)) => {
                    let mut branches = variants.branches().iter();
                    if let Some(branch) = branches.find(|branch| branch.name() == tag) {
                        members.extend(self.schema.members(branch.type_id()));
                        // A branch may be a union in its turn.
                        is_open = self.is_union(branch.type_id());
                    } else {
                        is_open = true;
                    }
                }
                // Without the tag it is not known which members there are.
                Some(_) | None => is_open = true,
            }
        }
        let owner = if ty.is_named() {
            format!("'{}'", ty.name())
        } else {
            "the arguments".to_owned()
        };
        for shown in &object.members {
            let declared = members.iter().find(|member| member.name() == shown.name);
            match declared {
                Some(member) => self.check(member.type_id(), &shown.value, problems),
                None if is_open => {}
                None => {
                    let names = members.iter().map(|member| member.name());
                    let near = self.nearest.find(&shown.name, names);
                    let hint = near.map_or(String::new(), |near| format!(", '{near}' is similar"));
                    let message = format!(
                        "example has unknown member '{}' of {owner}{hint}",
                        shown.name
                    );
                    let at = shown.at.clone();
                    problems.push(Problem { message, at });
                }
            }
        }
        report_missing(&members, object, &owner, value, problems);
    }

    fn is_union(&self, id: TypeId) -> bool {
        let object = self.schema.ty(id).as_object();
        object.is_some_and(|object| object.variants().is_some())
    }

    fn check_alternate(
        &self,
        id: TypeId,
        alternate: &Alternate,
        value: &Value,
        problems: &mut Vec<Problem>,
    ) {
        let takes = |id: TypeId| match (self.schema.ty(id).kind(), &value.data) {
            (TypeKind::Builtin(builtin), data) => match builtin.json_type() {
                "string" => matches!(data, Data::String(_)),
                "boolean" => matches!(data, Data::Bool),
                "null" => matches!(data, Data::Null),
                "value" => true,
                _ => matches!(data, Data::Number(_)),
            },
            (TypeKind::Enum(_), Data::String(_)) => true,
            (TypeKind::Array(_), Data::Array(_)) => true,
            (TypeKind::Object(_), Data::Object(_)) => true,
            (
                TypeKind::Enum(_)
                | TypeKind::Array(_)
                | TypeKind::Object(_)
                | TypeKind::Alternate(_),
                _,
            ) => false,
        };
        let mut branches = alternate.branches().iter();
        match branches.find(|branch| takes(branch.type_id())) {
            Some(branch) => self.check(branch.type_id(), value, problems),
            None => {
                let name = self.schema.ty(id).name();
                problems.push(mismatch(&format!("a value of '{name}'"), value));
            }
        }
    }
}

/// Members that must be there and are not, all in one.
fn report_missing(
    members: &[&Member],
    object: &Object,
    owner: &str,
    value: &Value,
    problems: &mut Vec<Problem>,
) {
    if object.is_partial {
        return;
    }
    let missing: Vec<String> = members
        .iter()
        .filter(|member| {
            let is_needed = !member.is_optional() && member.condition().is_always();
            is_needed && object.get(member.name()).is_none()
        })
        .map(|member| format!("'{}'", member.name()))
        .collect();
    let plural = match missing.len() {
        0 => return,
        1 => "",
        _ => "s",
    };
    let names = missing.join(", ");
    problems.push(Problem {
        message: format!("example lacks member{plural} {names} of {owner}"),
        at: value.at.clone(),
    });
}

fn check_builtin(builtin: Builtin, value: &Value, problems: &mut Vec<Problem>) {
    let expected = match builtin {
        Builtin::Any => return,
        Builtin::Str => "a string",
        Builtin::Bool => "'true' or 'false'",
        Builtin::Null => "'null'",
        Builtin::Number => "a number",
        Builtin::Int
        | Builtin::Int8
        | Builtin::Int16
        | Builtin::Int32
        | Builtin::Int64
        | Builtin::Uint8
        | Builtin::Uint16
        | Builtin::Uint32
        | Builtin::Uint64
        | Builtin::Size => "an integer",
    };
    let fits = match (&value.data, builtin) {
        (Data::String(_), Builtin::Str) => true,
        (Data::Bool, Builtin::Bool) => true,
        (Data::Null, Builtin::Null) => true,
        (Data::Number(text), Builtin::Number) => text.parse::<f64>().is_ok_and(f64::is_finite),
        (Data::Number(text), _) => match (text.parse::<i128>(), range(builtin)) {
            (Ok(number), Some((min, max))) => {
                if !(min..=max).contains(&number) {
                    let name = builtin.as_str();
                    let message = format!("example has {number}, which '{name}' cannot hold");
                    let at = value.at.clone();
                    return problems.push(Problem { message, at });
                }
                true
            }
            _ => false,
        },
        _ => false,
    };
    if !fits {
        problems.push(mismatch(expected, value));
    }
}

/// The smallest and the largest value of an integer type. A negative number stands for a large
/// one where the type is unsigned with 64 bits, as in QEMU.
fn range(builtin: Builtin) -> Option<(i128, i128)> {
    Some(match builtin {
        Builtin::Int | Builtin::Int64 => (i128::from(i64::MIN), i128::from(i64::MAX)),
        Builtin::Int8 => (i128::from(i8::MIN), i128::from(i8::MAX)),
        Builtin::Int16 => (i128::from(i16::MIN), i128::from(i16::MAX)),
        Builtin::Int32 => (i128::from(i32::MIN), i128::from(i32::MAX)),
        Builtin::Uint8 => (0, i128::from(u8::MAX)),
        Builtin::Uint16 => (0, i128::from(u16::MAX)),
        Builtin::Uint32 => (0, i128::from(u32::MAX)),
        Builtin::Uint64 | Builtin::Size => (i128::from(i64::MIN), i128::from(u64::MAX)),
        Builtin::Str | Builtin::Number | Builtin::Bool | Builtin::Any | Builtin::Null => {
            return None;
        }
    })
}

fn mismatch(expected: &str, value: &Value) -> Problem {
    let found = match &value.data {
        Data::Elision => "something left out",
        Data::Null => "'null'",
        Data::Bool => "a boolean",
        Data::Number(_) => "a number",
        Data::String(_) => "a string",
        Data::Array(_) => "an array",
        Data::Object(_) => "an object",
    };
    Problem {
        message: format!("example has {found} where {expected} is expected"),
        at: value.at.clone(),
    }
}
