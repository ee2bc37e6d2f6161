//! Structs: their fields, reading and writing, constructors.

use crate::ir::{DocId, TypeId};

use super::gate::Gate;
use super::layout;
use super::plan::{Field, Policies, Presence, deprecation};
use super::template::{lines, rust};
use super::writer::ModuleWriter;

/// A struct to be printed.
pub(super) struct Struct<'s, 'a> {
    /// The Rust name.
    pub(super) name: &'s str,
    /// The name in the schema, for options.
    pub(super) schema_name: &'s str,
    /// What there is to say without documentation.
    pub(super) summary: String,
    pub(super) doc: Option<DocId>,
    pub(super) fields: &'s [Field<'a>],
    /// The type itself, which boxes what contains it.
    pub(super) id: Option<TypeId>,
    /// The field that is the enum of branches, with its Rust type.
    pub(super) tag: Option<(&'s str, &'s str)>,
    /// When the struct itself is deprecated.
    pub(super) deprecated: Option<Gate>,
}

/// clippy's limit on the parameters of a function.
const MAX_PARAMETERS: usize = 7;

impl ModuleWriter<'_, '_> {
    /// The derives, also those that the user asked for, and the user's other attributes.
    pub(super) fn derives(&mut self, derives: &[&str], schema_name: &str) {
        let options = self.plan.options;
        let own = options.attributes.get(schema_name).into_iter().flatten();
        let mut all = derives.to_vec();
        let mut others = Vec::new();
        for attribute in options.attributes_for_all.iter().chain(own) {
            let Some(list) = derived(attribute) else {
                others.push(attribute);
                continue;
            };
            for name in list {
                if !all.contains(&name) {
                    all.push(name);
                }
            }
        }
        self.line(&format!("#[derive({})]", all.join(", ")));
        for attribute in others {
            self.line(attribute);
        }
    }

    /// The attributes that the user asked for on a member, value or branch.
    pub(super) fn part_attributes(&mut self, definition: &str, part: &str) {
        let attributes = &self.plan.options.attributes;
        if attributes.is_empty() {
            return;
        }
        let own = attributes.get(&format!("{definition}.{part}"));
        for attribute in own.into_iter().flatten() {
            self.line(attribute);
        }
    }

    /// The struct with its doc, without its impls. The item was begun.
    pub(super) fn emit_struct(&mut self, item: &Struct<'_, '_>) {
        self.definition_doc(item.doc, &item.summary);
        rust!(self, "$cfg");
        let shapes = &self.plan.shapes;
        let has_default = item.tag.is_none()
            && match item.id {
                Some(id) => shapes.has_default(id),
                None => shapes.fields_have_default(self.plan, item.fields),
            };
        let derives: &[&str] = if has_default {
            &["Debug", "Clone", "PartialEq", "Default"]
        } else {
            &["Debug", "Clone", "PartialEq"]
        };
        self.derives(derives, item.schema_name);
        if let Some(gate) = &item.deprecated {
            self.deprecated_attribute(gate, item.doc);
            self.note_deprecated(gate);
        }
        let name = item.name;
        if item.fields.is_empty() {
            return rust!(
                self,
                "
                pub struct $name {}

                ",
                name,
            );
        }
        let fields = lines(|w| {
            for field in item.fields {
                w.under(&field.gate, |w| w.emit_field(item, field));
                w.relieve();
            }
        });
        rust!(
            self,
            "
            pub struct $name {
                $fields
            }

            ",
            name,
            fields,
        );
        self.emit_constructor(item);
    }

    fn emit_field(&mut self, item: &Struct<'_, '_>, field: &Field<'_>) {
        let name = field.member.name();
        self.part_doc(field.doc, name, "Member");
        if field.presence == Presence::Tolerant {
            rust!(
                self,
                "
                ///
                /// Mandatory, but old servers may not have it.
                "
            );
        }
        rust!(self, "$cfg");
        if let Some(gate) = deprecation(&field.policies) {
            self.deprecated_attribute(&gate, field.doc);
            self.note_deprecated(&gate);
        }
        self.part_attributes(item.schema_name, name);
        let ty = self.field_type(item, field);
        rust!(self, "pub $ident: $ty,", ident = &field.ident, ty);
    }

