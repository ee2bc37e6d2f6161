//! How much of the code repeats what types do not list.
//!
//! A struct in Rust has the members of its bases among its own, with their documentation, and an enum of branches has a
//! variant for each value of the discriminator. So code can be much longer than its schema.

use crate::diagnostic::{Code, Diagnostic};
use crate::ir::{Branch, Condition, Doc, DocId, Member, ObjectKind, Type, TypeId};

use super::super::options::Options;
use super::Planner;

/// The code that may repeat what types do not list, in bytes, and [`PER_BYTE`] more for each byte of the schema.
const MAX_REPEATED: u64 = 4 << 20;

/// See [`MAX_REPEATED`].
const PER_BYTE: u64 = 8;

/// What a member takes besides names and documentation: a field, how it is read and written, its entry in the data of
/// introspection.
const MEMBER: u64 = 130;

/// How often its name stands there.
const NAMES_OF_MEMBER: u64 = 8;

/// The same for a branch without members.
const BRANCH: u64 = 200;
const NAMES_OF_BRANCH: u64 = 8;

/// A feature of a member, besides its name.
const FEATURE: u64 = 100;

/// What the members of a type and those of its bases take, once it is known.
type Costs = Vec<Option<u64>>;

impl Planner<'_> {
    /// Reports that the code would be much longer than the schema. It is an estimate, made before there is any code.
    pub(super) fn check_repetition(&mut self) {
        let sources = self.schema.sources().files();
        let size: u64 = sources.map(|file| file.text().len() as u64).sum();
        let limit = MAX_REPEATED.saturating_add(PER_BYTE.saturating_mul(size));
        let mut costs: Costs = vec![None; self.schema.type_ids().count()];
        let mut total = 0_u64;
        for (id, ty) in self.schema.types() {
            let is_made = ty.is_named()
                && !self.options.replacements.contains_key(ty.name())
                && self.reduce(ty.condition()).is_some();
            if !is_made {
                continue;
            }
            total = total.saturating_add(self.repeated_by(id, ty, &mut costs));
            if total > limit {
                let message = format!(
                    "types repeat more than {limit} bytes of Rust for members and branches that they do not list"
                );
                let code = Code::RustTooMuchRepeated;
                self.errors
                    .push(Diagnostic::new(code, message, ty.name_span()));
                return;
            }
        }
    }

    /// What a type repeats.
    fn repeated_by(&self, id: TypeId, ty: &Type, costs: &mut Costs) -> u64 {
        let Some(object) = ty.as_object() else {
            return 0;
        };
        let inherited = match object.base() {
            Some(base) if self.schema.ty(base).is_named() => self.cost(base, costs),
            // What is written in place is used in one place only.
            Some(_) | None => 0,
        };
        let Some(variants) = object.variants() else {
            return inherited;
        };
        let unlisted = variants.branches().iter();
        let unlisted = unlisted.filter(|branch| branch.span().is_none());
        let names = (self.schema.ty(id).name().len()
            + self.schema.ty(variants.tag_type()).name().len()) as u64;
        let branches: u64 = unlisted.map(|branch| branch_cost(branch, names)).sum();
        inherited.saturating_add(branches)
    }

    /// What the members of `id` and of its bases take.
    fn cost(&self, id: TypeId, costs: &mut Costs) -> u64 {
        let mut chain = Vec::new();
        let mut sum = 0_u64;
        for id in self.schema.ancestors(id) {
            if let Some(known) = costs[id.index()] {
                sum = known;
                break;
            }
            chain.push(id);
        }
        for id in chain.into_iter().rev() {
            sum = sum.saturating_add(self.own_cost(id));
            costs[id.index()] = Some(sum);
        }
        sum
    }

    fn own_cost(&self, id: TypeId) -> u64 {
        let ty = self.schema.ty(id);
        let Some(object) = ty.as_object() else {
            return 0;
        };
        let doc = match object.kind() {
            ObjectKind::Struct | ObjectKind::Union => documentation(self, ty.doc()),
            ObjectKind::Empty | ObjectKind::Arguments | ObjectKind::Base => None,
        };
        let members = object.local_members().iter();
        members.map(|member| self.member_cost(member, doc)).sum()
    }

    fn member_cost(&self, member: &Member, doc: Option<&Doc>) -> u64 {
        let section = doc.and_then(|doc| doc.member(member.name()));
        let text = section.map_or(0, |section| section.text(self.schema.sources()).len());
        let type_name = self.schema.ty(member.type_id()).name().len();
        let features = member.features().iter();
        let features =
            features.map(|it| FEATURE + it.name().len() as u64 + condition_cost(it.condition()));
        MEMBER
            + NAMES_OF_MEMBER * member.name().len() as u64
            + 2 * type_name as u64
            + text as u64 * 5 / 4
            + condition_cost(member.condition())
            + features.sum::<u64>()
    }
}

/// The comment, if it is in the code.
fn documentation<'a>(planner: &Planner<'a>, doc: Option<DocId>) -> Option<&'a Doc> {
    let Options { docs, .. } = planner.options;
    doc.filter(|_| *docs).map(|doc| planner.schema.doc(doc))
}

/// A branch without members of a union and of a discriminator whose names have so many bytes.
fn branch_cost(branch: &Branch, names: u64) -> u64 {
    BRANCH
        + 2 * names
        + NAMES_OF_BRANCH * branch.name().len() as u64
        + condition_cost(branch.condition())
}

/// What stands before all parts of a member or branch that are there under a condition.
fn condition_cost(condition: &Condition) -> u64 {
    let names = condition.names().into_iter();
    6 * names.map(|name| name.len() as u64 + 30).sum::<u64>()
}
