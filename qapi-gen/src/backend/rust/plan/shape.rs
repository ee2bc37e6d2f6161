//! Properties of Rust types that depend on what they contain: recursion, size, default.

use crate::components::components;
use crate::ir::{Builtin, TypeId, TypeKind};

use super::{Body, Field, Plan, Variant};

/// By [`TypeId`].
#[derive(Default)]
pub(in crate::backend::rust) struct Shapes {
    /// Types with the same number contain each other.
    component: Vec<usize>,
    /// Whether the type contains itself.
    is_recursive: Vec<bool>,
    size: Vec<usize>,
    has_default: Vec<bool>,
}

/// Variants larger than this are boxed: a Rust enum is as large as its largest variant, and
/// clippy minds a difference of more than 200 bytes.
const MAX_VARIANT_SIZE: usize = 200;

impl Shapes {
    /// Whether `container` must hold `content` in a box because that contains `container`.
    pub(in crate::backend::rust) fn closes_cycle(
        &self,
        container: TypeId,
        content: TypeId,
    ) -> bool {
        self.is_recursive[container.index()]
            && self.component[container.index()] == self.component[content.index()]
    }

    /// Whether a variant is too large to hold `content` in place.
    pub(in crate::backend::rust) fn is_large(&self, content: TypeId) -> bool {
        self.size[content.index()] > MAX_VARIANT_SIZE
    }

    /// Whether the Rust type has a default.
    pub(in crate::backend::rust) fn has_default(&self, id: TypeId) -> bool {
        self.has_default[id.index()]
    }