    fn field_type(&mut self, item: &Struct<'_, '_>, field: &Field<'_>) -> String {
        let mut ty = self.bare_field_type(item, field);
        if self.is_boxed(item, field) {
            ty = format!("{}<{ty}>", self.known("Box"));
        }
        if field.is_option() {
            ty = format!("{}<{ty}>", self.known("Option"));
        }
        ty
    }

    fn bare_field_type(&mut self, item: &Struct<'_, '_>, field: &Field<'_>) -> String {
        match item.tag {
            Some((tag, branches)) if field.member.name() == tag => branches.to_owned(),
            Some(_) | None => self.type_ref(field.member.type_id()),
        }
    }

    fn is_boxed(&self, item: &Struct<'_, '_>, field: &Field<'_>) -> bool {
        let content = field.member.type_id();
        let is_tag = item.tag.is_some_and(|(tag, _)| tag == field.member.name());
        let is_object = self.plan.schema.ty(content).as_object().is_some();
        let closes = |id| self.plan.shapes.closes_cycle(id, content);
        !is_tag && is_object && item.id.is_some_and(closes)
    }

    /// `new` with the mandatory members, where there are optional ones that a caller need not write.
    fn emit_constructor(&mut self, item: &Struct<'_, '_>) {
        let (optional, mandatory): (Vec<_>, Vec<_>) = item
            .fields
            .iter()
            .partition(|field| field.member.is_optional());
        let is_open = mandatory.iter().any(|field| !field.gate.is_always());
        // A type called `New` cannot have a constructor called so.
        if item.name == "New"
            || optional.is_empty()
            || mandatory.is_empty()
            || is_open
            || mandatory.len() > MAX_PARAMETERS
        {
            return;
        }
        let mut parameters = Vec::new();
        for field in &mandatory {
            let ty = self.bare_field_type(item, field);
            parameters.push(format!("{}: {ty}", field.ident));
        }
        let values = lines(|w| {
            let mut values = Vec::new();
            for field in item.fields {
                let mut attributes = String::new();
                let mapping = &w.plan.options.mapping;
                mapping.attribute(&mut attributes, w.indent + 4, &field.gate);
                values.push((attributes, w.initial_value(item, field)));
            }
            layout::literal(&mut w.out, w.indent, "Self", &values);
        });
        rust!(
            self,
            "
            $cfg
            impl $name {
                /// With the mandatory members; the others are absent.
                pub fn new($parameters) -> Self {
                    $values
                }
            }

            ",
            name = item.name,
            parameters = parameters.join(", "),
            values,
        );
    }

    /// A field of the value that `new` makes.
    fn initial_value(&mut self, item: &Struct<'_, '_>, field: &Field<'_>) -> String {
        let ident = &field.ident;
        let given = if self.is_boxed(item, field) {
            format!("{}::new({ident})", self.known("Box"))
        } else {
            ident.clone()
        };
        match field.presence {
            Presence::Optional => format!("{ident}: None"),
            Presence::Tolerant => format!("{ident}: Some({given})"),
            Presence::Mandatory | Presence::TolerantTag if given == *ident => given,
            Presence::Mandatory | Presence::TolerantTag => format!("{ident}: {given}"),
        }
    }

