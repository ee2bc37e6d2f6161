//! Structs: their fields, reading and writing, constructors.

use crate::ir::{DocId, TypeId};

use super::gate::Gate;
use super::layout;
use super::plan::{Field, Policies, Presence, deprecation};
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
        layout::derive(&mut self.out, &all);
        for attribute in others {
            self.line(0, &[attribute]);
        }
    }

    /// The attributes that the user asked for on a member, value or branch.
    pub(super) fn part_attributes(&mut self, definition: &str, part: &str) {
        let attributes = &self.plan.options.attributes;
        if attributes.is_empty() {
            return;
        }
        for attribute in attributes
            .get(&format!("{definition}.{part}"))
            .into_iter()
            .flatten()
        {
            self.line(4, &[attribute]);
        }
    }

    /// The struct with its doc, without its impls. The item was begun.
    pub(super) fn emit_struct(&mut self, item: &Struct<'_, '_>) {
        self.definition_doc(item.doc, &item.summary);
        self.item_attribute();
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
            self.deprecated_attribute(0, gate);
            self.note_deprecated(gate);
        }
        let visibility = "pub";
        if item.fields.is_empty() {
            self.line(0, &[visibility, " struct ", item.name, " {}"]);
            self.blank();
            return;
        }
        self.line(0, &[visibility, " struct ", item.name, " {"]);
        for field in item.fields {
            self.part_doc(4, field.doc, field.member.name(), "Member");
            if field.presence == Presence::Tolerant {
                self.line(4, &["///"]);
                self.line(4, &["/// Mandatory, but old servers may not have it."]);
            }
            self.attribute(4, &field.gate);
            if let Some(gate) = deprecation(&field.policies) {
                self.deprecated_attribute(4, &gate);
                self.note_deprecated(&field.gate.and(&gate));
            }
            self.part_attributes(item.schema_name, field.member.name());
            let head = format!("pub {}:", field.ident);
            let ty = self.field_type(item, field);
            layout::field(&mut self.out, 4, &head, &ty);
        }
        self.line(0, &["}"]);
        self.blank();
        self.emit_constructor(item);
    }

    fn field_type(&mut self, item: &Struct<'_, '_>, field: &Field<'_>) -> String {
        let ty = self.bare_field_type(item, field);
        let ty = if self.is_boxed(item, field) {
            format!("{}<{ty}>", self.std_under("Box", &field.gate))
        } else {
            ty
        };
        if field.is_option() {
            format!("{}<{ty}>", self.std_under("Option", &field.gate))
        } else {
            ty
        }
    }

    fn bare_field_type(&mut self, item: &Struct<'_, '_>, field: &Field<'_>) -> String {
        match item.tag {
            Some((tag, branches)) if field.member.name() == tag => branches.to_owned(),
            Some(_) | None => self.type_ref(field.member.type_id(), &field.gate),
        }
    }

    fn is_boxed(&self, item: &Struct<'_, '_>, field: &Field<'_>) -> bool {
        let content = field.member.type_id();
        let is_tag = item.tag.is_some_and(|(tag, _)| tag == field.member.name());
        let is_object = self.plan.schema.ty(content).as_object().is_some();
        let closes = |id| self.plan.shapes.closes_cycle(id, content);
        !is_tag && is_object && item.id.is_some_and(closes)
    }

    /// `new` with the mandatory members, where there are optional ones to be spared.
    fn emit_constructor(&mut self, item: &Struct<'_, '_>) {
        let (optional, mandatory): (Vec<_>, Vec<_>) = item
            .fields
            .iter()
            .partition(|field| field.member.is_optional());
        let is_open = mandatory.iter().any(|field| !field.gate.is_always());
        // A type called `New` is no place for a constructor called so.
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
            parameters.push(format!(
                "{}: {}",
                field.ident,
                self.bare_field_type(item, field)
            ));
        }
        let mut values = Vec::new();
        for field in item.fields {
            let attributes = self.attribute_text(12, &field.gate);
            let ident = &field.ident;
            let given = if self.is_boxed(item, field) {
                format!("{}::new({ident})", self.std("Box"))
            } else {
                ident.clone()
            };
            let value = match field.presence {
                Presence::Optional => format!("{ident}: None"),
                Presence::Tolerant => format!("{ident}: Some({given})"),
                Presence::Mandatory | Presence::TolerantTag if given == *ident => given,
                Presence::Mandatory | Presence::TolerantTag => format!("{ident}: {given}"),
            };
            values.push((attributes, value));
        }
        self.item_attribute();
        self.line(0, &["impl ", item.name, " {"]);
        self.line(
            4,
            &["/// With the mandatory members; the others are absent."],
        );
        let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
        layout::signature(
            &mut self.out,
            4,
            "pub fn new",
            &parameters,
            " -> Self",
            " {",
        );
        let values_width: usize =
            values.iter().map(|(_, value)| value.len()).sum::<usize>() + values.len() * 2 - 2;
        let has_attributes = values.iter().any(|(attributes, _)| !attributes.is_empty());
        if values_width <= layout::STRUCT_WIDTH && !has_attributes {
            let values: Vec<&str> = values.iter().map(|(_, value)| value.as_str()).collect();
            self.line(8, &["Self { ", &values.join(", "), " }"]);
        } else {
            self.line(8, &["Self {"]);
            for (attributes, value) in &values {
                self.out.push_str(attributes);
                self.line(12, &[value, ","]);
            }
            self.line(8, &["}"]);
        }
        self.line(4, &["}"]);
        self.line(0, &["}"]);
        self.blank();
    }

    /// `impl Members` of a struct without branches.
    pub(super) fn emit_members(&mut self, name: &str, fields: &[Field<'_>]) {
        self.begin_members(name);
        let is_used = !fields.is_empty();
        self.begin_read(is_used);
        self.discard_object(fields);
        if is_used {
            self.line(8, &["Ok(Self {"]);
            for field in fields {
                self.read_field(12, field, &format!("{}: ", field.ident), ",");
            }
            self.line(8, &["})"]);
        } else {
            self.line(8, &["Ok(Self {})"]);
        }
        self.line(4, &["}"]);
        self.blank();
        self.begin_write(is_used);
        if is_used {
            self.discard_object(fields);
            for field in fields {
                self.write_field(field, None);
            }
            self.line(4, &["}"]);
        }
        self.line(0, &["}"]);
        self.blank();
    }

    pub(super) fn begin_members(&mut self, name: &str) {
        let members = self.visit("Members");
        self.item_attribute();
        layout::impl_of(&mut self.out, &members, name);
    }

    /// The signature of `read_members`.
    pub(super) fn begin_read(&mut self, is_used: bool) {
        let name = if is_used { "object" } else { "_object" };
        let parameter = format!("{name}: &mut {}<'_, '_>", self.visit("ObjectInput"));
        let result = format!(
            " -> {}<Self, {}>",
            self.std("Result"),
            self.visit("VisitError")
        );
        layout::signature(
            &mut self.out,
            4,
            "fn read_members",
            &[&parameter],
            &result,
            " {",
        );
    }

    /// The signature of `write_members`.
    pub(super) fn begin_write(&mut self, is_used: bool) {
        let name = if is_used { "object" } else { "_object" };
        let parameter = format!("{name}: &mut {}<'_>", self.visit("ObjectOutput"));
        let end = if is_used { " {" } else { " {}" };
        let parameters = ["&self", &parameter];
        layout::signature(&mut self.out, 4, "fn write_members", &parameters, "", end);
    }

    /// Keeps the parameter from being unused where every use of it is conditional.
    fn discard_object(&mut self, fields: &[Field<'_>]) {
        if !fields.is_empty() && fields.iter().all(|field| !field.gate.is_always()) {
            self.line(8, &["let _ = object;"]);
        }
    }

    /// `{head}required!(object, "name"){tail}`.
    pub(super) fn read_field(&mut self, width: usize, field: &Field<'_>, head: &str, tail: &str) {
        for case in &field.policies {
            let gate = field.gate.and(&case.gate);
            self.attribute(width, &gate);
            let kind = match field.presence {
                Presence::Mandatory => "required",
                Presence::Optional => "optional",
                Presence::Tolerant => "tolerant",
                Presence::TolerantTag => "tolerant_tag",
            };
            let kind = self.runtime_under("read", kind, &gate);
            let name = layout::string(field.member.name());
            let policy = self.policy(case, &gate);
            let mut arguments = vec!["object", name.as_str()];
            arguments.extend(policy.as_deref());
            layout::call(
                &mut self.out,
                width,
                head,
                &format!("{kind}!"),
                &arguments,
                tail,
            );
        }
    }

    /// `object.required("name", &self.field);`, or another value than the field's.
    pub(super) fn write_field(&mut self, field: &Field<'_>, value: Option<&str>) {
        for case in &field.policies {
            let gate = field.gate.and(&case.gate);
            self.attribute(8, &gate);
            let name = layout::string(field.member.name());
            let policy = self.policy(case, &gate);
            let method = method(field, policy.is_some());
            let own = format!("&self.{}", field.ident);
            let mut arguments = vec![name.as_str()];
            arguments.extend(policy.as_deref());
            arguments.push(value.unwrap_or(&own));
            layout::method_call(&mut self.out, 8, "", "object", method, &arguments, ";");
        }
    }

    /// The policy of what is there under `gate`, besides the gate of the item.
    pub(super) fn policy(&mut self, case: &Policies, gate: &Gate) -> Option<String> {
        if !case.deprecated && !case.unstable {
            return None;
        }
        let policy = self.runtime_under("", "SpecialFeatures", gate);
        case.constant(&policy)
    }

    /// serde's traits.
    pub(super) fn emit_serde(&mut self, name: &str) {
        self.emit_macro("impl_serde", name);
    }

    pub(super) fn emit_macro(&mut self, macro_name: &str, name: &str) {
        self.item_attribute();
        let door = self.plan.options.door.as_str();
        self.line(0, &[door, "::", macro_name, "!(", name, ");"]);
        self.blank();
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
