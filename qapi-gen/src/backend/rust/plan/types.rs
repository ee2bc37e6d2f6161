//! Types: what each is in Rust, and of which parts.

use std::collections::HashSet;

use crate::ir::{DocId, EnumValue, ObjectKind, Type, TypeId, TypeKind, Variants};

use super::super::names;
use super::names::{catch_all, free_name};
use super::{Body, Field, Holder, Planner, Presence, TypePlan, UnionPlan, Value};

impl<'a> Planner<'a> {
    pub(super) fn types(&mut self) -> Vec<Option<TypePlan<'a>>> {
        let mut types = Vec::new();
        for (id, ty) in self.schema.types() {
            let gate = if ty.is_named() {
                self.reduce(ty.condition())
            } else {
                None
            };
            types.push(gate.map(|gate| {
                let name = names::camel(ty.name());
                let replacement = self.options.replacements.get(ty.name());
                let body = match replacement {
                    Some(path) => Body::Replaced(path),
                    None => self.body(id, ty),
                };
                TypePlan {
                    id,
                    ty,
                    name,
                    gate,
                    body,
                }
            }));
        }
        let own: Vec<&TypePlan<'_>> = types
            .iter()
            .flatten()
            .filter(|plan| !matches!(plan.body, Body::Replaced(_)))
            .collect();
        self.check_distinct("type", own.len(), |index| {
            let TypePlan { name, ty, .. } = own[index];
            (name.into(), ty.name(), ty.name_span())
        });
        let has_two = |plan: &&TypePlan<'_>| plan.branches_name().is_some();
        if own.iter().any(has_two) {
            let mut taken = own.iter().map(|plan| plan.name.clone()).collect();
            name_branches(&mut types, &mut taken);
        }
        types
    }

    fn body(&mut self, id: TypeId, ty: &'a Type) -> Body<'a> {
        match ty.kind() {
            TypeKind::Enum(values) => {
                let all = values.values();
                let mut values = Vec::with_capacity(all.len());
                values.extend(all.iter().filter_map(|value| self.value(value)));
                self.check_distinct("value", values.len(), |index| {
                    let Value { ident, value, .. } = &values[index];
                    (ident.into(), value.name(), value.span())
                });
                let unknown = catch_all(|name| values.iter().any(|value| value.ident == name));
                Body::Enum(values, unknown)
            }
            TypeKind::Alternate(alternate) => {
                Body::Alternate(self.variants(alternate.branches(), None))
            }
            TypeKind::Object(object) => {
                let mut fields = self.fields(id, ty.doc(), Holder::Type(id, ty));
                match object.variants() {
                    None => Body::Struct(fields),
                    Some(variants) => {
                        self.settle_tag(variants, &mut fields);
                        let branches = self.variants(variants.branches(), Some(variants));
                        let unknown =
                            catch_all(|name| branches.iter().any(|branch| branch.ident == name));
                        Body::Union(Box::new(UnionPlan {
                            variants,
                            fields,
                            branches,
                            branches_name: names::camel(ty.name()),
                            unknown,
                            tag_ident: names::field(variants.tag()),
                        }))
                    }
                }
            }
            // Neither has a name of the author's.
            TypeKind::Builtin(_) | TypeKind::Array(_) => Body::Struct(Vec::new()),
        }
    }

    fn value(&self, value: &'a EnumValue) -> Option<Value<'a>> {
        Some(Value {
            value,
            ident: names::camel(value.name()),
            gate: self.reduce(value.condition())?,
            policies: self.policies(value.features()),
        })
    }

    /// A discriminator is not an `Option`: its enumeration has a value for unknown names, and a missing name counts as one. One in
    /// whose place the user has a type of their own stays mandatory.
    fn settle_tag(&self, variants: &Variants, fields: &mut [Field<'_>]) {
        let kind = self.schema.ty(variants.tag_type());
        let is_own = kind.is_named() && !self.options.replacements.contains_key(kind.name());
        for field in fields {
            if field.presence == Presence::Tolerant && field.member.name() == variants.tag() {
                field.presence = if is_own {
                    Presence::TolerantTag
                } else {
                    Presence::Mandatory
                };
            }
        }
    }

    /// The members of an object with those of its bases, which come first, as `holder` has them.
    pub(super) fn fields(
        &mut self,
        id: TypeId,
        doc: Option<DocId>,
        holder: Holder<'_>,
    ) -> Vec<Field<'a>> {
        let mut chain = Vec::new();
        let mut next = Some(id);
        while let Some(ty) = next.map(|id| self.schema.ty(id)) {
            let Some(object) = ty.as_object() else { break };
            // Members written in place are documented with the definition they stand in.
            let doc = match object.kind() {
                ObjectKind::Arguments | ObjectKind::Base => doc,
                ObjectKind::Struct | ObjectKind::Union | ObjectKind::Empty => ty.doc(),
            };
            chain.push((object, doc));
            next = object.base();
        }
        // There are many short lists, and all are kept.
        let n_members = chain.iter().map(|(object, _)| object.local_members().len());
        let mut fields = Vec::with_capacity(n_members.sum());
        for (object, doc) in chain.into_iter().rev() {
            for member in object.local_members() {
                let Some(gate) = self.reduce(member.condition()) else {
                    continue;
                };
                fields.push(Field {
                    member,
                    presence: self.tolerance.presence(holder, member),
                    ident: names::field(member.name()),
                    gate,
                    policies: self.policies(member.features()),
                    doc,
                });
            }
        }
        self.check_distinct("member", fields.len(), |index| {
            let Field { ident, member, .. } = &fields[index];
            (ident.into(), member.name(), Some(member.span()))
        });
        fields
    }
}

/// Names the enums of branches of unions with base members: `BlockdevOptionsDriver`.
fn name_branches(types: &mut [Option<TypePlan<'_>>], taken: &mut HashSet<String>) {
    for plan in types.iter_mut().flatten() {
        let Body::Union(union) = &mut plan.body else {
            continue;
        };
        if union.is_enum() {
            continue;
        }
        let tag = names::camel(union.variants.tag());
        let short = format!("{}{tag}", plan.name);
        let long = format!("{short}Branches");
        union.branches_name = free_name(|name| taken.contains(name), [short, long]);
        taken.insert(union.branches_name.clone());
    }
}
