//! Alternates: an enum by kind of JSON value.

use super::gate::Gate;
use super::layout;
use super::plan::{TypePlan, Variant};
use super::writer::ModuleWriter;
use crate::ir::{Builtin, TypeId, TypeKind};

/// The kinds of JSON values.
const N_KINDS: usize = 6;

impl ModuleWriter<'_, '_> {
    /// An alternate with all its impls.
    pub(super) fn emit_alternate(&mut self, ty: &TypePlan<'_>, variants: &[Variant<'_>]) {
        let name = ty.name.as_str();
        self.definition_doc(ty.ty.doc(), &format!("Alternate `{}`.", ty.ty.name()));
        self.item_attribute();
        self.derives(&["Debug", "Clone", "PartialEq"], ty.ty.name());
        if variants.is_empty() {
            self.line(0, &["pub enum ", name, " {}"]);
            self.blank();
            self.emit_empty_visit(ty);
            self.emit_serde(name);
            return;
        }
        self.line(0, &["pub enum ", name, " {"]);
        for variant in variants {
            self.part_doc(4, ty.ty.doc(), variant.branch.name(), "Branch");
            self.attribute(4, &variant.gate);
            let Some(id) = variant.payload else { continue };
            self.part_attributes(ty.ty.name(), variant.branch.name());
            let payload = self.variant_type(ty.id, id, &variant.gate);
            self.variant_line(
                &variant.ident,
                &payload,
                &format!("{}({payload})", variant.ident),
            );
        }
        self.line(0, &["}"]);
        self.blank();
        self.emit_alternate_visit(ty, variants);
        self.emit_froms(name, Some(ty.id), variants);
        self.emit_serde(name);
    }

    fn emit_alternate_visit(&mut self, ty: &TypePlan<'_>, variants: &[Variant<'_>]) {
        self.begin_visit(&ty.name);
        let visit = self.visit("Visit");
        self.line(8, &["match input.kind() {"]);
        for variant in variants {
            self.attribute(12, &variant.gate);
            let kind = self.runtime_under("", "Kind", &variant.gate);
            let kind = format!("{kind}::{}", self.kind_of(variant.branch.type_id()));
            let body = format!("{visit}::read(input).map(Self::{})", variant.ident);
            layout::arm(&mut self.out, 12, &kind, &body);
        }
        // Without a condition all kinds are taken by the branches.
        let gates = variants
            .iter()
            .fold(Gate::ALWAYS, |all, variant| all.and(&variant.gate));
        let rest = if variants.len() < N_KINDS {
            Some(Gate::ALWAYS)
        } else {
            gates.negated()
        };
        if let Some(rest) = rest {
            self.attribute(12, &rest);
            let error = format!("Err(input.invalid_type({}))", layout::string(ty.ty.name()));
            layout::arm(&mut self.out, 12, "_", &error);
        }
        self.line(8, &["}"]);
        self.line(4, &["}"]);
        self.blank();
        self.begin_visit_write();
        // A value has all of its branches if there are none; a reference to it has not.
        let is_open = variants.iter().all(|variant| !variant.gate.is_always());
        let (value, binding) = if is_open {
            ("*self", "ref branch")
        } else {
            ("self", "branch")
        };
        if is_open {
            self.line(8, &["let _ = &output;"]);
        }
        self.line(8, &["match ", value, " {"]);
        for variant in variants {
            self.attribute(12, &variant.gate);
            let pattern = format!("Self::{}({binding})", variant.ident);
            layout::arm(&mut self.out, 12, &pattern, "branch.write(output)");
        }
        self.line(8, &["}"]);
        self.line(4, &["}"]);
        self.line(0, &["}"]);
        self.blank();
    }

    /// Of an alternate that the configuration has left without branches.
    fn emit_empty_visit(&mut self, ty: &TypePlan<'_>) {
        self.begin_visit(&ty.name);
        let name = layout::string(ty.ty.name());
        self.line(8, &["Err(input.invalid_type(", &name, "))"]);
        self.line(4, &["}"]);
        self.blank();
        self.begin_visit_write();
        self.line(8, &["let _ = output;"]);
        self.line(8, &["match *self {}"]);
        self.line(4, &["}"]);
        self.line(0, &["}"]);
        self.blank();
    }

    fn kind_of(&self, id: TypeId) -> &'static str {
        match self.plan.schema.ty(id).kind() {
            TypeKind::Builtin(builtin) => match builtin {
                Builtin::Str => "String",
                Builtin::Bool => "Bool",
                Builtin::Null => "Null",
                Builtin::Number
                | Builtin::Int
                | Builtin::Int8
                | Builtin::Int16
                | Builtin::Int32
                | Builtin::Int64
                | Builtin::Uint8
                | Builtin::Uint16
                | Builtin::Uint32
                | Builtin::Uint64
                | Builtin::Size
                | Builtin::Any => "Number",
            },
            TypeKind::Enum(_) => "String",
            TypeKind::Array(_) => "Array",
            TypeKind::Object(_) | TypeKind::Alternate(_) => "Object",
        }
    }
}
