//! All definitions of a schema in one arena, their references still names.
//!
//! The order of the nodes is that of the reference's entities: an array or implicit type stands
//! where it is first mentioned. That order decides which of several mistakes comes first.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::draft::{
    Body, Context, Draft, DraftBranch, DraftMember, Flags, Members, Named, TypeRef,
};
use super::error::SchemaError;
use crate::diagnostic::{Definition, Diagnostic, Related, Report};
use crate::ir::{Attributes, Builtin, DefinitionKind, EnumValue, Feature, ObjectKind};
use crate::name::Name;
use crate::source::Span;
use crate::syntax::ast;

/// The position of a node.
pub(super) type NodeId = usize;

/// An entity.
pub(super) struct Node {
    pub(super) name: Name,
    /// The definition it stems from, if that is another one: arrays and implicit types have one, and definitions that
    /// share a line.
    pub(super) stems_from: Option<Box<Context>>,
    /// The expression it stems from; `None` for what is built in.
    pub(super) span: Option<Span>,
    pub(super) name_span: Option<Span>,
    pub(super) attributes: Attributes,
    pub(super) doc: Option<Box<ast::Doc>>,
    pub(super) kind: NodeKind,
    /// A mistake was reported that may have cost it members.
    pub(super) is_broken: bool,
}

/// What an entity is.
pub(super) enum NodeKind {
    /// The `include` of the file at this path.
    Include(Box<str>),
    Builtin(Builtin),
    Enum {
        values: Box<[EnumValue]>,
        prefix: Option<Name>,
    },
    /// The array of a type.
    Array {
        element: Name,
        /// Where the schema mentions it first; `None` for those of the built-in types.
        mention: Option<Span>,
    },
    Object {
        kind: ObjectKind,
        base: Option<Named>,
        members: Box<[DraftMember]>,
        variants: Option<Box<DraftVariants>>,
    },
    Alternate {
        branches: Box<[DraftBranch]>,
    },
    Command {
        arguments: Option<Named>,
        returns: Option<Named>,
        flags: Flags,
    },
    Event {
        arguments: Option<Named>,
        boxed: bool,
    },
}

/// The variant part of a union.
pub(super) struct DraftVariants {
    pub(super) discriminator: Option<Named>,
    pub(super) branches: Box<[DraftBranch]>,
}

/// The arena.
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    /// The nodes by their names.
    by_name: HashTable<u32>,
    hasher: DefaultHashBuilder,
    pub(super) free_docs: Vec<DocSlot>,
    pub(super) empty: NodeId,
}

/// A documentation comment in source order: its own, or that of a node.
pub(super) enum DocSlot {
    Free(Box<ast::Doc>),
    Of(NodeId),
}

/// What the reference calls the types of members that a definition writes in place: this, the definition's name, and whose
/// members they are. No definition may have such a name.
const IN_PLACE: &str = "q_obj_";
const ARGUMENTS: &str = "-arg";
const BASE: &str = "-base";

/// The name of the array of `element`.
pub(super) fn array_name(element: &str) -> String {
    format!("{element}List")
}

impl Graph {
    /// The built-in entities, with room for `n_definitions` and what comes with them: about every
    /// third one mentions an array or has members in place.
    pub(super) fn new(n_definitions: usize) -> Self {
        let room = n_definitions + n_definitions / 2 + 64;
        let mut graph = Self {
            nodes: Vec::with_capacity(room),
            by_name: HashTable::with_capacity(room),
            hasher: DefaultHashBuilder::default(),
            free_docs: Vec::new(),
            empty: 0,
        };
        for builtin in Builtin::ALL {
            let name = builtin.as_str();
            graph.add_builtin(name.into(), NodeKind::Builtin(builtin));
            let array = NodeKind::Array {
                element: name.into(),
                mention: None,
            };
            graph.add_builtin(array_name(name).into(), array);
        }
        let empty = NodeKind::Object {
            kind: ObjectKind::Empty,
            base: None,
            members: Box::default(),
            variants: None,
        };
        graph.empty = graph.add_builtin("q_empty".into(), empty);
        let kinds = [
            "none", "qnull", "qnum", "qstring", "qdict", "qlist", "qbool",
        ];
        let values = kinds.map(|name| EnumValue {
            name: name.into(),
            span: None,
            attributes: Attributes::default(),
        });
        let qtype = NodeKind::Enum {
            values: values.into(),
            prefix: Some("QTYPE".into()),
        };
        graph.add_builtin("QType".into(), qtype);
        graph
    }