    /// `impl Members` of a struct without branches.
    pub(super) fn emit_members(&mut self, name: &str, fields: &[Field<'_>]) {
        if fields.is_empty() {
            return rust!(
                self,
                "
                $cfg
                impl $Members for $name {
                    fn read_members(_object: &mut $ObjectInput<'_, '_>) -> $Result<Self, $VisitError> {
                        Ok(Self {})
                    }

                    fn write_members(&self, _object: &mut $ObjectOutput<'_>) {}
                }

                ",
                name,
            );
        }
        // Keeps the parameter from being unused where every use of it is conditional.
        let is_open = fields.iter().all(|field| !field.gate.is_always());
        let discard = lines(|w| {
            if is_open {
                rust!(w, "let _ = object;");
            }
        });
        let read = lines(|w| {
            for field in fields {
                w.read_field(field, &format!("{}: ", field.ident), ",");
                w.relieve();
            }
        });
        let write = lines(|w| {
            for field in fields {
                w.write_field(field, None);
                w.relieve();
            }
        });
        rust!(
            self,
            "
            $cfg
            impl $Members for $name {
                fn read_members(object: &mut $ObjectInput<'_, '_>) -> $Result<Self, $VisitError> {
                    $discard
                    Ok(Self {
                        $read
                    })
                }

                fn write_members(&self, object: &mut $ObjectOutput<'_>) {
                    $discard
                    $write
                }
            }

            ",
            name,
            discard = discard,
            read,
            write,
        );
    }

    /// `{head}required!(object, "name"){tail}`.
    pub(super) fn read_field(&mut self, field: &Field<'_>, head: &str, tail: &'static str) {
        for case in field.policies.iter() {
            let gate = field.gate.and(&case.gate);
            self.under(&gate, |w| {
                let macro_name = w.runtime(
                    "read",
                    match field.presence {
                        Presence::Mandatory => "required",
                        Presence::Optional => "optional",
                        Presence::Tolerant => "tolerant",
                        Presence::TolerantTag => "tolerant_tag",
                    },
                );
                let policy = w.policy(case).map(|policy| format!(", {policy}"));
                rust!(
                    w,
                    "
                    $cfg
                    $head$macro_name!(object, $name$policy)$tail
                    ",
                    head,
                    macro_name = &*macro_name,
                    name = layout::string(field.member.name()),
                    policy = policy.unwrap_or_default(),
                    tail,
                );
            });
        }
    }

    /// `object.required("name", &self.field);`, or another value than the field's.
    pub(super) fn write_field(&mut self, field: &Field<'_>, value: Option<&str>) {
        let own = format!("&self.{}", field.ident);
        let value = value.unwrap_or(&own);
        for case in field.policies.iter() {
            let gate = field.gate.and(&case.gate);
            self.under(&gate, |w| {
                let policy = w.policy(case);
                let method = method(field, policy.is_some());
                let policy = policy.map(|policy| format!("{policy}, "));
                rust!(
                    w,
                    "
                    $cfg
                    object.$method($name, $policy$value);
                    ",
                    method,
                    name = layout::string(field.member.name()),
                    policy = policy.unwrap_or_default(),
                    value,
                );
            });
        }
    }

    /// The policy of what is being printed.
    pub(super) fn policy(&mut self, case: &Policies) -> Option<String> {
        if !case.deprecated && !case.unstable {
            return None;
        }
        let policy = self.known("SpecialFeatures");
        case.constant(&policy)
    }

    /// serde's traits.
    pub(super) fn emit_serde(&mut self, name: &str) {
        rust!(
            self,
            "
            $cfg
            $door::impl_serde!($name);

            ",
            name,
        );
    }
}

fn method(field: &Field<'_>, has_policy: bool) -> &'static str {
    match (field.is_option(), has_policy) {
        (false, false) => "required",
        (false, true) => "required_with",
        (true, false) => "optional",
        (true, true) => "optional_with",
    }
}

/// The names in an attribute that derives traits.
fn derived(attribute: &str) -> Option<impl Iterator<Item = &str>> {
    let list = attribute.strip_prefix("#[derive(")?.strip_suffix(")]")?;
    let names = list.split(',').map(str::trim);
    Some(names.filter(|name| !name.is_empty()))
}
