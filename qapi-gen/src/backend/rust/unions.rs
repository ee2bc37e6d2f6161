//! Unions: the enum of branches, beside the base members if there are any but the tag.

use std::collections::HashMap;

use super::layout;
use super::plan::{Field, TypePlan, UnionPlan, Variant};
use super::structs::Struct;
use super::template::{lines, rust};
use super::writer::ModuleWriter;
use crate::ir::{TypeId, TypeKind};

impl ModuleWriter<'_, '_> {
    /// A union with all its impls.
    pub(super) fn emit_union(&mut self, ty: &TypePlan<'_>, union: &UnionPlan<'_>) {
        let name = ty.name.as_str();
        let schema_name = ty.ty.name();
        let summary = format!("Union `{schema_name}`.");
        if union.is_enum() {
            self.definition_doc(ty.ty.doc(), &summary);
            self.emit_branches(ty, union, schema_name);
            self.emit_enum_members(name, union);
            self.emit_froms(&union.branches_name, Some(ty.id), &union.branches);
            self.emit_serde(name);
            return;
        }
        self.emit_struct(&Struct {
            name,
            schema_name,
            summary,
            doc: ty.ty.doc(),
            fields: &union.fields,
            id: Some(ty.id),
            tag: Some((union.variants.tag(), &union.branches_name)),
            deprecated: None,
        });
        self.emit_union_members(name, union);
        self.emit_serde(name);
        rust!(
            self,
            "/// What [`$name`] has beside its base, selected by `$tag`.",
            name,
            tag = union.variants.tag(),
        );
        self.emit_branches(ty, union, &union.branches_name);
        self.emit_froms(&union.branches_name, Some(ty.id), &union.branches);
    }

    /// The enum, without its doc, and what reads and writes it.
    fn emit_branches(&mut self, ty: &TypePlan<'_>, union: &UnionPlan<'_>, schema_name: &str) {
        let (name, unknown) = (union.branches_name.as_str(), union.unknown.as_str());
        rust!(self, "$cfg");
        self.derives(&["Debug", "Clone", "PartialEq"], schema_name);
        let variants = lines(|w| {
            for variant in &union.branches {
                w.under(&variant.gate, |w| w.emit_branch(ty, variant));
                w.relieve();
            }
        });
        rust!(
            self,
            "
            pub enum $name {
                $variants
                /// A branch that this schema does not have, in what a peer sent.
                $unknown($Box<str>),
            }

            ",
            name,
            variants,
            unknown,
        );
        let tag = lines(|w| w.emit_tag(union));
        let read = lines(|w| w.emit_read_branch(union));
        let write = lines(|w| w.emit_write_branch(union));
        rust!(
            self,
            "
            $cfg
            impl $name {
                $tag

                $read

                $write
            }

            ",
            name,
            tag,
            read,
            write,
        );
    }

    fn emit_branch(&mut self, ty: &TypePlan<'_>, variant: &Variant<'_>) {
        let name = variant.branch.name();
        let is_documented = ty.ty.doc().is_some_and(|doc| {
            let section = self.plan.schema.doc(doc).member(name);
            section.is_some_and(|section| !section.lines().is_empty())
        });
        self.part_doc(ty.ty.doc().filter(|_| is_documented), name, "Branch");
        rust!(self, "$cfg");
        self.part_attributes(ty.ty.name(), name);
        let ident = &variant.ident;
        match variant.payload {
            Some(id) => {
                let payload = self.variant_type(ty.id, id);
                rust!(self, "$ident($payload),", ident, payload);
            }
            None => rust!(self, "$ident,", ident),
        }
    }

    /// The type of a variant's payload, boxed where it closes a cycle or is large.
    pub(super) fn variant_type(&mut self, container: TypeId, id: TypeId) -> String {
        let ty = self.type_ref(id);
        if self.is_variant_boxed(Some(container), id) {
            format!("{}<{ty}>", self.known("Box"))
        } else {
            ty
        }
    }

    fn is_variant_boxed(&self, container: Option<TypeId>, id: TypeId) -> bool {
        let shapes = &self.plan.shapes;
        let is_object = matches!(self.plan.schema.ty(id).kind(), TypeKind::Object(_));
        let closes = container.is_some_and(|container| shapes.closes_cycle(container, id));
        is_object && (closes || shapes.is_large(id))
    }