    fn add_builtin(&mut self, name: Name, kind: NodeKind) -> NodeId {
        self.push(Node {
            name,
            stems_from: None,
            span: None,
            name_span: None,
            attributes: Attributes::default(),
            doc: None,
            kind,
            is_broken: false,
        })
    }

    fn push(&mut self, node: Node) -> NodeId {
        let id = self.nodes.len();
        if !matches!(node.kind, NodeKind::Include(_)) {
            let Self { nodes, hasher, .. } = self;
            let rehash = |id: &u32| hasher.hash_one(nodes[*id as usize].name.as_str());
            let hash = hasher.hash_one(node.name.as_str());
            // A schema has fewer nodes than bytes, which fit 32 bits.
            self.by_name.insert_unique(hash, id as u32, rehash);
        }
        self.nodes.push(node);
        id
    }

    /// The node called `name`.
    pub(super) fn find(&self, name: &str) -> Option<NodeId> {
        let has_name = |id: &u32| self.nodes[*id as usize].name == name;
        let found = self.by_name.find(self.hasher.hash_one(name), has_name);
        found.map(|id| *id as usize)
    }

    /// Adds the `include` of the file at `path`.
    pub(super) fn add_include(&mut self, span: Span, path: String) {
        self.push(Node {
            name: "".into(),
            stems_from: None,
            span: Some(span),
            name_span: None,
            attributes: Attributes::default(),
            doc: None,
            kind: NodeKind::Include(path.into()),
            is_broken: false,
        });
    }

    /// Adds a definition, and before it the array and implicit types that it mentions first. Messages say that a mistake
    /// is in `context`, which is the definition itself, or another one on its line.
    pub(super) fn add(&mut self, draft: Draft, context: Context, report: &mut Report) {
        let is_own = context.name == draft.name && context.kind == draft.kind;
        let origin = Origin {
            context,
            span: draft.span,
            attributes: &draft.attributes,
        };
        let mut is_broken = draft.is_broken;
        let kind = match draft.body {
            Body::Enum { values, prefix } => NodeKind::Enum { values, prefix },
            Body::Struct { base, members } => {
                self.add_arrays(&members, &origin);
                let kind = ObjectKind::Struct;
                NodeKind::Object {
                    kind,
                    base,
                    members,
                    variants: None,
                }
            }
            Body::Union {
                base,
                discriminator,
                branches,
            } => {
                let base = base.and_then(|base| {
                    self.members_type(base, &draft.name, ObjectKind::Base, is_broken, &origin)
                });
                is_broken |= discriminator.is_none();
                let variants = Some(Box::new(DraftVariants {
                    discriminator,
                    branches,
                }));
                let kind = ObjectKind::Union;
                NodeKind::Object {
                    kind,
                    base,
                    members: Box::default(),
                    variants,
                }
            }
            Body::Alternate { branches } => {
                for branch in branches.iter().filter(|branch| branch.type_ref.is_array) {
                    self.add_array(&branch.type_ref, &origin);
                }
                NodeKind::Alternate { branches }
            }
            Body::Command {
                arguments,
                returns,
                flags,
            } => {
                let arguments = arguments.and_then(|arguments| {
                    let kind = ObjectKind::Arguments;
                    self.members_type(arguments, &draft.name, kind, is_broken, &origin)
                });
                let returns = returns.map(|returns| self.type_name(&returns, &origin));
                NodeKind::Command {
                    arguments,
                    returns,
                    flags,
                }
            }
            Body::Event { arguments, boxed } => {
                let arguments = arguments.and_then(|arguments| {
                    let kind = ObjectKind::Arguments;
                    self.members_type(arguments, &draft.name, kind, is_broken, &origin)
                });
                NodeKind::Event { arguments, boxed }
            }
        };
        let stems_from = (!is_own).then(|| Box::new(origin.context));
        let node = Node {
            name: draft.name,
            stems_from,
            span: Some(draft.span),
            name_span: Some(draft.name_span),
            attributes: draft.attributes,
            doc: draft.doc,
            kind,
            is_broken,
        };
        self.define(node, draft.name_span, report);
    }

