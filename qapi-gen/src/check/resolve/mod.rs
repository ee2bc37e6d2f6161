//! What definitions say about each other: references, collisions, documentation.

mod alternate;
mod clash;
mod documentation;
mod features;
mod members;
mod object;

use hashbrown::{HashMap, HashSet};

use super::draft::{DraftBranch, DraftMember, Named};
use super::error::SchemaError;
use super::graph::{Graph, Node, NodeId, NodeKind};
use super::names::collision_key;
use crate::diagnostic::{Diagnostic, Related, Report};
use crate::ir::{ExceptionKind, Pragmas};
use crate::source::{SourceMap, Span};
use crate::text::Nearest;

pub use features::MAX_FEATURES;

/// Names whose absence is the fault of another mistake.
pub(super) struct Excused {
    /// Definitions that were lost to a mistake.
    pub(super) names: HashSet<String>,
    /// A whole file was lost, so any name may be missing.
    pub(super) all: bool,
}

/// What the names in a graph stand for.
#[derive(Default)]
pub(super) struct Resolved {
    /// For each node the types of its members, branches or element, in order; `None` stands for
    /// a type whose mistake was reported.
    pub(super) types: Vec<Vec<Option<NodeId>>>,
    /// For each node its base, its arguments and its result.
    pub(super) bases: Vec<Option<NodeId>>,
    pub(super) returns: Vec<Option<NodeId>>,
    /// For each union the type of its discriminator.
    pub(super) tags: Vec<Option<NodeId>>,
}

/// A member of an object, by the node that defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct MemberRef {
    owner: NodeId,
    index: usize,
}

/// What an object has of its bases and itself.
#[derive(Clone, Copy, Default)]
struct Inherited {
    /// How many bases it has, each the base of the next.
    n_bases: usize,
    n_members: usize,
    /// Whether a member has a condition.
    is_conditional: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unchecked,
    Checking,
    Checked,
}

/// An object has at most this many bases, each the base of the next: walks go from base to base for
/// every name.
pub const MAX_BASES: usize = 100;

/// Types may inherit this many members, and unions leave out this many values, all together; and
/// [`REPEATED_PER_LISTED`] more for each object, member and branch that a schema lists. What is
/// inherited is repeated by most that is made of a schema.
pub const MAX_REPEATED: usize = 100_000;

/// See [`MAX_REPEATED`].
pub const REPEATED_PER_LISTED: usize = 16;

/// Resolves every name in `graph`, in the order of its nodes.
pub(super) fn resolve(
    graph: &Graph,
    sources: &SourceMap,
    pragmas: &Pragmas,
    excused: &Excused,
    report: &mut Report,
) -> Resolved {
    let n = graph.nodes.len();
    let mut resolver = Resolver {
        graph,
        sources,
        pragmas,
        excused,
        report,
        states: vec![State::Unchecked; n],
        inherited: vec![Inherited::default(); n],
        tables: members::Tables::default(),
        clashes: clash::Clashes::default(),
        values: HashMap::new(),
        n_repeated: 0,
        max_repeated: max_repeated(graph),
        nearest: Nearest::default(),
        explained: HashSet::new(),
        resolved: Resolved {
            types: vec![Vec::new(); n],
            bases: vec![None; n],
            returns: vec![None; n],
            tags: vec![None; n],
        },
    };
    for id in 0..n {
        resolver.check_node(id);
        resolver.connect_doc(id);
    }
    resolver.check_docs();
    resolver.count_features();
    resolver.resolved
}

struct Resolver<'a> {
    graph: &'a Graph,
    sources: &'a SourceMap,
    pragmas: &'a Pragmas,
    excused: &'a Excused,
    report: &'a mut Report,
    states: Vec<State>,
    /// For each object what it takes over from its bases.
    inherited: Vec<Inherited>,
    tables: members::Tables,
    clashes: clash::Clashes,
    /// The values of large enumerations.
    values: HashMap<NodeId, HashSet<&'a str>>,
    /// How many members and branches types have that they do not list.
    n_repeated: usize,
    /// How many they may have; without limit after the diagnostic.
    max_repeated: usize,
    nearest: Nearest,
    /// Descriptions of nothing whose mistake was reported together with a missing one.
    explained: HashSet<Span>,
    resolved: Resolved,
}

