//! Definitions whose form was checked: names and references are still text.

use crate::diagnostic::Definition;
use crate::ir::Condition;
use crate::source::Span;
use crate::syntax::ast;

/// One definition.
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) name_span: Span,
    /// The whole expression.
    pub(super) span: Span,
    /// What messages call it.
    pub(super) context: Definition,
    pub(super) condition: Condition,
    pub(super) features: Vec<DraftFeature>,
    pub(super) doc: Option<Box<ast::Doc>>,
    pub(super) body: Body,
    /// A mistake inside was reported: members may be missing that the author wrote.
    pub(super) is_broken: bool,
}

/// What a definition defines.
pub(super) enum Body {
    Enum {
        values: Vec<DraftValue>,
        prefix: Option<String>,
    },
    Struct {
        base: Option<Named>,
        members: Vec<DraftMember>,
    },
    Union {
        base: Option<Members>,
        discriminator: Option<Named>,
        branches: Vec<DraftBranch>,
    },
    Alternate {
        branches: Vec<DraftBranch>,
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
    pub(super) name: String,
    pub(super) span: Span,
}

/// Members written in place, or the name of a type that has them.
pub(super) enum Members {
    Type(Named),
    Inline(Vec<DraftMember>),
}

/// A reference to a type or to the array of it.
#[derive(Clone)]
pub(super) struct TypeRef {
    pub(super) name: String,
    pub(super) is_array: bool,
    pub(super) span: Span,
}

pub(super) struct DraftMember {
    pub(super) name: String,
    pub(super) span: Span,
    pub(super) optional: bool,
    pub(super) type_ref: TypeRef,
    pub(super) condition: Condition,
    pub(super) features: Vec<DraftFeature>,
}

pub(super) struct DraftBranch {
    pub(super) name: String,
    pub(super) span: Span,
    pub(super) type_ref: TypeRef,
    pub(super) condition: Condition,
}

pub(super) struct DraftValue {
    pub(super) name: String,
    pub(super) span: Span,
    pub(super) condition: Condition,
    pub(super) features: Vec<DraftFeature>,
}

pub(super) struct DraftFeature {
    pub(super) name: String,
    pub(super) span: Span,
    pub(super) condition: Condition,
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