    /// Adds what is defined at `span`, unless something else has that name.
    fn define(&mut self, node: Node, span: Span, report: &mut Report) {
        if let Some(other) = self.find(&node.name) {
            let other = &self.nodes[other];
            let error = match other.span {
                Some(_) => SchemaError::Redefinition(node.name.to_string()),
                None => SchemaError::RedefinitionOfBuiltin(other.describe()),
            };
            let mut diagnostic = Diagnostic::new(error.code(), error.to_string(), span)
                .at_line(node.span.unwrap_or(span))
                .in_definition(node.definition());
            if let Some(first) = other.name_span.or(other.span) {
                let definition = other.definition();
                let message = "previous definition".to_owned();
                diagnostic = diagnostic.with_related(Related {
                    span: first,
                    message,
                    line: other.span,
                    definition,
                });
            }
            report.push(diagnostic);
            return;
        }
        let has_doc = node.doc.is_some();
        let id = self.push(node);
        if has_doc {
            self.free_docs.push(DocSlot::Of(id));
        }
    }

    /// The name of the type of `members`, which is made if they are written in place.
    fn members_type(
        &mut self,
        members: Members,
        owner: &str,
        kind: ObjectKind,
        is_broken: bool,
        origin: &Origin<'_>,
    ) -> Option<Named> {
        let members = match members {
            Members::Type(named) => return Some(named),
            Members::Inline(members) => members,
        };
        self.add_arrays(&members, origin);
        if members.is_empty() {
            return None;
        }
        let suffix = match kind {
            ObjectKind::Base => BASE,
            ObjectKind::Arguments | ObjectKind::Struct | ObjectKind::Union | ObjectKind::Empty => {
                ARGUMENTS
            }
        };
        let name = Name::from(format!("{IN_PLACE}{owner}{suffix}"));
        if self.find(&name).is_none() {
            let kind = NodeKind::Object {
                kind,
                base: None,
                members,
                variants: None,
            };
            self.push(origin.node(name.clone(), kind, is_broken));
        }
        Some(Named {
            name,
            span: origin.span,
        })
    }

    fn add_arrays(&mut self, members: &[DraftMember], origin: &Origin<'_>) {
        for member in members.iter().filter(|member| member.type_ref.is_array) {
            self.add_array(&member.type_ref, origin);
        }
    }

    fn add_array(&mut self, element: &TypeRef, origin: &Origin<'_>) {
        let name = array_name(&element.name);
        if self.find(&name).is_none() {
            let array = NodeKind::Array {
                element: element.name.clone(),
                mention: Some(element.span),
            };
            self.push(origin.node(name.into(), array, false));
        }
    }

    fn type_name(&mut self, type_ref: &TypeRef, origin: &Origin<'_>) -> Named {
        if type_ref.is_array {
            self.add_array(type_ref, origin);
        }
        Named {
            name: type_ref.full_name(),
            span: type_ref.span,
        }
    }
}

impl TypeRef {
    /// The name that the type has in the graph.
    pub(super) fn full_name(&self) -> Name {
        if self.is_array {
            array_name(&self.name).into()
        } else {
            self.name.clone()
        }
    }
}

/// The definition that an array or implicit type stems from.
struct Origin<'d> {
    context: Context,
    span: Span,
    attributes: &'d Attributes,
}

impl Origin<'_> {
    fn node(&self, name: Name, kind: NodeKind, is_broken: bool) -> Node {
        let attributes = match kind {
            NodeKind::Array { .. } => Attributes::default(),
            _ => self.attributes.without_features(),
        };
        Node {
            name,
            stems_from: Some(Box::new(self.context.clone())),
            span: Some(self.span),
            name_span: None,
            attributes,
            doc: None,
            kind,
            is_broken,
        }
    }
}

impl Node {
    /// Where it is defined: its name, or the expression that it stems from; `None` for what is built in.
    pub(super) fn place(&self) -> Option<Span> {
        self.name_span.or(self.span)
    }