    /// `tag`: the value of the discriminator.
    fn emit_tag(&mut self, union: &UnionPlan<'_>) {
        let kind = &self.type_ref(union.variants.tag_type());
        let arms = lines(|w| {
            for variant in &union.branches {
                w.attribute(&variant.gate);
                if let Some(gate) = w.plan.tag_deprecation(union, variant.branch) {
                    w.note_deprecated(&variant.gate.and(&gate));
                }
                rust!(
                    w,
                    "Self::$ident$content => $kind::$value,",
                    ident = &variant.ident,
                    content = if variant.payload.is_some() { "(_)" } else { "" },
                    kind,
                    value = w.plan.tag_value(union, variant.branch),
                );
                w.relieve();
            }
        });
        rust!(
            self,
            "
            /// The value of the discriminator `$tag`.
            pub fn tag(&self) -> $kind {
                match self {
                    $arms
                    Self::$unknown(name) => $kind::$unknown_tag(name.clone()),
                }
            }
            ",
            tag = union.variants.tag(),
            kind,
            arms,
            unknown = &union.unknown,
            unknown_tag = self.plan.tag_unknown(union),
        );
    }

    fn emit_read_branch(&mut self, union: &UnionPlan<'_>) {
        let kind = &self.type_ref(union.variants.tag_type());
        let arms = lines(|w| {
            for variant in &union.branches {
                w.under(&variant.gate, |w| {
                    rust!(w, "$cfg");
                    let value = w.plan.tag_value(union, variant.branch);
                    let ident = &variant.ident;
                    if variant.payload.is_none() {
                        return rust!(w, "$kind::$value => Self::$ident,", kind, value, ident);
                    }
                    let branch = w.runtime("read", "branch");
                    rust!(
                        w,
                        "$kind::$value => Self::$ident($branch!(object)),",
                        kind,
                        value,
                        ident,
                        branch,
                    );
                });
                w.relieve();
            }
        });
        let discard = lines(|w| w.discard_branch_object(union));
        rust!(
            self,
            "
            fn read_branch(tag: $kind, $object: &mut $ObjectInput<'_, '_>) -> $Result<Self, $VisitError> {
                $discard
                Ok(match tag {
                    $arms
                    $kind::$unknown_tag(name) => Self::$unknown(name),
                })
            }
            ",
            kind,
            object = branch_object(union),
            discard,
            arms,
            unknown_tag = self.plan.tag_unknown(union),
            unknown = &union.unknown,
        );
    }

    /// Keeps the parameter from being unused where every use of it is conditional.
    fn discard_branch_object(&mut self, union: &UnionPlan<'_>) {
        let mut payloads = union
            .branches
            .iter()
            .filter(|variant| variant.payload.is_some())
            .peekable();
        if payloads.peek().is_some() && payloads.all(|variant| !variant.gate.is_always()) {
            rust!(self, "let _ = object;");
        }
    }

    fn emit_write_branch(&mut self, union: &UnionPlan<'_>) {
        if !has_payload(union) {
            return rust!(
                self,
                "fn write_branch(&self, _object: &mut $ObjectOutput<'_>) {}"
            );
        }
        // They write themselves by a method of the trait.
        self.known("Members");
        let arms = lines(|w| {
            for variant in &union.branches {
                let ident = &variant.ident;
                if variant.payload.is_some() {
                    w.attribute(&variant.gate);
                    rust!(
                        w,
                        "Self::$ident(branch) => branch.write_members(object),",
                        ident
                    );
                } else if !variant.gate.is_always() {
                    w.attribute(&variant.gate);
                    rust!(w, "Self::$ident => {}", ident);
                }
                w.relieve();
            }
        });
        let rest = lines(|w| {
            let is_empty = |it: &&Variant<'_>| it.payload.is_none() && it.gate.is_always();
            let empty = union.branches.iter().filter(is_empty);
            let mut patterns: Vec<_> = empty.map(|it| format!("Self::{}", it.ident)).collect();
            patterns.push(format!("Self::{}(_)", union.unknown));
            layout::empty_arm(&mut w.out, w.indent, &patterns);
        });
        let discard = lines(|w| w.discard_branch_object(union));
        rust!(
            self,
            "
            fn write_branch(&self, object: &mut $ObjectOutput<'_>) {
                $discard
                match self {
                    $arms
                    $rest
                }
            }
            ",
            discard,
            arms,
            rest,
        );
    }

