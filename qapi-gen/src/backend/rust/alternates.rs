//! Alternates: an enum by kind of JSON value.

use super::gate::Gate;
use super::layout;
use super::plan::{TypePlan, Variant};
use super::template::{lines, rust};
use super::writer::ModuleWriter;
use crate::ir::{Builtin, TypeId, TypeKind};

/// The kinds of JSON values.
const N_KINDS: usize = 6;

impl ModuleWriter<'_, '_> {
    /// An alternate with all its impls.
    pub(super) fn emit_alternate(&mut self, ty: &TypePlan<'_>, variants: &[Variant<'_>]) {
        let name = ty.name.as_str();
        let schema_name = ty.ty.name();
        self.definition_doc(ty.ty.doc(), &format!("Alternate `{schema_name}`."));
        rust!(self, "$cfg");
        self.derives(&["Debug", "Clone", "PartialEq"], schema_name);
        if variants.is_empty() {
            self.emit_empty_alternate(name, schema_name);
            return;
        }
        let variant_lines = lines(|w| {
            for variant in variants {
                w.under(&variant.gate, |w| w.emit_alternate_variant(ty, variant));
            }
        });
        rust!(
            self,
            "
            pub enum $name {
                $variants
            }

            ",
            name,
            variants = variant_lines,
        );
        self.emit_alternate_visit(ty, variants);
        self.emit_froms(name, Some(ty.id), variants);
        self.emit_serde(name);
    }

    fn emit_alternate_variant(&mut self, ty: &TypePlan<'_>, variant: &Variant<'_>) {
        let branch = variant.branch.name();
        self.part_doc(ty.ty.doc(), branch, "Branch");
        rust!(self, "$cfg");
        let Some(id) = variant.payload else { return };
        self.part_attributes(ty.ty.name(), branch);
        let payload = self.variant_type(ty.id, id);
        rust!(self, "$ident($payload),", ident = &variant.ident, payload);
    }

    fn emit_alternate_visit(&mut self, ty: &TypePlan<'_>, variants: &[Variant<'_>]) {
        let read = lines(|w| {
            for variant in variants {
                w.under(&variant.gate, |w| {
                    let kind = w.kind_of(variant.branch.type_id());
                    rust!(
                        w,
                        "
                        $cfg
                        $Kind::$kind => $Visit::read(input).map(Self::$ident),
                        ",
                        kind,
                        ident = &variant.ident,
                    );
                });
            }
        });
        // Without a condition all kinds are taken by the branches.
        let gates = variants.iter().map(|variant| &variant.gate);
        let all = gates.fold(Gate::ALWAYS, |all, gate| all.and(gate));
        let rest = if variants.len() < N_KINDS {
            Some(Gate::ALWAYS)
        } else {
            all.negated()
        };
        let schema_name = layout::string(ty.ty.name());
        let rest = lines(|w| {
            let Some(gate) = &rest else { return };
            w.attribute(gate);
            let schema_name = &schema_name;
            rust!(
                w,
                "_ => Err(input.invalid_type($schema_name)),",
                schema_name
            );
        });
        // A value has no branch at all where every condition fails, which the compiler sees in `*self` alone.
        let is_open = variants.iter().all(|variant| !variant.gate.is_always());
        let (value, binding) = if is_open {
            ("*self", "ref branch")
        } else {
            ("self", "branch")
        };
        let discard = lines(|w| {
            if is_open {
                rust!(w, "let _ = &output;");
            }
        });
        let write = lines(|w| {
            for variant in variants {
                w.attribute(&variant.gate);
                let ident = &variant.ident;
                rust!(
                    w,
                    "Self::$ident($binding) => branch.write(output),",
                    ident,
                    binding
                );
            }
        });
        rust!(
            self,
            "
            $cfg
            impl $Visit for $name {
                fn read(input: &mut $Input<'_>) -> $Result<Self, $VisitError> {
                    match input.kind() {
                        $read
                        $rest
                    }
                }

                fn write(&self, output: &mut $Output) -> $Result<(), $VisitError> {
                    $discard
                    match $value {
                        $write
                    }
                }
            }

            ",
            name = &ty.name,
            read,
            rest,
            discard,
            value,
            write,
        );
    }

    /// One that the configuration has left without branches.
    fn emit_empty_alternate(&mut self, name: &str, schema_name: &str) {
        let schema_name = layout::string(schema_name);
        rust!(
            self,
            "
            pub enum $name {}

            $cfg
            impl $Visit for $name {
                fn read(input: &mut $Input<'_>) -> $Result<Self, $VisitError> {
                    Err(input.invalid_type($schema_name))
                }

                fn write(&self, output: &mut $Output) -> $Result<(), $VisitError> {
                    let _ = output;
                    match *self {}
                }
            }

            ",
            name,
            schema_name,
        );
        self.emit_serde(name);
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
