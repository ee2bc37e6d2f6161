//! Branches of unions and alternates.

use crate::ir::{Branch, Variants};

use super::super::gate::Gate;
use super::super::names;
use super::{Body, Plan, Planner, UnionPlan, Value, Variant, deprecation};

impl<'a> Planner<'a> {
    pub(super) fn variants(
        &mut self,
        branches: &'a [Branch],
        union: Option<&Variants>,
    ) -> Vec<Variant<'a>> {
        let mut variants = Vec::with_capacity(branches.len());
        for branch in branches {
            let ident = names::camel(branch.name());
            let has_members = branch.type_id() != self.schema.empty_object();
            let own = self.reduce(branch.condition());
            let Some(union) = union else {
                if let Some(gate) = own {
                    variants.push(Variant {
                        branch,
                        ident,
                        gate,
                        payload: Some(branch.type_id()),
                    });
                }
                continue;
            };
            // The value can be there without its branch, which is then one without members.
            let Some(value_gate) = self.tag_gate(union, branch.name()) else {
                continue;
            };
            if let Some(own) = &own {
                let gate = value_gate.and(own);
                let payload = has_members.then(|| branch.type_id());
                variants.push(Variant {
                    branch,
                    ident: ident.clone(),
                    gate,
                    payload,
                });
            }
            let rest = own.as_ref().map_or(Some(Gate::ALWAYS), Gate::negated);
            if let Some(rest) = rest
                && !own.is_some_and(|own| value_gate.and(&own) == value_gate)
            {
                let gate = value_gate.and(&rest);
                variants.push(Variant {
                    branch,
                    ident,
                    gate,
                    payload: None,
                });
            }
        }
        // A branch that is there under two conditions is two variants of one name.
        let mut own: Vec<&Variant<'_>> = variants.iter().collect();
        own.dedup_by(|left, right| left.branch.name() == right.branch.name());
        self.check_distinct("branch", own.len(), |index| {
            let Variant { ident, branch, .. } = own[index];
            (ident.into(), branch.name(), branch.span())
        });
        variants
    }

    /// When the value `name` of the tag of `union` is there.
    fn tag_gate(&self, union: &Variants, name: &str) -> Option<Gate> {
        let value = self.schema.ty(union.tag_type()).as_enum()?.value(name)?;
        self.reduce(value.condition())
    }
}

impl Plan<'_> {
    /// The value of the tag's enumeration that selects a branch.
    pub(in crate::backend::rust) fn tag_value(
        &self,
        union: &UnionPlan<'_>,
        branch: &Branch,
    ) -> String {
        let value = self.value_of(union, branch);
        // The built-in QType has no plan.
        value.map_or_else(|| names::camel(branch.name()), |value| value.ident.clone())
    }

    fn value_of(&self, union: &UnionPlan<'_>, branch: &Branch) -> Option<&Value<'_>> {
        let tag_type = union.variants.tag_type();
        let Body::Enum(values, _) = &self.ty(tag_type)?.body else {
            return None;
        };
        let positions = self.value_positions.get(&tag_type)?;
        positions.get(branch.name()).map(|index| &values[*index])
    }

    /// When the value of the tag's enumeration that selects a branch is deprecated.
    pub(in crate::backend::rust) fn tag_deprecation(
        &self,
        union: &UnionPlan<'_>,
        branch: &Branch,
    ) -> Option<Gate> {
        let value = self.value_of(union, branch)?;
        deprecation(&value.policies)
    }

    /// The catch-all variant of the tag's enumeration.
    pub(in crate::backend::rust) fn tag_unknown(&self, union: &UnionPlan<'_>) -> &str {
        match self.ty(union.variants.tag_type()).map(|plan| &plan.body) {
            Some(Body::Enum(_, unknown)) => unknown,
            Some(Body::Replaced(_) | Body::Struct(_) | Body::Union(_) | Body::Alternate(_))
            | None => "Unknown",
        }
    }
}