    /// Whether a struct of `fields` has a default.
    pub(in crate::backend::rust) fn fields_have_default(
        &self,
        plan: &Plan<'_>,
        fields: &[Field<'_>],
    ) -> bool {
        let mut mandatory = fields.iter().filter(|field| !field.is_option());
        mandatory.all(|field| self.has_default_of(plan, field.member.type_id()))
    }

    fn has_default_of(&self, plan: &Plan<'_>, id: TypeId) -> bool {
        match plan.schema.ty(id).kind() {
            TypeKind::Builtin(_) | TypeKind::Array(_) => true,
            TypeKind::Enum(_) | TypeKind::Alternate(_) => false,
            TypeKind::Object(_) => self.has_default[id.index()],
        }
    }

    /// Whether a variant is too large to hold a struct of `fields` in place.
    pub(in crate::backend::rust) fn is_large_struct(
        &self,
        plan: &Plan<'_>,
        fields: &[Field<'_>],
    ) -> bool {
        let sizes = fields
            .iter()
            .map(|field| self.field_size(plan, None, field));
        sizes.sum::<usize>() > MAX_VARIANT_SIZE - 8
    }

    fn field_size(&self, plan: &Plan<'_>, container: Option<TypeId>, field: &Field<'_>) -> usize {
        let id = field.member.type_id();
        let is_boxed = container.is_some_and(|container| {
            plan.schema.ty(id).as_object().is_some() && self.closes_cycle(container, id)
        });
        if is_boxed {
            return 8;
        }
        // What has no spare bit pattern needs a word more to be optional; fields may be padded.
        let (size, has_niche) = match plan.schema.ty(id).kind() {
            TypeKind::Builtin(builtin) => match builtin {
                Builtin::Str => (24, true),
                Builtin::Any => (80, true),
                Builtin::Bool => (1, true),
                Builtin::Null => (0, false),
                Builtin::Int8 | Builtin::Uint8 => (1, false),
                Builtin::Int16 | Builtin::Uint16 => (2, false),
                Builtin::Int32 | Builtin::Uint32 => (4, false),
                Builtin::Number
                | Builtin::Int
                | Builtin::Int64
                | Builtin::Uint64
                | Builtin::Size => (8, false),
            },
            TypeKind::Array(_) | TypeKind::Enum(_) => (24, true),
            TypeKind::Object(_) | TypeKind::Alternate(_) => (self.size[id.index()], false),
        };
        let optional = if field.is_option() && !has_niche {
            size.clamp(1, 8)
        } else {
            0
        };
        size + optional
    }

    fn variants_size(&self, plan: &Plan<'_>, container: TypeId, variants: &[Variant<'_>]) -> usize {
        let sizes = variants.iter().filter_map(|variant| {
            let id = variant.payload?;
            Some(match plan.schema.ty(id).kind() {
                TypeKind::Object(_) if self.closes_cycle(container, id) => 8,
                TypeKind::Object(_) | TypeKind::Alternate(_) if self.is_large(id) => 8,
                TypeKind::Object(_) | TypeKind::Alternate(_) => self.size[id.index()],
                TypeKind::Builtin(Builtin::Any) => 80,
                TypeKind::Builtin(_) | TypeKind::Enum(_) | TypeKind::Array(_) => 24,
            })
        });
        // The catch-all variant has two words.
        sizes.max().unwrap_or(0).max(16) + 8
    }
}

/// Computes all shapes, contained types before those that contain them.
pub(super) fn measure(plan: &Plan<'_>) -> Shapes {
    let n_types = plan.types.len();
    let edges: Vec<Vec<usize>> = (0..n_types).map(|index| contents(plan, index)).collect();
    let found = components(&edges);
    let mut n_members = vec![0_usize; n_types];
    found
        .of
        .iter()
        .for_each(|&component| n_members[component] += 1);
    let is_recursive = (0..n_types)
        .map(|index| n_members[found.of[index]] > 1 || edges[index].contains(&index))
        .collect();
    drop(edges);
    let mut shapes = Shapes {
        component: found.of.clone(),
        is_recursive,
        size: vec![0; n_types],
        has_default: vec![false; n_types],
    };
    // Within a component an alternate holds objects in boxes, so its size is known before theirs.
    for component in found.iter() {
        let is_alternate = |index: &usize| {
            let body = plan.types[*index].as_ref().map(|plan| &plan.body);
            matches!(body, Some(Body::Alternate(_)))
        };
        let (alternates, others): (Vec<_>, Vec<_>) =
            component.iter().copied().partition(is_alternate);
        for index in alternates.into_iter().chain(others) {
            measure_one(plan, &mut shapes, index);
        }
    }
    shapes
}

fn measure_one(plan: &Plan<'_>, shapes: &mut Shapes, index: usize) {
    let Some(ty) = &plan.types[index] else { return };
    let id = ty.id;
    let (size, has_default) = match &ty.body {
        Body::Replaced(_) => (MAX_VARIANT_SIZE, false),
        Body::Enum(..) => (24, false),
        Body::Alternate(variants) => (shapes.variants_size(plan, id, variants), false),
        Body::Struct(fields) => {
            let size: usize = fields
                .iter()
                .map(|field| shapes.field_size(plan, Some(id), field))
                .sum();
            let has_default =
                !shapes.is_recursive[index] && shapes.fields_have_default(plan, fields);
            (size.next_multiple_of(8), has_default)
        }
        Body::Union(union) => {
            let others = union.fields.iter().filter(|field| !union.is_tag(field));
            let size: usize = others
                .map(|field| shapes.field_size(plan, Some(id), field))
                .sum();
            let branches = shapes.variants_size(plan, id, &union.branches);
            (size.next_multiple_of(8) + branches, false)
        }
    };
    shapes.size[index] = size;
    shapes.has_default[index] = has_default;
}

/// The types that a type holds in place, except boxes.
fn contents(plan: &Plan<'_>, index: usize) -> Vec<usize> {
    let Some(ty) = &plan.types[index] else {
        return Vec::new();
    };
    let is_held = |id: &TypeId| {
        matches!(
            plan.schema.ty(*id).kind(),
            TypeKind::Object(_) | TypeKind::Alternate(_)
        )
    };
    let of_fields = |fields: &[Field<'_>]| {
        fields
            .iter()
            .map(|field| field.member.type_id())
            .collect::<Vec<_>>()
    };
    let of_variants = |variants: &[Variant<'_>]| {
        variants
            .iter()
            .filter_map(|variant| variant.payload)
            .collect::<Vec<_>>()
    };
    let ids = match &ty.body {
        Body::Replaced(_) | Body::Enum(..) => Vec::new(),
        Body::Struct(fields) => of_fields(fields),
        Body::Alternate(variants) => of_variants(variants),
        Body::Union(union) => {
            let mut ids = of_fields(&union.fields);
            ids.extend(of_variants(&union.branches));
            ids
        }
    };
    ids.into_iter().filter(is_held).map(TypeId::index).collect()
}
