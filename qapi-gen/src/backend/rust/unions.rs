//! Unions: the enum of branches, beside the base members if there are any but the tag.

use std::collections::HashMap;

use super::gate::Gate;
use super::layout;
use super::plan::{TypePlan, UnionPlan, Variant};
use super::structs::Struct;
use super::writer::ModuleWriter;
use crate::ir::{TypeId, TypeKind};

impl ModuleWriter<'_, '_> {
    /// A union with all its impls.
    pub(super) fn emit_union(&mut self, ty: &TypePlan<'_>, union: &UnionPlan<'_>) {
        let name = ty.name.as_str();
        if union.is_enum() {
            self.definition_doc(ty.ty.doc(), &format!("Union `{}`.", ty.ty.name()));
            self.emit_branches(ty, union, ty.ty.name());
            self.emit_enum_members(name, union);
            self.emit_from_branches(ty, union);
            self.emit_serde(name);
            return;
        }
        self.emit_struct(&Struct {
            name,
            schema_name: ty.ty.name(),
            summary: format!("Union `{}`.", ty.ty.name()),
            doc: ty.ty.doc(),
            fields: &union.fields,
            id: Some(ty.id),
            tag: Some((union.variants.tag(), &union.branches_name)),
            deprecated: None,
        });
        self.emit_union_members(name, union);
        self.emit_serde(name);
        let tag = union.variants.tag();
        self.line(
            0,
            &[
                "/// What [`",
                name,
                "`] has beside its base, selected by `",
                tag,
                "`.",
            ],
        );
        self.emit_branches(ty, union, &union.branches_name);
        self.emit_from_branches(ty, union);
    }

    /// The enum, without its doc, and what reads and writes it.
    fn emit_branches(&mut self, ty: &TypePlan<'_>, union: &UnionPlan<'_>, schema_name: &str) {
        let name = union.branches_name.as_str();
        self.item_attribute();
        self.derives(&["Debug", "Clone", "PartialEq"], schema_name);
        self.line(0, &["pub enum ", name, " {"]);
        for variant in &union.branches {
            self.branch_doc(ty, variant);
            self.attribute(4, &variant.gate);
            self.part_attributes(ty.ty.name(), variant.branch.name());
            match variant.payload {
                Some(id) => {
                    let payload = self.variant_type(ty.id, id, &variant.gate);
                    let text = format!("{}({payload})", variant.ident);
                    self.variant_line(&variant.ident, &payload, &text);
                }
                None => self.line(4, &[&variant.ident, ","]),
            }
        }
        self.line(
            4,
            &["/// A branch that this schema does not have, in what a peer sent."],
        );
        let box_ = self.std("Box");
        self.line(4, &[&union.unknown, "(", &box_, "<str>),"]);
        self.line(0, &["}"]);
        self.blank();
        self.item_attribute();
        self.line(0, &["impl ", name, " {"]);
        self.emit_tag(union);
        self.blank();
        self.emit_read_branch(union);
        self.blank();
        self.emit_write_branch(union);
        self.line(0, &["}"]);
        self.blank();
    }

    pub(super) fn variant_line(&mut self, ident: &str, payload: &str, text: &str) {
        if text.len() + 5 <= layout::MAX_WIDTH {
            self.line(4, &[text, ","]);
        } else {
            self.line(4, &[ident, "("]);
            self.line(8, &[payload, ","]);
            self.line(4, &["),"]);
        }
    }

    fn branch_doc(&mut self, ty: &TypePlan<'_>, variant: &Variant<'_>) {
        let name = variant.branch.name();
        let is_documented = ty.ty.doc().is_some_and(|doc| {
            let section = self.plan.schema.doc(doc).member(name);
            section.is_some_and(|section| !section.lines().is_empty())
        });
        let doc = ty.ty.doc().filter(|_| is_documented);
        self.part_doc(4, doc, name, "Branch");
    }

    /// The type of a variant's payload, boxed where it closes a cycle or is large.
    pub(super) fn variant_type(&mut self, container: TypeId, id: TypeId, gate: &Gate) -> String {
        let ty = self.type_ref(id, gate);
        if self.is_variant_boxed(Some(container), id) {
            format!("{}<{ty}>", self.std_under("Box", gate))
        } else {
            ty
        }
    }

    pub(super) fn is_variant_boxed(&self, container: Option<TypeId>, id: TypeId) -> bool {
        let shapes = &self.plan.shapes;
        let is_object = matches!(self.plan.schema.ty(id).kind(), TypeKind::Object(_));
        let closes = container.is_some_and(|container| shapes.closes_cycle(container, id));
        is_object && (closes || shapes.is_large(id))
    }