    pub(super) fn object_kind(&self) -> Option<ObjectKind> {
        match self.kind {
            NodeKind::Object { kind, .. } => Some(kind),
            NodeKind::Include(_)
            | NodeKind::Builtin(_)
            | NodeKind::Enum { .. }
            | NodeKind::Array { .. }
            | NodeKind::Alternate { .. }
            | NodeKind::Command { .. }
            | NodeKind::Event { .. } => None,
        }
    }

    /// Whether it is the type of members that a definition writes in place.
    pub(super) fn is_in_place(&self) -> bool {
        matches!(
            self.object_kind(),
            Some(ObjectKind::Arguments | ObjectKind::Base)
        )
    }

    /// Whether a schema can name it by a name that it does not have of another one.
    pub(super) fn has_own_name(&self) -> bool {
        let is_empty = self.object_kind() == Some(ObjectKind::Empty);
        !is_empty && !self.is_in_place() && !matches!(self.kind, NodeKind::Array { .. })
    }

    /// The name of the definition that lists its members.
    pub(super) fn owner_name(&self) -> &str {
        let suffix = match self.object_kind() {
            Some(ObjectKind::Arguments) => ARGUMENTS,
            Some(ObjectKind::Base) => BASE,
            Some(ObjectKind::Struct | ObjectKind::Union | ObjectKind::Empty) | None => {
                return &self.name;
            }
        };
        let owner = self.name.strip_prefix(IN_PLACE);
        let owner = owner.and_then(|owner| owner.strip_suffix(suffix));
        owner.unwrap_or(&self.name)
    }

    pub(super) fn features(&self) -> &[Feature] {
        self.attributes.features()
    }

    /// Kind and name of the definition that it stems from; `None` for what is built in.
    pub(super) fn context(&self) -> Option<(DefinitionKind, &Name)> {
        if let Some(other) = &self.stems_from {
            return Some((other.kind, &other.name));
        }
        self.span?;
        let kind = match &self.kind {
            NodeKind::Enum { .. } => DefinitionKind::Enum,
            NodeKind::Object { variants: None, .. } => DefinitionKind::Struct,
            NodeKind::Object {
                variants: Some(_), ..
            } => DefinitionKind::Union,
            NodeKind::Alternate { .. } => DefinitionKind::Alternate,
            NodeKind::Command { .. } => DefinitionKind::Command,
            NodeKind::Event { .. } => DefinitionKind::Event,
            NodeKind::Include(_) | NodeKind::Builtin(_) | NodeKind::Array { .. } => return None,
        };
        Some((kind, &self.name))
    }

    /// The same as messages call it.
    pub(super) fn definition(&self) -> Option<Definition> {
        let (kind, name) = self.context()?;
        Some(Definition {
            kind: kind.as_str(),
            name: name.to_string(),
        })
    }

    /// The entity in the reference's words, such as `struct type 'X'`.
    pub(super) fn describe(&self) -> String {
        let name = &self.name;
        match &self.kind {
            NodeKind::Include(path) => format!("include '{path}'"),
            NodeKind::Builtin(_) => format!("built-in type '{name}'"),
            NodeKind::Enum { .. } => format!("enum type '{name}'"),
            NodeKind::Array { element, .. } => format!("array type ['{element}']"),
            NodeKind::Object {
                variants: Some(_), ..
            } => format!("union type '{name}'"),
            NodeKind::Object { variants: None, .. } => format!("struct type '{name}'"),
            NodeKind::Alternate { .. } => format!("alternate type '{name}'"),
            NodeKind::Command { .. } => format!("command '{name}'"),
            NodeKind::Event { .. } => format!("event '{name}'"),
        }
    }

    /// Whether it can be used as a type.
    pub(super) fn is_type(&self) -> bool {
        match self.kind {
            NodeKind::Builtin(_)
            | NodeKind::Enum { .. }
            | NodeKind::Array { .. }
            | NodeKind::Object { .. }
            | NodeKind::Alternate { .. } => true,
            NodeKind::Include(_) | NodeKind::Command { .. } | NodeKind::Event { .. } => false,
        }
    }
}