impl<'a> Resolver<'a> {
    fn node(&self, id: NodeId) -> &'a Node {
        &self.graph.nodes[id]
    }

    fn diagnostic(&self, node: &Node, error: &SchemaError, span: Span) -> Diagnostic {
        Diagnostic::new(error.code(), error.to_string(), span)
            .at_line(node.span.unwrap_or(span))
            .in_definition(node.context.clone())
    }

    fn error(&mut self, node: &Node, error: &SchemaError, span: Span) {
        let diagnostic = self.diagnostic(node, error, span);
        self.report.push(diagnostic);
    }

    fn check_node(&mut self, id: NodeId) {
        let node = self.node(id);
        match &node.kind {
            NodeKind::Include(_) | NodeKind::Builtin(_) => {}
            NodeKind::Enum { values, .. } => {
                self.check_type_features(node);
                let names = values.iter().map(|value| (value.name.as_str(), value.span));
                self.check_names(node, "value", "", names);
            }
            NodeKind::Array(element) => {
                let meta = node
                    .context
                    .as_ref()
                    .map_or("array", |context| context.kind);
                let element = self.lookup(node, element, |_| meta.to_owned());
                self.resolved.types[id].push(element);
            }
            NodeKind::Object { .. } => {
                self.check_object(id);
            }
            NodeKind::Alternate { branches } => self.check_alternate(id, node, branches),
            NodeKind::Command {
                arguments,
                returns,
                flags,
            } => {
                self.check_features(node);
                self.check_arguments(id, "command", arguments.as_ref(), flags.boxed);
                self.check_returns(id, returns.as_ref());
            }
            NodeKind::Event { arguments, boxed } => {
                self.check_features(node);
                self.check_arguments(id, "event", arguments.as_ref(), *boxed);
            }
        }
    }

    /// The type called `named`; `None` after a mistake was reported.
    fn lookup(
        &mut self,
        node: &Node,
        named: &Named,
        what: impl FnOnce(&Self) -> String,
    ) -> Option<NodeId> {
        let found = self.graph.names.get(&named.name).copied();
        if let Some(id) = found.filter(|id| self.node(*id).is_type()) {
            return Some(id);
        }
        let is_excused = self.excused.all
            || (found.is_none()
                && std::iter::once(&*named.name)
                    .chain(named.name.strip_suffix("List"))
                    .any(|name| self.excused.names.contains(name)));
        if !is_excused {
            let error = SchemaError::UnknownType {
                what: what(self),
                name: named.name.clone(),
            };
            let help = self
                .near_type(&named.name)
                .map(|near| format!("a type with a similar name exists: '{near}'"));
            let diagnostic = self.diagnostic(node, &error, named.span).with_help(help);
            self.report.push(diagnostic);
        }
        None
    }

    fn near_type(&self, name: &str) -> Option<&'a str> {
        let types = self.graph.nodes.iter().filter(|node| match node.kind {
            NodeKind::Array(_) => false,
            _ => node.is_type() && !node.name.starts_with("q_"),
        });
        self.nearest
            .find(name, types.map(|node| node.name.as_str()))
    }

    /// No two of `names` may collide; `of` says in messages whose names they are.
    fn check_names<'n>(
        &mut self,
        node: &Node,
        role: &str,
        of: &str,
        names: impl Iterator<Item = (&'n str, Span)>,
    ) {
        let mut seen = HashMap::new();
        for (name, span) in names {
            if let Some((first, first_span)) = seen.insert(collision_key(name), (name, span)) {
                let ours = format!("{role} '{name}'{of}");
                let theirs = format!("{role} '{first}'{of}");
                self.report_collision(node, ours, span, theirs, first_span);
            }
        }
    }

    fn report_collision(
        &mut self,
        node: &Node,
        ours: String,
        span: Span,
        theirs: String,
        first: Span,
    ) {
        let error = SchemaError::Collision(ours, theirs.clone());
        let related = Related {
            span: first,
            message: theirs,
            line: None,
            definition: None,
        };
        let diagnostic = self.diagnostic(node, &error, span).with_related(related);
        self.report.push(diagnostic);
    }

    fn check_arguments(
        &mut self,
        id: NodeId,
        meta: &'static str,
        arguments: Option<&Named>,
        boxed: bool,
    ) {
        let Some(arguments) = arguments else { return };
        let node = self.node(id);
        let Some(type_id) = self.lookup(node, arguments, |_| format!("{meta}'s 'data'")) else {
            return;
        };
        let ty = self.node(type_id);
        let NodeKind::Object { variants, .. } = &ty.kind else {
            let error = SchemaError::ArgumentType(meta, ty.describe());
            return self.error(node, &error, arguments.span);
        };
        self.resolved.bases[id] = Some(type_id);
        if variants.is_some() && !boxed {
            let error = SchemaError::UnionNotBoxed(meta, ty.describe());
            return self.error(node, &error, arguments.span);
        }
        self.check_object(type_id);
        if !boxed && self.inherited[type_id].is_conditional {
            self.error(
                node,
                &SchemaError::ConditionalNotBoxed(meta),
                arguments.span,
            );
        }
    }

    fn check_returns(&mut self, id: NodeId, returns: Option<&Named>) {
        let Some(returns) = returns else { return };
        let node = self.node(id);
        let what = |_: &Self| "command's 'returns'".to_owned();
        let Some(type_id) = self.lookup(node, returns, what) else {
            return;
        };
        self.resolved.returns[id] = Some(type_id);
        if self
            .pragmas
            .excepts(ExceptionKind::CommandReturns, &node.name)
        {
            return;
        }
        let ty = self.node(type_id);
        let element = match &ty.kind {
            NodeKind::Array(element) => match self.graph.names.get(&element.name) {
                Some(&element) => self.node(element),
                // The array itself has that mistake.
                None => return,
            },
            _ => ty,
        };
        if !matches!(element.kind, NodeKind::Object { .. }) {
            self.error(node, &SchemaError::ReturnType(ty.describe()), returns.span);
        }
    }

    fn draft_member(&self, member: MemberRef) -> &'a DraftMember {
        match &self.node(member.owner).kind {
            NodeKind::Object { members, .. } => &members[member.index],
            _ => unreachable_member(),
        }
    }

    /// The member in the reference's words, seen from `node`.
    fn describe(&self, member: MemberRef, node: &Node) -> String {
        let owner = self.node(member.owner);
        let name = &self.draft_member(member).name;
        let (role, kind, owner_name) = match owner.name.strip_prefix("q_obj_") {
            Some(rest) => match (rest.strip_suffix("-arg"), rest.strip_suffix("-base")) {
                (Some(command), _) => ("parameter", "command", command),
                (None, Some(union)) => ("base member", "type", union),
                (None, None) => ("member", "type", rest),
            },
            None => ("member", "type", owner.name.as_str()),
        };
        let is_own = node
            .context
            .as_ref()
            .is_some_and(|context| context.name == owner_name);
        if is_own {
            format!("{role} '{name}'")
        } else {
            format!("{role} '{name}' of {kind} '{owner_name}'")
        }
    }

    /// Resolves the type of a branch, of a union or of an alternate.
    fn branch_type(&mut self, node: &Node, branch: &DraftBranch) -> Option<NodeId> {
        let named = Named {
            name: branch.type_ref.full_name(),
            span: branch.type_ref.span,
        };
        self.lookup(node, &named, |_| format!("branch '{}'", branch.name))
    }
}

/// How many members and branches the types of `graph` may have that they do not list.
fn max_repeated(graph: &Graph) -> usize {
    let n_listed = graph.nodes.iter().map(|node| match &node.kind {
        NodeKind::Object {
            members, variants, ..
        } => {
            let branches = variants.as_ref().map_or(0, |it| it.branches.len());
            members.len() + branches + 1
        }
        NodeKind::Include(_)
        | NodeKind::Builtin(_)
        | NodeKind::Enum { .. }
        | NodeKind::Array(_)
        | NodeKind::Alternate { .. }
        | NodeKind::Command { .. }
        | NodeKind::Event { .. } => 0,
    });
    MAX_REPEATED + REPEATED_PER_LISTED * n_listed.sum::<usize>()
}

#[cold]
fn unreachable_member() -> ! {
    unreachable!("a member reference names an object node: it is made while checking one")
}