    /// `impl Members` of a union that is the enum of its branches.
    fn emit_enum_members(&mut self, name: &str, union: &UnionPlan<'_>) {
        let read = lines(|w| {
            for field in &union.fields {
                w.read_field(field, "let tag = ", ";");
            }
        });
        let write = lines(|w| {
            for field in &union.fields {
                w.write_field(field, Some("&self.tag()"));
            }
        });
        rust!(
            self,
            "
            $cfg
            impl $Members for $name {
                fn read_members(object: &mut $ObjectInput<'_, '_>) -> $Result<Self, $VisitError> {
                    $read
                    Self::read_branch(tag, object)
                }

                fn write_members(&self, object: &mut $ObjectOutput<'_>) {
                    $write
                    self.write_branch(object);
                }
            }

            ",
            name,
            read,
            write,
        );
    }

    /// `impl Members` of a union with base members. The reference reads all of the base in its
    /// order before the branch, and so do we: it decides which of several mistakes is reported.
    fn emit_union_members(&mut self, name: &str, union: &UnionPlan<'_>) {
        let at_tag = union.fields.iter().position(|field| union.is_tag(field));
        let (until_tag, after) = union.fields.split_at(at_tag.unwrap_or(0) + 1);
        let tag = union.tag_ident.as_str();
        let read_first = lines(|w| {
            for field in until_tag {
                w.read_field(field, &format!("let {} = ", binding(&field.ident)), ";");
            }
        });
        let first = lines(|w| {
            for field in until_tag.iter().filter(|field| !union.is_tag(field)) {
                w.attribute(&field.gate);
                rust!(w, "$field,", field = initialiser(field));
            }
        });
        let read_rest = lines(|w| {
            for field in after {
                w.read_field(field, &format!("{}: ", field.ident), ",");
            }
        });
        let write = lines(|w| {
            let value = layout::tag_of_field(w.indent + 4, tag);
            for field in &union.fields {
                w.write_field(field, union.is_tag(field).then_some(value.as_str()));
            }
        });
        rust!(
            self,
            "
            $cfg
            impl $Members for $name {
                fn read_members(object: &mut $ObjectInput<'_, '_>) -> $Result<Self, $VisitError> {
                    $read_first
                    Ok(Self {
                        $first
                        $read_rest
                        $tag: $branches::read_branch($bound_tag, object)?,
                    })
                }

                fn write_members(&self, object: &mut $ObjectOutput<'_>) {
                    $write
                    self.$tag.write_branch(object);
                }
            }

            ",
            name,
            read_first,
            first,
            read_rest,
            tag,
            branches = &union.branches_name,
            bound_tag = binding(tag),
            write,
        );
    }

    /// `From<Payload>` for variants whose payload no other variant has.
    pub(super) fn emit_froms(
        &mut self,
        name: &str,
        container: Option<TypeId>,
        variants: &[Variant<'_>],
    ) {
        let mut types = Vec::new();
        for variant in variants {
            self.under(&variant.gate, |w| {
                types.push(variant.payload.map(|payload| w.type_ref(payload)));
            });
        }
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
            let gate = self.gate.and(&variant.gate);
            self.under(&gate, |w| {
                w.emit_from(name, payload, &variant.ident, is_boxed)
            });
        }
    }

    /// `From` for the tuple struct, or for the variant `ident` of the enum, that is called `name`.
    pub(super) fn emit_from(&mut self, name: &str, payload: &str, ident: &str, is_boxed: bool) {
        let value = if is_boxed {
            format!("{}::new(value)", self.known("Box"))
        } else {
            "value".to_owned()
        };
        rust!(
            self,
            "
            $cfg
            impl $From<$payload> for $name {
                fn from(value: $payload) -> Self {
                    Self$separator$ident($value)
                }
            }

            ",
            payload,
            name,
            separator = if ident.is_empty() { "" } else { "::" },
            ident,
            value,
        );
    }
}

fn has_payload(union: &UnionPlan<'_>) -> bool {
    let mut variants = union.branches.iter();
    variants.any(|variant| variant.payload.is_some())
}

/// The name of the parameter that branches are read from.
fn branch_object(union: &UnionPlan<'_>) -> &'static str {
    if has_payload(union) {
        "object"
    } else {
        "_object"
    }
}

/// What a member is bound to while it is read. The parameter is still needed.
fn binding(ident: &str) -> &str {
    match ident {
        "object" => "object_",
        other => other,
    }
}

/// How a member that was read is put into its struct.
fn initialiser(field: &Field<'_>) -> String {
    let bound = binding(&field.ident);
    if bound == field.ident {
        bound.to_owned()
    } else {
        format!("{}: {bound}", field.ident)
    }
}
