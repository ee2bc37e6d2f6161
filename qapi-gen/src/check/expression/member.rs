//! Members, branches, and references to types.

use super::key::is_falsy;
use super::name::Excepted;
use super::{Checker, all_of};
use crate::check::draft::{DraftBranch, DraftMember, Members, Named, TypeRef};
use crate::check::error::{ExprError, Source};
use crate::ir::{Attributes, Condition, EnumValue};
use crate::naming;
use crate::syntax::ast::{self, Node, Object};

/// What branches are of. Those of a union are called as the values of its discriminator, which are checked themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BranchesOf {
    Union,
    Alternate,
}

impl Checker<'_> {
    /// Members written in place.
    pub(super) fn check_members(
        &mut self,
        node: &Node,
        key: &'static str,
        owner: Option<&str>,
    ) -> Box<[DraftMember]> {
        let Node::Object(object) = node else {
            let error = ExprError::NotMembersOrTypeName(format!("'{key}'"));
            self.error(&error, node.span());
            return Box::default();
        };
        let excepted = owner.map_or(Excepted::Nothing, |owner| self.excepted_members(owner));
        all_of(&object.members, |(name, value)| {
            self.check_member(key, name, value, excepted)
        })
    }

    pub(super) fn check_member(
        &mut self,
        key: &'static str,
        name: &ast::Text,
        value: &Node,
        excepted: Excepted,
    ) -> Option<DraftMember> {
        let full_name = name.name(self.sources);
        let source = Source::Member(key, Some(&full_name));
        let is_optional = full_name.starts_with('*');
        let bare_name = full_name.without_first(u32::from(is_optional));
        let is_good = self.check_lower(&bare_name, name.span, source, excepted);
        if is_good && naming::is_reserved_member(&bare_name) {
            self.error(&ExprError::NameReserved(source.to_string()), name.span);
        }
        let (mut condition, mut features) = (Condition::Always, Box::default());
        let type_node = match value {
            Node::Object(object) => {
                let has_type = self.check_keys(object, source, &["type"], &["if", "features"]);
                condition = self.check_condition(object, source);
                features = self.check_features(object);
                if !has_type {
                    return None;
                }
                object.get(self.sources, "type")?
            }
            Node::String(_) | Node::Array(_) | Node::Bool { .. } => value,
        };
        let type_ref = self.check_type_ref(type_node, source)?;
        Some(DraftMember {
            name: bare_name,
            span: name.span,
            optional: is_optional,
            type_ref,
            attributes: Attributes::new(condition, features),
        })
    }

    pub(super) fn check_value(&mut self, node: &Node, excepted: Excepted) -> Option<EnumValue> {
        let source = Source::Member("data", None);
        let (name_node, long) = self.named(node, source, &["if", "features"])?;
        let Node::String(text) = name_node else {
            self.error(
                &ExprError::NameNotString(source.to_string()),
                name_node.span(),
            );
            return None;
        };
        let name = text.name(self.sources);
        let source = Source::Member("data", Some(&name));
        // A value may start with a digit, as if a letter stood before it.
        let with_letter;
        let checked = if name.starts_with(|ch: char| ch.is_ascii_digit()) {
            with_letter = format!("d{name}");
            with_letter.as_str()
        } else {
            name.as_str()
        };
        self.check_lower(checked, text.span, source, excepted);
        let (mut condition, mut features) = (Condition::Always, Box::default());
        if let Some(object) = long {
            condition = self.check_condition(object, source);
            features = self.check_features(object);
        }
        Some(EnumValue {
            span: Some(text.span),
            attributes: Attributes::new(condition, features),
            name,
        })
    }

    pub(super) fn branches(&mut self, object: &Object, of: BranchesOf) -> Box<[DraftBranch]> {
        let data = match object.get(self.sources, "data") {
            Some(node) if of == BranchesOf::Alternate && is_falsy(node) => {
                self.error(&ExprError::AlternateEmpty, node.span());
                return Box::default();
            }
            Some(Node::Object(data)) => data,
            Some(other) => {
                self.error(&ExprError::NotObject("'data'".to_owned()), other.span());
                return Box::default();
            }
            None => return Box::default(),
        };
        all_of(&data.members, |(key, value)| {
            self.check_branch(key, value, of)
        })
    }

    pub(super) fn check_branch(
        &mut self,
        key: &ast::Text,
        value: &Node,
        of: BranchesOf,
    ) -> Option<DraftBranch> {
        let name = key.name(self.sources);
        let source = Source::Member("data", Some(&name));
        if of == BranchesOf::Alternate {
            self.check_lower(&name, key.span, source, Excepted::Nothing);
        }
        let mut condition = Condition::Always;
        let type_node = match value {
            Node::Object(object) => {
                let has_type = self.check_keys(object, source, &["type"], &["if"]);
                condition = self.check_condition(object, source);
                if !has_type {
                    return None;
                }
                object.get(self.sources, "type")?
            }
            Node::String(_) | Node::Array(_) | Node::Bool { .. } => value,
        };
        let type_ref = match of {
            BranchesOf::Alternate => self.check_type_ref(type_node, source)?,
            BranchesOf::Union => {
                let Named { name, span } = self.check_type_name(type_node, source)?;
                TypeRef {
                    name,
                    is_array: false,
                    span,
                }
            }
        };
        Some(DraftBranch {
            name,
            span: key.span,
            type_ref,
            attributes: Attributes::new(condition, Vec::new()),
        })
    }

    pub(super) fn check_type_name(&mut self, node: &Node, source: Source<'_>) -> Option<Named> {
        let Node::String(text) = node else {
            self.error(&ExprError::NotTypeName(source.to_string()), node.span());
            return None;
        };
        Some(Named {
            name: text.name(self.sources),
            span: text.span,
        })
    }

    pub(super) fn check_type_ref(&mut self, node: &Node, source: Source<'_>) -> Option<TypeRef> {
        match node {
            Node::String(text) => {
                let name = text.name(self.sources);
                Some(TypeRef {
                    name,
                    is_array: false,
                    span: text.span,
                })
            }
            Node::Array(array) => {
                let [Node::String(text)] = &array.values[..] else {
                    self.error(&ExprError::ArrayTypeForm(source.to_string()), array.span);
                    return None;
                };
                let name = text.name(self.sources);
                Some(TypeRef {
                    name,
                    is_array: true,
                    span: array.span,
                })
            }
            Node::Object(_) | Node::Bool { .. } => {
                let error = ExprError::NotTypeNameOrArray(source.to_string());
                self.error(&error, node.span());
                None
            }
        }
    }

    /// The name of a type, or members written in place.
    pub(super) fn check_type_or_members(
        &mut self,
        node: &Node,
        key: &'static str,
        owner: Option<&str>,
    ) -> Members {
        match node {
            Node::String(text) => Members::Type(Named {
                name: text.name(self.sources),
                span: text.span,
            }),
            Node::Object(_) | Node::Array(_) | Node::Bool { .. } => {
                Members::Inline(self.check_members(node, key, owner))
            }
        }
    }
}