    /// `tag`: the value of the discriminator.
    fn emit_tag(&mut self, union: &UnionPlan<'_>) {
        let kind = self.type_ref(union.variants.tag_type(), &Gate::ALWAYS);
        let tag_unknown = self.plan.tag_unknown(union).to_owned();
        self.line(
            4,
            &[
                "/// The value of the discriminator `",
                union.variants.tag(),
                "`.",
            ],
        );
        self.line(4, &["pub fn tag(&self) -> ", &kind, " {"]);
        self.line(8, &["match self {"]);
        for variant in &union.branches {
            self.attribute(12, &variant.gate);
            let rest = if variant.payload.is_some() { "(_)" } else { "" };
            let pattern = format!("Self::{}{rest}", variant.ident);
            let value = self.plan.tag_value(union, variant.branch);
            if let Some(gate) = self.plan.tag_deprecation(union, variant.branch) {
                self.note_deprecated(&variant.gate.and(&gate));
            }
            layout::arm(&mut self.out, 12, &pattern, &format!("{kind}::{value}"));
        }
        let pattern = format!("Self::{}(name)", union.unknown);
        layout::arm(
            &mut self.out,
            12,
            &pattern,
            &format!("{kind}::{tag_unknown}(name.clone())"),
        );
        self.line(8, &["}"]);
        self.line(4, &["}"]);
    }

    fn emit_read_branch(&mut self, union: &UnionPlan<'_>) {
        let kind = self.type_ref(union.variants.tag_type(), &Gate::ALWAYS);
        let tag_unknown = self.plan.tag_unknown(union).to_owned();
        let has_payload = union
            .branches
            .iter()
            .any(|variant| variant.payload.is_some());
        let object = if has_payload { "object" } else { "_object" };
        let object = format!("{object}: &mut {}<'_, '_>", self.visit("ObjectInput"));
        let tag = format!("tag: {kind}");
        let result = format!(
            " -> {}<Self, {}>",
            self.std("Result"),
            self.visit("VisitError")
        );
        layout::signature(
            &mut self.out,
            4,
            "fn read_branch",
            &[&tag, &object],
            &result,
            " {",
        );
        self.discard_branch_object(union);
        self.line(8, &["Ok(match tag {"]);
        for variant in &union.branches {
            self.attribute(12, &variant.gate);
            let pattern = format!("{kind}::{}", self.plan.tag_value(union, variant.branch));
            let body = match variant.payload {
                Some(_) => {
                    let branch = self.runtime_under("read", "branch", &variant.gate);
                    format!("Self::{}({branch}!(object))", variant.ident)
                }
                None => format!("Self::{}", variant.ident),
            };
            layout::arm(&mut self.out, 12, &pattern, &body);
        }
        let pattern = format!("{kind}::{tag_unknown}(name)");
        layout::arm(
            &mut self.out,
            12,
            &pattern,
            &format!("Self::{}(name)", union.unknown),
        );
        self.line(8, &["})"]);
        self.line(4, &["}"]);
    }

    /// Keeps the parameter from being unused where every use of it is conditional.
    fn discard_branch_object(&mut self, union: &UnionPlan<'_>) {
        let mut payloads = union
            .branches
            .iter()
            .filter(|variant| variant.payload.is_some())
            .peekable();
        if payloads.peek().is_some() && payloads.all(|variant| !variant.gate.is_always()) {
            self.line(8, &["let _ = object;"]);
        }
    }

    fn emit_write_branch(&mut self, union: &UnionPlan<'_>) {
        let has_payload = union
            .branches
            .iter()
            .any(|variant| variant.payload.is_some());
        let object = if has_payload { "object" } else { "_object" };
        let object = format!("{object}: &mut {}<'_>", self.visit("ObjectOutput"));
        let end = if has_payload { " {" } else { " {}" };
        let parameters = ["&self", &object];
        layout::signature(&mut self.out, 4, "fn write_branch", &parameters, "", end);
        if !has_payload {
            return;
        }
        self.discard_branch_object(union);
        self.line(8, &["match self {"]);
        let mut rest = Vec::new();
        for variant in &union.branches {
            if variant.payload.is_some() {
                self.attribute(12, &variant.gate);
                let pattern = format!("Self::{}(branch)", variant.ident);
                layout::arm(&mut self.out, 12, &pattern, "branch.write_members(object)");
            } else if variant.gate.is_always() {
                rest.push(format!("Self::{}", variant.ident));
            } else {
                self.attribute(12, &variant.gate);
                self.line(12, &["Self::", &variant.ident, " => {}"]);
            }
        }
        rest.push(format!("Self::{}(_)", union.unknown));
        layout::empty_arm(&mut self.out, 12, &rest);
        self.line(8, &["}"]);
        self.line(4, &["}"]);
        if union
            .branches
            .iter()
            .any(|variant| variant.payload.is_some())
        {
            self.visit("Members");
        }
    }

