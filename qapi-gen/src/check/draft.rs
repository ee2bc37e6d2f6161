//! Definitions whose form was checked: names and references are still text.

use crate::diagnostic::Definition;
use crate::ir::{Attributes, DefinitionKind, EnumValue};
use crate::name::Name;
use crate::source::Span;
use crate::syntax::ast;

/// One definition.
pub(super) struct Draft {
    pub(super) name: Name,
    pub(super) name_span: Span,
    /// The whole expression.
    pub(super) span: Span,
    pub(super) kind: DefinitionKind,
    pub(super) attributes: Attributes,
    pub(super) doc: Option<Box<ast::Doc>>,
    pub(super) body: Body,
    /// A mistake inside was reported: members may be missing that the author wrote.
    pub(super) is_broken: bool,
}

/// A definition as messages call it.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) kind: DefinitionKind,
    pub(super) name: Name,
}

impl Context {
    pub(super) fn definition(&self) -> Definition {
        Definition {
            kind: self.kind.as_str(),
            name: self.name.to_string(),
        }
    }
}

/// What a definition defines.
pub(super) enum Body {
    Enum {
        values: Box<[EnumValue]>,
        prefix: Option<Name>,
    },
    Struct {
        base: Option<Named>,
        members: Box<[DraftMember]>,
    },
    Union {
        base: Option<Members>,
        discriminator: Option<Named>,
        branches: Box<[DraftBranch]>,
    },
    Alternate {
        branches: Box<[DraftBranch]>,
    },
    Command {
        arguments: Option<Members>,
        returns: Option<TypeRef>,
        flags: Flags,
    },
    Event {
        arguments: Option<Members>,
        boxed: bool,
    },
}

/// A name and where it stands.
#[derive(Clone)]
pub(super) struct Named {
    pub(super) name: Name,
    pub(super) span: Span,
}

/// Members written in place, or the name of a type that has them.
pub(super) enum Members {
    Type(Named),
    Inline(Box<[DraftMember]>),
}

/// A reference to a type or to the array of it.
#[derive(Clone)]
pub(super) struct TypeRef {
    pub(super) name: Name,
    pub(super) is_array: bool,
    pub(super) span: Span,
}

pub(super) struct DraftMember {
    pub(super) name: Name,
    pub(super) span: Span,
    pub(super) optional: bool,
    pub(super) type_ref: TypeRef,
    pub(super) attributes: Attributes,
}

pub(super) struct DraftBranch {
    pub(super) name: Name,
    pub(super) span: Span,
    pub(super) type_ref: TypeRef,
    pub(super) attributes: Attributes,
}

/// The flags of a command, at their defaults where the schema is silent.
#[derive(Clone, Copy)]
pub(super) struct Flags {
    pub(super) boxed: bool,
    pub(super) gen_: bool,
    pub(super) success_response: bool,
    pub(super) allow_oob: bool,
    pub(super) allow_preconfig: bool,
    pub(super) coroutine: bool,
}
