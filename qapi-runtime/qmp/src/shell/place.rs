//! A place in the arguments of a command, as far as they are written.

use indexmap::IndexMap;
use qapi_gen::ir::{Entity, Member, Schema, TypeId, TypeKind};

use crate::arguments::{Written, chosen};

/// A place that a dotted key leads to.
#[derive(Clone, Copy)]
pub(super) struct Place<'s> {
    schema: &'s Schema,
    pub(super) ty: TypeId,
    /// What is written there: it chooses branches.
    written: Option<&'s Written>,
}

impl<'s> Place<'s> {
    /// The arguments of a command as a whole; `None` if it is unknown or has none.
    pub(super) fn of_command(
        schema: &'s Schema,
        command: &str,
        written: &'s Written,
    ) -> Option<Self> {
        let Entity::Command(id) = schema.entity(command)? else {
            return None;
        };
        Some(Self {
            schema,
            ty: schema.command(id).arguments()?,
            written: Some(written),
        })
    }

    /// Where a part of a key leads: into a member, or by a number into an element.
    pub(super) fn step(self, part: &str) -> Option<Self> {
        let written = match self.written {
            Some(Written::Members(members)) => members.get(part),
            Some(Written::Text(_) | Written::Json(_) | Written::List(_)) | None => None,
        };
        let ty = match self.schema.ty(self.ty).kind() {
            TypeKind::Array(element) => {
                part.parse::<usize>().ok()?;
                *element
            }
            TypeKind::Object(_) | TypeKind::Alternate(_) => {
                let member = self.members().into_iter().find(|it| it.name() == part)?;
                member.type_id()
            }
            TypeKind::Builtin(_) | TypeKind::Enum(_) => return None,
        };
        Some(Self {
            ty,
            written,
            ..self
        })
    }

    /// Where a dotted key leads.
    pub(super) fn walk(self, key: &[&str]) -> Option<Self> {
        key.iter().try_fold(self, |place, part| place.step(part))
    }

    /// What can stand here, in the order of the schema. Members of a branch are there when the tag is written.
    pub(super) fn members(&self) -> Vec<&'s Member> {
        let Some(object) = object_of(self.schema, self.ty) else {
            return Vec::new();
        };
        let nothing = IndexMap::new();
        let written = match self.written {
            Some(Written::Members(members)) => members,
            Some(Written::Text(_) | Written::Json(_) | Written::List(_)) | None => &nothing,
        };
        let types = chosen(self.schema, object, written);
        let members = types.iter().flat_map(|ty| self.schema.members(*ty));
        members.collect()
    }

    /// The tag that would choose a branch and is not written.
    pub(super) fn open_tag(&self) -> Option<&'s str> {
        let object = object_of(self.schema, self.ty)?;
        let nothing = IndexMap::new();
        let written = match self.written {
            Some(Written::Members(members)) => members,
            Some(Written::Text(_) | Written::Json(_) | Written::List(_)) | None => &nothing,
        };
        let last = *chosen(self.schema, object, written).last()?;
        let tag = self.schema.ty(last).as_object()?.variants()?.tag();
        (!written.contains_key(tag)).then_some(tag)
    }

    /// How many elements are written.
    pub(super) fn n_written(&self) -> usize {
        match self.written {
            Some(Written::Members(members)) => members.len(),
            Some(Written::List(list)) => list.len(),
            Some(Written::Text(_) | Written::Json(_)) => 1,
            None => 0,
        }
    }

    /// Whether something is written that another value cannot be added to.
    pub(super) fn is_taken(&self) -> bool {
        let is_array = matches!(self.schema.ty(self.ty).kind(), TypeKind::Array(_));
        !is_array
            && match self.written {
                Some(Written::Text(_) | Written::Json(_) | Written::List(_)) => true,
                Some(Written::Members(_)) | None => false,
            }
    }
}

/// The type itself if its values are objects, or the branch of an alternate whose values are.
pub(super) fn object_of(schema: &Schema, ty: TypeId) -> Option<TypeId> {
    match schema.ty(ty).kind() {
        TypeKind::Object(_) => Some(ty),
        TypeKind::Alternate(alternate) => {
            let mut branches = alternate.branches().iter().map(|branch| branch.type_id());
            branches.find(|ty| matches!(schema.ty(*ty).kind(), TypeKind::Object(_)))
        }
        TypeKind::Builtin(_) | TypeKind::Enum(_) | TypeKind::Array(_) => None,
    }
}