    /// `impl Members` of a union that is the enum of its branches.
    fn emit_enum_members(&mut self, name: &str, union: &UnionPlan<'_>) {
        self.begin_members(name);
        self.begin_read(true);
        for field in &union.fields {
            self.read_field(8, field, "let tag = ", ";");
        }
        self.line(8, &["Self::read_branch(tag, object)"]);
        self.line(4, &["}"]);
        self.blank();
        self.begin_write(true);
        for field in &union.fields {
            self.write_field(field, Some("&self.tag()"));
        }
        self.line(8, &["self.write_branch(object);"]);
        self.line(4, &["}"]);
        self.line(0, &["}"]);
        self.blank();
    }

    /// `impl Members` of a union with base members. The reference reads all of the base in its
    /// order before the branch, and so do we: it decides which of several mistakes is reported.
    fn emit_union_members(&mut self, name: &str, union: &UnionPlan<'_>) {
        let at_tag = union
            .fields
            .iter()
            .position(|field| union.is_tag(field))
            .unwrap_or(0);
        let (until_tag, behind) = union.fields.split_at(at_tag + 1);
        self.begin_members(name);
        self.begin_read(true);
        // The parameter is still needed.
        let binding = |ident: &str| match ident {
            "object" => "object_".to_owned(),
            other => other.to_owned(),
        };
        for field in until_tag {
            let head = format!("let {} = ", binding(&field.ident));
            self.read_field(8, field, &head, ";");
        }
        self.line(8, &["Ok(Self {"]);
        for field in until_tag.iter().filter(|field| !union.is_tag(field)) {
            self.attribute(12, &field.gate);
            if field.ident == "object" {
                self.line(12, &["object: ", &binding(&field.ident), ","]);
            } else {
                self.line(12, &[&field.ident, ","]);
            }
        }
        for field in behind {
            self.read_field(12, field, &format!("{}: ", field.ident), ",");
        }
        let tag = union.tag_ident.as_str();
        let head = format!("{tag}: ");
        let callee = format!("{}::read_branch", union.branches_name);
        let arguments = [&binding(tag), "object"];
        layout::call(&mut self.out, 12, &head, &callee, &arguments, "?,");
        self.line(8, &["})"]);
        self.line(4, &["}"]);
        self.blank();
        self.begin_write(true);
        let value = layout::tag_of_field(12, tag);
        for field in &union.fields {
            self.write_field(field, union.is_tag(field).then_some(value.as_str()));
        }
        let branch = format!("self.{tag}");
        layout::method_call(
            &mut self.out,
            8,
            "",
            &branch,
            "write_branch",
            &["object"],
            ";",
        );
        self.line(4, &["}"]);
        self.line(0, &["}"]);
        self.blank();
    }

    /// `From` for branches whose type no other branch has.
    fn emit_from_branches(&mut self, ty: &TypePlan<'_>, union: &UnionPlan<'_>) {
        self.emit_froms(&union.branches_name, Some(ty.id), &union.branches);
    }

    /// `From<Payload>` for variants whose payload no other variant has.
    pub(super) fn emit_froms(
        &mut self,
        name: &str,
        container: Option<TypeId>,
        variants: &[Variant<'_>],
    ) {
        let item_gate = self.gate.clone();
        let types: Vec<_> = variants
            .iter()
            .map(|variant| Some(self.type_ref(variant.payload?, &variant.gate)))
            .collect();
        let mut n_variants: HashMap<&str, usize> = HashMap::new();
        for payload in types.iter().flatten() {
            *n_variants.entry(payload).or_default() += 1;
        }
        for (variant, payload) in variants.iter().zip(&types) {
            let Some(payload) = payload else { continue };
            if n_variants.get(payload.as_str()).is_some_and(|n| *n > 1) {
                continue;
            }
            let is_boxed = variant
                .payload
                .is_some_and(|id| self.is_variant_boxed(container, id));
            self.gate = item_gate.and(&variant.gate);
            self.emit_from(name, payload, &variant.ident, is_boxed);
            self.gate = item_gate.clone();
        }
    }

    pub(super) fn emit_from(&mut self, name: &str, payload: &str, ident: &str, is_boxed: bool) {
        let from = self.std("From");
        self.item_attribute();
        layout::impl_of(&mut self.out, &format!("{from}<{payload}>"), name);
        self.line(4, &["fn from(value: ", payload, ") -> Self {"]);
        let separator = if ident.is_empty() { "" } else { "::" };
        if is_boxed {
            let box_ = self.std("Box");
            self.line(8, &["Self", separator, ident, "(", &box_, "::new(value))"]);
        } else {
            self.line(8, &["Self", separator, ident, "(value)"]);
        }
        self.line(4, &["}"]);
        self.line(0, &["}"]);
        self.blank();
    }
}
